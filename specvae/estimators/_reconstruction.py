"""Reconstruction by the estimators whose code is all that the decoder needs."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .._validation import check_spectra_like_fit
from ..networks import masked_l1


class ReconstructionMixin:
    """Adds to an `AbstractSpectralEstimator` what compares spectra with their decoded codes."""

    _apply: Any
    _blocks: Any
    _flux: Any

    def reconstruct(self, X: Any, *, out: Any = None) -> Any:
        """Decode the code of each spectrum.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        out : array, str or Path, optional
            Where the flux goes, block by block, so that it need not fit into memory: an array of
            that shape and of floats, such as a memory map, an HDF5 data set or a Zarr array,
            which is filled; or the name of a new .npy store of float32, if the grid is known.
            Where writing a store was interrupted, the same call goes on.

        Returns
        -------
        flux : ndarray of float32, shape (n_spectra, n_pixels)
            NaN in pixels that no training spectrum has.
            With `out` that array, or the store as a `SpectraArray`.

        Raises
        ------
        ValueError, TypeError
            If `out` cannot hold the result.
        FileExistsError
            If the file exists.
        OSError
            If the disk is full.
        """
        check_is_fitted(self)
        X = check_spectra_like_fit(X, self)
        return self._flux(self._blocks(X, _reconstruction), out, "reconstruct", X)

    def reconstruction_error(self, X: Any) -> np.ndarray:
        """Mean of |flux - reconstruction| over the valid pixels of each spectrum.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)

        Returns
        -------
        error : ndarray of float32, shape (n_spectra,)
            In flux units.
        """
        (error,) = self._apply(
            X,
            lambda network, flux: masked_l1(network(flux).reconstruction, network.target(flux)),
        )
        return error


def _reconstruction(network: Any, flux: Any) -> Any:
    return torch.where(network.scaler.seen, network(flux).reconstruction, torch.nan)
