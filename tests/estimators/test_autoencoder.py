import pickle
import subprocess
import sys
import textwrap

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from specvae._random import spawn_seeds
from specvae.estimators import PartialLabelRegressor, SpectralAutoencoder, visibility_weights
from specvae.estimators._build import flux_statistics
from specvae.estimators._split import split_rows
from specvae.exceptions import GridMismatchError, SpectrumError
from specvae.model_selection import StarGroupKFold, nan_r2
from specvae.preprocessing import MedianNormalizer
from specvae.simulation import simulate_spectra
from specvae.spectra import SpectraArray, WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.2, 256)


@pytest.fixture(scope="module")
def simulated():
    return simulate_spectra(60, GRID, random_state=0)


@pytest.fixture(scope="module")
def flux(simulated):
    return simulated.flux / np.median(simulated.flux, axis=1, keepdims=True)


def make_autoencoder(**changes):
    parameters = {"latent_dim": 3, "max_epochs": 3, "random_state": 0, "device": "cpu", **changes}
    return SpectralAutoencoder(**parameters)


@parametrize_with_checks(
    [
        make_autoencoder(latent_dim=2, max_epochs=2),
        make_autoencoder(latent_dim=2, max_epochs=2, encoder="dense", decoder="dense"),
        make_autoencoder(latent_dim=2, max_epochs=2, linear_path=True),
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
    autoencoder = make_autoencoder(max_epochs=40, batch_size=8, validation_fraction=0.0)
    fitted = autoencoder.fit(flux)
    by_mean = np.abs(flux - flux.mean(axis=0)).mean()
    assert -fitted.score(flux) < 0.6 * by_mean
    losses = fitted.history_["train_loss"]
    assert losses.iloc[-1] < 0.5 * losses.iloc[0]


def test_codes_and_reconstructions_have_their_shapes(flux):
    fitted = make_autoencoder().fit(flux)
    codes = fitted.transform(flux)
    assert codes.shape == (60, 3) and codes.dtype == np.float32
    reconstruction = fitted.inverse_transform(codes)
    assert reconstruction.shape == flux.shape and reconstruction.dtype == np.float32
    assert list(fitted.get_feature_names_out()) == ["latent0", "latent1", "latent2"]
    assert fitted.n_features_in_ == 256 and fitted.n_iter_ == 3
    expected = np.abs(flux - reconstruction).mean(axis=1)
    np.testing.assert_allclose(fitted.reconstruction_error(flux), expected, rtol=1e-5)
    np.testing.assert_allclose(fitted.score(flux), -expected.mean(), rtol=1e-5)
    weights = np.arange(60.0)
    weighted = -np.average(expected, weights=weights)
    np.testing.assert_allclose(fitted.score(flux, sample_weight=weights), weighted, rtol=1e-5)
    for bad in ([1, 2], np.zeros(60)):
        with pytest.raises(ValueError, match=r"[Ss]ample"):
            fitted.score(flux, sample_weight=bad)


def test_set_output_gives_named_columns(flux):
    frame = make_autoencoder().set_output(transform="pandas").fit(flux).transform(flux)
    assert list(frame.columns) == ["latent0", "latent1", "latent2"]


def test_global_random_states_are_untouched(flux):
    np.random.seed(1)
    torch.manual_seed(1)
    before = np.random.get_state()[1].copy(), torch.get_rng_state().clone()
    make_autoencoder().fit(flux).transform(flux)
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_global_seeds_are_not_read(flux):
    codes = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        codes.append(make_autoencoder().fit_transform(flux))
    np.testing.assert_array_equal(*codes)


def test_same_seed_same_codes_in_a_second_process(flux, tmp_path):
    np.save(tmp_path / "flux.npy", flux)
    code = textwrap.dedent(
        """
        import sys
        import numpy as np
        from specvae.estimators import SpectralAutoencoder
        folder = sys.argv[1]
        flux = np.load(folder + "/flux.npy")
        fitted = SpectralAutoencoder(3, max_epochs=3, random_state=0, device="cpu").fit(flux)
        np.save(folder + "/codes.npy", fitted.transform(flux))
        """
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    here = make_autoencoder().fit_transform(flux)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), here)
    assert not np.array_equal(make_autoencoder(random_state=1).fit_transform(flux), here)


def test_pickle_joblib_and_clone_keep_their_promises(flux, tmp_path):
    fitted = make_autoencoder().fit(flux)
    codes = fitted.transform(flux)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(flux), codes)
    joblib.dump(fitted, tmp_path / "model.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "model.joblib").transform(flux), codes)
    with pytest.raises(NotFittedError):
        clone(fitted).transform(flux)


def test_pickle_holds_no_spectra(flux):
    many = np.tile(flux, (50, 1))
    small = len(pickle.dumps(make_autoencoder(max_epochs=1).fit(flux)))
    large = len(pickle.dumps(make_autoencoder(max_epochs=1).fit(many)))
    assert large - small < 0.01 * many.nbytes
    # The weights once, not twice, and no moments of Adam.
    wide = np.tile(flux, 30)
    fitted = make_autoencoder(max_epochs=1, encoder="dense", decoder="dense").fit(wide)
    weights = sum(tensor.nbytes for tensor in fitted.net_.module_.state_dict().values())
    assert weights > 5_000_000
    assert len(pickle.dumps(fitted)) < 1.02 * weights


def test_array_frame_and_lazy_matrix_give_the_same_codes(flux):
    from_array = make_autoencoder().fit_transform(flux)
    lazy = SpectraArray(flux, grid=GRID)
    np.testing.assert_array_equal(make_autoencoder().fit(lazy).transform(lazy), from_array)
    frame = pd.DataFrame(flux, columns=[f"p{i}" for i in range(256)])
    fitted = make_autoencoder().fit(frame)
    np.testing.assert_array_equal(fitted.transform(frame), from_array)
    assert fitted.feature_names_in_[0] == "p0"


def test_missing_pixels_are_left_out(flux):
    gap = flux.copy()
    gap[:, 100:120] = np.nan
    gap[3, 7] = np.nan
    fitted = make_autoencoder(max_epochs=5).fit(gap)
    codes = fitted.transform(gap)
    assert np.isfinite(codes).all()
    reconstruction = fitted.inverse_transform(codes)
    # No training spectrum has these pixels: nothing is known of them.
    assert np.isnan(reconstruction[:, 100:120]).all()
    assert np.isfinite(np.delete(reconstruction, np.s_[100:120], axis=1)).all()
    # What stands in a pixel that was never seen cannot matter.
    np.testing.assert_array_equal(fitted.transform(flux)[0], codes[0])
    error = fitted.reconstruction_error(gap)
    np.testing.assert_allclose(error, np.nanmean(np.abs(gap - reconstruction), axis=1), rtol=1e-5)
    np.testing.assert_allclose(fitted.reconstruction_error(flux)[0], error[0], rtol=1e-6)


def test_validation_share_keeps_stars_together(flux, simulated):
    fitted = make_autoencoder(validation_fraction=0.25).fit(flux, groups=simulated.groups)
    assert list(fitted.history_.columns) == ["epoch", "train_loss", "valid_loss", "seconds", "best"]
    train, valid = split_rows(60, 0.25, simulated.groups, spawn_seeds(0, 3)[0])
    assert len(valid) == 15 and len(train) == 45
    assert not set(simulated.groups[train]) & set(simulated.groups[valid])
    # The loss that decided is the error on these stars and no others.
    best = fitted.history_["valid_loss"].min()
    np.testing.assert_allclose(-fitted.score(flux[valid]), best, rtol=1e-4)


@pytest.mark.parametrize(
    ("n_spectra", "fraction", "n_valid"),
    [(100, 0.1, 10), (9, 0.1, 1), (2, 0.1, 1), (1, 0.9, 0), (3, 0.9, 2), (100, 0.0, 0)],
)
def test_validation_share_is_a_star_at_least_and_never_all(n_spectra, fraction, n_valid):
    train, valid = split_rows(n_spectra, fraction, None, seed=0)
    assert len(valid) == n_valid
    np.testing.assert_array_equal(np.sort(np.r_[train, valid]), np.arange(n_spectra))


def test_early_stopping_restores_the_best_weights(flux):
    # A learning rate that makes the loss jump up and down.
    fitted = make_autoencoder(
        max_epochs=60, learning_rate=0.1, patience=4, batch_size=8, validation_fraction=0.5
    ).fit(flux)
    history = fitted.history_
    best = history["valid_loss"].idxmin()
    assert history["best"].iloc[best] and not history["best"].iloc[best + 1 :].any()
    assert len(history) == best + 5 < 60
    _, valid = split_rows(60, 0.5, None, spawn_seeds(0, 3)[0])
    np.testing.assert_allclose(-fitted.score(flux[valid]), history["valid_loss"][best], rtol=1e-4)


def test_spectra_of_weight_zero_do_not_count(flux):
    spoiled = flux.copy()
    spoiled[::2] += 5.0
    weight = np.tile([0.0, 1.0], 30)
    fitted = make_autoencoder(
        max_epochs=100, encoder="dense", decoder="dense", validation_fraction=0.0
    ).fit(spoiled, sample_weight=weight)
    error = fitted.reconstruction_error(spoiled)
    assert error[::2].mean() > 5 * error[1::2].mean()
    with pytest.raises(ValueError, match="at least one non-zero"):
        make_autoencoder().fit(flux, sample_weight=np.zeros(60))


def test_spectra_of_weight_zero_set_neither_mean_nor_scale(flux):
    spoiled = flux.copy()
    spoiled[:3] *= 1e4
    weight = np.r_[np.zeros(3), np.ones(57)]
    fitted = make_autoencoder(linear_path=True).fit(spoiled, sample_weight=weight)
    scaler = fitted.net_.module_.scaler
    assert scaler.scale < 1.0 and scaler.mean.max() < 2.0
    # Nor do they choose the best epoch, though they may all be in the validation share.
    _, valid = split_rows(60, 0.1, None, spawn_seeds(0, 3)[0])
    weight = np.ones(60)
    weight[valid] = 0.0
    fitted = make_autoencoder().fit(flux, sample_weight=weight)
    assert "valid_loss" not in fitted.history_


def test_weights_balance_the_mean_spectrum():
    flux = np.array([[1.0], [1.0], [1.0], [4.0]], dtype=np.float32)
    mean, scale = flux_statistics(flux, np.arange(4), np.array([1.0, 1.0, 1.0, 3.0]))
    assert mean[0] == pytest.approx(2.5)
    assert scale == pytest.approx(1.5)


def test_visibility_weights_count_stars():
    np.testing.assert_allclose(visibility_weights([7, 7, 7, 2]), [1 / 3, 1 / 3, 1 / 3, 1.0])


def test_warm_start_goes_on_from_the_weights(flux):
    autoencoder = make_autoencoder(warm_start=True, validation_fraction=0.0).fit(flux)
    first = -autoencoder.score(flux)
    autoencoder.fit(flux)
    assert autoencoder.n_iter_ == 6
    assert list(autoencoder.history_["epoch"]) == [1, 2, 3, 4, 5, 6]
    assert -autoencoder.score(flux) < first
    cold = make_autoencoder(validation_fraction=0.0).fit(flux).fit(flux)
    assert cold.n_iter_ == 3


def test_partial_fit_learns_chunk_by_chunk(flux):
    autoencoder = make_autoencoder(learning_rate=1e-3, batch_size=8)
    errors = []
    for _ in range(24):
        for chunk in (flux[:30], flux[30:]):
            autoencoder.partial_fit(chunk)
        errors.append(-autoencoder.score(flux))
    assert autoencoder.n_iter_ == 48
    assert errors[-1] < 0.8 * errors[0]
    # A fit before ends at a learning rate of zero, which must not be taken over.
    fitted = make_autoencoder().fit(flux)
    before = [p.detach().clone() for p in fitted.net_.module_.parameters()]
    fitted.partial_fit(flux)
    after = fitted.net_.module_.parameters()
    assert max((p - q).abs().max() for p, q in zip(after, before, strict=True)) > 1e-4
    # Adam goes on from its moments; without them every call would start with full steps.
    again = pickle.loads(pickle.dumps(autoencoder))
    steps = [state["step"] for state in again.net_.moments_["state"].values()]
    assert steps and all(step == 48 * 4 for step in steps)


def test_warm_start_never_loses_the_best_weights(flux):
    autoencoder = make_autoencoder(warm_start=True, max_epochs=20, batch_size=8).fit(flux)
    _, valid = split_rows(60, 0.1, None, spawn_seeds(0, 3)[0])
    before = -autoencoder.score(flux[valid])
    autoencoder.set_params(learning_rate=1.0, max_epochs=3).fit(flux)
    np.testing.assert_allclose(-autoencoder.score(flux[valid]), before, rtol=1e-5)
    assert not autoencoder.history_["best"].iloc[-3:].any()


@pytest.mark.parametrize(
    "changes",
    [{"latent_dim": 5}, {"encoder": "dense"}, {"decoder": "dense"}, {"linear_path": True}],
)
def test_network_cannot_change_while_it_goes_on(flux, changes):
    autoencoder = make_autoencoder(warm_start=True).fit(flux).set_params(**changes)
    for method in (autoencoder.fit, autoencoder.partial_fit):
        with pytest.raises(ValueError, match=f"{next(iter(changes))} changed"):
            method(flux)


def test_partial_fit_holds_on_to_its_grid(flux):
    autoencoder = make_autoencoder().partial_fit(SpectraArray(flux, grid=GRID))
    with pytest.raises(GridMismatchError):
        autoencoder.partial_fit(SpectraArray(flux, grid=WavelengthGrid(7000.0, 0.2, 256)))
    assert autoencoder.partial_fit(flux).grid_ == GRID
    frame = pd.DataFrame(flux, columns=[f"p{i}" for i in range(256)])
    with pytest.raises(ValueError, match="feature names"):
        make_autoencoder().partial_fit(frame).partial_fit(frame.add_prefix("other"))
    autoencoder.set_params(grid=WavelengthGrid(7000.0, 0.2, 256))
    with pytest.raises(GridMismatchError):
        autoencoder.partial_fit(flux)
    named = make_autoencoder().partial_fit(frame)
    with pytest.warns(UserWarning, match="feature names"):
        named.partial_fit(flux)
    assert named.feature_names_in_[0] == "p0"


def test_interrupted_warm_start_keeps_the_best_weights(flux, monkeypatch):
    from specvae.estimators import _net

    autoencoder = make_autoencoder(warm_start=True, max_epochs=10)
    original = _net._KeepBest.on_epoch_end

    def interrupt(self, net, **kwargs):
        original(self, net, **kwargs)
        if len(net.history) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(_net._KeepBest, "on_epoch_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        autoencoder.fit(flux)
    assert autoencoder.n_iter_ == 4
    cold = make_autoencoder(max_epochs=10)
    with pytest.raises(KeyboardInterrupt):
        cold.fit(flux)
    with pytest.raises(NotFittedError):
        check_is_fitted(cold)
    monkeypatch.undo()
    assert autoencoder.fit(flux).n_iter_ == 14


@pytest.mark.parametrize(("n_batches", "n_epochs"), [(3, 0), (11, 2)])
def test_epoch_cut_short_does_not_count(flux, monkeypatch, n_batches, n_epochs):
    from specvae.estimators import _net

    original, calls = _net._SpectraNet.train_step, []

    def interrupt(self, *arguments, **options):
        calls.append(1)
        if len(calls) == n_batches:
            raise KeyboardInterrupt
        return original(self, *arguments, **options)

    monkeypatch.setattr(_net._SpectraNet, "train_step", interrupt)
    autoencoder = make_autoencoder(
        warm_start=True, max_epochs=10, batch_size=12, validation_fraction=0.0
    )
    with pytest.raises(KeyboardInterrupt):
        autoencoder.fit(flux)  # five batches an epoch
    if n_epochs:
        assert autoencoder.n_iter_ == n_epochs and np.isfinite(autoencoder.score(flux))
    else:
        with pytest.raises(NotFittedError):
            check_is_fitted(autoencoder)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be an integer >= 1, got 0"),
        ({"latent_dim": 2.5}, "latent_dim must be an integer"),
        ({"encoder": "cnn"}, "encoder must be one of 'conv', 'dense', 'resnet', got 'cnn'"),
        ({"decoder": None}, "decoder must be one of"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate must be a number > 0"),
        ({"patience": 0}, "patience"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"device": "abacus"}, "device must be 'auto' or a torch device"),
        ({"grid": WavelengthGrid(5000.0, 0.1, 10)}, "X has 256 pixels, but grid is"),
    ],
)
def test_bad_parameters_are_named_and_leave_no_trace(flux, parameters, message):
    autoencoder = make_autoencoder(**parameters)
    before = set(vars(autoencoder))
    with pytest.raises(ValueError, match=message):
        autoencoder.fit(flux)
    assert set(vars(autoencoder)) == before
    with pytest.raises(NotFittedError):
        check_is_fitted(autoencoder)


