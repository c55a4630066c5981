"""The short way to simulated spectra."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from .._random import spawn_seeds
from .._validation import check_number
from ..spectra import WavelengthGrid
from ._result import SimulatedSpectra
from ._simulator import StellarSpectrumSimulator

_RANGES = {
    "teff_k": (4000.0, 7000.0),
    "logg_dex": (1.0, 5.0),
    "mh_dex": (-1.5, 0.5),
}
_SYSTEMIC_KMS, _ORBITAL_KMS = 30.0, 10.0


def simulate_spectra(
    n_spectra: int,
    grid: WavelengthGrid,
    random_state: Any = None,
    *,
    spectra_per_star: int = 5,
    snr: float = 100.0,
) -> SimulatedSpectra:
    """Simulate spectra of stars with random labels, several spectra of each star.

    Parameters
    ----------
    n_spectra : int
        Number of spectra.
    grid : WavelengthGrid
        Pixels on which they are computed.
    random_state : int, RandomState or None, default=None
        Seed of labels and noise; the line list is always the same.
    spectra_per_star : int, default=5
        A star's spectra share Teff, log g and [M/H]; velocity and noise differ.
    snr : float, default=100.0
        Median signal to noise ratio per pixel; elsewhere it goes as the square root of the flux.

    Returns
    -------
    simulated : SimulatedSpectra
        Labels are uniform: Teff 4000 to 7000 K, log g 1 to 5 (dex, cgs), [M/H] -1.5 to 0.5 dex,
        velocity of the star -30 to 30 km/s plus -10 to 10 km/s for each spectrum. Only these four
        are in `labels`.

    Raises
    ------
    ValueError
        If a count or the S/N is not positive.

    See Also
    --------
    StellarSpectrumSimulator : All labels, instruments, the atmosphere of the Earth.
    mixed_design, catalogue_design, generative_design, twin_design : What to simulate.

    Notes
    -----
    No instrument and no atmosphere: photon noise alone, two pixels to a resolution element.

    Examples
    --------
    >>> simulated = simulate_spectra(10, WavelengthGrid(5000.0, 0.1, 500), random_state=0)
    >>> simulated.flux.shape, len(set(simulated.groups))
    ((10, 500), 2)
    """
    check_number("n_spectra", n_spectra, minimum=1, integer=True)
    check_number("spectra_per_star", spectra_per_star, minimum=1, integer=True)
    check_number("snr", snr, minimum=0.0, open_below=True)
    label_seed, noise_seed = spawn_seeds(random_state, 2)
    rng = np.random.RandomState(label_seed)
    groups = np.arange(n_spectra) // spectra_per_star
    n_stars = int(groups[-1]) + 1
    labels = pd.DataFrame(
        {name: rng.uniform(*span, n_stars)[groups] for name, span in _RANGES.items()}
    )
    labels["rv_kms"] = rng.uniform(-_SYSTEMIC_KMS, _SYSTEMIC_KMS, n_stars)[groups]
    labels["rv_kms"] += rng.uniform(-_ORBITAL_KMS, _ORBITAL_KMS, n_spectra)
    simulator = StellarSpectrumSimulator(grid, instrument=None, atmosphere=False)
    simulated = simulator.simulate(labels.assign(snr=float(snr)), noise_seed, groups=groups)
    return replace(simulated, labels=labels)
