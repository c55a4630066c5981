"""Any transformer that learns batch by batch, on spectra larger than memory."""

from collections.abc import Iterator
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.decomposition import IncrementalPCA
from sklearn.utils import gen_batches
from sklearn.utils._tags import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_feature_names_in, check_array, check_is_fitted

from .._validation import (
    check_flux,
    check_number,
    check_spectra,
    check_spectra_like_fit,
    is_lazy,
    record_features,
)
from ..exceptions import SpectrumError
from ._blocks import Blocks, check_covered
from ._build import flux_statistics
from ._stream import collect, digest_of_arrays, digest_of_rows, is_path, write_flux


def _transformer_has(method):
    """Whether the transformer, fitted or still to be, has a method."""

    def has(self):
        return hasattr(getattr(self, "transformer_", self._template), method)

    return has


class BatchedTransformer(MetaEstimatorMixin, TransformerMixin, BaseEstimator):
    """Fit a transformer of scikit-learn to spectra in batches, with missing pixels filled.

    For `IncrementalPCA` above all, the control of the autoencoders, on spectra that do not fit
    into memory: it takes neither a `SpectraArray` nor NaN. One batch and what the transformer
    keeps are in memory at a time.

    Parameters
    ----------
    transformer : transformer with `partial_fit`, default=IncrementalPCA()
        Cloned. Its own `batch_size`, if it has one, is not used.
    batch_size : int, default=64
        Spectra in a batch; at least as many as the `n_components` of the transformer are taken. A
        last batch smaller than that joins the one before.

    Attributes
    ----------
    transformer_ : transformer
        The fitted one, with `components_` and the like.
    mean_ : ndarray of float32, shape (n_pixels,)
        Mean spectrum of the training spectra, with which missing pixels are filled; NaN in pixels
        that none has.
    grid_ : WavelengthGrid or None
        Grid of the training spectra, where they are a `SpectraArray` that has one.
    n_features_in_ : int
        Pixels of a spectrum.
    feature_names_in_ : ndarray of str
        Column names of `X`, where it is a DataFrame.

    See Also
    --------
    SpectralAutoencoder : The network for which PCA is the control.
    specvae.preprocessing.SpectraLoader : Reads spectra that do fit into memory for any estimator.

    Notes
    -----
    Missing pixels (NaN) become the mean spectrum, as the networks see them; of more than 4096
    training spectra that many, evenly spread, decide. A pixel that none of these has is 0 for the
    transformer, whatever later spectra have there, and NaN in `inverse_transform`. Filling draws
    spectra with large gaps towards the mean: it is no probabilistic treatment of missing data.

    The spectra are read twice, once for their mean. With `IncrementalPCA` each batch costs a
    singular value decomposition of (batch_size + n_components + 1, n_pixels), and about six times
    that matrix in float64 of memory.

    Examples
    --------
    >>> import numpy as np
    >>> from specvae.spectra import SpectraArray
    >>> flux = np.random.default_rng(0).normal(1.0, 0.1, (50, 20)).astype(np.float32)
    >>> flux[3, 5:9] = np.nan
    >>> pca = BatchedTransformer(IncrementalPCA(2), batch_size=16).fit(SpectraArray(flux))
    >>> pca.transform(SpectraArray(flux)).shape
    (50, 2)
    >>> pca.get_feature_names_out()
    array(['incrementalpca0', 'incrementalpca1'], dtype=object)
    """

    def __init__(self, transformer=None, *, batch_size=64):
        self.transformer = transformer
        self.batch_size = batch_size

    def fit(self, X, y=None):
        """Fit the transformer, one batch after the other.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
            Flux; NaN is a missing pixel.
        y : ignored
            Present for pipelines.

        Returns
        -------
        self : BatchedTransformer

        Raises
        ------
        TypeError
            If the transformer has no `partial_fit` or no `transform`.
        ValueError
            If `X` has infinities, a spectrum no valid pixel, or the transformer refuses a batch.
        """
        check_number("batch_size", self.batch_size, minimum=1, integer=True)
        transformer = clone(self._template)
        missing = [name for name in ("partial_fit", "transform") if not hasattr(transformer, name)]
        if missing:
            raise TypeError(
                f"transformer must learn in batches, and {type(transformer).__name__} has no "
                f"{missing[0]}: give IncrementalPCA or the like, or put SpectraLoader() before it."
            )
        features, X = X, check_spectra(X, self)
        n_spectra = X.shape[0]
        mean, _ = flux_statistics(X, np.arange(n_spectra), np.ones(n_spectra))
        for rows in self._batches(n_spectra, transformer):
            transformer.partial_fit(_filled(_read(X, rows), mean))
        for name, value in vars(transformer).items():
            # Components that are a view keep the whole decomposition of the last batch in memory.
            if isinstance(value, np.ndarray) and value.base is not None:
                setattr(transformer, name, value.copy())
        record_features(features, self)
        self.mean_, self.grid_ = mean, getattr(X, "grid", None)
        self.transformer_ = transformer
        return self

    def transform(self, X, *, out=None):
        """Transform spectra, batch by batch.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        out : array, str or Path, optional
            Where the codes go, as for `SpectralAutoencoder.transform`.

        Returns
        -------
        codes : ndarray of shape (n_spectra, n_outputs)
            As the transformer gives them. With `out` that array, or a read-only memory map of the
            file.

        Raises
        ------
        ValueError
            If the number of pixels differs from `fit`, a spectrum has no valid pixel where the
            training spectra have one, or `out` cannot hold the result.
        GridMismatchError
            If `X` is known to lie on another grid.
        FileExistsError
            If the file exists.
        OSError
            If the disk is full.
        """
        check_is_fitted(self)
        X = check_spectra_like_fit(X, self)
        seen = ~np.isnan(self.mean_)

        def read_block(rows):
            return check_covered(_read(X, rows), seen, rows)

        def compute_block(rows, flux):
            return (np.asarray(self.transformer_.transform(_filled(flux, self.mean_))),)

        rows = list(self._batches(X.shape[0], self.transformer_))
        return collect(Blocks(read_block, compute_block, rows, is_lazy(X)), [out], [X])[0]

    @available_if(_transformer_has("inverse_transform"))
    def inverse_transform(self, X, *, out=None):
        """Turn codes back to spectra, batch by batch.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_outputs)
            Codes, as `transform` gives them.
        out : array, str or Path, optional
            Where the flux goes, as for `SpectralAutoencoder.inverse_transform`; a store has
            float32.

        Returns
        -------
        flux : ndarray of shape (n_spectra, n_pixels)
            NaN in pixels that no training spectrum has. With `out` that array, or the store as a
            `SpectraArray`.

        Raises
        ------
        ValueError
            If the number of columns is another, or `out` cannot hold the result.
        FileExistsError
            If the store exists.
        OSError
            If the disk is full.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=[np.float64, np.float32], input_name="X", estimator=self)
        unseen = np.isnan(self.mean_)

        def compute_block(rows, given):
            flux = np.array(self.transformer_.inverse_transform(given))
            flux[:, unseen] = np.nan
            return (flux,)

        rows = list(self._batches(len(codes), self.transformer_))
        blocks = Blocks(codes.__getitem__, compute_block, rows)
        if not is_path(out):
            return collect(blocks, [out], [codes])[0]
        learnt = sorted(vars(self.transformer_).items())
        arrays = [value for _, value in learnt if isinstance(value, np.ndarray)]
        identity = {
            "estimator": repr(self.transformer_),
            "learnt": digest_of_arrays(*arrays),
            "given": digest_of_rows(codes),
        }
        return write_flux(blocks, out, self.grid_, identity)

    @available_if(_transformer_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features=None):
        """Names of the columns, as the transformer gives them.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the pixels.

        Returns
        -------
        names : ndarray of str, shape (n_outputs,)
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        return self.transformer_.get_feature_names_out(names)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "transformer_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        kept = getattr(get_tags(self._template).transformer_tags, "preserves_dtype", ["float64"])
        tags.transformer_tags.preserves_dtype = kept
        return tags

    @property
    def _template(self):
        return IncrementalPCA() if self.transformer is None else self.transformer

    def _batches(self, n_spectra: int, transformer) -> Iterator[np.ndarray]:
        n_components = getattr(transformer, "n_components", None)
        smallest = int(n_components) if isinstance(n_components, Integral) else 0
        size = min(max(int(self.batch_size), smallest), n_spectra)
        for batch in gen_batches(n_spectra, size, min_batch_size=min(smallest, n_spectra)):
            yield np.arange(batch.start, batch.stop)


def _read(X, rows):
    """Return checked flux of some rows as precise as it is; an error names the row of `X`."""
    try:
        return check_flux(X[rows].to_numpy() if is_lazy(X) else X[rows])
    except SpectrumError as error:
        raise SpectrumError(int(rows[error.row]), error.reason) from error


def _filled(flux, mean):
    """Flux with the mean where it is missing, and 0 in pixels of which there is no mean."""
    filled = np.where(np.isnan(flux) | np.isnan(mean), np.nan_to_num(mean), flux)
    return filled.astype(flux.dtype, copy=False)
