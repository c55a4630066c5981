"""What a fitted estimator draws when a cause in its code is changed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import HuberRegressor
from sklearn.utils.validation import _num_samples

from .._validation import (
    check_choice,
    check_codes,
    check_groups,
    is_lazy,
    label_matrix,
    unmask,
)
from ..metrics import GenerativeScore, InterventionScore, gis
from ..metrics._flux_errors import flux_matrix
from ..model_selection._code_model import CodeModel, check_not_empty
from ..model_selection._rvis_scorer import DEFAULT_VELOCITIES_KMS, score_velocities
from ..spectra import WavelengthGrid


@dataclass(frozen=True)
class GenerativeIntervention:
    """Interventions on one label, one for each variant of a generative design."""

    label: str  # label that was changed
    deltas: np.ndarray  # (n_interventions,), variant minus core, in the unit of the label
    score: GenerativeScore  # rows, errors and what to compare them to, in the same order


def radial_velocity_intervention(
    estimator: Any,
    X: Any,
    *,
    label: str | int = "rv_kms",
    latent: str | int | None = None,
    slope: float | None = None,
    velocities_kms: Any = DEFAULT_VELOCITIES_KMS,
    window_aa: tuple[float, float] = (6050.0, 6250.0),
    grid: WavelengthGrid | None = None,
    groups: Any = None,
) -> InterventionScore:
    """Move the velocity in the code of each spectrum and compare with a Doppler shift (RVIS).

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
        Its last step encodes and decodes; the steps before only prepare the flux, and errors are
        in units of the flux that they give.
    X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        Flux, as the estimator takes it. A few hundred spectra of different stars will do; each is
        decoded once for each velocity.
    label : str or int, default="rv_kms"
        Label in km/s that ``estimator.intervene`` can move, by name or column of `y` in `fit`.
    latent : str or int, optional
        For codes without labels: the latent that carries the velocity, by name or column.
    slope : float, optional
        Goes with `latent`: how much that moves for 1 km/s, see `latent_slope`.
    velocities_kms : array-like of shape (n_velocities,), default=(-40, -36, ..., -4, 4, ..., 40)
        By how much to move, in km/s.
    window_aa : (low, high), default=(6050.0, 6250.0)
        Wavelengths to compare, in Angstrom.
    grid : WavelengthGrid, optional
        Pixels of the spectra as the last step sees them; by default as the estimator knows them.
    groups : array-like of shape (n_spectra,), optional
        Star of each spectrum: the standard error counts stars. None takes each spectrum for one.

    Returns
    -------
    result : InterventionScore
        With `by_velocity` and `do_nothing_by_velocity` to draw against `velocities_kms`.

    Raises
    ------
    ValueError
        If the estimator cannot move the label or latent, codes are not finite, there is no
        spectrum or no grid, the window has no pixel, or groups do not fit.

    See Also
    --------
    specvae.metrics.rvis : The formula, from arrays.
    specvae.model_selection.make_rvis_scorer : The same as a scorer.

    Notes
    -----
    Everything is decoded from means of the code, never from samples. A straight line through a
    latent that does not follow the velocity in a straight line is what [1]_ does as well; where it
    bends, this counts as an error of the model.

    References
    ----------
    .. [1] Cvrcek et al. 2025, A&A 693, A256, section 3.6.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from specvae.simulation import simulate_spectra
    >>> from specvae.spectra import WavelengthGrid
    >>> grid = WavelengthGrid(5000.0, 0.5, 200)
    >>> spectra = simulate_spectra(60, grid, random_state=0)
    >>> flux = spectra.flux / spectra.flux.mean(axis=1, keepdims=True)
    >>> pca = PCA(3, random_state=0).fit(flux)
    >>> slopes = latent_slope(pca.transform(flux), spectra.labels["rv_kms"])
    >>> result = radial_velocity_intervention(
    ...     pca, flux, latent="pca2", slope=slopes[2], window_aa=(5010.0, 5090.0), grid=grid,
    ...     groups=spectra.groups)
    >>> result.by_velocity.shape, result.n_stars, bool(result.ratio > 0.5)
    ((20,), 12, True)
    """
    if groups is not None:  # before the work, not after
        check_groups(groups, _num_samples(X))
    return score_velocities(
        estimator,
        X,
        label=label,
        latent=latent,
        slope=slope,
        velocities_kms=velocities_kms,
        window_aa=window_aa,
        grid=grid,
        groups=groups,
    )


def generative_intervention(
    estimator: Any,
    X: Any,
    design: Any,
    label: str,
    *,
    latent: str | int | None = None,
    slope: float | None = None,
    change: str = "difference",
    truth: Any = None,
    groups: Any = None,
) -> GenerativeIntervention:
    """Change a label in the code of each core and compare with the star so changed (GIS).

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
        As for `radial_velocity_intervention`.
    X : array-like or SpectraArray of shape (n_rows, n_pixels)
        Spectra of every row of the design, in its order.
    design : GenerativeDesign
        Which rows are cores and which variants; see `specvae.simulation.generative_design`.
    label : str
        Label to change, one of those that the design varies.
    latent : str or int, optional
        For codes without labels: the latent that carries the label, by name or column.
    slope : float, optional
        Goes with `latent`: how much that moves for a unit of the label, see `latent_slope`.
    change : {"difference", "value"}, default="difference"
        "difference" moves the label in the code by variant minus core, as published; an encoder
        that is off by the same amount for both is not blamed. "value" sets it to the value of the
        variant, for estimators that predict labels.
    truth : array-like or SpectraArray of shape (n_rows, n_pixels), optional
        Noiseless spectra of every row, on the scale of `X`; they go through the same preparation.
    groups : array-like of shape (n_rows,), optional
        Star of each row; by default a core and its variants are one star.

    Returns
    -------
    result : GenerativeIntervention

    Raises
    ------
    ValueError
        If `X` does not have the rows of the design, the design does not vary the label, the
        estimator cannot change it, or codes are not finite.

    See Also
    --------
    specvae.metrics.gis : The formula, from arrays.

    Notes
    -----
    Everything is decoded from means of the code, never from samples. The core itself is no
    intervention.

    References
    ----------
    Equation 17 of Cvrcek et al. 2025, A&A 693, A256.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from specvae.simulation import StellarSpectrumSimulator, generative_design
    >>> from specvae.spectra import WavelengthGrid
    >>> grid = WavelengthGrid(5000.0, 0.5, 200)
    >>> design = generative_design(5, ["teff_k"], 3, base={"teff_k": (4500, 5500)}, random_state=0)
    >>> simulator = StellarSpectrumSimulator(grid, instrument=None, atmosphere=False)
    >>> flux = simulator.simulate(design.labels, random_state=0).flux
    >>> flux = flux / flux.mean(axis=1, keepdims=True)
    >>> pca = PCA(2, random_state=0).fit(flux)
    >>> slope = latent_slope(pca.transform(flux)[:, 0], design.labels["teff_k"])
    >>> result = generative_intervention(pca, flux, design, "teff_k", latent=0, slope=slope)
    >>> result.deltas.shape, result.score.n_stars
    ((15,), 5)
    """
    check_not_empty(X)
    check_choice("change", change, ("difference", "value"))
    variant_rows, core_rows, deltas = _interventions_of(design, label, _num_samples(X))
    if change == "value" and latent is not None:
        raise ValueError("change='value' needs a label in the code; latent moves by difference.")
    all_rows = np.arange(len(design.core_row))
    groups = design.groups if groups is None else groups
    check_groups(groups, len(all_rows))
    model = CodeModel.of(estimator)
    flux = model.prepare(X)
    if truth is not None:
        truth = flux_matrix("truth", _in_memory(model.prepare(truth)), flux.shape)
    moves = deltas
    if change == "value":
        predicted = _predicted_label(model, _rows_of(flux, core_rows), label)
        moves = design.labels[label].to_numpy()[variant_rows] - predicted
    unmoved = _decoded(model, flux, all_rows, label, latent, slope, 0.0)
    intervened = _decoded(model, flux, core_rows, label, latent, slope, moves)
    score = gis(
        unmoved,
        intervened,
        core_rows=core_rows,
        variant_rows=variant_rows,
        truth=truth,
        groups=groups,
    )
    return GenerativeIntervention(label, deltas, score)


def latent_slope(codes: Any, labels: Any) -> Any:
    """How much each latent moves when a label grows by one: the slope of a robust line.

    Parameters
    ----------
    codes : array-like of shape (n_spectra,) or (n_spectra, n_latents)
        Means of the code.
    labels : array-like of shape (n_spectra,)
        One label, such as the radial velocity in km/s; NaN where unknown, which is left out.

    Returns
    -------
    slope : float or ndarray of shape (n_latents,)
        Latent units for a unit of the label; a float where one latent is given.

    Raises
    ------
    ValueError
        If codes are not finite, lengths differ, or fewer than two different labels are known.

    Notes
    -----
    Huber's regression [1]_ of the code on the label, both scaled by their standard deviations: a
    spectrum far off the line counts by its distance, not by its square. Labels that are wrong and
    extreme still pull; leave them out before. A latent that rises and falls with the label has no
    slope that means anything: look at the scatter plot first. [2]_ fits a RANSAC line instead.

    References
    ----------
    .. [1] Huber 1964, Ann. Math. Statist. 35, 73.
    .. [2] Cvrcek et al. 2025, A&A 693, A256, for the model of Sedaghat et al. 2021.

    Examples
    --------
    >>> velocities_kms = [-20.0, -10.0, 0.0, 10.0, 20.0, float("nan")]
    >>> codes = [-0.4, -0.2, 0.0, 0.2, 0.4, 3.0]
    >>> round(latent_slope(codes, velocities_kms), 4)
    0.02
    """
    one_dimensional = np.ndim(codes) == 1
    matrix = check_codes(np.reshape(codes, (-1, 1)) if one_dimensional else codes)
    values = label_matrix(labels)
    if values.shape != (len(matrix), 1):
        raise ValueError(
            f"labels has shape {np.shape(labels)}; wanted is one label for each of the "
            f"{len(matrix)} rows of codes."
        )
    known = np.isfinite(values[:, 0])
    value, matrix = values[known, 0], matrix[known].astype(np.float64)
    if len(np.unique(value)) < 2:
        raise ValueError(
            f"labels knows {len(np.unique(value))} different values in {int(known.sum())} known "
            "rows; a slope needs two at least."
        )
    spread = value.std()
    scaled = ((value - value.mean()) / spread)[:, None]
    slopes = np.array([_huber_slope(scaled, column) for column in matrix.T]) / spread
    return float(slopes[0]) if one_dimensional else slopes


def _huber_slope(scaled: np.ndarray, code: np.ndarray) -> float:
    spread = code.std()
    if not spread > 0:
        return 0.0
    fitted = HuberRegressor(alpha=0.0, max_iter=1000).fit(scaled, (code - code.mean()) / spread)
    return float(fitted.coef_[0] * spread)


def _interventions_of(
    design: Any, label: str, n_rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the variants of a label, rows of their cores, and the differences of the label."""
    if len(design.core_row) != n_rows:
        raise ValueError(
            f"X has {n_rows} spectra, the design {len(design.core_row)} rows; give the spectrum of "
            "every row, in the order of the design."
        )
    variant_rows = np.flatnonzero(np.asarray(design.varied_label) == label)
    if label == "" or not len(variant_rows):  # "" are the cores
        varied = ", ".join(sorted(set(design.varied_label) - {""}))
        raise ValueError(f"the design does not vary the label {label!r}; it varies {varied}.")
    core_rows = np.asarray(design.core_row)[variant_rows]
    values = design.labels[label].to_numpy(dtype=np.float64)
    return variant_rows, core_rows, values[variant_rows] - values[core_rows]


def _decoded(
    model: CodeModel, flux: Any, rows: np.ndarray, label: Any, latent: Any, slope: Any, delta: Any
) -> np.ndarray:
    return model.mover(_rows_of(flux, rows), label=label, latent=latent, slope=slope)(delta)


def _in_memory(flux: Any) -> np.ndarray:
    # As large as the decoded spectra beside it, so that reading it is no surprise.
    return flux.to_numpy() if is_lazy(flux) else np.asarray(unmask(flux))


def _rows_of(flux: Any, rows: np.ndarray) -> Any:
    return flux.iloc[rows] if hasattr(flux, "iloc") else flux[rows]


def _predicted_label(model: CodeModel, flux: Any, label: str) -> np.ndarray:
    """Return what the code says of a label, in physical units."""
    if not hasattr(model.coder, "predict"):
        raise ValueError(
            f"change='value' needs what {type(model.coder).__name__} says of {label!r}, but it has "
            "no predict; use change='difference'."
        )
    predicted = label_matrix(model.coder.predict(flux))
    # Labels come first in the code.
    return predicted[:, model.column(label, predicted.shape[1])]
