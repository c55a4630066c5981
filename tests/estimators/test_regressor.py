import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted
from torch import nn

from specvae._random import spawn_seeds
from specvae.estimators import SpectralRegressor
from specvae.estimators._label_base import calibrate
from specvae.estimators._split import split_rows
from specvae.exceptions import GridMismatchError, SpectrumError
from specvae.metrics import nan_r2_score
from specvae.simulation import simulate_spectra
from specvae.spectra import SpectraArray, WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.2, 256)
NAN = np.nan


def normalised(simulated):
    return simulated.flux / np.median(simulated.flux, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def simulated():
    return simulate_spectra(60, GRID, random_state=0)


@pytest.fixture(scope="module")
def flux(simulated):
    return normalised(simulated)


@pytest.fixture(scope="module")
def labels(simulated):
    return simulated.labels


@pytest.fixture(scope="module")
def many():
    return simulate_spectra(900, GRID, random_state=1, spectra_per_star=2)


def make_regressor(**changes):
    parameters = {
        "encoder": "dense",
        "max_epochs": 3,
        "random_state": 0,
        "device": "cpu",
        **changes,
    }
    return SpectralRegressor(**parameters)


@pytest.fixture(scope="module")
def trained(many):
    """Of 280 stars 168 train and 112 watch; 170 are left."""
    train = many.groups < 280
    return make_regressor(max_epochs=30, validation_fraction=0.4).fit(
        normalised(many)[train], many.labels[train], groups=many.groups[train]
    )


@pytest.fixture(scope="module")
def others(many):
    """Flux and labels of the stars that are left."""
    left = many.groups >= 280
    return normalised(many)[left], many.labels[left]


@parametrize_with_checks(
    [
        make_regressor(max_epochs=12, batch_size=8, learning_rate=1e-2),
        make_regressor(max_epochs=12, batch_size=8, encoder="conv"),
    ],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": (
            "mini-batches hold other spectra when one is repeated; scikit-learn excuses SGD too"
        )
    },
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_labels_are_learnt(trained, others):
    flux, labels = others
    predicted = trained.predict(flux)
    assert predicted.shape == (340, 4) and predicted.dtype == np.float64
    error = np.abs(predicted - labels).mean()
    assert (error < 0.5 * np.abs(labels - labels.mean()).mean()).all()
    score = trained.score(flux, labels)
    assert score == nan_r2_score(labels, predicted) > 0.7
    assert list(trained.label_names_in_) == list(labels.columns) and trained.n_labels_ == 4


def test_intervals_hold_on_other_stars(trained, others):
    flux, labels = others
    predicted, std = trained.predict(flux, return_std=True)
    assert std.shape == predicted.shape and (std > 0).all()
    np.testing.assert_array_equal(trained.predict(flux), predicted)
    inside = np.abs(predicted - labels.to_numpy()) < std
    # 112 stars calibrate and 170 are tested: 5 % of scatter for each label.
    assert np.abs(inside.mean(axis=0) - 0.68).max() < 0.14
    assert abs(inside.mean() - 0.68) < 0.06
    # The factors are what does it: the network alone is too sure of itself.
    uncalibrated = np.abs(predicted - labels.to_numpy()) < std / trained.std_factor_
    assert uncalibrated.mean() < inside.mean() - 0.05


def test_a_star_is_no_surer_for_being_seen_often():
    error = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    std = np.ones((5, 1))
    # Shares of six: 1/6, ..., 5/6; the first that reaches 0.6827 belongs to the fifth.
    assert calibrate(error, std, None).item() == 5.0
    assert calibrate(error, std, None, level=0.5).item() == 3.0
    # A hundred spectra of one star are one vote.
    error = np.r_[np.full((100, 1), 0.1), error]
    groups = np.r_[np.full(100, "often"), [f"star {i}" for i in range(5)]]
    by_star = calibrate(error, np.ones((105, 1)), groups, level=0.5)
    assert by_star.item() == 3.0  # (1 + 1 + 1 + 1) / 7 reaches a half
    assert calibrate(error, np.ones((105, 1)), None, level=0.5).item() == pytest.approx(0.1)


