import numpy as np
import pandas as pd
import pytest
from _evidence import Claim
from _interventions_claims import in_every_seed, of_trainings, unless_open
from _interventions_decoders import AtRest
from _interventions_models import MovedAlongLine, velocity_latent
from _interventions_pool import (
    Errors,
    all_hold,
    beats_nothing,
    both,
    lower,
    of_limit,
    stars_of_seeds,
)
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor

from specvae.spectra import WavelengthGrid, doppler_factor


def test_an_error_is_lower_only_where_the_stars_say_so():
    stars = np.arange(40)
    errors = np.linspace(1.0, 2.0, 40)
    assert lower(errors - 0.1, errors, stars)[0] == "holds"
    assert lower(errors + 0.1, errors, stars)[0] == "fails"
    assert lower(errors, errors[::-1].copy(), stars)[0] == "cannot be told here"


def test_a_claim_of_parts_holds_with_all_and_fails_with_one():
    assert all_hold(["holds", "holds"]) == "holds"
    assert all_hold(["holds", "cannot be told here"]) == "cannot be told here"
    assert all_hold(["holds", "cannot be told here", "fails"]) == "fails"


@pytest.mark.parametrize(
    ("scores", "nothing", "verdict"),
    [
        ([0.005, 0.007], [0.02, 0.003], "holds"),
        ([0.005, 0.007], [0.006, 0.003], "cannot be told here"),
        ([0.005, 0.009], [0.02, 0.03], "fails"),
    ],
)
def test_a_limit_that_doing_nothing_keeps_tells_nothing(scores, nothing, verdict):
    assert of_limit(scores, nothing, 0.0078) == verdict


def test_doing_nothing_is_beaten_by_more_than_chance():
    stars = np.arange(30)
    nothing = np.linspace(1.0, 2.0, 30)
    for factor, verdict in ((0.5, "holds"), (1.5, "fails")):
        assert beats_nothing(Errors(factor * nothing, nothing, stars, (factor,))) == verdict
    noisy = nothing + np.where(stars % 2, 0.9, -0.9)
    assert beats_nothing(Errors(noisy, nothing, stars, (1.0,))) == "cannot be told here"


def test_stars_of_two_seeds_are_different_stars():
    assert len(set(stars_of_seeds([np.array([0, 1, 1]), np.array([0, 1, -1])]))) == 5


def test_a_label_moves_along_its_own_direction_although_labels_go_together():
    rng = np.random.default_rng(0)
    first = rng.normal(size=400)
    labels = pd.DataFrame({"teff_k": 500.0 * first, "rv_kms": first + rng.normal(size=400)})
    flux = labels.to_numpy() @ np.array([[0.001, 0.0, 0.0], [0.0, 0.5, 0.5]])
    pca = PCA(2).fit(flux)
    moved = MovedAlongLine(pca, pca.transform(flux), labels).intervene(flux, "rv_kms", 2.0)
    np.testing.assert_allclose(moved - flux, np.tile([0.0, 1.0, 1.0], (400, 1)), atol=1e-4)


def test_the_latent_of_the_velocity_is_found_whatever_its_scale():
    rng = np.random.default_rng(0)
    velocity = rng.normal(scale=30.0, size=200)
    codes = np.column_stack([rng.normal(scale=9.0, size=200), 1e-3 * velocity, np.zeros(200)])
    latent, slope = velocity_latent(codes, velocity)
    assert latent == 1
    assert slope == pytest.approx(1e-3)


def test_a_decoder_at_rest_is_shifted_by_the_velocity():
    grid = WavelengthGrid(6000.0, 0.1, 400)

    def line(velocity_kms):
        place = 6020.0 * doppler_factor(velocity_kms)
        return 1.0 - 0.5 * np.exp(-0.5 * ((grid.wavelength_aa - place) / 0.3) ** 2)

    labels = pd.DataFrame({"teff_k": [5000.0, 5000.0], "rv_kms": [-40.0, 30.0]})
    flux = np.stack([line(velocity) for velocity in labels["rv_kms"]])
    decoder = AtRest(DummyRegressor(), grid).fit(labels, flux)
    predicted = decoder.predict(labels.assign(rv_kms=[0.0, 60.0]))
    np.testing.assert_allclose(predicted, [line(0.0), line(60.0)], atol=5e-3)


def test_a_mean_without_scatter_has_no_error():
    assert both((0.0239596397, 7.7e-20)) == "0.024"
    assert both((0.0239596397, 1e-3)) == "0.0240 ± 0.0010"
    assert both(None) == "-"


def test_a_failure_that_this_training_may_explain_is_left_open():
    found = [unless_open(*given) for given in (("fails", True), ("fails", False), ("holds", True))]
    assert found == ["cannot be told here", "fails", "holds"]


def test_few_trainings_or_such_that_disagree_decide_nothing():
    claim = Claim("Somebody", "It is so.", "1 of 2.", "fails")
    assert of_trainings(claim, 3) is claim
    assert of_trainings(claim, 2).verdict == "cannot be told here"
    gains = ([0.1, 0.2], [0.1, -0.2], [0.1])
    assert [in_every_seed("holds", each) for each in gains] == ["holds"] + 2 * [
        "cannot be told here"
    ]
