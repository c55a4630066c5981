import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted
from torch import nn

from specvae._random import spawn_seeds
from specvae.estimators import SpectralVAE
from specvae.estimators._split import split_rows
from specvae.exceptions import CollapsedLatentsWarning, GridMismatchError, SpectrumError
from specvae.simulation import simulate_spectra
from specvae.spectra import SpectraArray, WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.2, 256)

# Most fits here are too short for every latent to find something; tests of the warning undo this.
pytestmark = pytest.mark.filterwarnings("ignore::specvae.exceptions.CollapsedLatentsWarning")


@pytest.fixture(scope="module")
def simulated():
    return simulate_spectra(60, GRID, random_state=0)


@pytest.fixture(scope="module")
def flux(simulated):
    return simulated.flux / np.median(simulated.flux, axis=1, keepdims=True)


def make_vae(**changes):
    parameters = {
        "latent_dim": 3,
        "encoder": "dense",
        "decoder": "dense",
        "kl_weight": 1e-5,
        "max_epochs": 3,
        "random_state": 0,
        "device": "cpu",
        **changes,
    }
    return SpectralVAE(**parameters)


# The checks fit noise, of which a network of two epochs learns nothing.
@pytest.mark.filterwarnings("ignore::specvae.exceptions.CollapsedLatentsWarning")
@parametrize_with_checks(
    [
        make_vae(latent_dim=2, max_epochs=2),
        make_vae(latent_dim=2, max_epochs=2, encoder="conv", decoder="conv"),
        make_vae(latent_dim=2, max_epochs=2, mutual_info_weight=0.5, mmd_weight=0.1),
    ],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": (
            "mini-batches hold other spectra when one is repeated; scikit-learn excuses SGD too"
        )
    },
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_training_lowers_the_error_below_the_mean_spectrum(flux):
    fitted = make_vae(max_epochs=60, batch_size=8, validation_fraction=0.0).fit(flux)
    by_mean = np.abs(flux - flux.mean(axis=0)).mean()
    assert -fitted.score(flux) < 0.6 * by_mean


def test_code_is_the_mean_of_the_posterior(flux):
    fitted = make_vae().fit(flux)
    codes, std = fitted.transform(flux, return_std=True)
    with torch.no_grad():
        posterior = fitted.net_.module_.posterior(torch.from_numpy(flux))
    np.testing.assert_allclose(codes, posterior.mean, atol=1e-6)
    np.testing.assert_allclose(std, np.exp(0.5 * posterior.log_variance.numpy()), rtol=1e-5)
    assert codes.shape == std.shape == (60, 3) and codes.dtype == std.dtype == np.float32
    np.testing.assert_array_equal(fitted.transform(flux), codes)
    assert list(fitted.get_feature_names_out()) == ["latent0", "latent1", "latent2"]


def test_reconstruction_and_score_are_of_the_mean(flux):
    fitted = make_vae().fit(flux)
    reconstruction = fitted.reconstruct(flux)
    assert reconstruction.shape == flux.shape and reconstruction.dtype == np.float32
    np.testing.assert_array_equal(reconstruction, fitted.inverse_transform(fitted.transform(flux)))
    error = np.abs(flux - reconstruction).mean(axis=1)
    np.testing.assert_allclose(fitted.score(flux), -error.mean(), rtol=1e-5)
    weight = np.arange(60.0)
    weighted = -np.average(error, weights=weight)
    np.testing.assert_allclose(fitted.score(flux, sample_weight=weight), weighted, rtol=1e-5)


def test_same_seed_same_codes_and_global_states_stay(flux):
    codes = []
    for seed in (1, 2):
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = np.random.get_state()[1].copy(), torch.get_rng_state().clone()
        fitted = make_vae(mmd_weight=0.1).fit(flux)
        codes.append(fitted.transform(flux))
        fitted.sample(2, random_state=0)
        assert np.array_equal(np.random.get_state()[1], before[0])
        assert torch.equal(torch.get_rng_state(), before[1])
    np.testing.assert_array_equal(*codes)
    assert not np.array_equal(make_vae(random_state=1).fit_transform(flux), codes[0])


def test_pickle_and_clone(flux):
    fitted = make_vae().fit(flux)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(flux), fitted.transform(flux))
    with pytest.raises(NotFittedError):
        clone(fitted).transform(flux)


