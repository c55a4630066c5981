"""``specvae pack``."""

from argparse import Namespace
from pathlib import Path

from ..exceptions import SpectrumReadError
from ..spectra import pack_spectra, read_meta
from ._grids import parse_grid


def run(options: Namespace) -> None:
    """Pack files into a store."""
    if not options.jobs:
        raise ValueError("--jobs must be a number of processes, or -1 for all cores; got 0.")
    try:
        spectra = pack_spectra(
            _paths(options.files, options.list),
            options.to,
            parse_grid(options.grid),
            "float16" if options.half else "float32",
            on_error="warn" if options.skip_unreadable else "raise",
            n_jobs=options.jobs,
        )
    except SpectrumReadError as error:
        if not options.skip_unreadable:
            error.add_note("On the command line that is --skip-unreadable.")
        raise
    refused = read_meta(options.to).attrs["refused"]
    left_out = f", {len(refused)} files left out" if refused else ""
    print(f"{options.to}: {len(spectra)} spectra of {spectra.shape[1]} pixels{left_out}.")


def _paths(files: list[Path], listed: Path | None) -> list[Path]:
    if listed is not None:
        lines = listed.read_text(encoding="utf-8-sig").splitlines()
        # A list speaks of files beside itself, wherever the command is given.
        files = files + [listed.parent / line.strip() for line in lines if line.strip()]
    if not files:
        raise ValueError("no files were given; name them, or give --list.")
    return files
