"""Checks at the public edge: what came, what was wanted, where, and the remedy.

Nothing here sets an attribute during `fit`; `record_features` does so at its end, so that a `fit`
that fails leaves no trace.
"""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _get_feature_names,
    check_array,
    validate_data,
)

from .exceptions import GridMismatchError, SpectrumError

# Rows examined at a time, so that a check needs little memory beside the matrix.
_CHUNK_PIXELS = 4_194_304


def is_lazy(X: Any) -> bool:
    """Whether `X` is a matrix whose rows are read when needed, as a `SpectraArray` is."""
    return hasattr(X, "iter_batches") and hasattr(X, "map_rows")


def row_chunks(n_rows: int, n_pixels: int, *, max_pixels: int = _CHUNK_PIXELS) -> Iterator[slice]:
    """Slices over the rows, each of at most `max_pixels` pixels or one row."""
    step = max(1, max_pixels // max(1, n_pixels))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def unmask(array: Any) -> Any:
    """Return a masked array, such as a column of an astropy table, with NaN where it is masked."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    return np.ma.filled(np.ma.asarray(array).astype(float), np.nan)


def check_spectra(X: Any, estimator: Any) -> Any:
    """Return `X` as a float matrix, NaN allowed, without touching the estimator.

    A lazy matrix is passed on unread; its rows are checked by `check_flux` as they are read.

    Raises
    ------
    ValueError
        If `X` is not two-dimensional, is empty, or holds infinity.
    TypeError
        If the column names of `X` are of several kinds.
    """
    if is_lazy(X):
        _check_has_rows(X, estimator)
        return X
    _get_feature_names(X)  # names that `record_features` would refuse after the work
    X = check_array(
        unmask(X),
        dtype=[np.float32, np.float64],
        ensure_all_finite=False,
        estimator=estimator,
        input_name="X",
    )
    check_no_infinity(X, estimator)
    return X


def check_spectra_like_fit(X: Any, estimator: Any) -> Any:
    """As `check_spectra`, for a fitted estimator: the number and names of pixels must agree."""
    remedy = "put the spectra on the wavelength grid of the training spectra with SpectrumResampler"
    if not is_lazy(X):
        try:
            X = validate_data(
                estimator,
                unmask(X),
                dtype=[np.float32, np.float64],
                ensure_all_finite=False,
                reset=False,
            )
        except ValueError as error:
            if "is expecting" not in str(error):
                raise
            raise ValueError(f"{error} Other pixels than in fit: {remedy}.") from error
        check_no_infinity(X, estimator)
        return X
    _check_has_rows(X, estimator)
    check_same_grid(getattr(X, "grid", None), getattr(estimator, "grid_", None), estimator)
    if X.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input. Other pixels than in fit: {remedy}."
        )
    return X


def _check_has_rows(X: Any, estimator: Any) -> None:
    """Raise unless a lazy matrix has a row."""
    if X.shape[0] < 1:
        raise ValueError(
            f"Found array with {X.shape[0]} sample(s) while a minimum of 1 is "
            f"required by {type(estimator).__name__}."
        )


def record_features(X: Any, estimator: Any) -> None:
    """Set `n_features_in_`, and `feature_names_in_` where `X` has column names."""
    if is_lazy(X):
        estimator.n_features_in_ = X.shape[1]
        if hasattr(estimator, "feature_names_in_"):  # of an earlier fit
            del estimator.feature_names_in_
        return
    _check_feature_names(estimator, X, reset=True)
    _check_n_features(estimator, X, reset=True)


def check_same_grid(grid: Any, fitted_grid: Any, caller: Any) -> None:
    """Raise if both grids are known and differ."""
    if grid is not None and fitted_grid is not None and not grid.matches(fitted_grid):
        raise GridMismatchError(
            f"{type(caller).__name__} works on {fitted_grid}, but X is on {grid}; put X on that "
            "grid with SpectrumResampler."
        )


def check_no_infinity(X: np.ndarray, estimator: Any) -> None:
    """Raise if any value is infinite; NaN passes."""
    for rows in row_chunks(*X.shape):
        # NaN and infinity both make a sum non-finite: cheap to rule out most chunks.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(X[rows].sum()):
                continue
        infinite = np.isinf(X[rows])
        if infinite.any():
            row, pixel = np.argwhere(infinite)[0]
            raise ValueError(
                f"X contains infinity: {type(estimator).__name__} got {int(infinite.sum())} "
                f"infinite pixels, the first in spectrum {row + rows.start} at pixel {pixel}; "
                "mark missing pixels as NaN."
            )


def check_flux(flux: np.ndarray) -> np.ndarray:
    """Return the rows if each has a valid pixel and none is infinite.

    Raises
    ------
    SpectrumError
        Naming the first row that fails, counted from the first row of `flux`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(flux.sum()):
            return flux
    refuse_infinity(flux)
    empty = np.isnan(flux).all(axis=1)
    if empty.any():
        row = int(np.argmax(empty))
        raise SpectrumError(
            row,
            "has no valid pixel (all NaN); remove it, see specvae.preprocessing.quality_report.",
        )
    return flux


def refuse_infinity(flux: np.ndarray) -> None:
    """Raise a `SpectrumError` for the first row that holds infinity; NaN passes.

    For rows that are read when needed; a matrix in memory is checked by `check_no_infinity`.
    """
    infinite = np.isinf(flux).any(axis=1)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise SpectrumError(
            row,
            "contains infinity; mark missing pixels as NaN, and scale flux beyond the 3e38 of "
            "float32.",
        )


def check_groups(groups: Any, n_spectra: int | None = None) -> np.ndarray:
    """Return the star of each spectrum as an integer from 0 up, equal ids as equal integers.

    Parameters
    ----------
    groups : array-like of shape (n_spectra,)
        Ids of one kind: all numbers or all strings.
    n_spectra : int, optional
        How many are wanted.

    Raises
    ------
    ValueError
        If an id is missing (None or NaN), ids of several kinds are mixed, or their number is
        wrong.
    """
    masked = np.ma.getmaskarray(groups) if isinstance(groups, np.ma.MaskedArray) else None
    ids = group_ids(groups)
    if not len(ids):
        raise ValueError("groups is empty; give the star of each spectrum.")
    if n_spectra is not None and len(ids) != n_spectra:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {n_spectra} spectra, "
            f"{len(ids)} groups; give the star of each spectrum."
        )
    if masked is not None or ids.dtype.kind in "fO":
        missing = np.array([_is_missing(each) for each in ids], dtype=bool)
        missing |= False if masked is None else masked
        if missing.any():
            raise ValueError(
                f"groups has no star for {int(missing.sum())} spectra, the first in row "
                f"{int(np.argmax(missing))}; give each its own id, see "
                "specvae.spectra.group_targets."
            )
    try:
        return np.unique(ids, return_inverse=True)[1]
    except TypeError as error:
        kinds = sorted({type(each).__name__ for each in ids})
        raise ValueError(f"groups mixes ids of kinds {', '.join(kinds)}; use one kind.") from error


