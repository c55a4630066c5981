"""The decoder alone: labels to spectra."""

import copy

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import (
    _check_sample_weight,
    _get_feature_names,
    check_array,
    check_is_fitted,
    validate_data,
)

from .._validation import check_choice, is_lazy, unmask
from ..networks import LabelDecoder
from ._base import AbstractSpectralEstimator
from ._blocks import decoded_blocks
from ._build import DECODERS, build_parts, flux_scaler, label_scaler, part_class
from ._data import read_flux
from ._flux_error import check_flux_error
from ._latent_objective import SimulatorObjective
from ._stream import is_path
from ._vae import RECONSTRUCTIONS


class SpectralSimulator(RegressorMixin, AbstractSpectralEstimator):
    """Predict spectra from labels by the decoder alone: a fast stand-in for a simulation.

    Parameters
    ----------
    decoder : {"conv", "dense", "resnet"} or subclass of nn.Module, default="conv"
        "conv" and "resnet" are the published networks [1]_ [2]_, "dense" is small and fast. A class
        is called with the number of labels and the number of pixels.
    grid : WavelengthGrid, optional
        Wavelengths of the pixels. Where it is given, spectra known to lie on another grid are
        refused.
    reconstruction : {"l1", "l2", "huber", "cauchy"}, default="l1"
        Error of a pixel.
    max_epochs : int, default=100
        Passes over the training spectra at most.
    batch_size : int, default=32
        Spectra in a training step.
    learning_rate : float, default=3e-3
        Largest step of Adam, in one cycle of `max_epochs`.
    patience : int or None, default=30
        Epochs without a lower validation loss after which training stops; None never stops early.
    validation_fraction : float, default=0.1
        Share of the spectra, whole stars where `groups` are given, that only watch.
    device : str, default="auto"
        "auto" takes a CUDA device where there is one, else the CPU.
    precision : {"float32", "bfloat16", "auto"}, default="float32"
        Numbers that the layers multiply; weights, norms and losses stay in float32. "bfloat16"
        keeps 8 bits of each number, and is faster where the device multiplies such numbers
        natively. There "auto" takes it to encode and decode, if no answer of the trained network
        moves by more than a twentieth of its error on up to 512 spectra, and trains in float32 on a
        CPU. See `precision_`.
    compile : bool, default=False
        True runs the network through `torch.compile`, which needs a C++ compiler and a minute
        before the first batch. Meant for GPUs: on CPUs it was measured slower.
    n_threads : int, optional
        Threads of torch while this estimator computes; as many as torch is set to by default.
    shuffle_block : int, default=1
        Successive spectra that are read together in training. Above 1 the blocks are shuffled, and
        the spectra of as many blocks as hold about eight batches among them: for disks on which
        one spectrum here and one there is slow.
    accelerator : accelerate.Accelerator, optional
        Trains on several devices or hosts, each of which sees its share of a batch (extra
        "accelerate"); `device` is then the accelerator's. See docs/scale.md for what is then the
        same as in one process.
    checkpoint_path : str or Path, optional
        File to which the state of the training is written, for `fit(resume_from=...)`.
    checkpoint_minutes : float, default=10.0
        Minutes between two writes, at the end of an epoch; 0 writes after each.
    random_state : int, RandomState or None, default=None
        Seed of first weights, validation share and batches.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        Holds the network as `net_.module_`.
    history_ : DataFrame
        One row an epoch: the losses, in flux units.
    n_iter_ : int
        Epochs trained.
    precision_ : str
        "float32" or "bfloat16": in which the fitted network encodes and decodes.
    n_pixels_ : int
        Pixels of a spectrum.
    grid_ : WavelengthGrid or None
        Grid of the training spectra, as far as known.
    n_features_in_ : int
        Number of labels.
    feature_names_in_ : ndarray of str
        Names of the labels, where they came as a DataFrame.

    Raises
    ------
    ValueError
        In `fit`, if a parameter or the data cannot be used; the estimator is then not fitted.

    See Also
    --------
    SpectralRegressor : The other direction.
    specvae.simulation.StellarSpectrumSimulator : Spectra from physics.

    Notes
    -----
    To scikit-learn the labels are X and the flux is y, a regression with many outputs. Labels are
    scaled by mean and deviation of the training rows; a label that is constant there has no
    meaning to the network, and should be left out.

    References
    ----------
    .. [1] Sedaghat et al. 2021, MNRAS 501, 6026.
    .. [2] Cvrcek et al. 2025, A&A 693, A256.

    Examples
    --------
    >>> from specvae.simulation import simulate_spectra
    >>> from specvae.spectra import WavelengthGrid
    >>> spectra = simulate_spectra(60, WavelengthGrid(5000.0, 0.5, 200), random_state=0)
    >>> flux = spectra.flux / spectra.flux.mean(axis=1, keepdims=True)
    >>> labels = spectra.labels[["teff_k", "logg_dex", "mh_dex"]]
    >>> simulator = SpectralSimulator(decoder="dense", max_epochs=5, random_state=0)
    >>> simulator.fit(labels, flux).predict(labels).shape
    (60, 200)
    """

    def __init__(
        self,
        *,
        decoder="conv",
        grid=None,
        reconstruction="l1",
        max_epochs=100,
        batch_size=32,
        learning_rate=3e-3,
        patience=30,
        validation_fraction=0.1,
        device="auto",
        precision="float32",
        compile=False,
        n_threads=None,
        shuffle_block=1,
        accelerator=None,
        checkpoint_path=None,
        checkpoint_minutes=10.0,
        random_state=None,
        verbose=0,
    ):
        self.decoder = decoder
        self.grid = grid
        self.reconstruction = reconstruction
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.device = device
        self.precision = precision
        self.compile = compile
        self.n_threads = n_threads
        self.shuffle_block = shuffle_block
        self.accelerator = accelerator
        self.checkpoint_path = checkpoint_path
        self.checkpoint_minutes = checkpoint_minutes
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X,
        y,
        *,
        groups=None,
        sample_weight=None,
        flux_error=None,
        resume_from=None,
    ):
        """Train the decoder.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_spectra, n_labels)
            Labels in physical units, all known.
        y : array-like or SpectraArray of shape (n_spectra, n_pixels) or (n_spectra,)
            Flux; NaN is a missing pixel. A SpectraArray is read batch by batch.
        groups : array-like of shape (n_spectra,), optional
            Star of each spectrum: the validation share is then made of whole stars.
        sample_weight : array-like of shape (n_spectra,), optional
            Weight of each spectrum, see `visibility_weights`.
        flux_error : array-like or SpectraArray of the shape of `y`, optional
            Standard deviation of the flux: better pixels then count more within a spectrum.
        resume_from : str or Path, optional
            Checkpoint of a training that was cut short; the same call goes on from it.

        Returns
        -------
        self : SpectralSimulator

        Raises
        ------
        ValueError
            If a parameter is out of range, a label is missing or infinite, the flux has
            infinities, or a spectrum has no valid pixel.
        GridMismatchError
            If `y` lies on another grid than `grid`.
        """
        labels = self._check_labels(X)
        flux, one_dimensional = self._check_flux(y, len(labels))
        if flux_error is not None and one_dimensional:
            flux_error = np.reshape(unmask(flux_error), (-1, 1))
        trained = self._train(
            flux,
            groups=groups,
            sample_weight=sample_weight,
            resume_from=resume_from,
            labels=labels,
            flux_error=check_flux_error(flux_error, flux),
        )
        self.n_pixels_ = flux.shape[1]
        self._one_dimensional = one_dimensional
        self._dtype = np.dtype(np.float32) if is_lazy(flux) else flux.dtype
        # What comes in to `predict` are labels.
        self._take_over(trained, X)
        return self

    def predict(self, X, *, out=None):
        """Predict the spectrum of each row of labels.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_spectra, n_labels)
            Labels in physical units, all known.
        out : array, str or Path, optional
            Where the flux goes, block by block, so that it need not fit into memory: an array of
            that shape and of floats, such as a memory map, an HDF5 data set or a Zarr array,
            which is filled; or the name of a new .npy store of float32, if the grid is known.
            Where writing a store was interrupted, the same call goes on.

        Returns
        -------
        flux : ndarray of shape (n_spectra, n_pixels) or (n_spectra,)
            Of the type that the flux had in `fit`, computed in float32; NaN in pixels that no
            training spectrum has.
            With `out` that array, or the store as a `SpectraArray`.

        Raises
        ------
        ValueError
            If a label is missing or infinite, or the number of labels is another.
        ValueError, TypeError
            If `out` cannot hold the result.
        FileExistsError
            If the file exists.
        OSError
            If the disk is full.
        """
        check_is_fitted(self)
        labels = self._labels_like_fit(X)
        one_dimensional = self._one_dimensional and not is_path(out)  # a store is a matrix

        def compute_block(rows, given):
            (flux,) = blocks.compute(rows, given)
            flux = flux.astype(self._dtype, copy=False)
            return (flux[:, 0] if one_dimensional else flux,)

        blocks = self._decoded(labels)
        return self._flux(blocks._replace(compute=compute_block), out, "predict", labels)

    def score(self, X, y, *, sample_weight=None):
        """Coefficient of determination of all pixels together.

        1 - sum of squares of flux - prediction / sum of squares of flux - mean spectrum, over the
        valid pixels that training spectra have, so that pixels in which nothing happens do not
        count as much as lines.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_spectra, n_labels)
            Labels.
        y : array-like or SpectraArray of shape (n_spectra, n_pixels) or (n_spectra,)
            Flux; NaN is a missing pixel.
        sample_weight : array-like of shape (n_spectra,), optional

        Returns
        -------
        score : float
            1 is perfect, 0 is as good as the mean spectrum of `y`; NaN where all spectra are
            the same.
        """
        check_is_fitted(self)
        labels = self._labels_like_fit(X)
        flux, _ = self._check_flux(y, len(labels))
        if flux.shape[1] != self.n_pixels_:
            raise ValueError(
                f"y has {flux.shape[1]} pixels; the training spectra have {self.n_pixels_}."
            )
        weight = _check_sample_weight(sample_weight, labels, ensure_non_negative=True)
        residual, count, total, squares = np.zeros((4, self.n_pixels_))
        shift = self.net_.module_.scaler.mean.cpu().numpy()
        for rows, (predicted,) in self._decoded(labels).computed():
            # About a guess of the mean: no cancellation where the flux is large.
            deviation = read_flux(flux, rows).astype(np.float64) - shift
            error = deviation - (predicted.astype(np.float64) - shift)
            valid = ~np.isnan(error)  # neither missing nor unknown to training
            of_block = weight[rows]
            residual += of_block @ np.where(valid, error, 0.0) ** 2
            deviation = np.where(valid, deviation, 0.0)
            count += of_block @ valid
            total += of_block @ deviation
            squares += of_block @ deviation**2
        scatter = (squares - total**2 / np.maximum(count, np.finfo(float).tiny)).sum()
        # What rounding leaves of equal spectra is no scatter.
        if scatter <= 1e-12 * squares.sum():
            return float("nan")
        return float(1.0 - residual.sum() / scatter)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = False  # of labels
        tags.target_tags.multi_output = True
        return tags

    def _decoded(self, labels):
        """Flux of checked labels, float32, block by block."""
        network = self.net_.module_
        decode = network
        if self.n_pixels_ == 1:
            # A table: what a row gives must not depend on its company, not even by rounding.
            double = copy.deepcopy(network).double()
            decode = lambda values: double(values.double())  # noqa: E731
        inputs, compute = labels.astype(np.float32), self._compute(self.precision_)
        return decoded_blocks(network, decode, inputs, self.n_pixels_, compute)

    def _labels_like_fit(self, X):
        return validate_data(self, unmask(X), dtype=np.float64, reset=False)

    def _check_labels(self, X):
        _get_feature_names(X)  # names that `record_features` would refuse after the work
        return check_array(unmask(X), dtype=np.float64, input_name="X", estimator=self)

    def _check_flux(self, y, n_rows):
        """Return flux as a matrix, and whether it had one dimension."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give "
                "the flux that belongs to the labels."
            )
        flux, one_dimensional = y, False
        if not is_lazy(y):
            flux = check_array(
                unmask(y),
                dtype=[np.float64, np.float32],
                ensure_2d=False,
                ensure_all_finite=False,
                input_name="y",
                estimator=self,
            )
            one_dimensional = flux.ndim == 1
            flux = flux.reshape(len(flux), -1)
            if np.isinf(flux).any():
                row, pixel = np.argwhere(np.isinf(flux))[0]
                raise ValueError(
                    f"Input y contains infinity, first in spectrum {row} at pixel {pixel}; mark "
                    "missing pixels as NaN."
                )
        if flux.shape[0] != n_rows:
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: "
                f"X has {n_rows} rows of labels, y has {flux.shape[0]} spectra; give one spectrum "
                "for each row of labels."
            )
        return flux, one_dimensional

    def _network_parameters(self):
        return {"decoder": self.decoder}

    def _build(self, data, rows, seed):
        sizes = (data.labels.shape[1], data.X.shape[1])
        (decoder,) = build_parts(seed, (part_class(self.decoder, DECODERS), sizes, {}))
        scaler = flux_scaler(data.X, rows, data.weight)
        return LabelDecoder(decoder, scaler, label_scaler(data.labels, rows))

    def _objective(self):
        return SimulatorObjective(self.reconstruction)

    def _check_parameters(self):
        super()._check_parameters()
        check_choice("reconstruction", self.reconstruction, RECONSTRUCTIONS)
