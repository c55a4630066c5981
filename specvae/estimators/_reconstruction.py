"""Reconstruction by the estimators whose code is all that the decoder needs."""

from typing import Any

import numpy as np

from ..networks import masked_l1


class ReconstructionMixin:
    """Adds to an `AbstractSpectralEstimator` what compares spectra with their decoded codes."""

    _apply: Any
    net_: Any

    def reconstruct(self, X: Any) -> np.ndarray:
        """Decode the code of each spectrum.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)

        Returns
        -------
        flux : ndarray of float32, shape (n_spectra, n_pixels)
            NaN in pixels that no training spectrum has.
        """
        (flux,) = self._apply(X, lambda network, flux: network(flux).reconstruction)
        flux[:, ~self.net_.module_.scaler.seen.cpu().numpy()] = np.nan
        return flux

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