def group_ids(groups: Any) -> np.ndarray:
    """Return ids in one dimension, each of the kind that it came in."""
    ids = np.asarray(groups)
    # Of a list of strings numpy makes "nan" of NaN and "-1" of -1.
    if ids.dtype.kind in "SU" and not hasattr(groups, "dtype"):
        ids = np.asarray(groups, dtype=object)
    return column_or_1d(ids)


def _is_missing(group: Any) -> bool:
    try:
        return group is None or bool(group != group)
    except TypeError:  # pandas.NA is neither true nor false
        return True


def check_labels(y: Any, n_spectra: int | None = None) -> tuple[np.ndarray, list[str] | None]:
    """Return the label matrix in float64 and its column names, if it has any.

    NaN is a missing label; a row may have none.

    Parameters
    ----------
    y : array-like or DataFrame of shape (n_spectra,) or (n_spectra, n_labels)
    n_spectra : int, optional
        How many rows are wanted.

    Raises
    ------
    ValueError
        If the number of rows differs, a column is all NaN, or a value is infinite.
    """
    columns = getattr(y, "columns", None)
    names = None if columns is None else [str(name) for name in columns]
    labels = _float_labels(y)
    if n_spectra is not None and len(labels) != n_spectra:
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: "
            f"X has {n_spectra} spectra, y has {len(labels)} rows of labels; give one "
            "row of labels for each spectrum, NaN where unknown."
        )
    matrix = labels.reshape(len(labels), -1)
    if np.isinf(matrix).any():
        row, column = np.argwhere(np.isinf(matrix))[0]
        raise ValueError(
            f"Input y contains infinity, first at row {row}, column {_label_name(names, column)}; "
            "mark missing labels as NaN."
        )
    empty = np.isnan(matrix).all(axis=0)
    if empty.any():
        column = int(np.argmax(empty))
        raise ValueError(
            f"Label column {_label_name(names, column)} of y is NaN in all {len(matrix)} rows; "
            "leave the column out or give at least one value."
        )
    return labels, names