def test_column_names_of_two_kinds_are_refused_before_the_work(flux, monkeypatch):
    from specvae.estimators import _base

    monkeypatch.setattr(_base, "train_network", None)  # not reached
    frame = pd.DataFrame(flux).rename(columns={0: "first"})
    autoencoder = make_autoencoder()
    with pytest.raises(TypeError, match="all input features have string names"):
        autoencoder.fit(frame)
    with pytest.raises(NotFittedError):
        check_is_fitted(autoencoder)


def spoil(flux, value, row=4):
    spoiled = flux.copy()
    spoiled[row] = value
    return spoiled


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "spectrum 4 has no valid pixel"), (np.inf, "infinity")]
)
def test_bad_spectra_are_named_and_leave_no_trace(flux, value, message, lazy):
    spoiled = spoil(flux, value)
    X = SpectraArray(spoiled) if lazy else spoiled
    autoencoder = make_autoencoder()
    with pytest.raises(ValueError, match=message):
        autoencoder.fit(X)
    with pytest.raises(NotFittedError):
        check_is_fitted(autoencoder)
    assert not hasattr(autoencoder, "n_features_in_")
    fitted = make_autoencoder().fit(flux)
    with pytest.raises(ValueError, match=message):
        fitted.transform(X)


def test_row_that_a_lazy_step_refuses_is_named(flux):
    negative = flux.copy()
    negative[37] *= -1.0
    lazy = MedianNormalizer().fit_transform(SpectraArray(negative, grid=GRID))
    with pytest.raises(SpectrumError, match="spectrum 37 has a median"):
        make_autoencoder().fit(lazy)
    fitted = make_autoencoder().fit(flux)
    with pytest.raises(SpectrumError, match="spectrum 37 has a median"):
        fitted.transform(lazy)