def test_calibration_by_hand():
    error = np.array([[-2.0, NAN], [4.0, NAN], [NAN, NAN]])
    std = np.array([[4.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    # Ratios 0.5 and 2; shares of three: 1/3 and 2/3. What nobody has keeps its deviation.
    np.testing.assert_allclose(calibrate(error, std, None, level=0.3), [0.5, 1.0])
    np.testing.assert_allclose(calibrate(error, std, None, level=0.5), [2.0, 1.0])
    # More is asked for than two stars can tell: the largest of them.
    np.testing.assert_allclose(calibrate(error, std, None, level=0.9), [2.0, 1.0])
    # An error of zero must not make an interval of no width.
    assert calibrate(np.zeros((3, 1)), np.ones((3, 1)), None).item() > 0
    # The votes of a star are shared by those of its spectra that have the label.
    shared = np.array([[1.0], [NAN], [3.0], [5.0]])
    groups = [0, 0, 1, 1]
    # Weights 1, 1/2, 1/2 of three: 1/3, 1/2, 2/3.
    assert calibrate(shared, np.ones((4, 1)), groups, level=0.4).item() == 3.0
    assert calibrate(shared, np.ones((4, 1)), groups, level=0.55).item() == 5.0


def test_calibration_of_normal_errors():
    rng = np.random.default_rng(0)
    std = rng.uniform(0.5, 2.0, (5000, 2))
    error = rng.normal(size=(5000, 2)) * std * [1.0, 3.0]
    np.testing.assert_allclose(calibrate(error, std, None), [1.0, 3.0], rtol=0.05)


def test_factors_come_from_the_validation_share(flux, labels, simulated):
    fitted = make_regressor(validation_fraction=0.4).fit(flux, labels, groups=simulated.groups)
    _, valid = split_rows(60, 0.4, simulated.groups, spawn_seeds(0, 3)[0])
    predicted, std = fitted.predict(flux[valid], return_std=True)
    error = predicted - labels.to_numpy()[valid]
    factor = calibrate(error, std, simulated.groups[valid])
    np.testing.assert_allclose(factor, 1.0, rtol=1e-4)
    alone = make_regressor(validation_fraction=0.0).fit(flux, labels)
    np.testing.assert_array_equal(alone.std_factor_, 1.0)


def test_history_gives_errors_in_units_of_the_scatter(flux, labels, simulated):
    fitted = make_regressor(max_epochs=5).fit(flux, labels, groups=simulated.groups)
    train, valid = split_rows(60, 0.1, simulated.groups, spawn_seeds(0, 3)[0])
    history = fitted.history_
    assert {"train_loss", "valid_loss", "train_labels", "valid_labels"} <= set(history)
    error = np.abs(fitted.predict(flux[valid]) - labels.to_numpy()[valid]).mean(axis=0)
    expected = (error / labels.to_numpy()[train].std(axis=0)).mean()
    best = history["valid_loss"].idxmin()
    np.testing.assert_allclose(history["valid_labels"][best], expected, rtol=1e-4)
    # Whatever the unit of the flux.
    tiny = (flux * 1e-14).astype(np.float32)
    scaled = make_regressor(max_epochs=5).fit(tiny, labels, groups=simulated.groups)
    np.testing.assert_allclose(scaled.history_["valid_loss"], history["valid_loss"], rtol=0.01)


def test_same_seed_same_labels_and_global_states_stay(flux, labels):
    predicted = []
    for seed in (1, 2):
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = np.random.get_state()[1].copy(), torch.get_rng_state().clone()
        predicted.append(make_regressor().fit(flux, labels).predict(flux))
        assert np.array_equal(np.random.get_state()[1], before[0])
        assert torch.equal(torch.get_rng_state(), before[1])
    np.testing.assert_array_equal(*predicted)
    other = make_regressor(random_state=1).fit(flux, labels).predict(flux)
    assert not np.array_equal(other, predicted[0])


def test_pickle_and_clone(flux, labels):
    fitted = make_regressor().fit(flux, labels)
    again = pickle.loads(pickle.dumps(fitted))
    for mine, theirs in zip(
        again.predict(flux, return_std=True), fitted.predict(flux, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(NotFittedError):
        clone(fitted).predict(flux)


def test_one_label_is_one_dimensional(flux, labels):
    teff = labels["teff_k"]
    fitted = make_regressor().fit(flux, teff)
    predicted, std = fitted.predict(flux, return_std=True)
    assert predicted.shape == std.shape == (60,)
    matrix = make_regressor().fit(flux, teff.to_frame())
    np.testing.assert_array_equal(matrix.predict(flux), predicted[:, None])
    assert list(matrix.label_names_in_) == ["teff_k"] and fitted.n_labels_ == 1
    # Names of an earlier fit do not stay.
    assert not hasattr(matrix.fit(flux, teff.to_numpy()), "label_names_in_")
    np.testing.assert_allclose(fitted.score(flux, teff), nan_r2_score(teff, predicted))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, int])
def test_predictions_have_the_precision_of_the_labels(flux, labels, dtype):
    fitted = make_regressor(max_epochs=1).fit(flux, labels.astype(dtype))
    expected = np.float64 if dtype == np.float64 else np.float32
    assert {part.dtype for part in fitted.predict(flux, return_std=True)} == {np.dtype(expected)}


def test_arrays_and_lazy_matrices_give_the_same_labels(flux, labels):
    expected = make_regressor().fit(flux, labels).predict(flux)
    lazy = SpectraArray(flux, grid=GRID)
    fitted = make_regressor().fit(lazy, labels.to_numpy())
    np.testing.assert_array_equal(fitted.predict(lazy), expected)
    with pytest.raises(GridMismatchError):
        fitted.predict(SpectraArray(flux, grid=WavelengthGrid(7000.0, 0.2, 256)))
    listed = make_regressor().fit(flux.tolist(), labels.to_numpy().tolist())
    np.testing.assert_allclose(listed.predict(flux), expected, rtol=1e-3)


def test_missing_labels_do_not_count(flux, labels):
    # The velocity of all but a few spectra is unknown; what stands in for it cannot matter.
    sparse = labels.copy()
    sparse.loc[5:, "rv_kms"] = NAN
    fitted = make_regressor(max_epochs=40, validation_fraction=0.0).fit(flux, sparse)
    assert np.isfinite(fitted.predict(flux)).all()
    dense = make_regressor(max_epochs=40, validation_fraction=0.0).fit(flux, labels)
    teff = {
        name: np.abs(each.predict(flux)[:, 0] - labels["teff_k"]).mean()
        for name, each in (("sparse", fitted), ("dense", dense))
    }
    assert teff["sparse"] < 2.0 * teff["dense"] < labels["teff_k"].std()


def test_spectra_without_any_label_do_not_count(flux, labels):
    unknown = np.arange(60) % 3 == 0
    some = labels.mask(np.repeat(unknown[:, None], 4, axis=1))
    spoiled = flux.copy()
    spoiled[unknown] *= 100.0
    fitted = make_regressor().fit(spoiled, some)
    expected = make_regressor().fit(flux, some)
    np.testing.assert_array_equal(fitted.predict(flux), expected.predict(flux))
    np.testing.assert_array_equal(fitted.std_factor_, expected.std_factor_)
    # As if their weight were zero, whatever it is.
    weight = np.where(unknown, 7.0, 1.0)
    weighted = make_regressor().fit(spoiled, some, sample_weight=weight)
    np.testing.assert_array_equal(weighted.predict(flux), expected.predict(flux))
    by_number = make_regressor().fit(spoiled, some, sample_weight=3.0)
    np.testing.assert_array_equal(by_number.predict(flux), expected.predict(flux))


def test_scale_of_labels_comes_from_the_training_rows(flux, labels):
    train, valid = split_rows(60, 0.1, None, spawn_seeds(0, 3)[0])
    wild = labels.to_numpy().copy()
    wild[valid[0]] = 1e6
    scaler = make_regressor(max_epochs=1).fit(flux, wild).net_.module_.label_scaler
    np.testing.assert_allclose(scaler.centre, labels.to_numpy()[train].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scaler.scale, labels.to_numpy()[train].std(axis=0), rtol=1e-5)
    # And so does that of the flux.
    spoiled = flux.copy()
    spoiled[valid] *= 50.0
    fitted = make_regressor(max_epochs=1).fit(spoiled, labels)
    np.testing.assert_allclose(fitted.net_.module_.scaler.mean, flux[train].mean(axis=0), rtol=1e-5)


def test_label_that_no_training_star_has_is_refused(flux, labels):
    _, valid = split_rows(60, 0.1, None, spawn_seeds(0, 3)[0])
    sparse = labels.to_numpy().copy()
    sparse[np.setdiff1d(np.arange(60), valid), 2] = NAN
    regressor = make_regressor()
    with pytest.raises(ValueError, match=r"label column 2 of y .* validation share only"):
        regressor.fit(flux, sparse)
    with pytest.raises(NotFittedError):
        check_is_fitted(regressor)


def test_weights_decide_between_labels_that_differ(flux):
    # The same spectra twice, with labels 0 and 1: the weights say which.
    twice, label = np.tile(flux, (2, 1)), np.repeat([0.0, 1.0], 60)
    options = {"max_epochs": 30, "validation_fraction": 0.0}
    means = [
        make_regressor(**options)
        .fit(twice, label, sample_weight=np.repeat([1.0, heavy], 60))
        .predict(flux)
        .mean()
        for heavy in (0.05, 1.0, 20.0)
    ]
    np.testing.assert_allclose(means, [0.05 / 1.05, 0.5, 20 / 21], atol=0.15)
    with pytest.raises(ValueError, match="Negative"):
        make_regressor().fit(flux, label[:60], sample_weight=-np.ones(60))
    with pytest.raises(ValueError, match="sample_weight"):
        make_regressor().fit(flux, label[:60], sample_weight=np.ones(59))


def test_hidden_pixels_make_a_gap_harmless(trained, many, others):
    flux, _ = others
    gap = flux.copy()
    gap[:, 60:100] = NAN
    train = many.groups < 280
    none_hidden = clone(trained).set_params(random_missing=0.0)
    none_hidden.fit(normalised(many)[train], many.labels[train], groups=many.groups[train])
    moved = []
    for fitted in (none_hidden, trained):
        whole, std = fitted.predict(flux, return_std=True)
        moved.append(np.abs(fitted.predict(gap) - whole).mean(axis=0) / std.mean(axis=0))
    assert moved[1].mean() < 0.75 * moved[0].mean()
    assert (moved[1] < 1.0).all()


class OneLayer(nn.Module):
    """A network of the user, which draws its weights from torch's global generator."""

    def __init__(self, n_pixels, n_outputs):
        super().__init__()
        self.layer = nn.Linear(n_pixels, n_outputs)

    def forward(self, flux):
        return self.layer(flux)


def test_network_of_the_user(flux, labels):
    torch.manual_seed(1)
    before = torch.get_rng_state().clone()
    regressor = make_regressor(encoder=OneLayer)
    predicted = regressor.fit(flux, labels).predict(flux)
    assert regressor.net_.module_.encoder.layer.out_features == 8
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.testing.assert_array_equal(clone(regressor).fit(flux, labels).predict(flux), predicted)


def test_network_of_the_user_does_not_reseed_other_devices(flux, labels, monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    make_regressor(encoder=OneLayer, max_epochs=1).fit(flux, labels)
    assert not seeded


@pytest.mark.parametrize("encoder", ["conv", "resnet"])
def test_published_networks(flux, labels, encoder):
    fitted = make_regressor(encoder=encoder, max_epochs=2).fit(flux, labels)
    predicted, std = fitted.predict(flux, return_std=True)
    assert np.isfinite(predicted).all() and (std > 0).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"encoder": "cnn"}, "encoder must be one of 'conv', 'dense', 'resnet', got 'cnn'"),
        ({"encoder": dict}, "encoder must be one of .* subclass of torch.nn.Module"),
        ({"random_missing": 1.0}, "random_missing must be a number >= 0 and <= 0.9"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"grid": WavelengthGrid(5000.0, 0.1, 10)}, "X has 256 pixels, but grid is"),
    ],
)
def test_bad_parameters_are_named_and_leave_no_trace(flux, labels, parameters, message):
    regressor = make_regressor(**parameters)
    before = set(vars(regressor))
    with pytest.raises(ValueError, match=message):
        regressor.fit(flux, labels)
    assert set(vars(regressor)) == before


