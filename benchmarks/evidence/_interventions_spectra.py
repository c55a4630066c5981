"""Spectra of `interventions.py`: an archive, a forward model, designs of single changes."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from _evidence import Options, star_seed
from _harps import Spectra, imperfect_lines, observed

from specvae.preprocessing import MedianNormalizer
from specvae.simulation import (
    GenerativeDesign,
    LineList,
    StellarSpectrumSimulator,
    default_line_list,
    generative_design,
    mixed_design,
)
from specvae.spectra import WavelengthGrid

__all__ = [
    "ARCHIVE",
    "CHANGED",
    "FORWARD",
    "HARPS_GRID",
    "LABELS",
    "Data",
    "Designed",
    "Sizes",
    "make_data",
    "true_cores",
]

# Labels that this window tells; those of the Earth's lines, which are not here, are left out.
LABELS = ["teff_k", "mh_dex", "logg_dex", "rv_kms"]
FORWARD, ARCHIVE = "forward model", "stars as in the archive"
CHANGED = ["teff_k", "mh_dex", "logg_dex"]
# 2.4 Angstrom wider than the window of RVIS on both sides, as far as 117 km/s shift a line.
FIRST_AA, WIDTH_AA = 6047.6, 204.8
# Stars of the archive lie between these quantiles of its training labels.
MIDDLE = (0.1, 0.9)
# As HARPS samples its spectra, for what a shift does to the truth.
HARPS_GRID = WavelengthGrid(FIRST_AA, 0.01, 20_480)


@dataclass(frozen=True)
class Sizes:
    """How much of everything, and which networks."""

    seeds: tuple[int, ...]
    decoder_seeds: tuple[int, ...]  # of which all decoders of table 7 are trained
    n_pixels: int
    n_stars: int
    n_observed: int
    n_modelled: int
    n_cores: int
    n_variations: int
    free_sizes: tuple[int, ...]  # of figure 2, besides the labels
    n_free: int  # of the autoencoders of table 8
    n_codes: int  # all latents of the variational ones
    decoder: str  # of the autoencoders
    epochs_decoder: int  # of CNN and ResNet alike
    more_epochs: int  # of the CNN in about the time of the ResNet
    epochs_pretraining: int
    epochs: int
    batch_size: int

    @property
    def grid(self) -> WavelengthGrid:
        return WavelengthGrid(FIRST_AA, WIDTH_AA / self.n_pixels, self.n_pixels)


@dataclass(frozen=True)
class Designed:
    """Noise-free spectra of a design in which one label at a time is changed."""

    flux: np.ndarray
    design: GenerativeDesign


@dataclass(frozen=True)
class Data:
    """What the models of one seed are trained and tested on."""

    train: Spectra  # archive
    test: Spectra  # archive, other stars
    modelled: Spectra  # noisy, to train autoencoders
    decoder_train: Spectra  # of the forward model, noise-free
    decoder_test: Spectra  # noise-free, other stars
    decoder_noisy: np.ndarray  # the test spectra with noise
    designed: dict[str, Designed]


def make_data(options: Options, sizes: Sizes, seed: int) -> Data:
    """Simulate all spectra of a seed; a fifth of the stars of the archive is for testing."""
    archive = observed(options.purpose, seed, sizes.n_stars, sizes.n_observed, sizes.grid)
    stars = np.random.default_rng(seed).permutation(np.unique(archive.groups))
    is_test = np.isin(archive.groups, stars[: max(2, len(stars) // 5)])
    train = archive.rows(~is_test)
    noisy, exact = forward_model(star_seed(options.purpose, seed), sizes)
    # Spectra of the forward model have a star each.
    is_known = np.arange(sizes.n_modelled) < round(0.85 * sizes.n_modelled)
    designed = {
        FORWARD: single_changes(options, sizes, seed, {}, imperfect_lines()),
        ARCHIVE: single_changes(
            options, sizes, seed, middle_ranges(train.labels), default_line_list()
        ),
    }
    return Data(
        train=train,
        test=archive.rows(is_test),
        modelled=noisy,
        decoder_train=exact.rows(is_known),
        decoder_test=exact.rows(~is_known),
        decoder_noisy=noisy.flux[~is_known],
        designed=designed,
    )


def forward_model(seed: int, sizes: Sizes) -> tuple[Spectra, Spectra]:
    """Return the spectra of `_harps.modelled`, and the same without noise."""
    design = mixed_design(sizes.n_modelled, {"berv_kms": 0.0}, random_state=seed)
    simulator = StellarSpectrumSimulator(sizes.grid, imperfect_lines(), instrument="harps")
    simulated = simulator.simulate(design.labels, seed, groups=design.groups)
    noisy = Spectra(normalised(simulated.flux), design.labels[LABELS], -1 - design.groups)
    return noisy, replace(noisy, flux=normalised(simulated.noiseless_flux))


def middle_ranges(labels: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Ranges that hold the middle of the archive, label by label."""
    low, high = labels[LABELS].quantile(MIDDLE[0]), labels[LABELS].quantile(MIDDLE[1])
    return {name: (float(low[name]), float(high[name])) for name in LABELS}


def single_changes(
    options: Options, sizes: Sizes, seed: int, ranges: dict, lines: LineList
) -> Designed:
    """Cores and, for each, spectra that differ in one label, without noise."""
    # Beyond the seeds of archive and forward model: no star of theirs is here.
    seed = star_seed(options.purpose, 1000 + seed)
    base = {"berv_kms": 0.0, **ranges}
    design = generative_design(
        sizes.n_cores, CHANGED, sizes.n_variations, base=base, random_state=seed
    )
    simulator = StellarSpectrumSimulator(sizes.grid, lines, instrument="harps")
    simulated = simulator.simulate(design.labels, seed, groups=design.groups)
    return Designed(normalised(simulated.noiseless_flux), design)


def true_cores(options: Options, data: Data) -> np.ndarray:
    """Noise-free stars as in the archive, at the full sampling of HARPS."""
    design = data.designed[ARCHIVE].design
    labels = design.labels.iloc[np.unique(design.core_row)]
    seed = star_seed(options.purpose, 1000)
    simulated = StellarSpectrumSimulator(HARPS_GRID, instrument="harps").simulate(labels, seed)
    return normalised(simulated.noiseless_flux)


def normalised(flux: np.ndarray) -> np.ndarray:
    return MedianNormalizer().fit_transform(flux).astype(np.float32)