def test_failed_refit_keeps_the_old_state(flux):
    autoencoder = make_autoencoder(warm_start=True).fit(flux)
    codes = autoencoder.transform(flux)
    with pytest.raises(SpectrumError):
        autoencoder.fit(spoil(flux, np.nan))
    with pytest.raises(ValueError, match="expecting 256 features"):
        autoencoder.fit(flux[:, :100])
    np.testing.assert_array_equal(autoencoder.transform(flux), codes)


def test_loss_that_explodes_is_reported(flux):
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        make_autoencoder(learning_rate=1e30, max_epochs=20).fit(flux)


def test_other_grid_is_refused_by_name(flux):
    other = WavelengthGrid(6000.0, 0.2, 256, name="red")
    fitted = make_autoencoder(grid=GRID).fit(flux)
    with pytest.raises(GridMismatchError, match=r"the red grid .* SpectrumResampler"):
        fitted.transform(SpectraArray(flux, grid=other))
    with pytest.raises(GridMismatchError, match="the red grid"):
        make_autoencoder(grid=GRID).fit(SpectraArray(flux, grid=other))
    learnt = make_autoencoder().fit(SpectraArray(flux, grid=GRID))
    assert learnt.grid_ == GRID
    with pytest.raises(GridMismatchError):
        learnt.transform(SpectraArray(flux, grid=other))
    with pytest.raises(ValueError, match=r"100 features.*256 features.*SpectrumResampler"):
        learnt.transform(flux[:, :100])
    with pytest.raises(ValueError, match=r"100 features.*256 features.*SpectrumResampler"):
        learnt.transform(SpectraArray(flux[:, :100]))
    with pytest.raises(TypeError, match="grid must be a WavelengthGrid"):
        make_autoencoder(grid="HARPS").fit(flux)


