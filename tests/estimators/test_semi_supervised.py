import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from specvae.estimators import SemiSupervisedVAE, SpectralSimulator
from specvae.estimators._build import label_scaler
from specvae.estimators._data import SpectraDataset, TrainingData
from specvae.exceptions import GridMismatchError
from specvae.inspection import radial_velocity_intervention
from specvae.simulation import RedrawnSpectra, StellarSpectrumSimulator, simulate_spectra
from specvae.spectra import SpectraArray, WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.2, 256)


@pytest.fixture(scope="module")
def simulated():
    return simulate_spectra(150, GRID, random_state=0, spectra_per_star=3)


@pytest.fixture(scope="module")
def flux(simulated):
    return simulated.flux / np.median(simulated.flux, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def labels(simulated):
    """Labels of every second star; some lack one more."""
    known = simulated.labels.copy()
    known[simulated.groups % 2 == 1] = np.nan
    known.loc[simulated.groups % 4 == 0, "mh_dex"] = np.nan
    return known


def make_model(**changes):
    parameters = {
        "n_free_latents": 1,
        "encoder": "dense",
        "decoder": "dense",
        "max_epochs": 15,
        "batch_size": 16,
        "device": "cpu",
        "random_state": 0,
    }
    return SemiSupervisedVAE(**{**parameters, **changes})


@pytest.fixture(scope="module")
def model(flux, labels, simulated):
    return make_model(max_epochs=60).fit(flux, labels, groups=simulated.groups)


@parametrize_with_checks(
    [make_model(max_epochs=2), make_model(max_epochs=2, variational=False, n_free_latents=0)],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": "mini-batches hold other spectra when one "
        "is repeated; scikit-learn excuses SGD too"
    },
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_labels_are_learnt_from_half_of_the_stars(model, flux, simulated):
    truth = simulated.labels["teff_k"].to_numpy()
    predicted = model.predict(flux)[:, 0]
    unseen = simulated.groups % 2 == 1  # never had a label
    constant = np.abs(truth[unseen] - np.median(truth[~unseen])).mean()
    assert np.abs(predicted - truth)[unseen].mean() < 0.7 * constant


def test_the_first_latents_are_the_scaled_labels(model, flux):
    codes, predicted = model.transform(flux), model.predict(flux)
    assert codes.shape == (150, 5) and codes.dtype == np.float32
    scaler = model.net_.module_.label_scaler
    scaled = (predicted - scaler.centre.numpy()) / scaler.scale.numpy()
    np.testing.assert_allclose(codes[:, :4], scaled, atol=1e-4)
    names = ["teff_k", "logg_dex", "mh_dex", "rv_kms", "latent0"]
    assert list(model.get_feature_names_out()) == names


def test_scale_of_labels_is_that_of_training_rows(flux, labels, simulated):
    # Whatever star watches, its labels do not count.
    wild = labels.copy()
    model = make_model(max_epochs=1, validation_fraction=0.2)
    fitted = clone(model).fit(flux, labels, groups=simulated.groups)
    from specvae._random import spawn_seeds
    from specvae.estimators._split import split_rows

    labelled = labels.notna().any(axis=1).to_numpy()
    seed = spawn_seeds(0, 3)[0]
    _, valid = split_rows(150, 0.2, simulated.groups, seed, labelled=labelled)
    wild.iloc[valid] = wild.iloc[valid] * 1e3
    again = clone(model).fit(flux, wild, groups=simulated.groups)
    for name in ("centre", "scale"):
        np.testing.assert_array_equal(
            getattr(fitted.net_.module_.label_scaler, name),
            getattr(again.net_.module_.label_scaler, name),
        )


def test_robust_scaling_is_median_and_spread(flux, labels):
    model = make_model(max_epochs=1, label_scaling="robust", validation_fraction=0.0)
    scaler = model.fit(flux, labels).net_.module_.label_scaler
    known = labels["teff_k"].dropna()
    low, middle, high = known.quantile([0.16, 0.5, 0.84])
    assert float(scaler.centre[0]) == pytest.approx(middle)
    assert float(scaler.scale[0]) == pytest.approx(0.5 * (high - low))


def test_uncertainties_come_with_predictions(model, flux):
    predicted, std = model.predict(flux, return_std=True)
    assert predicted.shape == std.shape == (150, 4) and (std > 0).all()
    np.testing.assert_array_equal(predicted, model.predict(flux))
    point = make_model(variational=False).fit(flux, np.ones(150) * np.arange(150))
    predicted, std = point.predict(flux, return_std=True)
    assert predicted.shape == std.shape == (150,) and (std > 0).all()


def test_generate_and_intervene_speak_physical_units(model, flux, simulated):
    star = simulated.labels.iloc[:2]
    zero = model.generate(star, free="zero")
    assert zero.shape == (2, 256) and np.isfinite(zero).all()
    np.testing.assert_array_equal(zero, model.generate(star.to_numpy(), free=np.zeros((2, 1))))
    np.testing.assert_array_equal(model.generate(star[star.columns[::-1]], free="zero"), zero)
    drawn = model.generate(star, 3, random_state=0)
    assert drawn.shape == (6, 256)
    np.testing.assert_array_equal(drawn, model.generate(star, 3, random_state=0))
    assert not np.array_equal(drawn[0], drawn[1])

    unchanged = model.intervene(flux[:4], "teff_k", 0.0)
    np.testing.assert_array_equal(unchanged, model.inverse_transform(model.transform(flux[:4])))
    codes = model.transform(flux[:4])
    codes[:, 0] += 300.0 / float(model.net_.module_.label_scaler.scale[0])
    np.testing.assert_allclose(
        model.intervene(flux[:4], 0, 300.0), model.inverse_transform(codes), atol=1e-6
    )
    each = model.intervene(flux[:4], "teff_k", [0.0, 300.0, 0.0, 0.0])
    np.testing.assert_array_equal(each[[0, 2, 3]], unchanged[[0, 2, 3]])


@pytest.mark.parametrize(
    ("share", "n_known", "wanted"),
    [(0.0, 1, 8), (0.25, 1, 10), (0.5, 1, 14), (0.25, 2, 8), (0.5, 8, 8), (0.5, 0, 8)],
)
def test_batches_have_their_share_of_labels(share, n_known, wanted):
    labels = np.full((12, 1), np.nan)
    labels[:n_known] = 1.0
    labels[11] = 1.0  # not one of the rows of this data set
    data = TrainingData(np.arange(24.0).reshape(12, 2), np.ones(12), labels=labels)
    dataset = SpectraDataset(data, np.arange(8), labelled_share=share)
    batch = dataset.__getitems__(list(range(8)))
    assert len(batch.flux) == len(batch.labels) == len(batch.weight) == wanted
    np.testing.assert_array_equal(batch.flux[:8], data.X[:8])
    # What joins has labels, and is one of the data set's own.
    joined = batch.flux[8:, 0].numpy() / 2
    assert (joined < n_known).all() and (batch.labels[8:] == 1.0).all()


def test_reconstruction_is_the_decoded_code(model, flux):
    reconstruction = model.reconstruct(flux)
    np.testing.assert_allclose(
        reconstruction, model.inverse_transform(model.transform(flux)), atol=1e-6
    )
    error = np.abs(flux - reconstruction).mean(axis=1)
    np.testing.assert_allclose(model.reconstruction_error(flux), error, rtol=1e-4)


def test_velocity_label_shifts_what_is_decoded(flux, labels, simulated):
    model = make_model(velocity_label="rv_kms", grid=GRID, max_epochs=5)
    model.fit(flux, labels, groups=simulated.groups)
    window = (5160.0, 5190.0)
    score = radial_velocity_intervention(model, flux[:20], window_aa=window)
    assert score.ratio < 0.1  # interpolation of narrow lines, here and in the measure
    still = make_model(grid=GRID, max_epochs=5).fit(flux, labels, groups=simulated.groups)
    assert radial_velocity_intervention(still, flux[:20], window_aa=window).ratio > 0.5
    by_number = make_model(velocity_label=3, grid=GRID, max_epochs=5)
    by_number.fit(flux, labels.to_numpy(), groups=simulated.groups)
    np.testing.assert_array_equal(by_number.predict(flux), model.predict(flux))


def test_shift_drags_nothing_from_pixels_never_seen(flux, labels, simulated):
    gap = flux.copy()
    gap[:, 100:140] = np.nan
    model = make_model(velocity_label="rv_kms", grid=GRID, max_epochs=40)
    model.fit(gap, labels, groups=simulated.groups)
    moved = model.intervene(gap[:30], "rv_kms", 60.0)
    assert np.isnan(moved[:, 100:140]).all()
    # A black gap, moved by five pixels, would reach far below the deepest line.
    assert moved[:, 140:150].min() > 0.5 * np.nanmin(gap[:30])


def test_velocities_in_another_unit_are_refused(flux, labels):
    metres = labels.assign(rv_kms=1000.0 * labels["rv_kms"])
    with pytest.raises(ValueError, match=r"velocity_label='rv_kms' reaches .* divide by 1000"):
        make_model(velocity_label="rv_kms", grid=GRID).fit(flux, metres)


def test_spectra_without_labels_teach_the_velocity(flux, simulated):
    """Few stars have labels; the others' lines tell how far they are shifted."""
    few = simulated.labels.where(pd.Series(simulated.groups < 12), axis=0)
    test = simulated.groups >= 40
    train = ~test
    error = {}
    for velocity_label in (None, "rv_kms"):
        model = make_model(
            velocity_label=velocity_label, grid=GRID, max_epochs=60, validation_fraction=0.0
        )
        model.fit(flux[train], few[train], groups=simulated.groups[train])
        velocity = model.predict(flux[test])[:, 3]
        error[velocity_label] = np.abs(velocity - simulated.labels["rv_kms"][test]).mean()
    assert error["rv_kms"] < 0.8 * error[None]


def test_simulated_rows_join_every_batch(flux, labels, simulated):
    pairs = (flux[::3], simulated.labels.iloc[::3])
    few = labels.copy()
    few[simulated.groups > 3] = np.nan
    # Two stars are too few for one of them to watch.
    common = {"max_epochs": 40, "validation_fraction": 0.0}
    alone = make_model(**common).fit(flux, few, groups=simulated.groups)
    helped = make_model(**common, simulated_ratio=2.0).fit(
        flux, few, groups=simulated.groups, simulated=pairs
    )
    truth = simulated.labels["teff_k"].to_numpy()
    error = [np.abs(one.predict(flux)[:, 0] - truth)[12:].mean() for one in (alone, helped)]
    assert error[1] < 0.8 * error[0]
    assert "train_free" in helped.history_ and "train_free" not in alone.history_


def test_free_latents_of_simulated_rows_are_drawn_to_zero(flux, labels, simulated):
    pairs = (flux, simulated.labels)
    sizes = []
    for zero_weight in (0.0, 10.0):
        model = make_model(zero_weight=zero_weight, kl_weight=0.0, max_epochs=30)
        model.fit(flux, labels, groups=simulated.groups, simulated=pairs)
        sizes.append(np.abs(model.transform(flux)[:, 4]).mean())
    assert sizes[1] < 0.2 * sizes[0]


def test_redrawn_spectra_are_simulated_rows(flux, labels, simulated):
    simulator = StellarSpectrumSimulator(GRID, instrument=None, atmosphere=False)
    data = RedrawnSpectra(
        simulator,
        simulated.labels.iloc[::10],
        random_state=0,
        max_rv_kms=20.0,
        transform=lambda rows: rows / np.nanmedian(rows, axis=1, keepdims=True),
    )
    before = data._n_visits.copy()
    fits = [
        make_model(max_epochs=2).fit(flux, labels, groups=simulated.groups, simulated=data)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(fits[0].transform(flux), fits[1].transform(flux))
    np.testing.assert_array_equal(data._n_visits, before)  # the user's object is left alone
    assert data._epoch is None


def test_missing_pixels_move_predictions_less_when_trained_for_it(flux, labels, simulated):
    holed = flux.copy()
    holed[:, 100:140] = np.nan
    moved = []
    for random_missing in (0.0, 0.4):
        model = make_model(random_missing=random_missing, max_epochs=60)
        model.fit(flux, labels, groups=simulated.groups)
        moved.append(np.abs(model.predict(holed) - model.predict(flux)).mean(axis=0)[0])
    assert moved[1] < 0.7 * moved[0]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_free_latents": -1}, "n_free_latents must be an integer >= 0"),
        ({"label_weight": -1.0}, "label_weight"),
        ({"label_scaling": "minmax"}, "label_scaling must be one of 'standard', 'robust'"),
        ({"random_missing": 1.0}, "random_missing"),
        ({"simulated_ratio": 0.0}, "simulated_ratio"),
        ({"encoder": int}, "subclass of torch.nn.Module"),
        ({"labelled_share": 1.0}, "labelled_share"),
        ({"velocity_label": "rv_kms"}, "velocity_label='rv_kms' shifts .* give grid"),
        ({"velocity_label": "speed", "grid": GRID}, "there is no label 'speed'; known: teff_k"),
    ],
)
def test_bad_parameters_are_named_and_leave_no_trace(flux, labels, parameters, message):
    model = make_model(**parameters)
    before = set(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(flux, labels)
    assert set(vars(model)) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"simulated": (1, 2, 3)}, r"simulated must be \(flux, labels\), got 3"),
        ({"simulated": (np.ones((3, 256)), np.ones((3, 2)))}, "simulated has 2 labels, y has 4"),
        (
            {"simulated": (np.ones((2, 256)), pd.DataFrame(np.ones((2, 4)), columns=list("abcd")))},
            "simulated has the labels a, b, c, d, y has teff_k",
        ),
        ({"flux_error": np.ones((3, 3))}, r"flux_error has shape \(3, 3\)"),
    ],
)
def test_bad_data_are_named(flux, labels, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model().fit(flux, labels, **arguments)


def test_bad_calls_are_named(model, flux, simulated):
    with pytest.raises(ValueError, match="no label 'feh_dex'; known: teff_k"):
        model.intervene(flux, "feh_dex", 1.0)
    with pytest.raises(ValueError, match="labels has 3 columns, 4 are wanted"):
        model.generate(simulated.labels.to_numpy()[:, :3])
    with pytest.raises(ValueError, match="free has shape"):
        model.generate(simulated.labels, free=np.zeros((2, 1)))
    with pytest.raises(ValueError, match="wants codes of 5 latents"):
        model.inverse_transform(np.zeros((1, 4)))


def test_a_pretrained_decoder_is_taken_over(flux, simulated, labels):
    from sklearn.frozen import FrozenEstimator

    from specvae.estimators import SpectralSimulator

    simulator = SpectralSimulator(decoder="dense", max_epochs=60, random_state=0, batch_size=16)
    simulator.fit(simulated.labels, flux, groups=simulated.groups)
    model = make_model(max_epochs=3, decoder_pretrained=FrozenEstimator(simulator), frozen_epochs=3)
    model.fit(flux, labels, groups=simulated.groups)
    # It stood still, and the free latents have no effect yet.
    np.testing.assert_allclose(
        model.generate(simulated.labels[:5], free="zero"),
        simulator.predict(simulated.labels[:5]),
        atol=1e-5,
    )
    moved = clone(model).set_params(frozen_epochs=0).fit(flux, labels, groups=simulated.groups)
    first = next(moved.net_.module_.decoder.parameters())
    assert not np.allclose(
        first.detach(), next(model.net_.module_.decoder.parameters()).detach(), atol=1e-4
    )
    with pytest.raises(ValueError, match="knows 4 labels, y has 1"):
        clone(model).fit(flux, np.arange(150.0))


def test_intervene_does_not_depend_on_the_output_that_transform_is_set_to(flux, labels):
    model = make_model(max_epochs=1).fit(flux, labels)
    wanted = model.intervene(flux[:3], "rv_kms", 5.0)
    model.set_output(transform="pandas")
    np.testing.assert_array_equal(model.intervene(flux[:3], "rv_kms", 5.0), wanted)


def test_label_that_only_the_validation_share_has_is_refused(flux, simulated):
    labels = simulated.labels.to_numpy().copy()
    labels[1:, 0] = np.nan
    failed = 0
    for seed in range(40):
        model = make_model(max_epochs=1, random_state=seed)
        try:
            model.fit(flux, labels)
        except ValueError as error:
            assert "label column 0 of y is NaN in all training rows" in str(error)
            assert not hasattr(model, "net_")
            failed += 1
            break
        assert model.net_.module_.label_scaler.centre[0] > 1000
    assert failed


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda flux: flux[:, :-1], "simulated has spectra of shape .*X has 256 pixels"),
        (lambda flux: np.where(flux == flux[2, 7], np.inf, flux), "simulated: .*infinity"),
        (lambda flux: np.where(np.arange(len(flux))[:, None] == 2, np.nan, flux), "no valid pixel"),
    ],
)
def test_simulated_spectra_that_cannot_be_used_are_refused(flux, simulated, labels, spoil, message):
    with pytest.raises(ValueError, match=message):
        make_model(max_epochs=1).fit(flux, labels, simulated=(spoil(flux), simulated.labels))