def test_array_frame_and_lazy_matrix_give_the_same_codes(flux):
    from_array = make_vae().fit_transform(flux)
    lazy = SpectraArray(flux, grid=GRID)
    fitted = make_vae().fit(lazy)
    np.testing.assert_array_equal(fitted.transform(lazy), from_array)
    assert fitted.grid_ == GRID
    with pytest.raises(GridMismatchError):
        fitted.transform(SpectraArray(flux, grid=WavelengthGrid(7000.0, 0.2, 256)))
    frame = pd.DataFrame(flux, columns=[f"p{i}" for i in range(256)])
    named = make_vae().set_output(transform="pandas").fit(frame).transform(frame)
    np.testing.assert_array_equal(named.to_numpy(), from_array)
    assert list(named.columns) == ["latent0", "latent1", "latent2"]


def test_history_tells_the_parts_of_the_loss(flux):
    fitted = make_vae(max_epochs=4, kl_weight=1e-3, kl_warmup_epochs=2).fit(flux)
    history = fitted.history_
    for share in ("train", "valid"):
        loss = history[f"{share}_reconstruction"] + 1e-3 * history[f"{share}_kl"]
        # At the full price from the first epoch, though training begins at a third of it.
        np.testing.assert_allclose(history[f"{share}_loss"], loss, rtol=1e-5)


def test_divergence_of_each_latent_is_of_the_spectra_that_watched(flux, simulated):
    fitted = make_vae(max_epochs=8).fit(flux, groups=simulated.groups)
    _, valid = split_rows(60, 0.1, simulated.groups, spawn_seeds(0, 3)[0])
    mean, std = (part.astype(float) for part in fitted.transform(flux[valid], return_std=True))
    expected = (0.5 * (mean**2 + std**2 - 1.0 - 2.0 * np.log(std))).mean(axis=0)
    np.testing.assert_allclose(fitted.latent_kl_, expected, rtol=1e-4, atol=1e-6)
    best = fitted.history_["valid_loss"].idxmin()
    np.testing.assert_allclose(expected.sum(), fitted.history_["valid_kl"][best], rtol=1e-4)


@pytest.mark.filterwarnings("error::specvae.exceptions.CollapsedLatentsWarning")
def test_collapsed_latents_are_counted(flux):
    with pytest.warns(CollapsedLatentsWarning, match=r"^3 of 3 latents collapsed.*\(100\)"):
        fitted = make_vae(
            kl_weight=100.0, kl_warmup_epochs=0, max_epochs=60, batch_size=8, patience=None
        ).fit(flux)
    assert (fitted.latent_kl_ < 0.01).all()
    # Nothing is said where all of them carry something.
    alive = make_vae(latent_dim=2, kl_weight=1e-6, max_epochs=20, batch_size=8).fit(flux)
    assert (alive.latent_kl_ > 0.01).all()


def test_warning_names_how_many(flux, monkeypatch):
    from specvae.estimators import _vae

    monkeypatch.setattr(_vae, "_latent_kl", lambda trained: np.array([0.5, 0.009, 0.0]))
    with pytest.warns(CollapsedLatentsWarning, match="^2 of 3 latents collapsed"):
        make_vae().fit(flux)


def test_nats_are_saved_where_they_cost_more(flux):
    nats = [
        make_vae(kl_weight=weight, max_epochs=40, batch_size=8).fit(flux).latent_kl_.sum()
        for weight in (1e-6, 1e-3, 1e-1)
    ]
    assert nats[0] > nats[1] > nats[2]


def test_without_a_validation_share_the_full_price_decides(flux):
    # Every nat is too dear. At the first epochs it costs little, which must not make them best.
    fitted = make_vae(
        kl_weight=10.0,
        kl_warmup_epochs=30,
        max_epochs=40,
        batch_size=8,
        validation_fraction=0.0,
        patience=None,
    ).fit(flux)
    history = fitted.history_
    assert "valid_loss" not in history
    best = np.flatnonzero(history["best"])[-1]
    assert best == history["train_loss"].argmin() > 20


def test_info_vae_keeps_the_information(flux):
    # Nats that are not charged are used; the discrepancy still holds codes to the prior.
    options = {"kl_weight": 0.1, "max_epochs": 40, "batch_size": 16}
    charged = make_vae(**options).fit(flux)
    free = make_vae(**options, mutual_info_weight=1.0).fit(flux)
    assert free.latent_kl_.sum() > 3.0 * charged.latent_kl_.sum()
    held = make_vae(**options, mutual_info_weight=1.0, mmd_weight=1.0).fit(flux)
    assert "train_mmd" in held.history_ and "valid_mmd" in held.history_
    codes = held.transform(flux)
    spread = np.abs(codes).mean()
    assert spread < np.abs(free.transform(flux)).mean()