def test_codes_of_the_wrong_width_are_refused(flux):
    with pytest.raises(ValueError, match="codes of 3 latents"):
        make_autoencoder().fit(flux).inverse_transform(np.zeros((2, 4)))


def test_progress_bar_on_request(flux, capsys):
    make_autoencoder(verbose=1).fit(flux)
    assert "epochs" in capsys.readouterr().err
    make_autoencoder().fit(flux)
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out == ""


@pytest.mark.parametrize("lazy", [False, True])
def test_grid_search_by_star_with_missing_labels(flux, simulated, lazy):
    rng = np.random.default_rng(0)
    labels = simulated.labels.mask(rng.random(simulated.labels.shape) < 0.4)
    X = SpectraArray(flux, grid=GRID) if lazy else flux
    pipeline = make_pipeline(
        make_autoencoder(max_epochs=2, encoder="dense", decoder="dense"), PartialLabelRegressor()
    )
    search = GridSearchCV(
        pipeline,
        {"spectralautoencoder__latent_dim": [1, 4]},
        cv=StarGroupKFold(2, random_state=0),
        error_score="raise",
    ).fit(X, labels, groups=simulated.groups)
    assert search.predict(X).shape == (60, 4)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert list(search.best_estimator_[-1].label_names_in_) == list(labels.columns)


