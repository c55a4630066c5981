"""The supervised encoder: spectra to labels."""

import numpy as np
from sklearn.utils.validation import _check_sample_weight, _num_samples

from .._validation import check_number
from ..networks import LabelPredictor
from ._base import AbstractSpectralEstimator
from ._build import ENCODERS, build_parts, flux_scaler, label_scaler, part_class
from ._label_base import (
    CalibratedLabelsMixin,
    check_known_in_training,
    check_label_matrix,
    label_dtype,
    record_labels,
)
from ._latent_objective import LabelObjective


class SpectralRegressor(CalibratedLabelsMixin, AbstractSpectralEstimator):
    """Predict labels of spectra by the encoder alone, with an uncertainty for each.

    Parameters
    ----------
    encoder : {"conv", "dense", "resnet"} or subclass of nn.Module, default="conv"
        "conv" is the published network [1]_ [2]_. A class is called with the number of pixels and
        the number of outputs, two for each label.
    grid : WavelengthGrid, optional
        Wavelengths of the pixels. Where it is given, spectra known to lie on another grid are
        refused.
    random_missing : float, default=0.2
        In training up to this share of the pixels of each spectrum is hidden at random and as many
        in one gap, so that missing pixels do not mislead. 0 hides none.
    max_epochs : int, default=100
        Passes over the training spectra at most.
    batch_size : int, default=32
        Spectra in a training step.
    learning_rate : float, default=3e-3
        Largest step of Adam, in one cycle of `max_epochs`.
    patience : int or None, default=30
        Epochs without a lower validation loss after which training stops; None never stops early.
    validation_fraction : float, default=0.1
        Share of the spectra, whole stars where `groups` are given, that only watch, and on which
        the uncertainties are calibrated. 0 leaves them as the network gives them.
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
        Seed of first weights, validation share, batches and hidden pixels.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        Holds the network as `net_.module_`.
    history_ : DataFrame
        One row an epoch; `train_labels` is the mean absolute error in units of the scatter.
    n_iter_ : int
        Epochs trained.
    precision_ : str
        "float32" or "bfloat16": in which the fitted network encodes and decodes.
    std_factor_ : ndarray of shape (n_labels,)
        By which the network's standard deviations are multiplied, from the validation share.
    label_names_in_ : ndarray of str, shape (n_labels,)
        Columns of `y`, where it is a DataFrame.
    n_labels_ : int
        Number of labels.
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
    SemiSupervisedVAE : Learns from spectra without labels as well.
    PartialLabelRegressor : Any regressor on codes.

    Notes
    -----
    The network gives a mean and a variance for each label, trained by the Gaussian likelihood with
    beta = 0.5 [3]_ of the labels that are known, averaged label by label. Labels are scaled by mean
    and deviation of the training rows.

    References
    ----------
    .. [1] Sedaghat et al. 2021, MNRAS 501, 6026.
    .. [2] Cvrcek et al. 2025, A&A 693, A256.
    .. [3] Seitzer et al. 2022, arXiv:2203.09168.

    Examples
    --------
    >>> from specvae.simulation import simulate_spectra
    >>> from specvae.spectra import WavelengthGrid
    >>> spectra = simulate_spectra(60, WavelengthGrid(5000.0, 0.5, 200), random_state=0)
    >>> flux = spectra.flux / spectra.flux.mean(axis=1, keepdims=True)
    >>> regressor = SpectralRegressor(encoder="dense", max_epochs=5, random_state=0)
    >>> labels, std = regressor.fit(flux, spectra.labels, groups=spectra.groups).predict(
    ...     flux, return_std=True)
    >>> labels.shape, bool((std > 0).all())
    ((60, 4), True)
    """

    def __init__(
        self,
        *,
        encoder="conv",
        grid=None,
        random_missing=0.2,
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
        self.encoder = encoder
        self.grid = grid
        self.random_missing = random_missing
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

    def fit(self, X, y, *, groups=None, sample_weight=None, resume_from=None):
        """Train the encoder on the labels that are known.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
            Flux; NaN is a missing pixel. A SpectraArray is read batch by batch.
        y : array-like or DataFrame of shape (n_spectra,) or (n_spectra, n_labels)
            Labels; NaN where unknown. Spectra without any label are left out.
        groups : array-like of shape (n_spectra,), optional
            Star of each spectrum: the validation share is then made of whole stars.
        sample_weight : array-like of shape (n_spectra,), optional
            Weight of each spectrum, see `visibility_weights`.
        resume_from : str or Path, optional
            Checkpoint of a training that was cut short; the same call goes on from it.

        Returns
        -------
        self : SpectralRegressor

        Raises
        ------
        ValueError
            If a parameter is out of range, or `X` or `y` cannot be used.
        GridMismatchError
            If `X` lies on another grid than `grid`.
        """
        labels, names, one_dimensional = check_label_matrix(y, _num_samples(X), self)
        weight = _check_sample_weight(
            sample_weight, labels, dtype=np.float64, ensure_non_negative=True
        )
        # Nothing can be learnt from a spectrum without labels.
        labelled = ~np.isnan(labels).all(axis=1)
        trained = self._train(
            X,
            groups=groups,
            sample_weight=np.where(labelled, weight, 0.0),
            resume_from=resume_from,
            labelled=labelled,
            labels=labels,
        )
        factor = self._calibrated(trained, labels, groups)
        record_labels(self, names, labels.shape[1], one_dimensional)
        self.std_factor_, self._label_dtype = factor, label_dtype(y)
        self._take_over(trained, X)
        return self

    def _network_parameters(self):
        return {"encoder": self.encoder}

    def _build(self, data, rows, seed):
        check_known_in_training(data.labels, rows)
        n_outputs = 2 * data.labels.shape[1]
        (encoder,) = build_parts(
            seed, (part_class(self.encoder, ENCODERS), (data.X.shape[1], n_outputs), {})
        )
        scaler = flux_scaler(data.X, rows, data.weight)
        return LabelPredictor(encoder, scaler, label_scaler(data.labels, rows))

    @staticmethod
    def _labels_and_std(network, flux):
        output = network(flux)
        std = (0.5 * output.log_variance).exp() * network.label_scaler.scale
        return network.label_scaler.inverse(output.mean), std

    def _objective(self):
        return LabelObjective(self.random_missing)

    def _check_parameters(self):
        super()._check_parameters()
        check_number("random_missing", self.random_missing, minimum=0, maximum=0.9)
