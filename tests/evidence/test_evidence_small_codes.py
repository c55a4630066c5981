import numpy as np
import pytest
from _small_codes_gplvm import GaussianProcessLatents
from _small_codes_measures import (
    Measured,
    average,
    caused_within,
    explained,
    judge,
    shares_drawn,
    whitened,
)
from _small_codes_report import combined, mean_of_seeds, plain
from _small_codes_spectra import transmission_of
from sklearn.decomposition import PCA

from specvae.spectra import WavelengthGrid


def curve(place):
    """Spectra along a bent path, of which two principal components draw part only."""
    channel = np.linspace(0.0, 1.0, 80)
    return np.exp(-0.5 * ((channel - place[:, None]) / 0.05) ** 2)


@pytest.fixture(scope="module")
def bent():
    rng = np.random.default_rng(0)
    train, test = rng.uniform(0.2, 0.8, 60), rng.uniform(0.25, 0.75, 20)
    noisy = curve(train) + 0.01 * rng.standard_normal((60, 80))
    return noisy, curve(test), test, train


def test_gplvm_draws_new_spectra_of_a_bent_path_better_than_pca(bent):
    train, test, _, _ = bent
    errors = []
    for model in (GaussianProcessLatents(2, n_steps=400), PCA(2)):
        drawn = model.fit(train).inverse_transform(model.transform(test))
        errors.append(np.square(drawn - test).mean())
    assert errors[0] < 0.25 * errors[1]


def test_gplvm_gives_training_spectra_their_codes_and_its_loss_falls(bent):
    train, *_ = bent
    model = GaussianProcessLatents(2).fit(train)
    assert model.history_[-1] < model.history_[0]
    np.testing.assert_allclose(model.transform(train), model.codes_.numpy(), atol=0.1)


def test_explained_is_one_for_a_copy_and_not_above_zero_for_noise():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 3)
    value = rng.uniform(size=300)
    assert explained(value[:, None], value, groups).value > 0.98
    other = explained(rng.uniform(size=(300, 1)), value, groups)
    assert other.value < 2.0 * other.error


def test_explained_knows_no_star_from_its_own_spectra():
    rng = np.random.default_rng(1)
    of_star = rng.uniform(size=(60, 2))
    groups = np.repeat(np.arange(60), 5)
    found = explained(of_star[groups], rng.uniform(size=60)[groups], groups)
    assert found.value < 0.1


def test_share_that_a_cause_has_in_the_scatter_within_stars():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(400), 4)
    star = rng.normal(0.0, 5.0, (400, 2))[groups]
    # In the first latent the cause makes 3/4 of the variance, as in the second.
    noise, cause = rng.normal(0.0, [1.0, 10.0], (2, 1600, 2))
    codes = star * [1.0, 10.0] + noise + np.sqrt(3.0) * cause
    share = caused_within(codes, codes - np.sqrt(3.0) * cause, groups)
    assert share.value == pytest.approx(0.75, abs=3.0 * share.error) and share.error < 0.02
    assert caused_within(codes, codes, groups).value == pytest.approx(0.0)


def test_whitening_leaves_dead_latents_out():
    codes = np.random.default_rng(0).normal(0.0, [1.0, 3.0, 0.0], (50, 3))
    ours, shifted = whitened(codes, codes + [1.0, 0.0, 9.0])
    np.testing.assert_allclose(np.cov(ours, rowvar=False), np.eye(2), atol=1e-9)
    assert shifted.shape == ours.shape


def test_shares_of_broad_and_narrow():
    channel = np.arange(2000)
    broad = np.sin(channel / 300.0)
    narrow = np.sin(channel / 2.0)
    flux = (broad + narrow) * np.array([[1.0], [2.0], [3.0]])
    drawn = (broad + 0.5 * narrow) * np.array([[1.0], [2.0], [3.0]])
    of_broad, of_narrow = shares_drawn(flux, drawn, np.zeros(2000), np.arange(3), 20.0)
    assert of_broad.value == pytest.approx(1.0, abs=0.01)
    assert of_narrow.value == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    ("values", "above", "verdict"),
    [
        ([(0.9, 0.1), (0.8, 0.1)], True, "holds"),
        ([(0.9, 0.1), (0.8, 0.1)], False, "fails"),
        ([(0.1, 0.1), (0.2, 0.1)], True, "fails"),
        ([(0.9, 0.1), (0.6, 0.1)], True, "cannot be told here"),
        ([(0.9, 0.1), (0.1, 0.1)], True, "cannot be told here"),
        ([(0.9, 0.1), (np.nan, np.nan)], True, "cannot be told here"),
    ],
)
def test_judge_wants_all_beyond_two_errors(values, above, verdict):
    assert judge([Measured(*each) for each in values], 0.5, above=above) == verdict


def test_a_claim_fails_with_any_of_its_parts():
    unknown = "cannot be told here"
    assert combined(["holds", "holds"]) == "holds"
    assert combined(["holds", unknown]) == unknown
    assert combined([unknown, "fails", "holds"]) == "fails"


def test_seeds_are_averaged_at_any_depth():
    one = {"a": {"b": Measured(1.0, 0.3), "c": (Measured(0.0, 0.0), 4.0)}}
    two = {"a": {"b": Measured(3.0, 0.4), "c": (Measured(2.0, 0.0), 6.0)}}
    mean = mean_of_seeds([one, two])["a"]
    assert mean["b"] == pytest.approx((2.0, 0.25)) == average([one["a"]["b"], two["a"]["b"]])
    assert mean["c"] == ((1.0, 0.0), 5.0)


def test_record_holds_no_nan():
    assert plain({("PCA", 8): Measured(np.nan, 1.0)}) == {"PCA 8": [None, 1.0]}


def test_transmission_has_lines_and_no_extinction():
    grid = WavelengthGrid(6274.0, 0.05, 640)
    line = 1.0 - 0.4 * np.exp(-0.5 * ((np.arange(640) - 300) / 1.5) ** 2)
    extinction = np.linspace(0.79, 0.80, 640)
    found = transmission_of((line * extinction)[None], grid)[0]
    np.testing.assert_allclose(found, line, atol=0.003)
