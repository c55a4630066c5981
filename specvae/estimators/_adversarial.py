"""The conditional autoencoder whose code an adversary keeps free of the conditions."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import (
    _get_feature_names,
    _num_samples,
    check_array,
    check_is_fitted,
)

from .._random import make_generator
from .._validation import check_choice, check_number, check_spectra_like_fit, unmask
from ..networks import initialise, masked_l1
from ..networks._adversarial import ConditionalAutoencoder, ConditionBins, FaderAdversary
from ._adversarial_objective import AdversarialObjective
from ._base import AbstractSpectralEstimator
from ._blocks import decoded_blocks
from ._build import DECODERS, ENCODERS, build_parts, flux_scaler, label_scaler, part_class
from ._code import CodeMixin, score_of_error
from ._vae import RECONSTRUCTIONS


class AdversarialAutoencoder(CodeMixin, AbstractSpectralEstimator):
    """Compress spectra to a code that says nothing about conditions which are known beside it.

    Encoder and decoder are both told the conditions, such as Teff and log g; an adversary tries to
    read them from the code, and the encoder learns to leave it nothing [1]_. What is left is what
    the conditions do not explain, such as chemistry: stars of one composition have one code, and a
    code can be decoded under the conditions of another star.

    Parameters
    ----------
    latent_dim : int, default=20
        Length of the code.
    encoder, decoder : {"conv", "dense", "resnet"} or subclass of nn.Module, default="conv"
        A class is called with the two sizes, inputs and outputs, and with conditions also with
        `n_conditions`; its `forward` then takes the standardised conditions second. The encoder has
        two outputs a latent, or one where `kl_weight` is 0.
    grid : WavelengthGrid, optional
        Wavelengths of the pixels. Where it is given, spectra known to lie on another grid are
        refused.
    adversary_weight : float, default=1e-2
        Price of a nat that the adversary knows, in units of the error per pixel. 0 is the
        conditional autoencoder without adversary, the baseline. Choose the least at which
        `valid_knowledge` ends near 0.
    adversary_steps : int, default=1
        Steps of the adversary for each step of the network.
    adversary_warmup_epochs : int, default=10
        Epochs over which the price rises to its value.
    adversary_heads : {"separate", "joint"}, default="separate"
        Whether the adversary predicts the bin of each condition, or the cell of all together.
    n_bins : int, default=10
        Bins of a condition, between quantiles of the training spectra.
    kl_weight : float, default=1e-5
        Price of a nat of the code itself, in the same units, as for `SpectralVAE`; 0 is a code
        without distribution. See Notes.
    reconstruction : {"l1", "l2", "huber", "cauchy"}, default="l1"
        Error of a pixel.
    max_epochs : int, default=100
        Passes over the training spectra at most.
    batch_size : int, default=64
        Spectra in a training step; the adversary sees the code standardised within it.
    learning_rate : float, default=3e-3
        Largest step of Adam, in one cycle of `max_epochs`; that of the adversary is 1e-3.
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
        Holds the network as `net_.module_`, the adversary as `net_.module_.adversary`.
    history_ : DataFrame
        One row an epoch; `valid_knowledge` is what the adversary knows, in nats: at most the
        entropy of the bins, log(10) for ten.
    n_iter_ : int
        Epochs trained.
    precision_ : str
        "float32" or "bfloat16": in which the fitted network encodes and decodes.
    n_conditions_ : int
        Number of conditions, 0 where `fit` had none.
    condition_names_in_ : ndarray of str, shape (n_conditions,)
        Columns of the conditions, where they came as a DataFrame; another DataFrame is read by
        these names.
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
    SpectralVAE : The same without conditions.
    specvae.simulation.twin_design : Pairs of stars that differ in Teff and log g only.

    Notes
    -----
    loss = error per pixel + kl_weight * KL + adversary_weight * max(0, H - C), with H the entropy
    of the bins and C the cross-entropy of the adversary, mean over conditions. [1]_ has -C alone,
    which goes on paying an encoder that misleads the adversary; with the maximum an adversary that
    knows nothing is the end of it. In every batch the adversary first learns from the code without
    gradient, by an Adam of its own, then the network from both.

    The adversary sees bins only. The price of the code itself removes what is finer: the decoder
    knows the conditions, so that a code that repeats them pays for nothing (Louizos et al. 2016,
    arXiv:1511.00830). Neither sees a code that turns with the conditions and has one distribution
    under all of them; where there are twins, decode the code of each under the conditions of the
    other to find out. Conditions must not depend on what the code is to hold: of a metallicity that
    goes with Teff in the training spectra, part is removed.

    References
    ----------
    .. [1] de Mijolla, Ness & Viti 2019, "Identifying chemically identical stars using adverserial
       disentanglement"; adversary of Lample et al. 2017, arXiv:1706.00409.

    Examples
    --------
    >>> from specvae.simulation import simulate_spectra
    >>> from specvae.spectra import WavelengthGrid
    >>> spectra = simulate_spectra(60, WavelengthGrid(5000.0, 0.5, 200), random_state=0)
    >>> flux = spectra.flux / spectra.flux.mean(axis=1, keepdims=True)
    >>> known = spectra.labels[["teff_k", "logg_dex"]]
    >>> autoencoder = AdversarialAutoencoder(
    ...     4, encoder="dense", decoder="dense", max_epochs=5, random_state=0)
    >>> codes = autoencoder.fit(flux, conditions=known).transform(flux, conditions=known)
    >>> hotter = autoencoder.decode(codes, known + [100.0, 0.0])
    >>> codes.shape, hotter.shape
    ((60, 4), (60, 200))
    """

    def __init__(
        self,
        latent_dim=20,
        *,
        encoder="conv",
        decoder="conv",
        grid=None,
        adversary_weight=1e-2,
        adversary_steps=1,
        adversary_warmup_epochs=10,
        adversary_heads="separate",
        n_bins=10,
        kl_weight=1e-5,
        reconstruction="l1",
        max_epochs=100,
        batch_size=64,
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
        self.adversary_weight = adversary_weight
        self.adversary_steps = adversary_steps
        self.adversary_warmup_epochs = adversary_warmup_epochs
        self.adversary_heads = adversary_heads
        self.n_bins = n_bins
        self.kl_weight = kl_weight
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
        y=None,
        *,
        conditions=None,
        groups=None,
        sample_weight=None,
        resume_from=None,
    ):
        """Train encoder, decoder and adversary.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
            Flux; NaN is a missing pixel. A SpectraArray is read batch by batch.
        y : ignored
            Present for pipelines.
        conditions : array-like of shape (n_spectra, n_conditions), optional
            In physical units, all known, such as Teff and log g. Without them this is an
            autoencoder that is told nothing, and there is no adversary.
        groups : array-like of shape (n_spectra,), optional
            Star of each spectrum: the validation share is then made of whole stars.
        sample_weight : array-like of shape (n_spectra,), optional
            Weight of each spectrum in error and divergence, not to the adversary.
        resume_from : str or Path, optional
            Checkpoint of a training that was cut short; the same call goes on from it.

        Returns
        -------
        self : AdversarialAutoencoder

        Raises
        ------
        ValueError
            If a parameter is out of range, `X` has infinities, a spectrum no valid pixel, or a
            condition is missing.
        GridMismatchError
            If `X` lies on another grid than `grid`.
        """
        names = _get_feature_names(conditions)
        if conditions is not None:
            conditions = self._check_conditions(conditions, _num_samples(X))
        trained = self._train(
            X,
            groups=groups,
            sample_weight=sample_weight,
            resume_from=resume_from,
            conditions=conditions,
        )
        if names is not None:
            self.condition_names_in_ = names
        elif hasattr(self, "condition_names_in_"):
            del self.condition_names_in_
        self.n_conditions_ = 0 if conditions is None else conditions.shape[1]
        self._take_over(trained, X)
        return self

    def fit_transform(self, X, y=None, *, conditions=None, **fit_params):
        """Train, and encode the training spectra.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
            Flux.
        y : ignored
        conditions : array-like of shape (n_spectra, n_conditions), optional
        **fit_params
            As for `fit`.

        Returns
        -------
        codes : ndarray of float32, shape (n_spectra, latent_dim)
        """
        return self.fit(X, y, conditions=conditions, **fit_params).transform(
            X, conditions=conditions
        )

    def transform(self, X, *, conditions=None, out=None):
        """Encode spectra: the mean of the posterior, never a sample.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        conditions : array-like of shape (n_spectra, n_conditions)
            As in `fit`; None where `fit` had none.
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
        ValueError, TypeError
            If `out` cannot hold the result.
        FileExistsError
            If the file exists.
        OSError
            If the disk is full.
        """
        return self._encode(X, conditions, out)

    def decode(self, Z, conditions=None, *, out=None):
        """Decode codes under conditions, their own or others.

        Parameters
        ----------
        Z : array-like of shape (n_spectra, latent_dim)
            Codes, as `transform` gives them.
        conditions : array-like of shape (n_spectra, n_conditions)
            Conditions of the spectra that are wanted; None where `fit` had none.
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
            If the number of columns is another, or conditions are missing or not wanted.
        ValueError, TypeError
            If `out` cannot hold the result.
        FileExistsError
            If the file exists.
        OSError
            If the disk is full.
        """
        check_is_fitted(self)
        network = self.net_.module_.eval()
        codes = check_array(Z, dtype=np.float32, input_name="Z", estimator=self)
        if codes.shape[1] != network.n_latents:
            raise ValueError(
                f"Z has {codes.shape[1]} columns; decode wants codes of {network.n_latents} "
                "latents."
            )
        known = self._known(conditions, len(codes))
        compute, n_pixels = self._compute(self.precision_), self.n_features_in_
        blocks = decoded_blocks(network, network.decode, codes, n_pixels, compute, known)
        return self._flux(blocks, out, "decode", codes, *(() if known is None else (known,)))

    def reconstruct(self, X, *, conditions=None, out=None):
        """Decode the code of each spectrum under its own conditions.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        conditions : array-like of shape (n_spectra, n_conditions)
            As in `fit`; None where `fit` had none.
        out : array, str or Path, optional
            Where the flux goes, as for `decode`.

        Returns
        -------
        flux : ndarray of float32, shape (n_spectra, n_pixels)
            With `out` that array, or the store as a `SpectraArray`.
        """
        check_is_fitted(self)
        X = check_spectra_like_fit(X, self)
        known = self._known(conditions, X.shape[0])
        blocks = self._blocks(X, _reconstruction, known)
        return self._flux(blocks, out, "reconstruct", X, *(() if known is None else (known,)))

    def score(self, X, y=None, *, conditions=None, sample_weight=None):
        """Return minus the mean of |flux - reconstruction| over valid pixels, then over spectra.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        y : ignored
        conditions : array-like of shape (n_spectra, n_conditions)
            As in `fit`; None where `fit` had none.
        sample_weight : array-like of shape (n_spectra,), optional
            Weight of each spectrum in the mean.

        Returns
        -------
        score : float
            In flux units; larger is better, 0 is perfect.
        """
        check_is_fitted(self)
        (error,) = self._apply(
            X,
            lambda network, flux, *known: masked_l1(
                network(flux, *known).reconstruction, network.target(flux)
            ),
            conditions=self._known(conditions, _num_samples(X)),
        )
        return score_of_error(error, sample_weight)

    def _encode(self, X, conditions, out=None):
        check_is_fitted(self)
        (codes,) = self._apply(
            X,
            lambda network, flux, *known: network.encode(flux, *known),
            conditions=self._known(conditions, _num_samples(X)),
            outs=[out],
        )
        return codes

    def _known(self, conditions, n_spectra):
        """Return checked conditions, or None where training had none."""
        if (conditions is None) != (self.n_conditions_ == 0):
            came = "None" if conditions is None else "some"
            wanted = f"{self.n_conditions_} columns" if self.n_conditions_ else "None"
            raise ValueError(
                f"conditions must be as in fit, {wanted}, for each spectrum; got {came}."
            )
        if conditions is None:
            return None
        if hasattr(conditions, "columns") and hasattr(self, "condition_names_in_"):
            missing = [name for name in self.condition_names_in_ if name not in conditions.columns]
            if missing:
                raise ValueError(f"conditions lacks {', '.join(missing)}, which fit had.")
            conditions = conditions[list(self.condition_names_in_)]
        conditions = self._check_conditions(conditions, n_spectra)
        if conditions.shape[1] != self.n_conditions_:
            raise ValueError(
                f"conditions has {conditions.shape[1]} columns; fit had {self.n_conditions_}."
            )
        return conditions

    def _check_conditions(self, conditions, n_spectra):
        conditions = check_array(
            unmask(conditions),
            dtype=np.float64,
            ensure_2d=False,
            input_name="conditions",
            estimator=self,
        )
        conditions = conditions.reshape(len(conditions), -1)
        if len(conditions) != n_spectra:
            raise ValueError(
                f"conditions has {len(conditions)} rows, X {n_spectra} spectra; give one row for "
                "each spectrum."
            )
        return conditions

    def _network_parameters(self):
        return {
            "latent_dim": int(self.latent_dim),
            "encoder": self.encoder,
            "decoder": self.decoder,
        }

    def _build(self, data, rows, seed):
        n_pixels, n_latents = data.X.shape[1], int(self.latent_dim)
        variational = self.kl_weight > 0
        n_outputs = 2 * n_latents if variational else n_latents
        options: dict[str, int] = {}
        if data.conditions is not None:
            options = {"n_conditions": data.conditions.shape[1]}
        encoder, decoder = build_parts(
            seed,
            (part_class(self.encoder, ENCODERS), (n_pixels, n_outputs), options),
            (part_class(self.decoder, DECODERS), (n_latents, n_pixels), options),
        )
        parts: dict[str, Any] = {"variational": variational}
        if data.conditions is not None:
            parts["condition_scaler"] = label_scaler(data.conditions, rows)
            if self.adversary_weight > 0:
                parts |= self._adversary(data.conditions[rows], seed)
        return ConditionalAutoencoder(
            encoder, decoder, flux_scaler(data.X, rows, data.weight), n_latents, **parts
        )

    def _adversary(self, conditions, seed):
        shares = np.arange(1, self.n_bins) / self.n_bins
        edges = np.quantile(conditions, shares, axis=0).T
        known = torch.from_numpy(conditions.astype(np.float32))
        bins = ConditionBins(
            torch.from_numpy(edges.astype(np.float32)), known, joint=self.adversary_heads == "joint"
        )
        with torch.device("meta"):
            adversary = FaderAdversary(int(self.latent_dim), bins.n_bins)
        if seed is not None:  # else to be filled from a file
            initialise(adversary.to_empty(device="cpu"), make_generator(seed + 2))
        return {"adversary": adversary, "bins": bins}

    def _objective(self):
        return AdversarialObjective(
            weight=self.adversary_weight,
            n_steps=self.adversary_steps,
            warmup_epochs=self.adversary_warmup_epochs,
            kl_weight=self.kl_weight,
            reconstruction=self.reconstruction,
        )

    def _check_parameters(self):
        super()._check_parameters()
        if self.accelerator is not None and self.accelerator.num_processes > 1:
            raise ValueError(
                f"accelerator has {self.accelerator.num_processes} processes; an adversary learns "
                "by itself between the steps, in one process. Train in one."
            )
        check_number("latent_dim", self.latent_dim, minimum=1, integer=True)
        check_number("adversary_weight", self.adversary_weight, minimum=0)
        check_number("adversary_steps", self.adversary_steps, minimum=1, integer=True)
        check_number(
            "adversary_warmup_epochs", self.adversary_warmup_epochs, minimum=0, integer=True
        )
        check_choice("adversary_heads", self.adversary_heads, ("separate", "joint"))
        check_number("n_bins", self.n_bins, minimum=2, integer=True)
        check_number("kl_weight", self.kl_weight, minimum=0)
        check_choice("reconstruction", self.reconstruction, RECONSTRUCTIONS)


def _reconstruction(network, flux, *known):
    decoded = network.decode(network.encode(flux, *known), *known).float()
    return torch.where(network.scaler.seen, decoded, torch.nan)