@pytest.mark.parametrize("kind", ["conv", "dense"])
def test_linear_path_starts_as_principal_components(flux, kind):
    autoencoder = make_autoencoder(
        encoder=kind,
        decoder=kind,
        linear_path=True,
        max_epochs=1,
        learning_rate=1e-12,
        validation_fraction=0.0,
    ).fit(flux)
    centre = flux.mean(axis=0)
    components = np.linalg.svd(flux - centre, full_matrices=False)[2][:3]
    projected = (flux - centre) @ components.T
    expected = np.abs(flux - centre - projected @ components).mean(axis=1)
    np.testing.assert_allclose(autoencoder.reconstruction_error(flux), expected, rtol=1e-3)
    codes = autoencoder.transform(flux)
    np.testing.assert_allclose(np.sqrt((codes**2).mean(axis=0)), 1.0, rtol=1e-3)
    correlation = np.corrcoef(codes.T, projected.T)[:3, 3:]
    np.testing.assert_allclose(np.abs(np.diag(correlation)), 1.0, rtol=1e-3)


def test_linear_path_learns_what_the_components_miss(flux):
    start = make_autoencoder(
        linear_path=True, max_epochs=1, learning_rate=1e-12, validation_fraction=0.0
    ).fit(flux)
    trained = make_autoencoder(
        linear_path=True, max_epochs=30, batch_size=8, validation_fraction=0.0
    ).fit(flux)
    assert -trained.score(flux) < 0.9 * -start.score(flux)


