"""A scorer that selects models by what they do when the velocity in their code is moved."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..metrics import InterventionScore, rvis
from ..metrics._interventions import check_velocities, check_window
from ..spectra import WavelengthGrid
from ..spectra._grid import check_grid_type
from ._code_model import CodeModel, check_not_empty

# From -40 to 40 in steps of 4; at 0 there is nothing to score.
DEFAULT_VELOCITIES_KMS = tuple(float(v) for v in np.linspace(-40.0, 40.0, 21) if v != 0.0)


def make_rvis_scorer(
    *,
    label: str | int = "rv_kms",
    velocities_kms: Sequence[float] = DEFAULT_VELOCITIES_KMS,
    window_aa: tuple[float, float] = (6050.0, 6250.0),
    relative: bool = True,
    grid: WavelengthGrid | None = None,
) -> "RvisScorer":
    """Make a scorer for ``GridSearchCV(..., scoring=...)`` from the RVIS of `specvae.metrics.rvis`.

    Parameters
    ----------
    label : str or int, default="rv_kms"
        Label of the radial velocity in km/s: its name, or its column in `y` of `fit`.
    velocities_kms : sequence of float, default=(-40, -36, ..., -4, 4, ..., 40)
        By how much it is moved, in km/s.
    window_aa : (low, high), default=(6050.0, 6250.0)
        Wavelengths to compare, in Angstrom.
    relative : bool, default=True
        Whether to divide by the score of doing nothing. Without it, a model that draws no lines
        scores best.
    grid : WavelengthGrid, optional
        Pixels of the spectra; by default as far as the estimator or the spectra know them.

    Returns
    -------
    scorer : RvisScorer
        Called with (estimator, X, y=None); larger is better, 0 is perfect. Relative, -1 is a model
        that ignores the velocity; else in units of the flux. It can be pickled.

    Raises
    ------
    ValueError
        If the velocities cannot be used. When scoring, if the estimator, the last step where it
        is a pipeline, has no `intervene` or no such label, no pixel lies in the window, or there
        is no grid.
    TypeError
        If `grid` is no WavelengthGrid.

    See Also
    --------
    specvae.inspection.radial_velocity_intervention : The numbers behind, and for other estimators.

    Notes
    -----
    Section 3.7 of [1]_ chooses the number of free latents so. Every spectrum counts once: of stars
    with many spectra give some. A score of a model whose reconstructions have no lines at all is
    NaN, which searches rank last.

    References
    ----------
    .. [1] Cvrcek et al. 2025, A&A 693, A256.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from specvae.estimators import SemiSupervisedVAE
    >>> scorer = make_rvis_scorer(window_aa=(5000.0, 5050.0))
    >>> search = GridSearchCV(
    ...     SemiSupervisedVAE(), {"n_free_latents": [1, 2, 4]}, scoring=scorer)
    >>> scorer.relative
    True
    """
    check_velocities(velocities_kms)
    check_grid_type("grid", grid)
    return RvisScorer(label, tuple(velocities_kms), tuple(window_aa), bool(relative), grid)


class RvisScorer:
    """What `make_rvis_scorer` makes."""

    def __init__(
        self,
        label: str | int,
        velocities_kms: tuple[float, ...],
        window_aa: tuple[float, ...],
        relative: bool,
        grid: WavelengthGrid | None,
    ):
        self.label = label
        self.velocities_kms = velocities_kms
        self.window_aa = window_aa
        self.relative = relative
        self.grid = grid

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score a fitted estimator; `y` is not used."""
        result = score_velocities(
            estimator,
            X,
            label=self.label,
            velocities_kms=self.velocities_kms,
            window_aa=self.window_aa,
            grid=self.grid,
        )
        return -(result.ratio if self.relative else result.score)

    def __repr__(self) -> str:
        return (
            f"make_rvis_scorer(label={self.label!r}, window_aa={self.window_aa}, "
            f"relative={self.relative}, {len(self.velocities_kms)} velocities)"
        )


def score_velocities(
    estimator: Any,
    X: Any,
    *,
    label: Any,
    velocities_kms: Any,
    window_aa: Any,
    latent: Any = None,
    slope: float | None = None,
    grid: WavelengthGrid | None = None,
    groups: Any = None,
) -> InterventionScore:
    """Radial velocity intervention score of a fitted estimator; see `rvis` for the result."""
    check_not_empty(X)
    model = CodeModel.of(estimator)
    flux = model.prepare(X)
    grid = model.required_grid(flux, grid)
    velocities = check_velocities(velocities_kms)
    check_window(window_aa, grid)  # before the work, not after
    decode_moved = model.mover(flux, label=label, latent=latent, slope=slope)
    return rvis(
        grid,
        decode_moved(0.0),
        # One velocity at a time: all together would need twenty times the memory.
        (decode_moved(float(velocity)) for velocity in velocities),
        velocities,
        window_aa=window_aa,
        groups=groups,
    )
