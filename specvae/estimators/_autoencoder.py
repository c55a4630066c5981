"""The deterministic autoencoder."""

import copy

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
    check_array,
    check_is_fitted,
)

from .._device import resolve_device
from .._random import spawn_seeds
from .._validation import (
    check_choice,
    check_number,
    check_same_grid,
    check_spectra,
    check_spectra_like_fit,
    is_lazy,
    record_features,
)
from ..exceptions import GridMismatchError, SpectrumError
from ..networks import masked_l1
from ..spectra._grid import check_grid_type
from ._build import DECODERS, ENCODERS, build_network, check_same_network
from ._data import SpectraDataset, read_flux, row_blocks
from ._net import TrainingPlan, history_table, train_network
from ._split import split_rows


class SpectralAutoencoder(TransformerMixin, BaseEstimator):
    """Compress spectra to a short code and back, without labels.

    A deterministic autoencoder: the encoder maps a spectrum to `latent_dim` numbers, the decoder
    maps these to a spectrum, and both are trained to make |flux - reconstruction| small on the
    valid pixels. The analogue of `sklearn.decomposition.PCA`, which is its control.

    Parameters
    ----------
    latent_dim : int, default=8
        Length of the code.
    encoder, decoder : {"conv", "dense"}, default="conv"
        "conv" is the published convolutional network [1]_ [2]_ with as many stages as leave about
        20 positions; "dense" has three hidden layers and trains in seconds [3]_.
    grid : WavelengthGrid, optional
        Wavelengths of the pixels. Where it is given, spectra known to lie on another grid are
        refused.
    max_epochs : int, default=100
        Passes over the training spectra at most.
    batch_size : int, default=32
        Spectra in a training step.
    learning_rate : float, default=3e-3
        Largest step of Adam. It is reached after a tenth of the steps, and falls to zero by a
        cosine at `max_epochs`.
    patience : int or None, default=30
        Epochs without a lower validation loss after which training stops; None never stops early.
    validation_fraction : float, default=0.1
        Share of the spectra, whole stars where `groups` are given, that only watch. 0 trains on
        all, and the training loss decides which weights are best.
    device : str, default="auto"
        "auto" takes a CUDA device where there is one, else the CPU.
    linear_path : bool, default=False
        True adds the principal components of the training spectra as a fixed path beside encoder
        and decoder: the network starts as PCA and learns what PCA misses. Worth it for a few
        hundred spectra, on which a network alone does not reach PCA.
    warm_start : bool, default=False
        Go on from the weights of the previous `fit`, on spectra with the same pixels. Ctrl-C then
        keeps the best weights so far, and the next `fit` resumes from them.
    random_state : int, RandomState or None, default=None
        Seed of first weights, validation share and order of batches. The global generators of
        numpy and torch are neither read nor changed. On the CPU the same seed gives the same
        codes bit for bit, as long as torch uses the same number of threads; with another number
        they differ by rounding.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        Holds the network as `net_.module_`.
    history_ : DataFrame
        One row an epoch: epoch, train_loss, valid_loss, seconds, and whether it was the best.
    n_iter_ : int
        Epochs trained.
    grid_ : WavelengthGrid or None
        Grid of the training spectra, as far as known.
    n_features_in_ : int
        Pixels of a spectrum.
    feature_names_in_ : ndarray of str
        Column names of `X`, where it is a DataFrame.

    Raises
    ------
    ValueError
        In `fit`, if a parameter or the data cannot be used; the estimator is then not fitted.

    See Also
    --------
    specvae.model_selection.StarGroupKFold : Folds that keep a star together.

    Notes
    -----
    Missing pixels (NaN) are given to the network as the mean spectrum of the training set, and
    left out of the loss. A pixel that no training spectrum has is left out too, and is NaN in the
    reconstruction; of more than 4096 training spectra that many, evenly spread, decide.

    The network sees the deviation from the mean training spectrum divided by its typical size; the
    loss is in flux units: the mean over valid pixels of |x - x'| of each spectrum, averaged over
    spectra with `sample_weight`. Normalise the spectra before, for instance with
    `MedianNormalizer`.

    References
    ----------
    .. [1] Sedaghat et al. 2021, MNRAS 501, 6026.
    .. [2] Cvrcek et al. 2025, A&A 693, A256, tables B.1 and B.2.
    .. [3] ESCAPE D5.4 working notes, 2020.

    Examples
    --------
    >>> from specvae.simulation import simulate_spectra
    >>> from specvae.spectra import WavelengthGrid
    >>> spectra = simulate_spectra(40, WavelengthGrid(5000.0, 0.5, 200), random_state=0)
    >>> flux = spectra.flux / spectra.flux.mean(axis=1, keepdims=True)
    >>> autoencoder = SpectralAutoencoder(2, encoder="dense", decoder="dense", max_epochs=5,
    ...                                   random_state=0).fit(flux)
    >>> autoencoder.transform(flux).shape
    (40, 2)
    >>> autoencoder.get_feature_names_out()
    array(['latent0', 'latent1'], dtype=object)
    """

    def __init__(
        self,
        latent_dim=8,
        *,
        encoder="conv",
        decoder="conv",
        grid=None,
        max_epochs=100,
        batch_size=32,
        learning_rate=3e-3,
        patience=30,
        validation_fraction=0.1,
        device="auto",
        linear_path=False,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.latent_dim = latent_dim
        self.encoder = encoder
        self.decoder = decoder
        self.grid = grid
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.device = device
        self.linear_path = linear_path
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None, *, groups=None, sample_weight=None):
        """Train encoder and decoder.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
            Flux; NaN is a missing pixel. A SpectraArray is read batch by batch.
        y : ignored
            Present for pipelines.
        groups : array-like of shape (n_spectra,), optional
            Star of each spectrum: the validation share is then made of whole stars.
        sample_weight : array-like of shape (n_spectra,), optional
            Weight of each spectrum, see `visibility_weights`.

        Returns
        -------
        self : SpectralAutoencoder

        Raises
        ------
        ValueError
            If a parameter is out of range, or `X` has infinities, or a spectrum no valid pixel.
        GridMismatchError
            If `X` lies on another grid than `grid`.
        """
        previous = getattr(self, "net_", None) if self.warm_start else None
        return self._train(X, groups, sample_weight, previous=previous)

    def partial_fit(self, X, y=None, *, groups=None, sample_weight=None):
        """Train for one epoch at the full learning rate, on from the present weights.

        Parameters and errors as for `fit`; the first call starts the network, and takes the mean
        spectrum from its `X`. There is no validation share.

        Returns
        -------
        self : SpectralAutoencoder
        """
        previous = getattr(self, "net_", None)
        return self._train(X, groups, sample_weight, previous=previous, one_epoch=True)

    def transform(self, X):
        """Encode spectra.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)

        Returns
        -------
        codes : ndarray of float32, shape (n_spectra, latent_dim)

        Raises
        ------
        ValueError
            If the number of pixels differs from `fit`, or a spectrum has no valid pixel.
        GridMismatchError
            If `X` is known to lie on another grid.
        """
        check_is_fitted(self)
        X = check_spectra_like_fit(X, self)
        codes = np.empty((X.shape[0], self.net_.module_.n_latents), dtype=np.float32)
        for rows, flux, network in self._batches(X):
            codes[rows] = network.encode(flux).cpu().numpy()
        return codes

    def inverse_transform(self, X):
        """Decode codes to spectra.

        Parameters
        ----------
        X : array-like of shape (n_spectra, latent_dim)
            Codes, as `transform` gives them.

        Returns
        -------
        flux : ndarray of float32, shape (n_spectra, n_pixels)
            NaN in pixels that no training spectrum has.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32, input_name="X", estimator=self)
        if codes.shape[1] != self.net_.module_.n_latents:
            raise ValueError(
                f"X has {codes.shape[1]} columns; inverse_transform wants codes of "
                f"{self.net_.module_.n_latents} latents."
            )
        network = self.net_.module_.eval()
        device = next(network.parameters()).device
        flux = np.empty((len(codes), self.n_features_in_), dtype=np.float32)
        with torch.inference_mode():
            for rows in row_blocks(len(codes), self.n_features_in_):
                flux[rows] = network.decode(torch.from_numpy(codes[rows]).to(device)).cpu().numpy()
        flux[:, ~network.scaler.seen.cpu().numpy()] = np.nan
        return flux

    def score(self, X, y=None, *, sample_weight=None):
        """Return minus the mean of |flux - reconstruction| over valid pixels, then over spectra.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        y : ignored
        sample_weight : array-like of shape (n_spectra,), optional
            Weight of each spectrum in the mean.

        Returns
        -------
        score : float
            In flux units; larger is better, 0 is perfect.
        """
        error = self.reconstruction_error(X)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, error, ensure_non_negative=True)
        return -float(np.average(error, weights=sample_weight))

    def reconstruction_error(self, X):
        """Mean of |flux - reconstruction| over the valid pixels of each spectrum.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)

        Returns
        -------
        error : ndarray of float32, shape (n_spectra,)
            In flux units.
        """
        check_is_fitted(self)
        X = check_spectra_like_fit(X, self)
        error = np.empty(X.shape[0], dtype=np.float32)
        for rows, flux, network in self._batches(X):
            error[rows] = (
                masked_l1(network(flux).reconstruction, network.target(flux)).cpu().numpy()
            )
        return error

    def get_feature_names_out(self, input_features=None):
        """Names of the columns of the code: latent0, latent1, ...

        Parameters
        ----------
        input_features : array-like of str, optional
            Only checked, as scikit-learn does.

        Returns
        -------
        names : ndarray of str, shape (latent_dim,)
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features, generate_names=False)
        return np.array([f"latent{i}" for i in range(self.net_.module_.n_latents)], dtype=object)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _train(self, X, groups, sample_weight, *, previous=None, one_epoch=False):
        self._check_parameters()
        features, X = X, check_spectra(X, self)
        if previous is not None:
            check_spectra_like_fit(features, self)
            check_same_network(previous.module_, **self._network_parameters())
        grid = self._check_grid(X, continues=previous is not None)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        split_seed, network_seed, batch_seed = spawn_seeds(self.random_state, 3)
        fraction = 0.0 if one_epoch else self.validation_fraction
        train, valid = split_rows(X.shape[0], fraction, groups, split_seed)
        if not is_lazy(X):
            for rows in row_blocks(*X.shape):
                read_flux(X, rows)  # a spectrum that cannot be used is named at once
        # A spectrum of weight zero is as good as absent.
        train, valid = train[weight[train] > 0], valid[weight[valid] > 0]
        if not len(train):
            raise ValueError(
                "sample_weight is zero for every training spectrum; give one a weight."
            )
        # Mean weight 1, so that the loss keeps its scale whatever the weights add up to.
        weight = weight / weight[train].mean()
        if previous is None:
            network = build_network(X, train, weight, network_seed, **self._network_parameters())
        else:
            # A copy: if this training fails, the estimator keeps the weights that it has.
            network = copy.deepcopy(previous.module_).cpu()

        net, interrupted = train_network(
            network,
            SpectraDataset(X, train, weight),
            SpectraDataset(X, valid, weight) if len(valid) else None,
            TrainingPlan(
                max_epochs=1 if one_epoch else self.max_epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                patience=self.patience,
                device=resolve_device(self.device),
                seed=batch_seed,
                verbose=self.verbose,
                one_cycle=not one_epoch,
            ),
            previous=previous,
        )
        history = history_table(net)
        if interrupted and (history.empty or not self.warm_start):
            raise KeyboardInterrupt
        earlier = [] if previous is None else [getattr(self, "history_")]  # noqa: B009
        history = pd.concat([*earlier, history], ignore_index=True)
        history["epoch"] = np.arange(1, len(history) + 1)
        if previous is None:
            record_features(features, self)
        self.net_, self.history_, self.n_iter_, self.grid_ = net, history, len(history), grid
        if interrupted:
            raise KeyboardInterrupt
        return self

    def _network_parameters(self):
        return {
            "latent_dim": int(self.latent_dim),
            "encoder": self.encoder,
            "decoder": self.decoder,
            "linear_path": bool(self.linear_path),
        }

    def _check_parameters(self):
        check_number("latent_dim", self.latent_dim, minimum=1, integer=True)
        check_choice("encoder", self.encoder, tuple(ENCODERS))
        check_choice("decoder", self.decoder, tuple(DECODERS))
        check_number("max_epochs", self.max_epochs, minimum=1, integer=True)
        check_number("batch_size", self.batch_size, minimum=1, integer=True)
        check_number("learning_rate", self.learning_rate, minimum=0, open_below=True)
        if self.patience is not None:
            check_number("patience", self.patience, minimum=1, integer=True)
        check_number("validation_fraction", self.validation_fraction, minimum=0, maximum=0.9)

    def _check_grid(self, X, *, continues):
        check_grid_type("grid", self.grid)
        known = getattr(X, "grid", None)
        check_same_grid(known, self.grid, self)
        if self.grid is not None and self.grid.n_pixels != X.shape[1]:
            raise GridMismatchError(
                f"X has {X.shape[1]} pixels, but grid is {self.grid}; put the spectra on it with "
                "SpectrumResampler, or, where PixelMasker dropped pixels, leave grid out."
            )
        if known is None:
            known = self.grid
        if not continues:
            return known
        check_same_grid(known, self.grid_, self)
        return self.grid_ if known is None else known

    def _batches(self, X):
        """Rows, their flux on the device, and the network, block by block."""
        network = self.net_.module_.eval()
        device = next(network.parameters()).device
        seen = network.scaler.seen.cpu().numpy()
        with torch.inference_mode():
            for rows in row_blocks(X.shape[0], X.shape[1]):
                flux = read_flux(X, rows)
                known = ~np.isnan(flux[:, seen]).all(axis=1)
                if not known.all():
                    # Encoded all the same it would pass for a perfect mean spectrum.
                    raise SpectrumError(
                        int(rows[np.argmin(known)]),
                        "has no valid pixel where the training spectra have one; remove it, or "
                        "train on spectra that cover its wavelengths.",
                    )
                yield rows, torch.from_numpy(flux).to(device), network