def test_linear_path_ends_no_worse_than_it_starts(flux):
    def fit(learning_rate):
        return make_autoencoder(linear_path=True, max_epochs=3, learning_rate=learning_rate).fit(
            flux
        )

    _, valid = split_rows(60, 0.1, None, spawn_seeds(0, 3)[0])
    start = -fit(1e-12).score(flux[valid])
    assert -fit(1.0).score(flux[valid]) <= start * (1 + 1e-5)


@pytest.mark.parametrize("scale", [1e-20, 1e-14, 1e6, 1e25])
def test_flux_in_any_unit_trains_alike(flux, scale):
    parameters = {"max_epochs": 20, "batch_size": 8, "validation_fraction": 0.0}
    normal = make_autoencoder(**parameters).fit(flux)
    scaled = make_autoencoder(**parameters).fit(flux * np.float32(scale))
    error = -scaled.score(flux * np.float32(scale)) / scale
    np.testing.assert_allclose(error, -normal.score(flux), rtol=0.1)
    losses = scaled.history_["train_loss"] / scale
    np.testing.assert_allclose(losses.iloc[-1], normal.history_["train_loss"].iloc[-1], rtol=0.1)


def test_spectrum_outside_what_was_trained_on_is_refused(flux):
    blue, red = flux.copy(), flux.copy()
    blue[:, 128:], red[5, :128] = np.nan, np.nan
    fitted = make_autoencoder().fit(blue)
    for method in (fitted.transform, fitted.score):
        with pytest.raises(SpectrumError, match="spectrum 5 has no valid pixel where the training"):
            method(red)


