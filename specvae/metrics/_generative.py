"""Does a decoder change a label as nature does: the score on a generative design."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import check_groups, row_chunks
from ._flux_errors import flux_matrix, mean_difference, ratio_to_nothing, rows_of
from ._labels import mean_by_star


@dataclass(frozen=True)
class GenerativeScore:
    """Generative intervention score of one label, with what to compare it to; in flux units.

    Means are over pixels, then over the interventions of a star, then over stars.
    """

    core_rows: np.ndarray  # (n_interventions,), row whose code was changed
    variant_rows: np.ndarray  # (n_interventions,), row that has the new value in truth
    score: float  # mean |intervened - reconstruction of the variant|
    standard_error: float  # of `score`, from the scatter of the stars; NaN for one star
    n_stars: int  # stars with a pixel to compare
    do_nothing: float  # mean |reconstruction of the core - that of the variant|
    against_truth: float  # mean |intervened - true variant|, NaN where `truth` is not given
    reconstruction_against_truth: float  # mean |reconstruction of the variant - true variant|
    by_intervention: np.ndarray  # (n_interventions,)
    do_nothing_by_intervention: np.ndarray  # (n_interventions,)

    @property
    def ratio(self) -> float:
        """Score over that of doing nothing: 0 is perfect, 1 no better than ignoring the cause.

        NaN where doing nothing is perfect: the label changes nothing.
        """
        return ratio_to_nothing(self.score, self.do_nothing)


def gis(
    reconstructions: Any,
    intervened: Any,
    *,
    core_rows: Any,
    variant_rows: Any,
    truth: Any = None,
    groups: Any = None,
) -> GenerativeScore:
    """Compare a label changed in the code with the label changed in the star.

    The generative intervention score of one label: the mean of |intervened - reconstruction of the
    variant|. The code of a core is changed and decoded; its variant is the star that differs from
    it in this label alone.

    Parameters
    ----------
    reconstructions : array-like or SpectraArray of shape (n_rows, n_pixels)
        Of every row of the design, decoded from the codes as they are; NaN is a missing pixel.
    intervened : array-like or SpectraArray of shape (n_interventions, n_pixels)
        Decoded from the changed codes of `core_rows`, in that order.
    core_rows, variant_rows : array-like of int, shape (n_interventions,)
        Rows of `reconstructions`: which code was changed, and the star that it should look like,
        as `GenerativeDesign` knows them. The core itself is no intervention.
    truth : array-like or SpectraArray of shape (n_rows, n_pixels), optional
        Noiseless spectra, scaled as the reconstructions are.
    groups : array-like of shape (n_rows,), optional
        Star of each row; by default the interventions on one core are one star.

    Returns
    -------
    result : GenerativeScore

    Raises
    ------
    ValueError
        If there is no intervention or no pixel to compare, shapes disagree, a row does not exist,
        or a core is its own variant.

    See Also
    --------
    specvae.inspection.generative_intervention : The same for a fitted estimator.
    rvis : For the radial velocity, which needs no simulation.

    Notes
    -----
    Equation 17 of [1]_. Pixels missing in the variant, the core or the intervention are left out.

    References
    ----------
    .. [1] Cvrcek et al. 2025, A&A 693, A256; its code finds a variant by its value in the whole
       table, counts the core as an intervention of size 0, and fills missing pixels with 0.

    Examples
    --------
    >>> import numpy as np
    >>> reconstructions = np.array([[1.0, 1.0], [1.0, 0.6], [1.0, 0.2]])
    >>> intervened = np.array([[1.0, 0.7], [1.0, 0.4]])
    >>> result = gis(reconstructions, intervened, core_rows=[0, 0], variant_rows=[1, 2])
    >>> round(result.score, 3), round(result.do_nothing, 3), round(result.ratio, 3)
    (0.075, 0.3, 0.25)
    """
    unmoved = flux_matrix("reconstructions", reconstructions, (None, None))
    core, variant = _check_pairs_of_rows(core_rows, variant_rows, len(unmoved))
    moved = flux_matrix("intervened", intervened, (len(core), unmoved.shape[1]))
    true = None if truth is None else flux_matrix("truth", truth, unmoved.shape)
    # Checked as a whole, so that a missing id is found wherever it stands.
    star = core if groups is None else check_groups(groups, len(unmoved))[core]

    # Score, doing nothing, intervened and reconstruction against the truth.
    errors = np.full((4, len(core)), np.nan)
    for rows in row_chunks(len(core), unmoved.shape[1]):
        wanted, before = rows_of(unmoved, variant[rows]), rows_of(unmoved, core[rows])
        after = rows_of(moved, rows)
        compared = np.isfinite(wanted + before + after)
        errors[0, rows] = mean_difference(after, wanted, compared)
        errors[1, rows] = mean_difference(before, wanted, compared)
        if true is not None:
            exact = rows_of(true, variant[rows])
            compared &= ~np.isnan(exact)
            errors[2, rows] = mean_difference(after, exact, compared)
            errors[3, rows] = mean_difference(wanted, exact, compared)
    if np.isnan(errors[0]).all():
        raise ValueError(
            "reconstructions and intervened have no pixel in common: in each intervention every "
            "pixel is missing in the core, the variant or the intervened spectrum."
        )
    over_stars = mean_by_star(errors.T, star)
    score, do_nothing, against_truth, reconstruction_against_truth = over_stars.mean.tolist()
    return GenerativeScore(
        core_rows=core,
        variant_rows=variant,
        score=score,
        standard_error=float(over_stars.standard_error[0]),
        n_stars=int(over_stars.n_stars[0]),
        do_nothing=do_nothing,
        against_truth=against_truth,
        reconstruction_against_truth=reconstruction_against_truth,
        by_intervention=errors[0],
        do_nothing_by_intervention=errors[1],
    )


def _check_pairs_of_rows(
    core_rows: Any, variant_rows: Any, n_rows: int
) -> tuple[np.ndarray, np.ndarray]:
    rows = []
    for name, given in (("core_rows", core_rows), ("variant_rows", variant_rows)):
        array = np.asarray(given)
        if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu":
            raise ValueError(f"{name} must be a list of row numbers, at least one; got {given!r}.")
        if array.min() < 0 or array.max() >= n_rows:
            raise ValueError(
                f"{name} must lie in 0 to {n_rows - 1}, the rows of reconstructions; got "
                f"{array.min()} to {array.max()}."
            )
        rows.append(array)
    core, variant = rows
    if len(core) != len(variant):
        raise ValueError(
            f"core_rows has {len(core)} rows, variant_rows {len(variant)}; give one of each for "
            "every intervention."
        )
    same = core == variant
    if same.any():
        raise ValueError(
            f"row {core[same][0]} is core and variant of one intervention; leave the cores out, "
            "nothing was changed there."
        )
    return core, variant