def label_matrix(y: Any) -> np.ndarray:
    """Return labels as float64 of shape (n_spectra, n_labels); one label is one column."""
    labels = _float_labels(y)
    return labels.reshape(len(labels), -1)


def _float_labels(y: Any) -> np.ndarray:
    return check_array(
        unmask(y), dtype=np.float64, ensure_2d=False, ensure_all_finite=False, input_name="y"
    )


def _label_name(names: list[str] | None, column: int) -> str:
    return repr(names[column]) if names else str(column)


def column_names(table: Any) -> list[str] | None:
    """Names of the columns of a DataFrame, None where there are none or they are numbers."""
    names = _get_feature_names(table)
    return None if names is None else [str(name) for name in names]


def check_same_names(
    name: str, names: list[str] | None, other: str, other_names: list[str] | None
) -> None:
    """Raise if the columns of `name` and `other` are both named, and not alike in the same order.

    Columns are matched by position, so that another order would compare what does not belong
    together.
    """
    if names is not None and other_names is not None and names != other_names:
        raise ValueError(
            f"{name} has the columns {', '.join(names)}, but {other} {', '.join(other_names)}; "
            "give the same columns in the same order, or an array without names."
        )


def check_codes(codes: Any, name: str = "codes") -> np.ndarray:
    """Return codes of shape (n_spectra, n_latents), all finite; float32 stays, else float64.

    Raises
    ------
    ValueError
        Naming the first that is not.
    """
    codes = check_array(
        unmask(codes), dtype=[np.float64, np.float32], ensure_all_finite=False, input_name=name
    )
    bad = ~np.isfinite(codes)
    if bad.any():
        row, latent = np.argwhere(bad)[0]
        raise ValueError(
            f"{name} holds {int(bad.sum())} values that are not finite, the first in row {row}, "
            f"latent {latent}; leave such spectra out."
        )
    return codes


def check_number(
    name: str,
    value: Any,
    *,
    minimum: float,
    maximum: float = np.inf,
    integer: bool = False,
    open_below: bool = False,
) -> None:
    """Raise unless parameter `name` is a number between `minimum` and `maximum`."""
    kind = Integral if integer else Real
    fits = isinstance(value, kind) and not isinstance(value, bool | np.bool_)
    if fits and (minimum < value if open_below else minimum <= value) and value <= maximum:
        return
    wanted = f"{'>' if open_below else '>='} {minimum}" + (
        f" and <= {maximum}" if np.isfinite(maximum) else ""
    )
    noun = "an integer" if integer else "a number"
    raise ValueError(f"{name} must be {noun} {wanted}, got {value!r}.")


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise unless parameter `name` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