def test_masked_pixels_of_simulated_spectra_do_not_teach(flux, simulated, labels):
    hidden = np.zeros(flux.shape, dtype=bool)
    hidden[:, :20] = True
    pairs = [
        (np.ma.masked_array(np.where(hidden, 9.0, flux), hidden), simulated.labels),
        (np.where(hidden, np.nan, flux), simulated.labels),
    ]
    masked, missing = (make_model(max_epochs=1).fit(flux, labels, simulated=p) for p in pairs)
    np.testing.assert_array_equal(masked.predict(flux), missing.predict(flux))


def test_pretrained_decoder_does_not_go_with_a_shift(flux, simulated, labels):
    simulator = SpectralSimulator(decoder="dense", max_epochs=1, device="cpu", random_state=0)
    simulator.fit(simulated.labels, flux)
    model = make_model(decoder_pretrained=simulator, velocity_label="rv_kms", grid=GRID)
    with pytest.raises(ValueError, match="velocity_label wants them drawn at rest"):
        model.fit(flux, labels)


def test_simulator_of_other_labels_or_another_grid_is_refused(flux, simulated, labels):
    simulator = SpectralSimulator(decoder="dense", max_epochs=1, grid=GRID, device="cpu")
    model = make_model(max_epochs=1, decoder_pretrained=simulator.fit(simulated.labels, flux))
    with pytest.raises(ValueError, match=r"decoder_pretrained has the labels teff_k, .*y has rv"):
        model.fit(flux, labels[labels.columns[::-1]])
    other = SpectraArray(flux, grid=WavelengthGrid(6150.0, 0.2, 256))
    with pytest.raises(GridMismatchError):
        model.fit(other, labels)
    assert not hasattr(model, "net_")


def test_label_scale_of_small_units_and_of_labels_that_mostly_agree():
    rows, values = np.arange(10), np.arange(10.0)[:, None]
    small = label_scaler(1e-14 * values, rows).scale
    np.testing.assert_allclose(small, 1e-14 * values.std(axis=0), rtol=1e-6)
    few = (values == 3.0) * 100.0
    np.testing.assert_allclose(label_scaler(few, rows, robust=True).scale, few.std(), rtol=1e-6)
    assert label_scaler(np.full((10, 1), 0.3), rows).scale == 1.0
