"""Simulated HARPS spectra with what ESCAPE saw in the codes: continua of weather and instrument."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from _evidence import Purpose, star_seed

from specvae.preprocessing import ContinuumNormalizer, MedianNormalizer
from specvae.simulation import StellarSpectrumSimulator, catalogue_design
from specvae.spectra import WavelengthGrid

__all__ = ["Spectra", "Split", "as_seen", "simulate", "transmission_of"]

CONTINUUM_FACTORS = ("continuum_tilt", "blaze_residual")
OTHER_FACTORS = ("line_spread", "cosmic_rays")
# What dims or colours a spectrum from visit to visit, of which catalogues may know.
SKY_AND_EXPOSURE = ["airmass", "seeing_arcsec", "exposure_s"]
# As in _harps: cosmic rays reach far beyond, and nothing else of a spectrum does.
HIGHEST_FLUX = 5.0
# Of the archive from which rows are taken; it makes half of the stars have repeats.
MEAN_SPECTRA = 35


@dataclass(frozen=True)
class Spectra:
    """Spectra in electrons per Angstrom, and what caused them."""

    flux: np.ndarray  # (n_spectra, n_pixels), with noise
    noiseless: np.ndarray  # (n_spectra, n_pixels)
    causes: pd.DataFrame  # labels, factors that no label tells, and the logarithm of the level
    groups: np.ndarray

    def pixels(self, chosen: np.ndarray) -> "Spectra":
        flux, noiseless = self.flux[:, chosen], self.noiseless[:, chosen]
        return replace(self, flux=flux, noiseless=noiseless)


@dataclass(frozen=True)
class Split:
    """Training and test spectra of different stars; the test spectra also with causes taken out."""

    train: Spectra
    test: Spectra
    changed: dict[str, Spectra]  # by what is taken out
    transmission: np.ndarray | None  # of the atmosphere's lines in the test spectra


def simulate(
    purpose: Purpose,
    seed: int,
    grid: WavelengthGrid,
    *,
    n_train: int,
    n_visits: int,
    n_test: int,
    n_repeats: int,
    tellurics: bool = False,
    at_rest: str | None = None,
) -> Split:
    """Draw `n_train` stars with up to `n_visits` spectra, and `n_test` with `n_repeats` each.

    With `tellurics` the transmission of the atmosphere is simulated as well, and otherwise the
    test spectra with a steady continuum. `at_rest` names a velocity that is zero in all spectra.
    """
    seed = star_seed(purpose, seed)
    rng = np.random.default_rng(seed)
    design = catalogue_design(
        n_stars=n_train + 4 * n_test, mean_spectra_per_star=MEAN_SPECTRA, random_state=seed
    )
    stars, n_spectra = np.unique(design.groups, return_counts=True)
    tested = rng.choice(stars[n_spectra >= n_repeats], n_test, replace=False)
    trained = rng.choice(np.setdiff1d(stars, tested), n_train, replace=False)

    def labels_of(chosen: np.ndarray, most: int) -> tuple[pd.DataFrame, np.ndarray]:
        rows = np.concatenate([some_rows(design.groups, star, most, rng) for star in chosen])
        labels = design.labels.iloc[rows].reset_index(drop=True)
        return labels if at_rest is None else labels.assign(**{at_rest: 0.0}), design.groups[rows]

    both = (*CONTINUUM_FACTORS, *OTHER_FACTORS)
    # Another seed for the noise of the test spectra, which are rows 0 to n as well.
    train = observe(grid, *labels_of(trained, n_visits), seed, both)
    labels, groups = labels_of(tested, n_repeats)
    test = observe(grid, labels, groups, seed + 1, both)
    changed, transmission = {}, None
    if tellurics:
        airless = observe(grid, labels, groups, seed + 1, both, atmosphere=False)
        transmission = transmission_of(test.noiseless / airless.noiseless, grid)
    else:
        steady = labels.assign(**labels.groupby(groups)[SKY_AND_EXPOSURE].transform("first"))
        changed = {
            "tilt and ripple": observe(grid, labels, groups, seed + 1, OTHER_FACTORS),
            "all of the continuum": observe(grid, steady, groups, seed + 1, OTHER_FACTORS),
        }
    # The gap of the detector moves with the Earth: its pixels are those that some spectrum lacks.
    recorded = np.isfinite(train.flux).all(axis=0) & np.isfinite(test.flux).all(axis=0)
    return Split(
        train.pixels(recorded),
        test.pixels(recorded),
        {name: each.pixels(recorded) for name, each in changed.items()},
        None if transmission is None else transmission[:, recorded],
    )


def observe(
    grid: WavelengthGrid,
    labels: pd.DataFrame,
    groups: np.ndarray,
    seed: int,
    unknown: tuple[str, ...],
    *,
    atmosphere: bool = True,
) -> Spectra:
    """Simulate spectra; the same seed gives rows the same noise and factors that are left on."""
    simulator = StellarSpectrumSimulator(grid, unknown=unknown, atmosphere=atmosphere)
    simulated = simulator.simulate(labels, seed, groups=groups)
    level = np.nanmedian(simulated.flux, axis=1, keepdims=True)
    causes = pd.concat([labels, simulated.unknown], axis=1)
    return Spectra(
        np.clip(simulated.flux, -HIGHEST_FLUX * level, HIGHEST_FLUX * level),
        simulated.noiseless_flux,
        causes.assign(log_level=np.log10(level[:, 0])),
        groups,
    )


def transmission_of(ratio: np.ndarray, grid: WavelengthGrid) -> np.ndarray:
    """Lines of the atmosphere: flux with it over flux without, over its own continuum."""
    window = max(10, round(10.0 / grid.step))  # 10 Angstrom
    continuum = ContinuumNormalizer(quantile=0.95, window_pixels=window)
    return np.clip(continuum.fit_transform(ratio), 0.0, 1.0)


def as_seen(spectra: Spectra, preprocessing: str, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Flux and noiseless flux as a network sees them; `unit` is one number for all spectra."""
    both = spectra.flux, spectra.noiseless
    if preprocessing == "level subtracted":
        # The noiseless spectrum is taken from the same level, so that the two can be compared.
        level = np.median(spectra.flux, axis=1, keepdims=True)
        return tuple((each - level) / unit for each in both)
    normalizer = MedianNormalizer() if preprocessing == "median" else ContinuumNormalizer()
    return tuple(normalizer.fit_transform(each) for each in both)


def some_rows(groups: np.ndarray, star: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Random rows of a star, all where there are no more than `most`."""
    rows = np.flatnonzero(groups == star)
    return rng.choice(rows, min(most, len(rows)), replace=False)
