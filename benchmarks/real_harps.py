"""Real HARPS spectra at full length: ``python benchmarks/real_harps.py`` (needs matplotlib).

Reads the 19 real files, puts them on `HARPS_GRID`, masks and normalises them, trains the published
convolutional autoencoder on them for a few epochs at all 327,680 pixels, and prints the
reconstruction error of each beside that of the mean spectrum. All spectra are trained on: this
shows that real files pass through, not how well unseen stars are reconstructed. The damaged file
must be refused.

Prints a table, writes benchmarks/results/real_harps.json and .png.
"""

import argparse
import json
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from specvae.estimators import SpectralAutoencoder
from specvae.exceptions import SpectrumReadError
from specvae.plotting import plot_reconstruction
from specvae.preprocessing import MedianNormalizer, PixelMasker, quality_report
from specvae.spectra import HARPS_GRID, HARPS_MISSING, group_targets, read_spectra

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared/data/harps"


def read_all(folder: Path):
    paths = sorted(folder.glob("*.fits.gz"))
    flux, meta = read_spectra(paths, HARPS_GRID)
    print(f"Read {len(flux)} of {len(paths)} files.")
    for damaged in sorted((folder / "broken").glob("*.fits.gz")):
        try:
            read_spectra([damaged], HARPS_GRID)
        except SpectrumReadError as error:
            print(f"Refused as it must be: {error}")
        else:
            raise AssertionError(f"{damaged} is damaged and was read")
    return flux, meta


def draw(flux, reconstruction, names, path: Path) -> None:
    windows = ((5160.0, 5190.0), (5885.0, 5900.0), (6555.0, 6570.0))
    figure, axes = plt.subplots(len(names), 3, figsize=(15, 2.6 * len(names)), layout="constrained")
    for row, name in zip(axes, names, strict=True):
        for ax, window_aa in zip(row, windows, strict=True):
            plot_reconstruction(
                HARPS_GRID.wavelength_aa, flux[name], reconstruction[name], ax, window_aa=window_aa
            )
        row[0].set_title(name, fontsize=8, loc="left")
    axes[0, 0].legend(fontsize=7)
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--max-epochs", type=int, default=60)
    parser.add_argument("--latents", type=int, default=8)
    options = parser.parse_args()
    if not options.data.exists():
        print(f"Skipped: {options.data} is absent; --data names a folder of HARPS files.")
        return
    raw, meta = read_all(options.data)
    names = [Path(path).name.removesuffix(".fits.gz") for path in meta["path"]]
    report = quality_report(raw)
    stars = group_targets(meta["ra_deg"], meta["dec_deg"], meta["object"])
    print(f"quality_report keeps {int(report.keep.sum())}; {len(set(stars))} targets.")

    flux = PixelMasker(HARPS_MISSING, grid=HARPS_GRID).fit_transform(raw)
    flux = MedianNormalizer().fit_transform(flux)
    start = time.perf_counter()
    autoencoder = SpectralAutoencoder(
        options.latents,
        grid=HARPS_GRID,
        max_epochs=options.max_epochs,
        batch_size=2,
        validation_fraction=0.0,
        random_state=0,
        verbose=1,
    ).fit(flux)
    seconds = time.perf_counter() - start
    codes = autoencoder.transform(flux)
    error = autoencoder.reconstruction_error(flux)
    seen = ~np.isnan(flux).all(axis=0)
    by_mean = np.nanmean(np.abs(flux[:, seen] - np.nanmean(flux[:, seen], axis=0)), axis=1)
    print(f"\nMean |flux - reconstruction|, {options.max_epochs} epochs, {seconds:.0f} s:")
    print(f"{'file':46}{'target':>7}{'autoencoder':>13}{'mean spectrum':>15}")
    for name, star, ours, theirs in zip(names, stars, error, by_mean, strict=True):
        print(f"{name:46}{star:7d}{ours:13.4f}{theirs:15.4f}")
    print(f"{'mean':53}{error.mean():13.4f}{by_mean.mean():15.4f}")
    assert np.isfinite(codes).all() and (error.mean() < by_mean.mean())

    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    shown = [names[int(np.flatnonzero(stars == star)[0])] for star in sorted(set(stars))]
    draw(
        dict(zip(names, flux, strict=True)),
        dict(zip(names, autoencoder.inverse_transform(codes), strict=True)),
        shown,
        results / "real_harps.png",
    )
    record = {
        "max_epochs": options.max_epochs,
        "n_latents": options.latents,
        "seconds": seconds,
        "error": dict(zip(names, error.tolist(), strict=True)),
        "error_of_mean_spectrum": dict(zip(names, by_mean.tolist(), strict=True)),
    }
    (results / "real_harps.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
