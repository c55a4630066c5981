"""Wavelength ranges that are to be left out."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from .._validation import check_choice
from ..spectra import WavelengthGrid
from ._rows import AbstractRowTransformer, RowTransform


class PixelMasker(AbstractRowTransformer):
    """Mark as missing, set to zero or drop the pixels in some wavelength ranges.

    Parameters
    ----------
    ranges_aa : sequence of (float, float), default=()
        Ranges [low, high] in Angstrom, in the medium of the grid; a pixel whose centre lies in
        one of them is masked. `specvae.spectra.HARPS_MISSING` is an example.
    grid : WavelengthGrid, optional
        Grid of the spectra. By default that of the `SpectraArray`.
    action : {"nan", "zero", "drop"}, default="nan"
        "nan" marks the pixels as missing, "zero" sets their flux to 0, "drop" takes them out, so
        that fewer pixels are left.

    Attributes
    ----------
    n_features_in_ : int
        Number of pixels seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_pixels,)
        Names of the pixels, if `X` had names.
    grid_ : WavelengthGrid or None
        Grid of the spectra before masking, if known.
    output_grid_ : WavelengthGrid or None
        Grid afterwards. Unknown (None) if pixels were dropped from the middle.

    See Also
    --------
    MedianNormalizer : Comes after this step, so that padding does not enter the median.

    Notes
    -----
    Losses and metrics of this package leave missing pixels out; prefer "nan" to "zero", which the
    published codes use and which a network must learn as if it were flux.

    Examples
    --------
    >>> import numpy as np
    >>> from specvae.preprocessing import PixelMasker
    >>> from specvae.spectra import WavelengthGrid
    >>> masker = PixelMasker([(5001.0, 5002.0)], grid=WavelengthGrid(5000.0, 1.0, 4))
    >>> masker.fit_transform(np.ones((1, 4)))
    array([[ 1., nan, nan,  1.]])
    """

    def __init__(
        self,
        ranges_aa: Sequence[tuple[float, float]] = (),
        *,
        grid: WavelengthGrid | None = None,
        action: str = "nan",
    ):
        self.ranges_aa = ranges_aa
        self.grid = grid
        self.action = action

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the pixels that are left.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the input pixels; by default those seen in `fit`, or "x0", "x1", ...

        Returns
        -------
        names : ndarray of str, shape (n_pixels_out,)
        """
        check_is_fitted(self, "n_features_in_")
        names = _check_feature_names_in(self, input_features)
        if self.action != "drop":
            return names
        return names[~self._masked(self.n_features_in_, self.grid_)]

    def _row_transform(self, n_pixels: int, grid: WavelengthGrid | None) -> RowTransform:
        check_choice("action", self.action, ("nan", "zero", "drop"))
        masked = self._masked(n_pixels, grid)
        if not masked.any():
            return RowTransform(None, n_pixels, grid)
        if masked.all():
            raise ValueError(
                f"ranges_aa masks all {n_pixels} pixels of {grid}; leave at least one range out."
            )
        if self.action != "drop":
            fill = np.nan if self.action == "nan" else 0.0
            return RowTransform(partial(fill_pixels, masked=masked, fill=fill), n_pixels, grid)
        kept = np.flatnonzero(~masked)
        return RowTransform(partial(keep_pixels, kept=kept), len(kept), _grid_of_pixels(grid, kept))

    def _masked(self, n_pixels: int, grid: WavelengthGrid | None) -> np.ndarray:
        """Which pixels lie in one of the ranges, shape (n_pixels,)."""
        masked = np.zeros(n_pixels, dtype=bool)
        ranges_aa = np.asarray(self.ranges_aa, dtype=float)
        if ranges_aa.size == 0:
            return masked
        if ranges_aa.ndim != 2 or ranges_aa.shape[1] != 2:
            raise ValueError(
                "ranges_aa must be a sequence of pairs (low, high) in Angstrom, got "
                f"{self.ranges_aa!r}."
            )
        if grid is None:
            raise ValueError(
                "ranges_aa are wavelengths, but the grid of X is not known: give the parameter "
                "grid, or a SpectraArray that has one."
            )
        for low_aa, high_aa in ranges_aa:
            if not low_aa <= high_aa:
                raise ValueError(
                    f"ranges_aa holds ({low_aa:g}, {high_aa:g}); the first must not exceed the "
                    "second."
                )
            pixels = grid.slice(low_aa, high_aa)
            if pixels.start == pixels.stop:
                raise ValueError(
                    f"range ({low_aa:g}, {high_aa:g}) of ranges_aa holds no pixel centre of "
                    f"{grid}; leave it out, or give the grid of X."
                )
            masked[pixels] = True
        return masked


def fill_pixels(flux: np.ndarray, masked: np.ndarray, fill: float) -> np.ndarray:
    """Flux with `fill` in the masked pixels, (n_spectra, n_pixels)."""
    return np.where(masked, flux.dtype.type(fill), flux)


def keep_pixels(flux: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Flux of the kept pixels alone, (n_spectra, n_kept)."""
    return flux[:, kept]


def _grid_of_pixels(grid: WavelengthGrid | None, kept: np.ndarray) -> WavelengthGrid | None:
    """Grid of the kept pixels if they are neighbours, otherwise None."""
    if grid is None or kept[-1] - kept[0] + 1 != len(kept):
        return None
    start_aa = float(grid.wavelength_aa[kept[0]])
    return replace(grid, start_aa=start_aa, n_pixels=len(kept), name="")
