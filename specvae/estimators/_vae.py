"""The variational autoencoder."""

import warnings

import torch
from sklearn.utils.validation import (
    check_is_fitted,
)

from .._random import make_generator, spawn_seeds
from .._validation import check_choice, check_number
from ..exceptions import CollapsedLatentsWarning
from ..networks import LatentModel, kl_to_unit_normal
from ._base import AbstractSpectralEstimator, apply_to_rows
from ._build import DECODERS, ENCODERS, build_parts, flux_scaler, part_class
from ._code import CodeMixin, score_of_error
from ._flux_error import check_flux_error
from ._latent_objective import LatentObjective
from ._reconstruction import ReconstructionMixin

# A latent that tells less about the average spectrum, in nats, is as good as absent.
_COLLAPSED_NATS = 0.01

RECONSTRUCTIONS = ("l1", "l2", "huber", "cauchy")


class SpectralVAE(CodeMixin, ReconstructionMixin, AbstractSpectralEstimator):
    """Compress spectra to a distribution over a code, and back, without labels.

    A beta-VAE: the encoder gives a mean and a variance for each latent, training decodes a sample
    of them, and the Kullback-Leibler divergence to a unit normal is charged with `kl_weight`. With
    `mutual_info_weight` and `mmd_weight` it is an InfoVAE.

    Parameters
    ----------
    latent_dim : int, default=128
        Length of the code.
    encoder, decoder : {"conv", "dense", "resnet"} or subclass of nn.Module, default="conv"
        "conv" and "resnet" are the published networks [1]_ [2]_, "dense" is small and fast. A class
        is called with the two sizes, inputs and outputs; the encoder has two outputs a latent.
    grid : WavelengthGrid, optional
        Wavelengths of the pixels. Where it is given, spectra known to lie on another grid are
        refused.
    kl_weight : float, default=3e-4
        Price of a nat in units of the mean absolute error per pixel; see Notes.
    kl_warmup_epochs : int, default=10
        Epochs over which the price rises to its value.
    mutual_info_weight : float, default=0.0
        Share of the divergence that is not charged, alpha of InfoVAE [3]_, from 0 to 1.
    mmd_weight : float, default=0.0
        Price of the maximum mean discrepancy between codes and unit normal numbers: joint,
        unbiased, with five bandwidths.
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
        Seed of first weights, validation share, batches and samples.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        Holds the network as `net_.module_`.
    history_ : DataFrame
        One row an epoch: losses and their parts, `train_kl` in nats.
    n_iter_ : int
        Epochs trained.
    precision_ : str
        "float32" or "bfloat16": in which the fitted network encodes and decodes.
    latent_kl_ : ndarray of shape (latent_dim,)
        Mean divergence of each latent over the spectra that watched, in nats.
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

    Warns
    -----
    CollapsedLatentsWarning
        After `fit`, with the number of latents whose divergence is below 0.01 nats.

    See Also
    --------
    SpectralAutoencoder : The same without a distribution.

    Notes
    -----
    loss = mean over valid pixels of |x - x'| + kl_weight * KL, with KL in nats, summed over latents
    and averaged over spectra: it depends neither on the size of a batch nor on the number of
    pixels. A published weight for a loss summed over the batch of B spectra [2]_ is kl_weight / B
    here. One beside an error summed over P pixels is kl_weight * P, one beside KL averaged over L
    latents kl_weight * L; which of them [1]_ has, its equations 1 and 2 leave open.

    References
    ----------
    .. [1] Sedaghat et al. 2021, MNRAS 501, 6026.
    .. [2] Cvrcek et al. 2025, A&A 693, A256.
    .. [3] Zhao, Song & Ermon 2019, AAAI 33, 5885.

    Examples
    --------
    >>> from specvae.simulation import simulate_spectra
    >>> from specvae.spectra import WavelengthGrid
    >>> spectra = simulate_spectra(40, WavelengthGrid(5000.0, 0.5, 200), random_state=0)
    >>> flux = spectra.flux / spectra.flux.mean(axis=1, keepdims=True)
    >>> vae = SpectralVAE(2, encoder="dense", decoder="dense", max_epochs=5, kl_weight=1e-5,
    ...                   random_state=0).fit(flux)
    >>> vae.transform(flux).shape, vae.sample(3, random_state=0).shape
    ((40, 2), (3, 200))
    """

    def __init__(
        self,
        latent_dim=128,
        *,
        encoder="conv",
        decoder="conv",
        grid=None,
        kl_weight=3e-4,
        kl_warmup_epochs=10,
        mutual_info_weight=0.0,
        mmd_weight=0.0,
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
        self.latent_dim = latent_dim
        self.encoder = encoder
        self.decoder = decoder
        self.grid = grid
        self.kl_weight = kl_weight
        self.kl_warmup_epochs = kl_warmup_epochs
        self.mutual_info_weight = mutual_info_weight
        self.mmd_weight = mmd_weight
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

    def fit(self, X, y=None, *, groups=None, sample_weight=None, flux_error=None, resume_from=None):
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
        flux_error : array-like or SpectraArray of shape (n_spectra, n_pixels), optional
            Standard deviation of the flux: better pixels then count more within a spectrum.
        resume_from : str or Path, optional
            Checkpoint of a training that was cut short; the same call goes on from it.

        Returns
        -------
        self : SpectralVAE

        Raises
        ------
        ValueError
            If a parameter is out of range, or `X` has infinities, or a spectrum no valid pixel.
        GridMismatchError
            If `X` lies on another grid than `grid`.
        """
        trained = self._train(
            X,
            groups=groups,
            sample_weight=sample_weight,
            resume_from=resume_from,
            flux_error=check_flux_error(flux_error, X),
        )
        latent_kl = _latent_kl(trained)
        self.latent_kl_ = latent_kl
        self._take_over(trained, X)
        n_collapsed = int((latent_kl < _COLLAPSED_NATS).sum())
        if n_collapsed:
            warnings.warn(
                f"{n_collapsed} of {len(latent_kl)} latents collapsed: they carry less than "
                f"{_COLLAPSED_NATS:g} nats. Lower kl_weight ({self.kl_weight:g}) or latent_dim, or "
                "leave it so if the rest is enough.",
                CollapsedLatentsWarning,
                stacklevel=2,
            )
        return self

    def transform(self, X, *, return_std=False, out=None):
        """Encode spectra: the mean of the posterior, never a sample.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        return_std : bool, default=False
            Whether to give the standard deviation of the posterior as well.
        out : array, str or Path, optional
            Where the codes go, block by block: an array of that shape and of floats, such as a
            memory map, an HDF5 data set or a Zarr array, which is filled; or the name of a new
            .npy file, which is there only when it is complete.
            With `return_std` a pair of these, for codes and deviations.

        Returns
        -------
        codes : ndarray of float32, shape (n_spectra, latent_dim)
            With `out` that array, or a read-only memory map of the file.
        std : ndarray of float32, shape (n_spectra, latent_dim)
            Only with `return_std`.

        Raises
        ------
        ValueError, TypeError
            If `out` cannot hold the result.
        FileExistsError
            If the file exists.
        OSError
            If the disk is full.
        """
        if not return_std:
            (codes,) = self._apply(X, lambda network, flux: network.encode(flux), outs=[out])
            return codes
        if out is not None and not (isinstance(out, tuple) and len(out) == 2):
            raise ValueError(f"out must be a pair with return_std, (codes, std), got {out!r}.")
        return tuple(self._apply(X, _mean_and_std, outs=out))

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

    def sample(self, n_samples, *, random_state=None, out=None):
        """Draw codes from the prior and decode them.

        Parameters
        ----------
        n_samples : int
            Number of spectra.
        random_state : int, RandomState or None, default=None
            Seed of the codes.
        out : array, str or Path, optional
            Where the flux goes, as for `inverse_transform`; a store is continued only with the
            same seed.

        Returns
        -------
        flux : ndarray of float32, shape (n_samples, n_pixels)
            With `out` that array, or the store as a `SpectraArray`.
        """
        check_is_fitted(self)
        check_number("n_samples", n_samples, minimum=1, integer=True)
        generator = make_generator(spawn_seeds(random_state, 1)[0])
        codes = torch.randn((n_samples, self.net_.module_.n_latents), generator=generator)
        return self.inverse_transform(codes.numpy(), out=out)

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
            In flux units, of the decoded mean; larger is better, 0 is perfect.
        """
        error = self.reconstruction_error(X)
        return score_of_error(error, sample_weight)

    def _network_parameters(self):
        return {
            "latent_dim": int(self.latent_dim),
            "encoder": self.encoder,
            "decoder": self.decoder,
        }

    def _build(self, data, rows, seed):
        n_pixels, n_latents = data.X.shape[1], int(self.latent_dim)
        encoder, decoder = build_parts(
            seed,
            (part_class(self.encoder, ENCODERS), (n_pixels, 2 * n_latents), {}),
            (part_class(self.decoder, DECODERS), (n_latents, n_pixels), {}),
        )
        scaler = flux_scaler(data.X, rows, data.weight)
        return LatentModel(encoder, decoder, scaler, n_latents)

    def _objective(self):
        return LatentObjective(
            kl_weight=self.kl_weight,
            reconstruction=self.reconstruction,
            mutual_info_weight=self.mutual_info_weight,
            mmd_weight=self.mmd_weight,
            kl_warmup_epochs=self.kl_warmup_epochs,
        )

    def _check_parameters(self):
        super()._check_parameters()
        check_number("latent_dim", self.latent_dim, minimum=1, integer=True)
        check_number("kl_weight", self.kl_weight, minimum=0)
        check_number("kl_warmup_epochs", self.kl_warmup_epochs, minimum=0, integer=True)
        check_number("mutual_info_weight", self.mutual_info_weight, minimum=0, maximum=1)
        check_number("mmd_weight", self.mmd_weight, minimum=0)
        check_choice("reconstruction", self.reconstruction, RECONSTRUCTIONS)


def _mean_and_std(network, flux):
    mean, log_variance = network.posterior(flux)
    return mean, (0.5 * log_variance).exp()


def _latent_kl(trained):
    """Mean divergence of each latent, over the rows that watched, or else those that trained."""

    def divergence(network, flux):
        mean, log_variance = network.posterior(flux)
        # Each latent of each spectrum as a row of its own.
        each = kl_to_unit_normal(mean.reshape(-1, 1), log_variance.reshape(-1, 1))
        return each.reshape(mean.shape)

    rows = trained.valid if len(trained.valid) else trained.train
    (found,) = apply_to_rows(divergence, trained, rows)
    return found.mean(axis=0)
