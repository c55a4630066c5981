"""Which latents get a slider, how far it goes, and which label each knows."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_random_state

from ..estimators import MADSelector, SemiSupervisedVAE, SpectralVAE
from ..model_selection import MutualInfoScorer
from ._archive import Archive

# Sedaghat et al. 2021, section 4.1, for latents with a unit normal prior.
ACTIVE_MAD = 0.02
_QUANTILES = (0.01, 0.99)
_N_SAMPLED = 5_000
_FEWEST_KNOWN = 50
# Scales on which a few hundred spectra tell something.
_BINS = (5, 10, 20)
_N_PERMUTATIONS = 100
_SIGNIFICANT = 0.01


@dataclass(frozen=True)
class Slider:
    """One cause that can be moved."""

    name: str  # of the latent, or of the label
    column: int
    low: float  # in the unit that is shown: of the label, or of the code
    high: float
    is_label: bool
    knows: str  # label that the latent tells most of; "" where none is told more than by chance

    @property
    def title(self) -> str:
        """What stands above it."""
        if self.is_label:
            return f"{self.name} (label)"
        return f"{self.name} \u2014 {self.knows}" if self.knows else self.name


def make_sliders(
    archive: Archive, *, n_sliders: int = 8, random_state: int | None = 0
) -> tuple[Slider, ...]:
    """Return sliders for the labels in the code, then for the latents that move most.

    Of a variational model latents with a median absolute deviation of at most 0.02 are collapsed
    and left out. Others have no such scale.
    """
    codes = archive.codes[archive.usable]
    n_labels = sum(archive.unit(column)[2] for column in range(codes.shape[1]))
    selector = MADSelector(ACTIVE_MAD if _is_variational(archive.model.coder) else 0.0).fit(codes)
    moving = np.flatnonzero(selector.get_support())
    free = moving[moving >= n_labels]
    free = free[np.argsort(-selector.mads_[free], kind="stable")]
    free = free[: max(n_sliders - n_labels, 0)]
    known = _best_labels(archive, free, random_state)
    sliders = []
    for column in [*range(n_labels), *map(int, free)]:
        values = archive.coordinate(archive.latents[column])[archive.usable]
        low, high = (float(end) for end in np.quantile(values, _QUANTILES))
        if low < high:
            name = archive.latents[column]
            sliders.append(
                Slider(name, column, low, high, column < n_labels, known.get(column, ""))
            )
    return tuple(sliders)


def _is_variational(coder: object) -> bool:
    if isinstance(coder, SemiSupervisedVAE):
        return bool(coder.variational)
    return isinstance(coder, SpectralVAE)


def _best_labels(archive: Archive, columns: np.ndarray, random_state: int | None) -> dict[int, str]:
    """Label of which each latent tells most, where that is more than permuted stars give."""
    labels = archive.labels.iloc[archive.usable]
    has_any = labels.notna().any(axis=1).to_numpy()
    rows = archive.usable[has_any]
    if len(rows) > _N_SAMPLED:
        rows = np.sort(check_random_state(random_state).choice(rows, _N_SAMPLED, replace=False))
    labels = archive.labels.iloc[rows]
    labels = labels.loc[:, labels.notna().sum() >= _FEWEST_KNOWN]
    if not len(columns) or labels.empty:
        return {}
    groups = None if archive.groups is None else archive.groups[rows]
    scorer = MutualInfoScorer(_BINS, n_permutations=_N_PERMUTATIONS, random_state=random_state)
    try:
        scorer.fit(archive.codes[rows][:, columns], labels, groups=groups)
    except ValueError:
        return {}  # too few stars to tell anything by chance or not
    told = np.where(scorer.p_latent_ <= _SIGNIFICANT, scorer.information_, -np.inf)
    best = told.argmax(axis=0)
    return {
        int(column): str(labels.columns[best[place]])
        for place, column in enumerate(columns)
        if told[best[place], place] > 0
    }