def test_masked_pixels_are_missing_pixels(flux):
    masked = np.ma.array(flux, mask=np.zeros(flux.shape, dtype=bool))
    masked[:, 7] = np.ma.masked
    masked.data[:, 7] = 1e6
    gap = flux.copy()
    gap[:, 7] = np.nan
    fitted = make_autoencoder().fit(masked)
    np.testing.assert_array_equal(fitted.transform(masked), make_autoencoder().fit_transform(gap))


def test_linear_path_with_more_latents_than_spectra(flux):
    fitted = make_autoencoder(latent_dim=8, linear_path=True).fit(flux[:5])
    assert np.isfinite(fitted.inverse_transform(fitted.transform(flux))).all()


def test_metadata_routing_brings_groups_and_weights(flux, simulated, monkeypatch):
    from specvae.estimators import _base

    seen = []
    original = _base.train_network

    def spy(network, objective, train, valid, plan, **options):
        seen.append((train, valid))
        return original(network, objective, train, valid, plan, **options)

    monkeypatch.setattr(_base, "train_network", spy)
    weight = np.where(simulated.groups % 2, 3.0, 1.0)
    with config_context(enable_metadata_routing=True):
        autoencoder = make_autoencoder(max_epochs=1).set_fit_request(
            groups=True, sample_weight=True
        )
        regressor = LinearRegression().set_fit_request(sample_weight=True)
        cross_validate(
            make_pipeline(autoencoder, PartialLabelRegressor(regressor)),
            flux,
            simulated.labels,
            cv=StarGroupKFold(2, random_state=0),
            params={"groups": simulated.groups, "sample_weight": weight},
            error_score="raise",
            scoring=nan_r2.set_score_request(sample_weight=True),
        )
    assert len(seen) == 2
    for train, valid in seen:
        # Stars have five spectra each, and none is cut in two.
        assert len(train) + len(valid) == 30 and len(valid) == 5
        ratios = train.data.weight / train.data.weight.min()
        assert set(np.round(ratios, 6)) == {1.0, 3.0}
