"""The semi-supervised autoencoder: labels and free latents in one code."""

import copy
from typing import Any

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import (
    _check_feature_names_in,
    _num_samples,
    check_array,
    check_is_fitted,
)

from .._random import make_generator, spawn_seeds
from .._validation import check_choice, check_number, check_same_grid, check_spectra_like_fit
from ..networks import DopplerShift, LatentModel
from ._base import AbstractSpectralEstimator
from ._build import (
    DECODERS,
    ENCODERS,
    build_parts,
    continue_mean,
    flux_scaler,
    label_scaler,
    part_class,
)
from ._flux_error import check_flux_error
from ._label_base import (
    CalibratedLabelsMixin,
    check_known_in_training,
    check_label_matrix,
    label_dtype,
    record_labels,
)
from ._latent_objective import LatentObjective
from ._reconstruction import ReconstructionMixin
from ._simulated import check_simulated
from ._vae import RECONSTRUCTIONS

_FASTEST_STAR_KMS = 3000.0  # no star moves a hundredth as fast as light


class SemiSupervisedVAE(
    TransformerMixin, CalibratedLabelsMixin, ReconstructionMixin, AbstractSpectralEstimator
):
    """Predict labels, learn from spectra without them, and generate spectra from labels.

    The first latents of the code are the labels in units of their scatter, the others are free to
    hold what else varies. Every spectrum is reconstructed from its whole code, so those without
    labels teach the network as well; those with labels tie the first latents to them.

    Parameters
    ----------
    n_free_latents : int, default=2
        Latents beside those of the labels.
    encoder, decoder : {"conv", "dense", "resnet"} or subclass of nn.Module, default="conv"
        "conv" and "resnet" are the published networks [1]_ [2]_. A class is called with the two
        sizes, inputs and outputs; a variational encoder has two outputs a latent.
    grid : WavelengthGrid, optional
        Wavelengths of the pixels. Where it is given, spectra known to lie on another grid are
        refused.
    variational : bool, default=True
        False makes the code one point: the published semi-supervised autoencoder.
    velocity_label : str or int, optional
        Label, a radial velocity in km/s, by which the decoded spectrum is Doppler-shifted. The
        decoder then draws every star at rest, and need not learn what a shift is: spectra without
        labels teach the velocity as well, by their own lines. It needs `grid`; lines of the
        Earth's atmosphere move along, so mask them. None leaves it to the decoder, as published.
    label_weight : float, default=1.0
        Price of the label loss, which is in units of the scatter of the labels.
    kl_weight : float, default=1e-4
        Price of a nat of the free latents.
    kl_warmup_epochs : int, default=10
        Epochs over which that price rises to its value.
    mutual_info_weight, mmd_weight : float, default=0.0
        Of the free latents, as in `SpectralVAE`.
    zero_weight : float, default=1.0
        Price of the mean |free latent| of simulated rows, whose causes are all labels.
    simulated_ratio : float, default=1.0
        Simulated rows for one real row in each batch, where `fit` is given `simulated`.
    labelled_share : float, default=0.25
        Least share of spectra with any label among the real ones of a batch. Where fewer have one,
        some of those are drawn again to join the batch, in all terms of the loss, or the labels
        would be read from one or two spectra at a time: at 0.5 a batch may become twice as large.
        A label that is rarer than the others is not helped. 0 leaves the batches as they fall.
    label_scaling : {"standard", "robust"}, default="standard"
        Labels are centred and scaled by mean and deviation, or by median and 68 % range, of the
        training rows.
    random_missing : float, default=0.2
        In training up to this share of the pixels of each spectrum is hidden at random and as many
        in one gap, so that missing pixels do not mislead. 0 hides none.
    decoder_pretrained : fitted SpectralSimulator, optional
        Its decoder is taken over, with the scale of its labels; the free latents start without
        effect. Where the estimator is cloned, as in a search, put the simulator into a
        `sklearn.frozen.FrozenEstimator`, which keeps it fitted.
    frozen_epochs : int, default=5
        First epochs in which a pretrained decoder stands still.
    reconstruction : {"l1", "l2", "huber", "cauchy"}, default="l1"
        Error of a pixel.
    max_epochs : int, default=100
        Passes over the training spectra at most.
    batch_size : int, default=32
        Real spectra in a training step, beside those that `labelled_share` draws.
    learning_rate : float, default=3e-3
        Largest step of Adam, in one cycle of `max_epochs`.
    patience : int or None, default=30
        Epochs without a lower validation loss after which training stops; None never stops early.
    validation_fraction : float, default=0.1
        Share of the spectra, whole stars where `groups` are given, that only watch, and on which
        the uncertainties are calibrated.
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
        Seed of first weights, validation share, batches, samples and hidden pixels.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        Holds the network as `net_.module_`.
    history_ : DataFrame
        One row an epoch: losses and their parts.
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
    SpectralRegressor : The encoder alone.
    SpectralVAE : The same without labels.

    Notes
    -----
    loss = reconstruction + label_weight * label loss + kl_weight * KL of the free latents
    + zero_weight * mean |free latents of simulated rows|. The label loss is the Gaussian likelihood
    with the network's own variance, without `variational` the mean absolute error; each label
    counts alike, however many spectra have it.

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
    >>> labels = spectra.labels.copy()
    >>> labels[spectra.groups % 3 > 0] = float("nan")  # a third is known
    >>> model = SemiSupervisedVAE(1, encoder="dense", decoder="dense", max_epochs=5,
    ...                           random_state=0).fit(flux, labels, groups=spectra.groups)
    >>> model.predict(flux).shape, list(model.get_feature_names_out())
    ((60, 4), ['teff_k', 'logg_dex', 'mh_dex', 'rv_kms', 'latent0'])
    >>> model.intervene(flux[:2], "rv_kms", 10.0).shape
    (2, 200)
    """

    def __init__(
        self,
        n_free_latents=2,
        *,
        encoder="conv",
        decoder="conv",
        grid=None,
        variational=True,
        velocity_label=None,
        label_weight=1.0,
        kl_weight=1e-4,
        kl_warmup_epochs=10,
        mutual_info_weight=0.0,
        mmd_weight=0.0,
        zero_weight=1.0,
        simulated_ratio=1.0,
        labelled_share=0.25,
        label_scaling="standard",
        random_missing=0.2,
        decoder_pretrained=None,
        frozen_epochs=5,
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
        self.n_free_latents = n_free_latents
        self.encoder = encoder
        self.decoder = decoder
        self.grid = grid
        self.variational = variational
        self.velocity_label = velocity_label
        self.label_weight = label_weight
        self.kl_weight = kl_weight
        self.kl_warmup_epochs = kl_warmup_epochs
        self.mutual_info_weight = mutual_info_weight
        self.mmd_weight = mmd_weight
        self.zero_weight = zero_weight
        self.simulated_ratio = simulated_ratio
        self.labelled_share = labelled_share
        self.label_scaling = label_scaling
        self.random_missing = random_missing
        self.decoder_pretrained = decoder_pretrained
        self.frozen_epochs = frozen_epochs
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
        simulated=None,
        flux_error=None,
        resume_from=None,
    ):
        """Train on spectra with and without labels.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
            Flux; NaN is a missing pixel. A SpectraArray is read batch by batch.
        y : array-like or DataFrame of shape (n_spectra,) or (n_spectra, n_labels)
            Labels; NaN where unknown. A row may have none.
        groups : array-like of shape (n_spectra,), optional
            Star of each spectrum: the validation share is then made of whole stars.
        sample_weight : array-like of shape (n_spectra,), optional
            Weight of each spectrum, see `visibility_weights`.
        simulated : RedrawnSpectra or (flux, labels), optional
            Simulated spectra, normalised as `X` is, with the labels of `y` in the same order. They
            join every batch, `simulated_ratio` for one real row; `RedrawnSpectra` gives them a new
            velocity and new noise at each visit.
        flux_error : array-like or SpectraArray of shape (n_spectra, n_pixels), optional
            Standard deviation of the flux: better pixels then count more within a spectrum.
        resume_from : str or Path, optional
            Checkpoint of a training that was cut short; the same call goes on from it.

        Returns
        -------
        self : SemiSupervisedVAE

        Raises
        ------
        ValueError
            If a parameter is out of range, or `X`, `y` or `simulated` cannot be used.
        GridMismatchError
            If `X` lies on another grid than `grid`.
        """
        labels, names, one_dimensional = check_label_matrix(y, _num_samples(X), self)
        if self.decoder_pretrained is not None:
            _check_simulator(self.decoder_pretrained, names, X, self)
        velocity_column = 0
        if self.velocity_label is not None:
            velocity_column = find_label(self.velocity_label, names, labels.shape[1])
            _check_velocities(self.velocity_label, labels[:, velocity_column])
        labelled = ~np.isnan(labels).all(axis=1)
        trained = self._train(
            X,
            groups=groups,
            sample_weight=sample_weight,
            resume_from=resume_from,
            simulated=check_simulated(simulated, X, labels.shape[1], names, flux_error),
            n_simulated=self.simulated_ratio,
            labelled_share=self.labelled_share,
            labelled=labelled,
            labels=labels,
            velocity_column=velocity_column,
            flux_error=check_flux_error(flux_error, X),
        )
        factor = self._calibrated(trained, labels, groups)
        record_labels(self, names, labels.shape[1], one_dimensional)
        self.std_factor_, self._label_dtype = factor, label_dtype(y)
        self._take_over(trained, X)
        return self

    def transform(self, X, *, out=None):
        """Encode spectra: labels in units of their scatter, then free latents; the posterior mean.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        out : array, str or Path, optional
            Where the codes go, block by block: an array of that shape and of floats, such as a
            memory map, an HDF5 data set or a Zarr array, which is filled; or the name of a new
            .npy file, which is there only when it is complete.

        Returns
        -------
        codes : ndarray of float32, shape (n_spectra, n_labels + n_free_latents)
            With `out` that array, or a read-only memory map of the file.

        Raises
        ------
        ValueError, TypeError
            If `out` cannot hold the result.
        FileExistsError
            If the file exists.
        OSError
            If the disk is full.
        """
        (codes,) = self._apply(X, lambda network, flux: network.encode(flux), outs=[out])
        return codes

    def inverse_transform(self, X, *, out=None):
        """Decode codes to spectra.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_labels + n_free_latents)
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

    def generate(self, labels, n_samples=1, *, free="prior", random_state=None, out=None):
        """Generate spectra from labels.

        Parameters
        ----------
        labels : array-like of shape (n_stars, n_labels)
            In physical units, in the order of `y` in `fit`; a DataFrame by its column names.
        n_samples : int, default=1
            Spectra for each row of labels, with free latents of their own.
        free : {"prior", "zero"} or array-like of shape (n_stars, n_free_latents), default="prior"
            Free latents: unit normal numbers, zeros, or as given for each row.
        random_state : int, RandomState or None, default=None
            Seed of the free latents.
        out : array, str or Path, optional
            Where the flux goes, as for `inverse_transform`; a store is continued only with the
            same labels and seed.

        Returns
        -------
        flux : ndarray of float32, shape (n_stars * n_samples, n_pixels)
            The samples of one row follow each other.
            With `out` that array, or the store as a `SpectraArray`.

        Raises
        ------
        ValueError
            If the shape of the labels or of the free latents differs, or a number is not finite.
        """
        check_is_fitted(self)
        check_number("n_samples", n_samples, minimum=1, integer=True)
        network = self.net_.module_
        if hasattr(labels, "columns") and hasattr(self, "label_names_in_"):
            labels = labels[list(self.label_names_in_)]
        labels = check_array(labels, dtype=np.float32, input_name="labels", estimator=self)
        if labels.shape[1] != self.n_labels_:
            raise ValueError(
                f"labels has {labels.shape[1]} columns, {self.n_labels_} are wanted, as in fit."
            )
        scaler = copy.deepcopy(network.label_scaler).cpu()
        scaled = np.repeat(scaler(torch.from_numpy(labels)).numpy(), n_samples, axis=0)
        n_free = network.n_latents - self.n_labels_
        shape = (len(scaled), n_free)
        if isinstance(free, str):
            check_choice("free", free, ("prior", "zero"))
            latents = np.zeros(shape, dtype=np.float32)
            if free == "prior":
                generator = make_generator(spawn_seeds(random_state, 1)[0])
                latents = torch.randn(shape, generator=generator).numpy()
        else:
            latents = check_array(
                free, dtype=np.float32, input_name="free", estimator=self, ensure_min_features=0
            )
            if latents.shape != (len(labels), n_free):
                raise ValueError(
                    f"free has shape {latents.shape}; wanted is {(len(labels), n_free)}, one row "
                    "for each row of labels."
                )
            latents = np.repeat(latents, n_samples, axis=0)
        return self.inverse_transform(np.hstack([scaled, latents]), out=out)

    def intervene(self, X, label, delta, *, out=None):
        """Decode the code of each spectrum with one label changed.

        Compare with ``inverse_transform(transform(X))``, the same with `delta` 0: mean with mean.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        label : str or int
            Name of a label, or its column.
        delta : float or array-like of shape (n_spectra,)
            Change in physical units.
        out : array, str or Path, optional
            Where the flux goes, as for `inverse_transform`.

        Returns
        -------
        flux : ndarray of float32, shape (n_spectra, n_pixels)
            With `out` that array, or the store as a `SpectraArray`.

        Raises
        ------
        ValueError
            If there is no such label, or `delta` has another shape.
        """
        check_is_fitted(self)
        column = find_label(label, getattr(self, "label_names_in_", None), self.n_labels_)
        X = check_spectra_like_fit(X, self)
        delta = np.asarray(delta, dtype=np.float32)
        if delta.shape not in ((), (1,), (X.shape[0],)):
            raise ValueError(
                f"delta has shape {delta.shape}; wanted is one number, or ({X.shape[0]},), one for "
                "each spectrum."
            )
        change = np.zeros((X.shape[0], self.net_.module_.n_latents), dtype=np.float32)
        change[:, column] = delta / float(self.net_.module_.label_scaler.scale[column])
        return self._flux(self._blocks(X, _intervened, change), out, "intervene", X, change)

    def get_feature_names_out(self, input_features=None):
        """Names of the columns of the code: those of the labels, then latent0, latent1, ...

        Parameters
        ----------
        input_features : array-like of str, optional
            Only checked, as scikit-learn does.

        Returns
        -------
        names : ndarray of str, shape (n_labels + n_free_latents,)
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features, generate_names=False)
        n_free = self.net_.module_.n_latents - self.n_labels_
        default = [f"label{i}" for i in range(self.n_labels_)]
        labels = list(getattr(self, "label_names_in_", default))
        return np.array([*labels, *(f"latent{i}" for i in range(n_free))], dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _network_parameters(self):
        return {"encoder": self.encoder, "decoder": self.decoder}

    def _build(self, data, rows, seed):
        n_pixels, n_labels = data.X.shape[1], data.labels.shape[1]
        n_latents = n_labels + int(self.n_free_latents)
        check_known_in_training(data.labels, rows)
        n_outputs = n_latents * (2 if self.variational else 1)
        encoder, decoder = build_parts(
            seed,
            (part_class(self.encoder, ENCODERS), (n_pixels, n_outputs), {}),
            (part_class(self.decoder, DECODERS), (n_latents, n_pixels), {}),
        )
        if self.decoder_pretrained is None:
            scaler = flux_scaler(data.X, rows, data.weight)
            if self.velocity_label is not None:
                continue_mean(scaler)
            labels = label_scaler(data.labels, rows, robust=self.label_scaling == "robust")
        else:
            scaler, labels = _take_over_decoder(decoder, self.decoder_pretrained, n_labels)
        return LatentModel(
            encoder,
            decoder,
            scaler,
            n_latents,
            variational=bool(self.variational),
            label_scaler=labels,
            shift=self._shift(),
            velocity_column=data.velocity_column,
        )

    def _shift(self):
        if self.velocity_label is None:
            return None
        grid = self.grid
        wavelength_aa = torch.from_numpy(grid.wavelength_aa)
        return DopplerShift(wavelength_aa, grid.step, is_log=grid.spacing == "log")

    @staticmethod
    def _labels_and_std(network, flux):
        posterior = network.posterior(flux)
        mean = posterior.mean[:, : network.n_labels]
        scale = network.label_scaler.scale
        if posterior.log_variance is None:
            std = torch.ones_like(mean) * scale
        else:
            std = (0.5 * posterior.log_variance[:, : network.n_labels]).exp() * scale
        return network.label_scaler.inverse(mean), std

    def _objective(self):
        return LatentObjective(
            kl_weight=self.kl_weight,
            reconstruction=self.reconstruction,
            mutual_info_weight=self.mutual_info_weight,
            mmd_weight=self.mmd_weight,
            kl_warmup_epochs=self.kl_warmup_epochs,
            label_weight=self.label_weight,
            zero_weight=self.zero_weight,
            random_missing=self.random_missing,
        )

    def _plan(self, seed, *, one_epoch, checkpoint):
        plan = super()._plan(seed, one_epoch=one_epoch, checkpoint=checkpoint)
        if self.decoder_pretrained is None:
            return plan
        return plan.with_frozen("decoder", self.frozen_epochs)

    def _identity(self):
        identity = super()._identity()
        return {**identity, "decoder_pretrained": self.decoder_pretrained is not None}

    def _check_parameters(self):
        super()._check_parameters()
        if self.velocity_label is not None and self.grid is None:
            raise ValueError(
                f"velocity_label={self.velocity_label!r} shifts spectra by their wavelengths; give "
                "grid as well."
            )
        if self.velocity_label is not None and self.decoder_pretrained is not None:
            raise ValueError(
                "decoder_pretrained draws spectra at their velocities, velocity_label wants them "
                "drawn at rest; leave one out."
            )
        check_number("n_free_latents", self.n_free_latents, minimum=0, integer=True)
        for name in ("label_weight", "kl_weight", "mmd_weight", "zero_weight"):
            check_number(name, getattr(self, name), minimum=0)
        check_number("mutual_info_weight", self.mutual_info_weight, minimum=0, maximum=1)
        check_number("simulated_ratio", self.simulated_ratio, minimum=0, open_below=True)
        check_number("labelled_share", self.labelled_share, minimum=0, maximum=0.9)
        check_number("random_missing", self.random_missing, minimum=0, maximum=0.9)
        for name in ("kl_warmup_epochs", "frozen_epochs"):
            check_number(name, getattr(self, name), minimum=0, integer=True)
        check_choice("label_scaling", self.label_scaling, ("standard", "robust"))
        check_choice("reconstruction", self.reconstruction, RECONSTRUCTIONS)


def _check_velocities(label: Any, velocities: np.ndarray) -> None:
    """Raise if they can hardly be the velocities of stars in km/s."""
    fastest = np.nanmax(np.abs(velocities), initial=0.0)
    if fastest > _FASTEST_STAR_KMS:
        raise ValueError(
            f"velocity_label={label!r} reaches {fastest:g} in y; wanted are radial velocities in "
            f"km/s, below {_FASTEST_STAR_KMS:g}: divide by 1000 if these are in m/s."
        )


def find_label(label: Any, names: Any, n_labels: int) -> int:
    """Return the column of a label that is given by name or by number.

    Raises
    ------
    ValueError
        If there is none.
    """
    known = [] if names is None else list(names)
    if label in known:
        return known.index(label)
    if isinstance(label, int | np.integer) and 0 <= label < n_labels:
        return int(label)
    raise ValueError(
        f"there is no label {label!r}; known: {', '.join(known) or f'0 to {n_labels - 1}'}."
    )


def _check_simulator(simulator, names, X, estimator):
    """Raise if a pretrained simulator is known to have other labels or another grid."""
    check_is_fitted(simulator)
    theirs = getattr(simulator, "feature_names_in_", None)
    if names is not None and theirs is not None and list(names) != list(theirs):
        raise ValueError(
            f"decoder_pretrained has the labels {', '.join(theirs)}, y has {', '.join(names)}: "
            "give the same in the same order."
        )
    known = getattr(X, "grid", None)
    check_same_grid(
        estimator.grid if known is None else known, getattr(simulator, "grid_", None), estimator
    )


def _take_over_decoder(decoder, simulator, n_labels):
    """Copy the weights of a fitted simulator's decoder; return its scalers.

    The columns of the free latents start at zero: they have no effect until training gives one.
    """
    if isinstance(simulator, FrozenEstimator):
        simulator = simulator.estimator
    check_is_fitted(simulator)
    pretrained = copy.deepcopy(simulator.net_.module_).cpu()
    theirs = pretrained.decoder.state_dict()
    if type(pretrained.decoder) is not type(decoder):
        raise ValueError(
            f"decoder_pretrained has a {type(pretrained.decoder).__name__}, wanted is a "
            f"{type(decoder).__name__}: give both the same decoder."
        )
    if len(pretrained.label_scaler.centre) != n_labels:
        raise ValueError(
            f"decoder_pretrained knows {len(pretrained.label_scaler.centre)} labels, y has "
            f"{n_labels}: train it on the same labels in the same order."
        )
    ours = decoder.state_dict()
    for name, weight in ours.items():
        if name in theirs and theirs[name].shape == weight.shape:
            weight.copy_(theirs[name])
        elif name in theirs and theirs[name].shape == (weight.shape[0], n_labels):
            weight.zero_()
            weight[:, :n_labels] = theirs[name]
        else:
            raise ValueError(
                f"decoder_pretrained does not fit: {name} has shape {tuple(weight.shape)} here; "
                "train it on spectra of the same length."
            )
    return pretrained.scaler, pretrained.label_scaler


def _intervened(network, flux, change):
    decoded = network.decode(network.encode(flux) + change).float()
    return torch.where(network.scaler.seen, decoded, torch.nan)
