"""The deterministic autoencoder."""

from .._validation import check_number
from ._base import AbstractSpectralEstimator
from ._build import build_autoencoder
from ._code import CodeMixin, score_of_error
from ._objective import reconstruction_objective
from ._reconstruction import ReconstructionMixin


class SpectralAutoencoder(CodeMixin, ReconstructionMixin, AbstractSpectralEstimator):
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
    linear_path : bool, default=False
        True adds the principal components of the training spectra as a fixed path beside encoder
        and decoder: the network starts as PCA and learns what PCA misses. Worth it for a few
        hundred spectra, on which a network alone does not reach PCA.
    warm_start : bool, default=False
        Go on from the weights of the previous `fit`, on spectra with the same pixels. Ctrl-C then
        keeps the best weights so far, and the next `fit` resumes from them.
    checkpoint_path : str or Path, optional
        File to which the state of the training is written, for `fit(resume_from=...)`.
    checkpoint_minutes : float, default=10.0
        Minutes between two writes, at the end of an epoch; 0 writes after each.
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
    precision_ : str
        "float32" or "bfloat16": in which the fitted network encodes and decodes.
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
        precision="float32",
        compile=False,
        n_threads=None,
        shuffle_block=1,
        accelerator=None,
        linear_path=False,
        warm_start=False,
        checkpoint_path=None,
        checkpoint_minutes=10.0,
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
        self.precision = precision
        self.compile = compile
        self.n_threads = n_threads
        self.shuffle_block = shuffle_block
        self.accelerator = accelerator
        self.linear_path = linear_path
        self.warm_start = warm_start
        self.checkpoint_path = checkpoint_path
        self.checkpoint_minutes = checkpoint_minutes
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None, *, groups=None, sample_weight=None, resume_from=None):
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
        resume_from : str or Path, optional
            Checkpoint of a training that was cut short: the same call goes on from it, and ends
            with the weights of an unbroken run, on the CPU bit for bit. It is written on.

        Returns
        -------
        self : SpectralAutoencoder

        Raises
        ------
        ValueError
            If a parameter is out of range, or `X` has infinities, or a spectrum no valid pixel, or
            the checkpoint belongs to another training.
        GridMismatchError
            If `X` lies on another grid than `grid`.
        """
        previous = getattr(self, "net_", None) if self.warm_start else None
        trained = self._train(
            X,
            groups=groups,
            sample_weight=sample_weight,
            previous=previous,
            resume_from=resume_from,
        )
        self._take_over(trained, X, first=previous is None)
        return self

    def partial_fit(self, X, y=None, *, groups=None, sample_weight=None):
        """Train for one epoch at the full learning rate, on from the present weights.

        Parameters and errors as for `fit`; the first call starts the network, and takes the mean
        spectrum from its `X`. There is no validation share.

        Returns
        -------
        self : SpectralAutoencoder
        """
        previous = getattr(self, "net_", None)
        trained = self._train(
            X, groups=groups, sample_weight=sample_weight, previous=previous, one_epoch=True
        )
        self._take_over(trained, X, first=previous is None)
        return self

    def transform(self, X, *, out=None):
        """Encode spectra.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        out : array, str or Path, optional
            Where the codes go, block by block: an array of that shape and of floats, such as a
            memory map, an HDF5 data set or a Zarr array, which is filled; or the name of a new
            .npy file, which is there only when it is complete.

        Returns
        -------
        codes : ndarray of float32, shape (n_spectra, latent_dim)
            With `out` that array, or a read-only memory map of the file.

        Raises
        ------
        ValueError
            If the number of pixels differs from `fit`, or a spectrum has no valid pixel.
        GridMismatchError
            If `X` is known to lie on another grid.
        ValueError, TypeError
            If `out` cannot hold the result.
        FileExistsError
            If the file exists.
        OSError
            If the disk is full.

        Notes
        -----
        With ``set_output(transform="pandas")`` the codes come back as a DataFrame, and `out` is
        filled or written all the same; it cannot be a Zarr array then, which pandas does not take.

        A Pipeline hands `out` on to its last step if that requests it, under scikit-learn's
        metadata routing: ``SpectralAutoencoder(...).set_transform_request(out=True)``.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> flux = np.random.default_rng(0).normal(1.0, 0.1, (20, 50))
        >>> autoencoder = SpectralAutoencoder(2, encoder="dense", decoder="dense", max_epochs=1)
        >>> autoencoder = autoencoder.fit(flux)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     codes = autoencoder.transform(flux, out=f"{folder}/codes.npy")
        ...     print(type(codes).__name__, codes.shape)
        memmap (20, 2)
        """
        (codes,) = self._apply(X, lambda network, flux: network.encode(flux), outs=[out])
        return codes

    def inverse_transform(self, X, *, out=None):
        """Decode codes to spectra.

        Parameters
        ----------
        X : array-like of shape (n_spectra, latent_dim)
            Codes, as `transform` gives them.
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
        ValueError
            If the number of columns is another.
        ValueError, TypeError
            If `out` cannot hold the result.
        FileExistsError
            If the file exists.
        OSError
            If the disk is full.
        """
        return self._decode_codes(X, out)

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
        return score_of_error(error, sample_weight)

    @property
    def _is_continued(self):
        return self.warm_start

    def _network_parameters(self):
        return {
            "latent_dim": int(self.latent_dim),
            "encoder": self.encoder,
            "decoder": self.decoder,
            "linear_path": bool(self.linear_path),
        }

    def _build(self, data, rows, seed):
        return build_autoencoder(data.X, rows, data.weight, seed, **self._network_parameters())

    def _objective(self):
        return reconstruction_objective

    def _check_parameters(self):
        check_number("latent_dim", self.latent_dim, minimum=1, integer=True)
        super()._check_parameters()
