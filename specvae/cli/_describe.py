"""``specvae info`` and ``specvae card``."""

from argparse import Namespace
from pathlib import Path

import numpy as np

from ..estimators._persistence import load, model_card
from ..estimators._persistence._save import grid_of, labels_of, steps_of, training_summary, unit_of
from ..spectra import SpectraArray, read_meta
from ._stars import star_numbers


def run(options: Namespace) -> None:
    """Describe a store or a model."""
    if options.command == "card":
        print(model_card(load(options.path)), end="")
    elif options.path.suffix == ".npy":
        _describe_store(options.path)
    else:
        _describe_model(options.path)


def _describe_store(path: Path) -> None:
    spectra, meta = SpectraArray.open(path), read_meta(path)
    n_spectra, n_pixels = spectra.shape
    print(f"{path}: {n_spectra} spectra of {n_pixels} pixels")
    print(f"  grid       {spectra.grid}")
    print(
        f"  stored as  {np.dtype(spectra._store.dtype).name}, {1e-9 * path.stat().st_size:.3g} GB"
    )
    stars = star_numbers(meta)
    if stars is not None:
        most = int(np.bincount(stars).max())
        print(
            f"  stars      {stars.max() + 1}, by position and name; {most} spectra of one at most"
        )
    known = [name for name in meta.columns if meta[name].notna().any()]
    print(f"  known      {', '.join(known) or 'nothing'}")
    for file, reason in meta.attrs["refused"].items():
        print(f"  left out   {Path(file).name}: {reason}")


def _describe_model(path: Path) -> None:
    model = load(path)
    names, _ = labels_of(model)
    trained = training_summary(model)
    print(f"{path}: {', '.join(type(step).__name__ for step in steps_of(model))}")
    print(f"  grid     {grid_of(model) or 'not known'}")
    units = [f"{name} ({unit_of(name)})" if unit_of(name) else name for name in names]
    print(f"  labels   {', '.join(units) or 'none'}")
    if "n_train" in trained:
        stars = f" of {trained['n_stars']} stars" if trained.get("n_stars") else ""
        print(
            f"  trained  on {trained['n_train']} spectra{stars}, {trained['n_valid']} watching, "
            f"{trained['epochs']} epochs"
        )
