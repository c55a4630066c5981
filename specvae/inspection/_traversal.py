"""What a decoder draws along one latent, and the real spectra nearest to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from .._validation import check_codes, check_same_names, column_names
from ..estimators import SemiSupervisedVAE
from ..model_selection._code_model import CodeModel
from ..spectra import WavelengthGrid


@dataclass(frozen=True)
class Traversal:
    """Spectra decoded along one latent; axis 0 is the step."""

    latent: str  # name of the latent that was set
    unit: str  # of `values`: "code", or "label" where they are in the unit of a label
    values: np.ndarray  # (n_values,), to which the latent was set
    codes: np.ndarray  # (n_values, n_latents), as the decoder takes them
    flux: np.ndarray  # (n_values, n_pixels), decoded, on the scale that the last step sees
    reference: np.ndarray  # (n_pixels,), decoded from the code as it is
    reference_value: float  # value of the latent in that code, in the unit of `values`
    wavelength_aa: np.ndarray | None  # (n_pixels,), None where the grid is not known
    nearest: np.ndarray | None  # (n_values,), row of the nearest of the given codes
    distance: np.ndarray | None  # (n_values,), to it, in units of the code
    outside: np.ndarray | None  # (n_values,), whether no given code reaches this value


def traverse(
    estimator: Any,
    spectrum: Any,
    latent: str | int,
    values: Any,
    *,
    conditions: Any = None,
    codes: Any = None,
    grid: WavelengthGrid | None = None,
) -> Traversal:
    """Encode a spectrum, set one latent to each value in turn, and decode.

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
        `SemiSupervisedVAE`, `SpectralVAE`, `SpectralAutoencoder`, `AdversarialAutoencoder`, PCA or
        anything with `transform` and `inverse_transform`; of a Pipeline the last step, before
        which the others prepare the flux. What is decoded is flux as the last step sees it,
        normalised where a step before it normalises.
    spectrum : array-like of shape (n_pixels,) or (1, n_pixels)
        Flux from which to start, as the estimator takes it.
    latent : str or int
        Name, as `get_feature_names_out` gives it, or column of the code.
    values : array-like of shape (n_values,)
        In units of the code. For a label of a `SemiSupervisedVAE` in the unit of that label, such
        as km/s, and absolute: 10 is a velocity of 10, not 10 more.
    conditions : array-like of shape (n_conditions,) or (1, n_conditions), optional
        Conditions of the spectrum, for an `AdversarialAutoencoder`; they stay as they are.
    codes : array-like of shape (n_spectra, n_latents), optional
        Codes of real spectra, as the estimator's `transform` gives them: the nearest of them to
        each step is looked for.
    grid : WavelengthGrid, optional
        Pixels of the flux as the last step sees it; by default as the estimator knows them.

    Returns
    -------
    traversal : Traversal
        Values beyond those of real spectra are decoded all the same, and `outside` says so where
        `codes` are given: there the decoder extrapolates, and its spectrum means little.

    Raises
    ------
    ValueError
        If there is more than one spectrum, no such latent, no value or one that is not finite, or
        codes do not fit.

    See Also
    --------
    radial_velocity_intervention : Scores such a traversal.

    Notes
    -----
    The nearest code is that at the smallest Euclidean distance in the units of the code. [1]_ shows
    the nearest real spectrum beside its sliders and does not say by which distance.

    References
    ----------
    .. [1] Sedaghat et al. 2021, MNRAS 501, 6026.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from specvae.simulation import simulate_spectra
    >>> from specvae.spectra import WavelengthGrid
    >>> grid = WavelengthGrid(5000.0, 0.5, 200)
    >>> flux = simulate_spectra(30, grid, random_state=0).flux
    >>> flux = flux / flux.mean(axis=1, keepdims=True)
    >>> pca = PCA(3, random_state=0).fit(flux)
    >>> real = pca.transform(flux)
    >>> fan = traverse(pca, flux[0], "pca0", [0.0, 0.1, 99.0], codes=real, grid=grid)
    >>> fan.flux.shape, fan.nearest.shape, fan.outside.tolist()
    ((3, 200), (3,), [False, False, True])
    """
    wanted = np.asarray(values, dtype=np.float64)
    if wanted.ndim != 1 or not len(wanted) or not np.isfinite(wanted).all():
        raise ValueError(f"values must be a list of finite numbers, at least one; got {values!r}.")
    model = CodeModel.of(estimator)
    flux = model.prepare(_one_row("spectrum", spectrum))
    conditions = None if conditions is None else _one_row("conditions", conditions)
    found_grid = model.grid(flux, grid)
    start = model.encode(flux, conditions)
    column = model.column(latent, start.shape[1])
    centre, scale, unit = _unit_of(model.coder, column)

    steps = np.repeat(start, len(wanted), axis=0)
    steps[:, column] = (wanted - centre) / scale
    decoded = model.decode(np.concatenate([start, steps]), _repeated(conditions, len(wanted) + 1))
    nearest = distance = outside = None
    if codes is not None:
        if hasattr(model.coder, "get_feature_names_out"):
            own = model.names(start.shape[1])
            check_same_names("codes", column_names(codes), "the code of estimator", own)
        nearest, distance, outside = _nearest(codes, steps, column)
    return Traversal(
        latent=model.names(start.shape[1])[column],
        unit=unit,
        values=wanted,
        codes=steps,
        flux=decoded[1:],
        reference=decoded[0],
        reference_value=float(start[0, column]) * scale + centre,
        wavelength_aa=None if found_grid is None else found_grid.wavelength_aa,
        nearest=nearest,
        distance=distance,
        outside=outside,
    )


def _one_row(name: str, given: Any) -> Any:
    """Return one spectrum, or its conditions, as a matrix of one row."""
    if hasattr(given, "to_frame"):  # a Series keeps its names
        given = given.to_frame().T
    if not hasattr(given, "shape"):
        given = np.asarray(given)
    row = given.reshape(1, -1) if len(given.shape) == 1 else given
    if len(row.shape) != 2 or row.shape[0] != 1 or not row.shape[1]:
        raise ValueError(f"{name} must be one row, got an array of shape {tuple(given.shape)}.")
    return row


def _repeated(conditions: Any, n_rows: int) -> Any:
    if conditions is None:
        return None
    rows = np.zeros(n_rows, dtype=int)
    return conditions.iloc[rows] if hasattr(conditions, "iloc") else conditions[rows]


def _unit_of(coder: Any, column: int) -> tuple[float, float, str]:
    """Centre, scale and kind of the unit in which a latent is given."""
    if isinstance(coder, SemiSupervisedVAE) and column < coder.n_labels_:
        scaler = coder.net_.module_.label_scaler
        return float(scaler.centre[column]), float(scaler.scale[column]), "label"
    return 0.0, 1.0, "code"


def _nearest(
    codes: Any, steps: np.ndarray, column: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    real, steps = check_codes(codes).astype(np.float64), steps.astype(np.float64)
    if real.shape[1] != steps.shape[1]:
        raise ValueError(
            f"codes has {real.shape[1]} columns, the code of the estimator {steps.shape[1]}; give "
            "what its transform gives."
        )
    distance, row = NearestNeighbors(n_neighbors=1).fit(real).kneighbors(steps)
    reached = real[:, column]
    outside = (steps[:, column] < reached.min()) | (steps[:, column] > reached.max())
    return row[:, 0], distance[:, 0], outside
