"""What the row-wise transformers share: checks at the edge, and work now or when rows are read."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._set_output import _get_output_config

from .._validation import (
    check_same_grid,
    check_spectra,
    check_spectra_like_fit,
    is_lazy,
    record_features,
    row_chunks,
)
from ..exceptions import SpectrumError
from ..spectra import WavelengthGrid
from ..spectra._grid import check_grid_type

# For a spectrum that cannot be normalised.
REMEDY = (
    "mark missing pixels as NaN with PixelMasker, remove the spectrum (see "
    "specvae.preprocessing.quality_report), or choose invalid='nan'."
)


class RowTransform(NamedTuple):
    """What a transformer does to spectra of one length on one grid."""

    function: Callable[[np.ndarray], np.ndarray] | None  # rows in, rows out; None changes nothing
    n_pixels: int  # afterwards
    grid: WavelengthGrid | None  # afterwards; None if unknown


class AbstractRowTransformer(TransformerMixin, BaseEstimator, ABC):
    """A transformer that treats each spectrum by itself and learns nothing but the grid.

    What it does follows from its parameters, the number of pixels and the grid, so `transform`
    works without `fit`; `fit` makes it hold later spectra to the same pixels.
    """

    # Name of the parameter, where there is one, that says on which grid the input is.
    _grid_parameter = "grid"

    @abstractmethod
    def _row_transform(self, n_pixels: int, grid: WavelengthGrid | None) -> RowTransform:
        """Check the parameters and return what they mean on this grid."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Check the parameters and the spectra; remember the pixels and the grid.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
            Flux; NaN is a missing pixel. The rows of a `SpectraArray` are not read.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter or `X` cannot be used.
        GridMismatchError
            If `X` is on another grid than the parameters say.
        """
        flux = check_spectra(X, self)
        grid = self._grid_of(flux, self._declared_grid())
        transform = self._row_transform(flux.shape[1], grid)
        record_features(X, self)
        self.grid_, self.output_grid_ = grid, transform.grid
        return self

    def transform(self, X: Any) -> Any:
        """Transform each spectrum; of a `SpectraArray`, when its rows are read.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
            Flux; NaN is a missing pixel.

        Returns
        -------
        X_new : ndarray or SpectraArray of shape (n_spectra, n_pixels_out)
            In the dtype of `X`.

        Raises
        ------
        SpectrumError
            If one spectrum cannot be transformed; for a `SpectraArray`, when it is read.
        ValueError
            If `X` has another number of pixels than in `fit`.
        TypeError
            If `X` is a `SpectraArray` and `set_output` asks for a table.
        GridMismatchError
            If `X` is on another grid than in `fit`.
        """
        fitted = hasattr(self, "n_features_in_")
        if fitted or not is_lazy(X):
            X = check_spectra_like_fit(X, self)
        grid = self._grid_of(X, self.grid_ if fitted else self._declared_grid())
        function, n_pixels, grid = self._row_transform(X.shape[1], grid)
        if is_lazy(X):
            self._check_output_kind()
            return X.map_rows(function or unchanged, n_pixels=n_pixels, grid=grid)
        return X if function is None else map_in_chunks(X, function, n_pixels)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_output_kind(self) -> None:
        """Raise if `set_output` asks for a table, for which the spectra would have to be read."""
        wanted = _get_output_config("transform", self)["dense"]
        if wanted != "default":
            raise TypeError(
                f"set_output(transform={wanted!r}) needs spectra in memory, and a SpectraArray is "
                f"not read unasked: put SpectraLoader() before {type(self).__name__}, or leave "
                "its output at 'default'."
            )

    def _declared_grid(self) -> WavelengthGrid | None:
        grid = getattr(self, self._grid_parameter, None)
        check_grid_type(self._grid_parameter, grid)
        return grid

    def _grid_of(self, X: Any, declared: WavelengthGrid | None) -> WavelengthGrid | None:
        """Grid of `X`: the declared one, with which its own must agree, or else its own."""
        own = X.grid if is_lazy(X) else None
        check_same_grid(own, declared, self)
        grid = declared if declared is not None else own
        if grid is not None and grid.n_pixels != X.shape[1]:
            raise ValueError(
                f"{type(self).__name__} works on {grid}, but X has {X.shape[1]} pixels; give the "
                "grid on which X is."
            )
        return grid


def unchanged(flux: np.ndarray) -> np.ndarray:
    """Return the rows as they are."""
    return flux


def map_in_chunks(
    flux: np.ndarray, function: Callable[[np.ndarray], np.ndarray], n_pixels: int
) -> np.ndarray:
    """Apply a row map to a matrix in memory, a few million pixels at a time."""
    mapped = np.empty((len(flux), n_pixels), dtype=flux.dtype)
    for rows in row_chunks(*flux.shape):
        try:
            mapped[rows] = function(flux[rows])
        except SpectrumError as error:
            raise SpectrumError(rows.start + error.row, error.reason) from error
    return mapped