def spoil(labels, rows, column, value):
    spoiled = labels.to_numpy().copy()
    spoiled[rows, column] = value
    return spoiled


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: None, "requires y to be passed, but the target y is None"),
        (lambda y: y[:59], "X has 60 spectra, y has 59 rows of labels"),
        (lambda y: spoil(y, 3, 1, np.inf), "Input y contains infinity, first at row 3, column 1"),
        (lambda y: spoil(y, slice(None), 1, NAN), "Label column 1 of y is NaN in all 60 rows"),
    ],
)
def test_bad_labels_are_named_and_leave_no_trace(flux, labels, change, message):
    regressor = make_regressor()
    before = set(vars(regressor))
    with pytest.raises(ValueError, match=message):
        regressor.fit(flux, change(labels))
    assert set(vars(regressor)) == before


def test_spectrum_outside_what_was_trained_on_is_named_by_its_row(flux, labels):
    _, valid = split_rows(60, 0.1, None, spawn_seeds(0, 3)[0])
    spoiled = flux.copy()
    spoiled[:, 128:] = NAN
    spoiled[valid[-1]] = NAN
    spoiled[valid[-1], 128:] = 1.0
    with pytest.raises(SpectrumError, match=f"spectrum {valid[-1]} has no valid pixel where"):
        make_regressor().fit(spoiled, labels)


def test_failed_refit_keeps_the_old_state(flux, labels):
    regressor = make_regressor().fit(flux, labels)
    predicted = regressor.predict(flux)
    spoiled = flux.copy()
    spoiled[4] = NAN
    with pytest.raises(SpectrumError, match="spectrum 4"):
        regressor.fit(spoiled, labels["teff_k"])
    np.testing.assert_array_equal(regressor.predict(flux), predicted)
