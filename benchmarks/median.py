"""Compare `valid_median` with ``np.median(spectrum[valid])`` on long spectra with gaps.

Both sides are timed in turn in one run, in pairs; the ratio printed is the median over the pairs,
and a control times the same function on both sides. Seconds belong to the machine; the ratio is
the claim. Run ``python benchmarks/median.py [record.json]``.
"""

import json
import sys
import time

import numpy as np

from specvae.preprocessing import valid_median
from specvae.spectra import HARPS_GRID, HARPS_MISSING

N_SPECTRA = 12
N_ROUNDS = 5
CLAIMED_RATIO = 5.0


def example_spectrum(kind, seed):
    """One float32 spectrum of 327,680 pixels, of which 309,060 are valid."""
    rng = np.random.default_rng(seed)
    n_pixels = HARPS_GRID.n_pixels
    flux = rng.normal(1000.0, 30.0, n_pixels)
    if kind == "spectrum":  # a slope as of a blaze, and lines
        flux += 500.0 * np.sin(np.arange(n_pixels) / 4e4 + seed)
        flux *= np.where(rng.random(n_pixels) < 0.1, 0.4, 1.0)
    for low_aa, high_aa in HARPS_MISSING:
        flux[HARPS_GRID.slice(low_aa, high_aa)] = np.nan
    return flux.astype(np.float32)


def numpy_median(flux, valid):
    return np.median(flux[valid])


def numpy_nanmedian(flux, valid):
    return np.nanmedian(flux)


def selection(flux, valid):
    return valid_median(flux[None, :])[0]


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def compare(slow, fast, spectra):
    """Median over pairs of the time of `slow` over that of `fast`, measured in turn.

    The two of a pair work on different spectra: the second would find its own in the cache.
    """
    others = spectra[len(spectra) // 2 :] + spectra[: len(spectra) // 2]
    ratios = [
        seconds(slow, *one) / seconds(fast, *other)
        for _ in range(N_ROUNDS)
        for one, other in zip(spectra, others, strict=True)
    ]
    return float(np.median(ratios))


def measure(kind):
    spectra = [example_spectrum(kind, seed) for seed in range(N_SPECTRA)]
    spectra = [(flux, ~np.isnan(flux)) for flux in spectra]
    for pair in spectra:
        assert selection(*pair) == numpy_median(*pair) == numpy_nanmedian(*pair)
    return {
        "np.median(flux[valid]) / valid_median": compare(numpy_median, selection, spectra),
        "np.nanmedian(flux) / valid_median": compare(numpy_nanmedian, selection, spectra),
        "valid_median / valid_median (control)": compare(selection, selection, spectra),
    }


def main():
    record = {kind: measure(kind) for kind in ("spectrum", "noise")}
    for kind, ratios in record.items():
        print(f"{kind}: ratios of times, 309,060 valid of 327,680 pixels, float32")
        for name, ratio in ratios.items():
            print(f"  {name:42s}{ratio:6.2f}")
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:
            json.dump(record, file, indent=2)
    found = min(ratios["np.median(flux[valid]) / valid_median"] for ratios in record.values())
    assert found >= CLAIMED_RATIO, f"{found:.2f} times as fast, {CLAIMED_RATIO} claimed"


if __name__ == "__main__":
    main()
