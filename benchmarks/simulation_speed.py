"""Time the forward model on one core, and name what bounds it.

Each piece is timed in turn within one run, the median of several rounds; the ratio is that to the
89 s which Cvrcek et al. 2025 give for one ATLAS9 spectrum. Machines are shared: the seconds belong
to this one, and only sizes of pieces against each other and against a plain copy of the memory
mean something elsewhere. Run ``OMP_NUM_THREADS=1 python benchmarks/simulation_speed.py``; it writes
benchmarks/results/simulation_speed.json.
"""

import json
import platform
import time
from pathlib import Path

import numpy as np

from specvae.simulation import TWIN_GRID, StellarSpectrumSimulator, mixed_design
from specvae.simulation._base import RestSpectra
from specvae.simulation._labels import complete_labels
from specvae.simulation._observing._noise import row_generator
from specvae.simulation._star._broadening import broaden
from specvae.spectra import HARPS_GRID

RESULT = Path(__file__).parent / "results/simulation_speed.json"
ATLAS_SECONDS = 89.0
N_ROUNDS = 15
LIMITS_S = {
    "HARPS": {"rest spectrum": 0.25, "redraw": 0.015},
    "APOGEE": {"rest spectrum": 0.005},
}
SUN = {"teff_k": 5772.0, "logg_dex": 4.44, "mh_dex": 0.0}


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def measure(name, grid, instrument):
    simulator = StellarSpectrumSimulator(grid, instrument=instrument)
    labels = complete_labels(SUN)
    causes = labels.iloc[0].to_dict()
    stars = mixed_design(N_ROUNDS, {"logg_dex": (1.0, 5.0)}, random_state=0).labels
    others = [row.to_dict() for _, row in complete_labels(stars).iterrows()]
    rest = RestSpectra(simulator, labels, n_kept=1)(0)
    photons = simulator._star.photon_flux(causes)
    copy = np.empty(grid.n_pixels, dtype=np.float32)
    pieces = {
        "rest spectrum": lambda i: simulator._rest_flux(causes),
        "rest spectrum, any star": lambda i: simulator._rest_flux(others[i]),
        "of which lines and continuum": lambda i: simulator._star.photon_flux(causes),
        "of which broadening": lambda i: broaden(
            photons, simulator._axis.step_kms, vsini_kms=2.0, vmac_kms=3.2, sigma_kms=1.1
        ),
        "redraw": lambda i: simulator._observatory.observe(
            rest, {**causes, "rv_kms": 10.0 * i}, {}, row_generator(0, i)
        ),
        "of which normal deviates": lambda i: row_generator(0, i).standard_normal(
            out=copy, dtype=np.float32
        ),
        "one copy of the flux": lambda i: np.copyto(copy, rest[: len(copy)]),
    }
    times = {piece: [] for piece in pieces}
    for i in range(N_ROUNDS):
        for piece, function in pieces.items():
            times[piece].append(seconds(function, i))
    result = {piece: float(np.median(values)) for piece, values in times.items()}
    print(
        f"{name}: {grid.n_pixels} pixels, {simulator.n_lines} lines, "
        f"{simulator._axis.n_pixels} steps of {simulator._axis.step_kms:.2f} km/s"
    )
    for piece, value in result.items():
        limit = LIMITS_S[name].get(piece)
        wanted = f"   wanted <= {1e3 * limit:g} ms" if limit else ""
        spread = f"{1e3 * min(times[piece]):8.3f} to {1e3 * max(times[piece]):8.3f}"
        print(f"  {piece:30s} {1e3 * value:8.3f} ms ({spread}){wanted}")
    rate = 1.0 / (result["rest spectrum, any star"] + result["redraw"])
    print(
        f"  {rate:.0f} new stars a second, {rate * ATLAS_SECONDS:.0f} times as many as ATLAS9; "
        f"{1.0 / result['redraw']:.0f} redraws a second"
    )
    return result


def main():
    record = {
        "machine": f"{platform.machine()}, {platform.python_version()}, numpy {np.__version__}",
        "HARPS": measure("HARPS", HARPS_GRID, "harps"),
        "APOGEE": measure("APOGEE", TWIN_GRID, "apogee"),
    }
    for name, limits in LIMITS_S.items():
        for piece, limit in limits.items():
            if record[name][piece] > limit:
                print(f"Missed: {name}, {piece}: {1e3 * record[name][piece]:.1f} ms.")
    print(
        "What bounds it: the rest spectrum by arithmetic (Voigt profiles of the lines, the "
        "transforms of the broadening), a redraw by memory (some 40 passes over the pixels) and "
        "by the normal deviates."
    )
    RESULT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
