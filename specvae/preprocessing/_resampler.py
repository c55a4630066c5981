"""Spectra on another wavelength grid."""

from functools import partial
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from .._validation import check_number, refuse_infinity
from ..spectra import WavelengthGrid, resample_flux
from ..spectra._grid import check_grid_type
from ..spectra._wavelength import to_medium
from ._rows import AbstractRowTransformer, RowTransform


class SpectrumResampler(AbstractRowTransformer):
    """Put spectra from one wavelength grid on another.

    Where the steps agree, flux is interpolated linearly; where they differ, each new pixel holds
    the exact mean of the flux over it. Between a grid in air and one in vacuum the wavelengths
    are converted.

    Parameters
    ----------
    output_grid : WavelengthGrid, optional
        Where the spectra are wanted; ``HARPS_GRID.resampled(11_000)`` sub-samples HARPS as the
        ESCAPE networks did. By default the spectra are passed on as they are.
    input_grid : WavelengthGrid, optional
        Grid of the spectra. By default that of the `SpectraArray`.
    min_coverage : float, default=0.5
        Where the steps differ, a new pixel of which a smaller fraction is covered by valid pixels
        is missing (NaN).

    Attributes
    ----------
    n_features_in_ : int
        Number of pixels seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_pixels,)
        Names of the pixels, if `X` had names.
    grid_ : WavelengthGrid or None
        Grid of the spectra seen in `fit`, if known.
    output_grid_ : WavelengthGrid or None
        Grid of the result.

    See Also
    --------
    specvae.spectra.resample_flux : The same for wavelengths without a uniform step.

    Notes
    -----
    Flux is a density per Angstrom of the medium it is given in; its change by the refractive
    index, 0.03 per cent and the same for all pixels to 1e-5, is not applied.

    Examples
    --------
    >>> import numpy as np
    >>> from specvae.preprocessing import SpectrumResampler
    >>> from specvae.spectra import WavelengthGrid
    >>> grid = WavelengthGrid(5000.0, 1.0, 6)
    >>> resampler = SpectrumResampler(grid.resampled(3), input_grid=grid)
    >>> resampler.fit_transform(np.array([[1.0, 3.0, 5.0, 5.0, 2.0, 4.0]]))
    array([[2., 5., 3.]])
    """

    _grid_parameter = "input_grid"

    def __init__(
        self,
        output_grid: WavelengthGrid | None = None,
        *,
        input_grid: WavelengthGrid | None = None,
        min_coverage: float = 0.5,
    ):
        self.output_grid = output_grid
        self.input_grid = input_grid
        self.min_coverage = min_coverage

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the new pixels: "pixel0", "pixel1", ... where they are resampled.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the input pixels, kept where the spectra are passed on as they are.

        Returns
        -------
        names : ndarray of str, shape (n_pixels_out,)
        """
        check_is_fitted(self, "n_features_in_")
        names = _check_feature_names_in(self, input_features)
        function, n_pixels, _ = self._row_transform(self.n_features_in_, self.grid_)
        if function is None:
            return names
        return np.array([f"pixel{index}" for index in range(n_pixels)], dtype=object)

    def _row_transform(self, n_pixels: int, grid: WavelengthGrid | None) -> RowTransform:
        check_grid_type("output_grid", self.output_grid)
        check_number("min_coverage", self.min_coverage, minimum=0.0, maximum=1.0)
        if self.output_grid is None:
            return RowTransform(None, n_pixels, grid)
        if grid is None:
            raise ValueError(
                "the grid of X is not known: give the parameter input_grid, or a SpectraArray that "
                "has a grid."
            )
        if grid.matches(self.output_grid):
            return RowTransform(None, n_pixels, self.output_grid)
        edges_aa = to_medium(grid.edges_aa[[0, -1]], grid.medium, self.output_grid.medium)
        if self.output_grid.end_aa < edges_aa[0] or edges_aa[1] < self.output_grid.start_aa:
            raise ValueError(
                f"output_grid is {self.output_grid}, but X is on {grid}: they have no wavelength "
                "in common."
            )
        function = partial(
            change_grid,
            input_grid=grid,
            output_grid=self.output_grid,
            min_coverage=float(self.min_coverage),
        )
        return RowTransform(function, self.output_grid.n_pixels, self.output_grid)


def change_grid(
    flux: np.ndarray,
    input_grid: WavelengthGrid,
    output_grid: WavelengthGrid,
    min_coverage: float = 0.5,
) -> np.ndarray:
    """Flux on another grid, (n_spectra, output_grid.n_pixels).

    Raises
    ------
    SpectrumError
        If a row holds infinity.
    """
    refuse_infinity(flux)
    wavelength_aa = to_medium(input_grid.wavelength_aa, input_grid.medium, output_grid.medium)
    return resample_flux(flux, wavelength_aa, output_grid, min_coverage=min_coverage)
