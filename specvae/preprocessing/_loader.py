"""The explicit step from a lazy matrix to an array in memory."""

from typing import Any

from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

from .._validation import (
    check_no_infinity,
    check_number,
    check_spectra,
    check_spectra_like_fit,
    is_lazy,
    record_features,
)


class SpectraLoader(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Read a `SpectraArray` into memory, for the steps that need an array.

    Put it before `PCA`, `SimpleImputer` and the like in a pipeline; the networks of this package
    read a `SpectraArray` in batches and do not need it. An ndarray is passed on as it is.

    Parameters
    ----------
    max_gb : float, default=4.0
        Largest array to read, in units of 1e9 bytes.

    Attributes
    ----------
    n_features_in_ : int
        Number of pixels seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_pixels,)
        Names of the pixels, if `X` had names.
    grid_ : WavelengthGrid or None
        Grid of the spectra seen in `fit`, if known.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from specvae.preprocessing import SpectraLoader
    >>> from specvae.spectra import SpectraArray
    >>> spectra = SpectraArray(np.random.default_rng(0).random((8, 5)))
    >>> make_pipeline(SpectraLoader(), PCA(2)).fit_transform(spectra).shape
    (8, 2)
    """

    def __init__(self, max_gb: float = 4.0):
        self.max_gb = max_gb

    def fit(self, X: Any, y: Any = None) -> "SpectraLoader":
        """Check the size; read nothing.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
            Flux; NaN is a missing pixel.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        MemoryError
            If a `SpectraArray` is larger than `max_gb`.
        ValueError
            If `max_gb` is not positive or `X` cannot be used.
        """
        self._check_size(check_spectra(X, self))
        record_features(X, self)
        self.grid_ = X.grid if is_lazy(X) else None
        return self

    def transform(self, X: Any) -> Any:
        """Read the spectra.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
            Flux; NaN is a missing pixel.

        Returns
        -------
        flux : ndarray of shape (n_spectra, n_pixels)
            float32 from a `SpectraArray`, otherwise in the dtype of `X`.

        Raises
        ------
        MemoryError
            If a `SpectraArray` is larger than `max_gb`.
        SpectrumError
            If a spectrum cannot be read or transformed as the steps before ask.
        ValueError
            If `X` holds infinity or has another number of pixels than in `fit`.
        GridMismatchError
            If `X` is on another grid than in `fit`.
        """
        if hasattr(self, "n_features_in_") or not is_lazy(X):
            X = check_spectra_like_fit(X, self)
        self._check_size(X)
        if not is_lazy(X):
            return X
        flux = X.to_numpy()
        check_no_infinity(flux, self)
        return flux

    def _check_size(self, X: Any) -> None:
        check_number("max_gb", self.max_gb, minimum=0.0, open_below=True)
        n_spectra, n_pixels = X.shape
        n_bytes = 4 * n_spectra * n_pixels  # float32
        if is_lazy(X) and n_bytes > 1e9 * self.max_gb:
            raise MemoryError(
                f"X holds {n_spectra} spectra of {n_pixels} pixels, {n_bytes / 1e9:.3g} GB in "
                f"float32, more than max_gb={self.max_gb:g}: take fewer rows, take fewer pixels "
                "with SpectrumResampler or PixelMasker(action='drop'), or raise max_gb."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
