"""Spectra of one window: simulated stars to train on, and real ones with shifts injected.

While settings are chosen no real spectrum is read: simulated stand-ins with the same names, line
lists with errors and factors that no label tells take their place.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from _evidence import DATA, Purpose, star_seed
from _harps import UNKNOWN, imperfect_lines
from astropy.table import Table

from specvae.preprocessing import ContinuumNormalizer, MedianNormalizer
from specvae.simulation import StellarSpectrumSimulator, mixed_design
from specvae.spectra import WavelengthGrid, doppler_factor, read_spectrum, resample_flux

__all__ = [
    "LABELS",
    "TARGETS",
    "Observed",
    "Simulated",
    "fine_template",
    "mask_lines",
    "normalised",
    "observe",
    "simulate",
]

LABELS = ["teff_k", "logg_dex", "mh_dex", "vsini_kms", "rv_kms"]
RANGES = {
    "teff_k": (4000.0, 7000.0),
    "logg_dex": (3.5, 5.0),
    "mh_dex": (-1.0, 0.4),
    "vsini_kms": (1.0, 12.0),
    "snr": (80.0, 400.0),
}
LARGEST_RV_KMS = 45.0
# Wider than the widest molecular band head, narrower than the steps between echelle orders.
CONTINUUM_AA = 30.0
# Pixels of the files, with room for the shifts.
MARGIN_AA, NATIVE_AA = 8.0, 0.01

# Mask, and the labels of the template, from catalogues (IAU 2015; SWEET-Cat 2024).
TARGETS = {
    "HD189733": ("K2", {"teff_k": 4969.0, "logg_dex": 4.31, "mh_dex": -0.07, "vsini_kms": 3.0}),
    "Sun": ("G2", {"teff_k": 5772.0, "logg_dex": 4.44, "mh_dex": 0.00, "vsini_kms": 2.0}),
}
FILES = {
    "HD189733": "HARPS.2007-08-29T*",
    "Sun": "Sun_Ganymede*",
    "38Vir": "38Vir*",
    "Procyon": "HARPS.GBOG_Procyon*",
    "alf Tau": "HARPS.GBOG_alfTau*",
    "Gl581": "Gl581*",
    "GJ163": "GJ163*",
    "GJ3470": "GJ3470*",
}
STAND_INS = {"38Vir": 6440.0, "Procyon": 6550.0, "alf Tau": 4000.0, "Gl581": 3300.0}


@dataclass(frozen=True)
class Simulated:
    """Raw flux on the grid, labels by name, and the star of each row."""

    flux: np.ndarray
    labels: pd.DataFrame
    groups: np.ndarray


@dataclass(frozen=True)
class Observed:
    """One exposure on its own pixels."""

    star: str
    wavelength_aa: np.ndarray
    flux: np.ndarray
    jd: float

    def on(self, grid: WavelengthGrid, velocity_kms: float = 0.0) -> np.ndarray:
        """Flux on a grid after the star has receded by `velocity_kms` more."""
        # The file's own pixels move, so that a shift costs no interpolation of its own.
        return resample_flux(self.flux, self.wavelength_aa * doppler_factor(velocity_kms), grid)


def simulate(
    grid: WavelengthGrid, purpose: Purpose, seed: int, n_stars: int, per_star: int
) -> Simulated:
    """Simulate stars of type F to K at random velocities, several for each star."""
    seed = star_seed(purpose, seed)
    n_spectra = n_stars * per_star
    design = mixed_design(n_spectra, RANGES, spectra_per_star=per_star, random_state=seed)
    rng = np.random.default_rng(seed)
    # Each spectrum has a velocity of its own: what is to be told apart is the star and its motion.
    labels = design.labels.assign(rv_kms=rng.uniform(-LARGEST_RV_KMS, LARGEST_RV_KMS, n_spectra))
    simulator = StellarSpectrumSimulator(grid, instrument="harps")
    spectra = simulator.simulate(labels, seed, groups=design.groups)
    return Simulated(spectra.flux, labels[LABELS], design.groups)


def normalised(flux: np.ndarray, grid: WavelengthGrid, continuum: bool = True) -> np.ndarray:
    """Divide simulated and real spectra alike by a running high quantile, or by their median."""
    step = (
        ContinuumNormalizer(window_aa=CONTINUUM_AA, grid=grid) if continuum else MedianNormalizer()
    )
    # Cosmic rays are left in real spectra.
    return np.clip(step.fit_transform(flux), 0.0, 1.5).astype(np.float32)


def native_grid(grid: WavelengthGrid) -> WavelengthGrid:
    start_aa = grid.start_aa - MARGIN_AA
    n_pixels = round((grid.end_aa + MARGIN_AA - start_aa) / NATIVE_AA)
    return WavelengthGrid(start_aa, NATIVE_AA, n_pixels)


def observe(grid: WavelengthGrid, purpose: Purpose, n_repeats: int = 12) -> list[Observed]:
    """Return real exposures for a report, and simulated stand-ins to choose settings on."""
    return _read(grid) if purpose == "report" else _stand_ins(grid, n_repeats)


def _read(grid: WavelengthGrid) -> list[Observed]:
    exposures = []
    native = native_grid(grid)
    for star, pattern in FILES.items():
        for path in sorted((DATA / "harps").glob(f"{pattern}.fits.gz")):
            spectrum = read_spectrum(path)
            wavelength_aa = spectrum.wavelength_aa
            near = (wavelength_aa > native.start_aa) & (wavelength_aa < native.end_aa)
            # Not yet at the barycentre: eight minutes are 3 m/s of the orbit, and a constant.
            jd = spectrum.meta["mjd"] + 2_400_000.5
            exposures.append(Observed(star, wavelength_aa[near], spectrum.flux[near], jd))
    return exposures


def _stand_ins(grid: WavelengthGrid, n_repeats: int) -> list[Observed]:
    native = native_grid(grid)
    simulator = StellarSpectrumSimulator(
        native, imperfect_lines(), instrument="harps", unknown=UNKNOWN
    )
    stars = {name: labels for name, (_, labels) in TARGETS.items()}
    stars |= {name: {"teff_k": teff_k, "logg_dex": 4.4} for name, teff_k in STAND_INS.items()}
    names = ["HD189733"] * n_repeats + list(stars)[1:]
    labels = pd.DataFrame([stars[name] for name in names]).fillna({"mh_dex": 0, "vsini_kms": 3.0})
    labels = labels.assign(berv_kms=np.linspace(-9.8, -10.1, len(names)), airmass=1.5, snr=90.0)
    flux = simulator.simulate(labels, star_seed("choose", 99)).flux
    wavelength_aa = native.wavelength_aa
    jd = 2_454_341.5 + np.linspace(0.0, 0.14, len(names))
    return [
        Observed(*each) for each in zip(names, [wavelength_aa] * len(names), flux, jd, strict=True)
    ]


def mask_lines(mask: str, grid: WavelengthGrid, purpose: Purpose) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights of a mask, of lines that stay in the window at every velocity."""
    path = DATA / "lines" / f"ESPRESSO_{mask}.fits"
    if purpose == "report":
        table = Table.read(path)
        line_aa, weight = np.array(table["lambda"], float), np.array(table["contrast"], float)
    else:
        lines = imperfect_lines()
        # About the strength of a line in the Sun.
        weight = 10.0 ** np.minimum(lines.log_gf - lines.excitation_ev, -3.0)
        strong = weight > 1e-5
        line_aa, weight = lines.wavelength_aa[strong], weight[strong] ** 0.2
    edge_aa = grid.start_aa * 100.0 / 299_792.458
    inside = (line_aa > grid.start_aa + edge_aa) & (line_aa < grid.end_aa - 1.1 * edge_aa)
    return line_aa[inside], weight[inside]


def fine_template(grid: WavelengthGrid, star: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a simulated spectrum at rest without noise, and its wavelengths."""
    native = native_grid(grid)
    simulator = StellarSpectrumSimulator(native, instrument="harps", atmosphere=False)
    flux = simulator.simulate(TARGETS[star][1], 0).noiseless_flux
    return normalised(flux, native)[0], native.wavelength_aa