def test_samples_are_decoded_draws_from_the_prior(flux):
    fitted = make_vae(max_epochs=20).fit(flux)
    sampled = fitted.sample(500, random_state=0)
    assert sampled.shape == (500, 256) and sampled.dtype == np.float32
    np.testing.assert_array_equal(fitted.sample(500, random_state=0), sampled)
    assert not np.array_equal(fitted.sample(500, random_state=1), sampled)
    # The same as codes that numpy draws, up to the scatter of 500 draws.
    codes = np.random.default_rng(0).normal(size=(500, 3))
    expected = fitted.inverse_transform(codes)
    scatter = expected.std(axis=0)
    assert np.abs(sampled.mean(axis=0) - expected.mean(axis=0)).max() < 0.3 * scatter.max()
    for bad in (0, 2.5):
        with pytest.raises(ValueError, match="n_samples must be an integer >= 1"):
            fitted.sample(bad)
    with pytest.raises(NotFittedError):
        make_vae().sample(2)


def spoilt(flux):
    """Flux whose second half is noise, and the error that says so."""
    noisy, error = flux.copy(), np.full(flux.shape, 0.01, dtype=np.float32)
    noisy[:, 128:] += np.random.default_rng(0).normal(0.0, 1.0, (len(flux), 128))
    error[:, 128:] = 1.0
    return noisy.astype(np.float32), error


def test_flux_errors_change_the_fit(flux):
    noisy, error = spoilt(flux)
    options = {"max_epochs": 60, "batch_size": 8, "kl_weight": 1e-6, "validation_fraction": 0.0}
    without = make_vae(**options).fit(noisy)
    with_error = make_vae(**options).fit(noisy, flux_error=error)

    def error_of_good_pixels(fitted):
        return np.abs(fitted.reconstruct(noisy) - flux)[:, :128].mean()

    assert error_of_good_pixels(with_error) < 0.8 * error_of_good_pixels(without)
    # Only ratios within a spectrum count: equal errors are none.
    equal = make_vae().fit(flux, flux_error=np.full(flux.shape, 0.25, dtype=np.float32))
    np.testing.assert_allclose(
        equal.transform(flux), make_vae().fit_transform(flux), rtol=1e-4, atol=1e-5
    )


def test_flux_errors_as_list_frame_and_lazy_matrix(flux):
    noisy, error = spoilt(flux)
    expected = make_vae().fit(noisy, flux_error=error).transform(noisy)
    for given in (error.tolist(), pd.DataFrame(error), SpectraArray(error)):
        fitted = make_vae().fit(noisy, flux_error=given)
        np.testing.assert_array_equal(fitted.transform(noisy), expected)
    fitted = make_vae().fit(SpectraArray(noisy), flux_error=SpectraArray(error))
    np.testing.assert_array_equal(fitted.transform(noisy), expected)


def test_pixels_without_a_usable_error_count_as_missing(flux):
    bad = flux.copy()
    bad[:, 100:120] = 50.0
    error = np.ones(flux.shape, dtype=np.float32)
    error[:, 100:120] = [np.nan, np.inf, 0.0, -1.0] * 5
    history = make_vae(max_epochs=1, learning_rate=1e-9).fit(bad, flux_error=error).history_
    assert history["train_reconstruction"][0] < 1.0


@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, SpectraArray, pd.DataFrame])
def test_flux_errors_of_another_shape_are_refused(flux, kind):
    vae = make_vae()
    for wrong in (np.ones((60, 255)), np.ones(256), 0.1):
        with pytest.raises(ValueError, match=r"flux_error has shape .* shape \(60, 256\)"):
            vae.fit(kind(flux), flux_error=wrong)
    with pytest.raises(NotFittedError):
        check_is_fitted(vae)


@pytest.mark.parametrize("reconstruction", ["l2", "huber", "cauchy"])
def test_every_kind_of_error_trains(flux, reconstruction):
    fitted = make_vae(
        reconstruction=reconstruction, max_epochs=40, batch_size=8, validation_fraction=0.0
    ).fit(flux)
    assert -fitted.score(flux) < 0.8 * np.abs(flux - flux.mean(axis=0)).mean()


