import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from specvae.estimators._simulator import SpectralSimulator
from specvae.exceptions import GridMismatchError, SpectrumError
from specvae.simulation import StellarSpectrumSimulator, mixed_design
from specvae.spectra import SpectraArray, WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.4, 128)
LABELS = ["teff_k", "logg_dex", "mh_dex"]


@pytest.fixture(scope="module")
def design_labels():
    return mixed_design(
        150,
        {"teff_k": (4500.0, 6500.0), "rv_kms": 0.0, "berv_kms": 0.0, "airmass": 1.0, "pwv_mm": 1.0},
        random_state=0,
    ).labels


@pytest.fixture(scope="module")
def flux(design_labels):
    simulator = StellarSpectrumSimulator(GRID, instrument=None, atmosphere=False)
    noiseless = simulator.simulate(design_labels, random_state=0).noiseless_flux
    return noiseless / np.median(noiseless, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def labels(design_labels):
    return design_labels[LABELS]


def make_simulator(**changes):
    parameters = {"decoder": "dense", "max_epochs": 3, "random_state": 0, "device": "cpu"}
    return SpectralSimulator(**{**parameters, **changes})


@parametrize_with_checks(
    [make_simulator(max_epochs=60, learning_rate=1e-2), make_simulator(decoder="conv")],
    expected_failed_checks=lambda estimator: (
        {
            "check_sample_weight_equivalence_on_dense_data": (
                "mini-batches hold other spectra when one is repeated; scikit-learn excuses SGD too"
            )
        }
        | (
            {}
            if estimator.decoder == "dense"
            else {"check_regressors_train": "three epochs do not train a deep network"}
        )
    ),
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("decoder", ["conv", "resnet", "dense"])
def test_predicts_spectra_of_new_labels(labels, flux, decoder):
    simulator = make_simulator(decoder=decoder, max_epochs=60, batch_size=16)
    simulator.fit(labels[:120], flux[:120])
    predicted = simulator.predict(labels[120:])
    assert predicted.shape == (30, 128) and predicted.dtype == np.float32
    assert simulator.score(labels[120:], flux[120:]) > 0.8
    assert simulator.n_features_in_ == 3 and simulator.n_pixels_ == 128
    assert list(simulator.feature_names_in_) == LABELS


def test_more_metal_means_deeper_lines(labels, flux):
    simulator = make_simulator(max_epochs=60, batch_size=16).fit(labels, flux)
    poor, rich = pd.DataFrame([[5500.0, 4.4, -1.0], [5500.0, 4.4, 0.2]], columns=LABELS).pipe(
        simulator.predict
    )
    assert rich.min() < poor.min() - 0.05


def test_score_is_the_coefficient_of_determination(labels, flux):
    one_pixel = flux[:, 40].astype(float)
    simulator = make_simulator().fit(labels, one_pixel)
    predicted = simulator.predict(labels)
    assert predicted.shape == (150,) and predicted.dtype == np.float64
    weight = np.arange(150.0)
    for sample_weight in (None, weight):
        wanted = r2_score(one_pixel, predicted, sample_weight=sample_weight)
        found = simulator.score(labels, one_pixel, sample_weight=sample_weight)
        assert found == pytest.approx(wanted, rel=1e-5)
    simulator = make_simulator().fit(labels, flux)
    wanted = r2_score(flux, simulator.predict(labels), multioutput="variance_weighted")
    assert simulator.score(labels, flux) == pytest.approx(wanted, rel=1e-5)
    assert np.isnan(simulator.score(labels[:1], flux[:1]))


def test_missing_pixels_are_left_out(labels, flux):
    holes = flux.copy()
    holes[:, 60:70] = np.nan
    holes[3, 7] = np.nan
    simulator = make_simulator().fit(labels, holes)
    predicted = simulator.predict(labels)
    assert np.isnan(predicted[:, 60:70]).all()
    assert np.isfinite(np.delete(predicted, np.s_[60:70], axis=1)).all()
    kept = np.delete(np.arange(128), np.s_[60:70])
    wanted = r2_score(
        np.delete(flux, 3, axis=0)[:, kept],
        np.delete(predicted, 3, axis=0)[:, kept],
        multioutput="variance_weighted",
    )
    without = np.arange(150) != 3
    # A pixel that training never saw does not count, whatever stands in it.
    assert simulator.score(labels[without], flux[without]) == pytest.approx(wanted, rel=1e-5)
    assert np.isfinite(simulator.score(labels, holes))


def test_array_frame_and_lazy_matrix_agree(labels, flux):
    from_frame = make_simulator().fit(labels, flux).predict(labels)
    values = labels.to_numpy()
    from_array = make_simulator(grid=GRID).fit(values, SpectraArray(flux, grid=GRID))
    np.testing.assert_array_equal(from_array.predict(values), from_frame)
    assert from_array.grid_ == GRID
    assert from_array.score(values, SpectraArray(flux, grid=GRID)) == pytest.approx(
        make_simulator().fit(labels, flux).score(labels, flux)
    )


def test_flux_error_and_weights_count(labels, flux):
    plain = make_simulator().fit(labels, flux).predict(labels)
    error = np.full(flux.shape, 0.01)
    error[:, ::2] = 1.0
    weighted = make_simulator().fit(labels, flux, flux_error=error).predict(labels)
    assert not np.array_equal(weighted, plain)
    spoiled = flux.copy()
    spoiled[::2] += 5.0
    weight = np.tile([0.0, 1.0], 75)
    simulator = make_simulator(max_epochs=20).fit(labels, spoiled, sample_weight=weight)
    assert np.abs(simulator.predict(labels) - flux).mean() < 0.2


def test_same_seed_same_spectra_and_global_states_are_untouched(labels, flux):
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state().clone(), np.random.get_state()[1].copy()
    first = make_simulator().fit(labels, flux).predict(labels)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    torch.manual_seed(2)
    np.testing.assert_array_equal(make_simulator().fit(labels, flux).predict(labels), first)
    other = make_simulator(random_state=1).fit(labels, flux).predict(labels)
    assert not np.array_equal(other, first)


def test_pickle_and_clone_keep_their_promises(labels, flux):
    fitted = make_simulator().fit(labels, flux)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(labels), fitted.predict(labels))
    with pytest.raises(NotFittedError):
        clone(fitted).predict(labels)


def test_resumed_training_ends_with_the_same_weights(labels, flux, tmp_path, monkeypatch):
    from specvae.estimators import _net

    whole = make_simulator(max_epochs=6).fit(labels, flux).predict(labels)
    original, path = _net._EndOfEpoch.on_epoch_end, tmp_path / "state.ckpt"

    def interrupt(self, net, **kwargs):
        original(self, net, **kwargs)
        if len(net.history) == 3:
            raise KeyboardInterrupt

    simulator = make_simulator(max_epochs=6, checkpoint_path=path, checkpoint_minutes=0)
    with monkeypatch.context() as patch:
        patch.setattr(_net._EndOfEpoch, "on_epoch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            simulator.fit(labels, flux)
    resumed = simulator.fit(labels, flux, resume_from=path).predict(labels)
    np.testing.assert_array_equal(resumed, whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.full((150, 2), np.nan)}, "X contains NaN"),
        ({"X": np.zeros((149, 2))}, "X has 149 rows of labels, y has 150"),
        ({"X": np.full((150, 1), np.inf)}, "X contains infinity"),
        ({"y": None}, "requires y to be passed"),
        ({"y": np.full((150, 4), np.inf)}, "y contains infinity, first in spectrum 0"),
        ({"flux_error": np.ones((150, 3))}, "flux_error has shape"),
    ],
)
def test_unusable_data_are_named_and_leave_no_trace(labels, flux, change, message):
    simulator = make_simulator()
    before = set(vars(simulator))
    given = {"X": labels, "y": flux, **change}
    with pytest.raises(ValueError, match=message):
        simulator.fit(**given)
    assert set(vars(simulator)) == before


def test_bad_parameters_and_grids_are_named(labels, flux):
    for change, message in (
        ({"decoder": "cnn"}, "decoder must be one of"),
        ({"reconstruction": "l3"}, "reconstruction must be one of"),
        ({"max_epochs": 0}, "max_epochs"),
    ):
        with pytest.raises(ValueError, match=message):
            make_simulator(**change).fit(labels, flux)
    with pytest.raises(GridMismatchError):
        make_simulator(grid=WavelengthGrid(5000.0, 0.4, 100)).fit(labels, flux)
    empty = flux.copy()
    empty[5] = np.nan
    with pytest.raises(SpectrumError, match="spectrum 5"):
        make_simulator().fit(labels, empty)
    fitted = make_simulator().fit(labels, flux)
    with pytest.raises(ValueError, match="y has 100 pixels"):
        fitted.score(labels, flux[:, :100])
    fitted = make_simulator().fit(labels.to_numpy(), flux)
    with pytest.raises(ValueError, match="3 features"):
        fitted.predict(labels.iloc[:, :2].to_numpy())
