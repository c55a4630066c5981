"""How soon the explorer answers: ``python benchmarks/explorer.py``.

An archive of 270,000 spectra of 327,680 pixels with codes of 128 numbers, and the published
convolutional decoder at that length. The weights are those of one epoch and the spectra are made
up: neither changes the time. Measured in this process, without a browser and a network:

1. slider: one move, as the page answers it, and its parts: decode; look for the nearest spectrum
   and read it where it is another one; reduce four lines and two residuals to what the screen shows
   and hand them to Bokeh. Wanted are 150 ms on two cores. Median and 95 % quantile of the moves.
2. memory: the growth of the resident size over 1,000 moves, after 100 that are not counted.
3. map: drawing all 270,000 points anew, finding the one under the pointer, a lasso of 40 corners.

``--threads`` says with how many threads; ``--moves`` how many moves. Prints a table, writes
benchmarks/results/explorer.json.
"""

import argparse
import gc
import json
import os
import platform
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import torch

from specvae.estimators import SpectralVAE
from specvae.explorer._archive import Archive
from specvae.explorer._downsample import decimate
from specvae.explorer._exhibit import Exhibit
from specvae.explorer._page import Page
from specvae.explorer._points import inside_polygon
from specvae.explorer._sliders import Slider
from specvae.model_selection._code_model import CodeModel
from specvae.spectra import HARPS_GRID, HARPS_MISSING, SpectraArray

N_SPECTRA, N_LATENTS, N_SLIDERS = 270_000, 128, 8
N_STORED = 8
WANTED_MS = 150.0
LARGEST_GROWTH_MB = 20.0
SEED = 0
RESULT = Path(__file__).parent / "results" / "explorer.json"


def make_flux() -> np.ndarray:
    """Return a few spectra with lines, noise, and the gaps of HARPS."""
    rng = np.random.default_rng(SEED)
    flux = 1.0 + rng.normal(0.0, 0.02, (N_STORED, HARPS_GRID.n_pixels)).astype(np.float32)
    centres = rng.integers(0, HARPS_GRID.n_pixels, 4000)
    for offset in range(-5, 6):
        flux[:, np.clip(centres + offset, 0, flux.shape[1] - 1)] -= 0.4 * np.exp(-(offset**2) / 8)
    for low, high in HARPS_MISSING:
        flux[:, HARPS_GRID.slice(low, high)] = np.nan
    return flux


class Repeated:
    """A store in which the same few spectra stand again and again."""

    dtype = np.dtype(np.float32)

    def __init__(self, flux: np.ndarray):
        self._flux = flux
        self.shape = (N_SPECTRA, flux.shape[1])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self._flux[rows % len(self._flux)]


def make_exhibit(n_threads: int) -> Exhibit:
    """Return the archive with made-up codes."""
    flux, rng = make_flux(), np.random.default_rng(SEED)
    model = SpectralVAE(
        N_LATENTS, grid=HARPS_GRID, max_epochs=1, batch_size=4, n_threads=n_threads,
        random_state=SEED,
    ).fit(flux)  # fmt: skip
    codes = rng.normal(size=(N_SPECTRA, N_LATENTS)).astype(np.float32)
    latents = tuple(f"latent{i}" for i in range(N_LATENTS))
    archive = Archive(
        CodeModel.of(model),
        SpectraArray(Repeated(flux), grid=HARPS_GRID),
        codes,
        latents,
        pd.DataFrame({"teff_k": 5800.0 + 500.0 * codes[:, 0]}),
        np.array([f"star {row // 10}" for row in range(N_SPECTRA)], dtype=object),
        None,
        None,
        HARPS_GRID,
        HARPS_GRID.wavelength_aa,
    )
    sliders = tuple(
        Slider(latents[column], column, -2.3, 2.3, False, "") for column in range(N_SLIDERS)
    )
    return Exhibit(archive, sliders)


def milliseconds(function, n_times: int) -> np.ndarray:
    """Time calls of a function of their number, after two that are not counted."""
    times = []
    for call in range(n_times + 2):
        begin = time.perf_counter()
        function(call)
        times.append(1000.0 * (time.perf_counter() - begin))
    return np.array(times[2:])