@pytest.mark.parametrize("reconstruction", ["l1", "l2"])
def test_flux_in_any_unit_trains_alike(flux, reconstruction):
    options = {"max_epochs": 30, "batch_size": 8, "reconstruction": reconstruction}
    small = (flux * 1e-7 / flux.std()).astype(np.float32)  # far below the range of plain units
    tiny = (small * 1e-10).astype(np.float32)
    one, other = make_vae(**options).fit(small), make_vae(**options).fit(tiny)
    np.testing.assert_allclose(other.score(tiny) / 1e-10, one.score(small), rtol=0.1)
    np.testing.assert_allclose(other.latent_kl_.sum(), one.latent_kl_.sum(), rtol=0.2)
    if reconstruction == "l1":
        valid = other.history_["valid_reconstruction"].min() / 1e-10
        np.testing.assert_allclose(valid, one.history_["valid_reconstruction"].min(), rtol=0.3)


def test_missing_pixels(flux):
    gap = flux.copy()
    gap[:, 100:120] = np.nan
    gap[3, 7] = np.nan
    fitted = make_vae().fit(gap)
    assert np.isfinite(fitted.transform(gap)).all()
    assert np.isnan(fitted.reconstruct(gap)[:, 100:120]).all()
    assert np.isnan(fitted.sample(2, random_state=0)[:, 100:120]).all()
    np.testing.assert_array_equal(fitted.transform(flux)[0], fitted.transform(gap)[0])


def test_spectrum_outside_what_was_trained_on_is_named_by_its_row(flux):
    # It lies in the validation share alone.
    _, valid = split_rows(60, 0.1, None, spawn_seeds(0, 3)[0])
    spoiled = flux.copy()
    spoiled[:, 128:] = np.nan
    row = valid[-1]
    spoiled[row] = np.nan
    spoiled[row, 128:] = 1.0
    vae = make_vae()
    with pytest.raises(SpectrumError, match=f"spectrum {row} has no valid pixel where"):
        vae.fit(spoiled)
    with pytest.raises(NotFittedError):
        check_is_fitted(vae)


class OneLayerEncoder(nn.Module):
    """A network of the user, which draws its weights from torch's global generator."""

    def __init__(self, n_pixels, n_outputs):
        super().__init__()
        self.layer = nn.Linear(n_pixels, n_outputs)

    def forward(self, flux):
        return self.layer(flux)


class OneLayerDecoder(OneLayerEncoder):
    """The same for the way back."""


def test_networks_of_the_user(flux):
    torch.manual_seed(1)
    before = torch.get_rng_state().clone()
    vae = make_vae(encoder=OneLayerEncoder, decoder=OneLayerDecoder)
    codes = vae.fit_transform(flux)
    assert codes.shape == (60, 3)
    assert isinstance(vae.net_.module_.encoder, OneLayerEncoder)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.testing.assert_array_equal(clone(vae).fit_transform(flux), codes)
    again = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(again.transform(flux), codes)


@pytest.mark.parametrize("encoder", ["conv", "resnet"])
def test_published_networks(flux, encoder):
    fitted = make_vae(encoder=encoder, decoder=encoder, max_epochs=2).fit(flux)
    assert np.isfinite(fitted.transform(flux)).all()
    assert np.isfinite(fitted.sample(2, random_state=0)).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be an integer >= 1, got 0"),
        ({"encoder": "cnn"}, "encoder must be one of 'conv', 'dense', 'resnet', got 'cnn'"),
        ({"decoder": dict}, "decoder must be one of .* subclass of torch.nn.Module"),
        ({"kl_weight": -1.0}, "kl_weight must be a number >= 0"),
        ({"kl_weight": np.nan}, "kl_weight must be a number >= 0"),
        ({"kl_warmup_epochs": 1.5}, "kl_warmup_epochs must be an integer"),
        ({"mutual_info_weight": 1.1}, "mutual_info_weight must be a number >= 0 and <= 1"),
        ({"mmd_weight": -0.1}, "mmd_weight"),
        ({"reconstruction": "mse"}, "reconstruction must be one of 'l1', 'l2', 'huber', 'cauchy'"),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes"),
    ],
)
def test_bad_parameters_are_named_and_leave_no_trace(flux, parameters, message):
    vae = make_vae(**parameters)
    before = set(vars(vae))
    with pytest.raises(ValueError, match=message):
        vae.fit(flux)
    assert set(vars(vae)) == before


def test_codes_of_the_wrong_width_are_refused(flux):
    with pytest.raises(ValueError, match="codes of 3 latents"):
        make_vae().fit(flux).inverse_transform(np.zeros((2, 4)))


def test_failed_refit_keeps_the_old_state(flux):
    vae = make_vae().fit(flux)
    codes = vae.transform(flux)
    spoiled = flux.copy()
    spoiled[4] = np.nan
    with pytest.raises(SpectrumError, match="spectrum 4"):
        vae.fit(spoiled)
    np.testing.assert_array_equal(vae.transform(flux), codes)
