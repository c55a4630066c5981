"""All that is measured with the stars of one seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from _evidence import Options
from _informative_latents_data import Archive, Range, simulate_archive
from _informative_latents_fits import (
    LAMBDAS,
    READINGS,
    Coded,
    Fit,
    fit_all,
    fit_components,
)

from specvae.metrics import mean_by_star
from specvae.model_selection import MutualInfoScorer

__all__ = ["MAIN", "PUBLISHED_LAMBDA", "Sizes", "Study", "having", "pooled_error", "study"]

PUBLISHED_LAMBDA = 0.3
MAIN = "mean over latents"
# Few spectra a bin at finer scales: the null then takes off too much.
_BINS = (5, 10, 20)


@dataclass(frozen=True)
class Sizes:
    """How much is simulated and trained."""

    seeds: tuple[int, ...]
    pixels: Range
    n_stars: int
    n_spectra: int
    n_test_stars: int
    max_epochs: int
    n_permutations: int
    batch_size: int = 128
    learning_rate: float = 6e-3
    network: str = "dense"
    large: int = 128
    small: int = 8
    # At the published weight: other lengths of training, and epochs of the other network.
    other_epochs: tuple[int, ...] = ()
    conv_epochs: int | None = None
    # Published weights for the other readings, and for both sizes at one price.
    side_weights: tuple[float, ...] = LAMBDAS

    def fit(self, n_latents: int, kl_weight: float, **other: Any) -> Fit:
        return Fit(
            n_latents,
            kl_weight,
            self.max_epochs,
            self.batch_size,
            self.learning_rate,
            self.network,
        )._replace(**other)

    def at(self, reading: str, weight: float, n_latents: int, **other: Any) -> Fit:
        return self.fit(n_latents, READINGS[reading](weight, n_latents), **other)

    @property
    def few_weights(self) -> dict[str, tuple[float, ...]]:
        """Published weights that are tried in the other readings."""
        return {
            "sum over latents": self.side_weights,
            "sum over latents and pixels": (PUBLISHED_LAMBDA,),
        }

    @property
    def published(self) -> Fit:
        return self.at(MAIN, PUBLISHED_LAMBDA, self.large)

    @property
    def unbalanced(self) -> Fit:
        return self.at(MAIN, PUBLISHED_LAMBDA, self.large, balanced=False)

    @property
    def same_price(self) -> dict[float, Fit]:
        """The small code at the prices a nat of the large one, by published weight."""
        price = READINGS[MAIN]
        return {
            weight: self.fit(self.small, price(weight, self.large)) for weight in self.side_weights
        }

    @property
    def other_trainings(self) -> list[Fit]:
        fits = [self.published._replace(max_epochs=n_epochs) for n_epochs in self.other_epochs]
        if self.conv_epochs is not None:
            fits.append(self.published._replace(network="conv", max_epochs=self.conv_epochs))
        return fits

    def by_reading(self, reading: str) -> list[Fit]:
        # Elsewhere than in the main reading a nat costs next to nothing, or too much.
        weights = LAMBDAS if reading == MAIN else self.few_weights[reading]
        sizes = (self.large, self.small)
        return [self.at(reading, weight, n_latents) for weight in weights for n_latents in sizes]

    def all_fits(self, is_first: bool) -> list[Fit]:
        """Return what is trained; what answers no claim by itself, on the first seed alone."""
        fits = [*self.by_reading(MAIN), self.unbalanced]
        if is_first:
            for reading in READINGS:
                fits += self.by_reading(reading)
            fits += [*self.same_price.values(), *self.other_trainings]
        return fits


@dataclass(frozen=True)
class Study:
    """Codes of the test stars of one seed, and which latent knows which cause."""

    seed: int
    archive: Archive
    coded: dict[Fit, Coded]
    components: Coded
    few_components: Coded
    constant_error: np.ndarray
    scorers: dict[Any, MutualInfoScorer]

    @property
    def star(self) -> np.ndarray:
        """Ids of the test stars that no other seed has."""
        return self.archive.groups[self.archive.is_test] + 1_000_000 * self.seed


def study(options: Options, sizes: Sizes, seed: int) -> Study:
    """Simulate, train and ask."""
    archive = simulate_archive(
        options.purpose, seed, sizes.n_stars, sizes.n_spectra, sizes.n_test_stars, sizes.pixels
    )
    print(f"seed {seed}: {len(archive.flux)} spectra, {archive.flux.shape[1]} pixels", flush=True)
    is_first = seed == sizes.seeds[0]
    coded = fit_all(archive, sizes.all_fits(is_first), seed, options.n_jobs)
    components = fit_components(archive, sizes.large)
    asked: dict[Any, Coded] = {
        sizes.at(MAIN, weight, n_latents): coded[sizes.at(MAIN, weight, n_latents)]
        for weight in LAMBDAS
        for n_latents in (sizes.large, sizes.small)
    }
    asked[sizes.unbalanced] = coded[sizes.unbalanced]
    asked["PCA"] = components
    scorers = {
        name: MutualInfoScorer(_BINS, n_permutations=sizes.n_permutations, random_state=seed).fit(
            each.codes, archive.tested
        )
        for name, each in asked.items()
    }
    print(f"seed {seed}: asked {len(scorers)} codes what they know", flush=True)
    return Study(
        seed,
        archive,
        coded,
        components,
        fit_components(archive, 6),
        _constant_error(archive),
        scorers,
    )


def _constant_error(archive: Archive) -> np.ndarray:
    """Error of the median of the training stars, one spectrum of each."""
    train = np.flatnonzero(~archive.is_test)
    train = train[np.unique(archive.groups[train], return_index=True)[1]]
    middle = np.nanmedian(archive.flux[train], axis=0)
    return np.nanmean(np.abs(archive.flux[archive.is_test] - middle), axis=1)


def having(studies: list[Study], fit: Fit) -> list[Study]:
    """Return the studies in which it was trained."""
    return [each for each in studies if fit in each.coded]


def pooled_error(studies: list[Study], of_seed: Any) -> tuple[float, float]:
    """Return mean and standard error over the test stars of all seeds."""
    errors = np.concatenate([of_seed(each) for each in studies])
    found = mean_by_star(errors, np.concatenate([each.star for each in studies]))
    return float(found.mean[0]), float(found.standard_error[0])
