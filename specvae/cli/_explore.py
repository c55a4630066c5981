"""``specvae explore``: a page to look at a model and an archive with."""

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from sklearn.pipeline import make_pipeline

from ..distributed import transform_archive
from ..estimators._persistence import load
from ..explorer._codes import model_with_code
from ..explorer._exhibit import make_exhibit
from ..explorer._explore import check_extra, serve_exhibit
from ..spectra import SpectraArray, read_meta
from ._apply import _check_grid
from ._label_table import read_labels
from ._stars import star_numbers

TOKEN = "SPECVAE_TOKEN"


def run(options: Namespace) -> None:
    """Serve the page until Ctrl-C."""
    check_extra("specvae explore")
    from ..explorer._serve import check_host  # needs the extra

    # On the command line every user of the machine can read it.
    token = options.token or os.environ.get(TOKEN) or None
    check_host(options.host, token)
    model, spectra = load(options.model, device=options.device), SpectraArray.open(options.store)
    _check_grid(model, spectra, options)
    meta = read_meta(options.store)
    labels = None
    if options.labels is not None:
        labels = read_labels(options.labels, meta, options.by, options.target)
    exhibit = make_exhibit(
        model,
        spectra,
        labels,
        meta=meta,
        groups=star_numbers(meta),
        codes=None if options.codes is None else _codes(model, spectra, options.codes),
        show=sys.stderr.isatty(),
    )
    serve_exhibit(
        exhibit,
        show=not options.no_browser,
        port=options.port,
        host=options.host,
        token=token,
        origins=options.origin or (),
    )


def _codes(model: Any, spectra: SpectraArray, path: Path) -> Path:
    """Compute the codes into the file unless it is there."""
    if path.suffix != ".npy":
        raise ValueError(f"--codes must be the name of a .npy file, got {path.name!r}.")
    if not path.exists():
        opened = model_with_code(model)
        before = () if opened.steps is None else (step for _, step in opened.steps.steps)
        coder = make_pipeline(*before, opened.coder)
        transform_archive(coder, spectra, path, invalid="nan")
    return path