def summary(times: np.ndarray) -> dict[str, float]:
    """Median and 95 % quantile, in ms."""
    return {
        "median_ms": round(float(np.median(times)), 1),
        "p95_ms": round(float(np.quantile(times, 0.95)), 1),
        "n": len(times),
    }


def measure_sliders(page: Page, n_moves: int) -> dict[str, dict[str, float]]:
    """Time moves and their parts."""
    archive, rng = page.archive, np.random.default_rng(SEED)
    widgets = list(page.sliders.widgets.values())
    values = rng.uniform(-2.0, 2.0, n_moves + 2)

    def move(call: int) -> None:
        widgets[call % N_SLIDERS].value = float(values[call])

    moves = milliseconds(move, n_moves)
    code, flux = archive.codes[5], archive.spectrum(5)
    low, high = page.spectra.span
    n_parts = min(n_moves, 100)
    return {
        "slider move": summary(moves),
        "  decode": summary(milliseconds(lambda call: archive.decode(code), n_parts)),
        "  nearest": summary(milliseconds(lambda call: archive.nearest(code, 1), n_parts)),
        "  reduce one line": summary(
            milliseconds(lambda call: decimate(archive.axis, flux, low, high), n_parts)
        ),
    }


def measure_memory(page: Page, n_moves: int) -> float:
    """Return the growth of the resident size over moves, in MB."""
    widgets, rng = list(page.sliders.widgets.values()), np.random.default_rng(SEED + 1)
    process = psutil.Process()
    before = 0
    for call, value in enumerate(rng.uniform(-2.0, 2.0, n_moves + 100)):
        if call == 100:
            gc.collect()
            before = process.memory_info().rss
        widgets[call % N_SLIDERS].value = float(value)
    gc.collect()
    return 1e-6 * (process.memory_info().rss - before)


def measure_map(page: Page) -> dict[str, dict[str, float]]:
    """Time what the map does with all points."""
    figure, points = page.map.figure, page.map._points
    x, y = (points[axis].to_numpy() for axis in ("x", "y"))
    angle = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    corners = np.cos(angle), np.sin(angle)

    def zoom(call: int) -> None:
        figure.x_range.start = -4.0 - 0.01 * call
        page.map._draw()

    pointer = SimpleNamespace(x=0.1, y=0.2)
    return {
        "map, all points": summary(milliseconds(zoom, 50)),
        "  under the pointer": summary(milliseconds(lambda c: page.map._nearest(pointer), 50)),
        "  lasso": summary(milliseconds(lambda c: inside_polygon(x, y, *corners), 20)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--moves", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("Making the archive ...", flush=True)
    exhibit = make_exhibit(options.threads)
    page = Page(exhibit)
    page.select([5])
    table = {**measure_sliders(page, min(options.moves, 200)), **measure_map(page)}
    print(pd.DataFrame.from_dict(table, orient="index").to_string(), flush=True)
    growth_mb = measure_memory(page, options.moves)
    print(f"\n{options.moves} moves: the process grew by {growth_mb:.1f} MB")
    n_cores = len(os.sched_getaffinity(0))
    record = {
        "machine": f"{platform.machine()}, {n_cores} core(s), {options.threads} thread(s)",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "spectra": N_SPECTRA,
        "pixels": HARPS_GRID.n_pixels,
        "latents": N_LATENTS,
        "wanted_ms": WANTED_MS,
        "times": {name.strip(): times for name, times in table.items()},
        "memory": {"moves": options.moves, "growth_mb": round(growth_mb, 1)},
    }
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    print(f"Wrote {RESULT}")
    median = table["slider move"]["median_ms"]
    assert median <= WANTED_MS, f"a slider move takes {median} ms, wanted are {WANTED_MS}"
    assert growth_mb <= LARGEST_GROWTH_MB, f"memory grew by {growth_mb:.1f} MB"


if __name__ == "__main__":
    main()
