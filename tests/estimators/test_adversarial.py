import math
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from specvae._random import make_generator
from specvae.estimators._adversarial import AdversarialAutoencoder
from specvae.estimators._adversarial_objective import AdversarialObjective
from specvae.estimators._data import Batch
from specvae.estimators._objective import EpochMean, Stage
from specvae.networks import DenseDecoder, DenseEncoder, FluxScaler, LabelScaler, initialise
from specvae.networks._adversarial import (
    ConditionalAutoencoder,
    ConditionBins,
    FaderAdversary,
    knowledge_of_bins,
    standardise,
)
from specvae.simulation import StellarSpectrumSimulator, twin_design
from specvae.spectra import SpectraArray, WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.5, 96)
N_TRAIN = 800


@pytest.fixture(scope="module")
def design():
    fixed = {
        f"{name}_fe_dex": 0.0
        for name in ("c", "n", "o", "na", "al", "si", "ca", "ti", "cr", "iron_peak", "ni", "ba")
    }
    return twin_design(600, fixed, random_state=0)


@pytest.fixture(scope="module")
def flux(design):
    simulator = StellarSpectrumSimulator(GRID, instrument=None, atmosphere=False)
    noiseless = simulator.simulate(design.labels, random_state=0).noiseless_flux
    return noiseless / np.median(noiseless, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def known(design):
    return design.labels[["teff_k", "logg_dex"]].to_numpy()


def make_autoencoder(**changes):
    parameters = {
        "latent_dim": 3,
        "encoder": "dense",
        "decoder": "dense",
        "max_epochs": 3,
        "random_state": 0,
        "device": "cpu",
    }
    return AdversarialAutoencoder(**{**parameters, **changes})


@parametrize_with_checks(
    [make_autoencoder(max_epochs=2), make_autoencoder(encoder="conv", decoder="conv")],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": (
            "mini-batches hold other spectra when one is repeated; scikit-learn excuses SGD too"
        )
    },
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def with_adversary(flux, known):
    return make_trained(flux, known, adversary_weight=2e-2)


@pytest.fixture(scope="module")
def baseline(flux, known):
    return make_trained(flux, known, adversary_weight=0.0)


def make_trained(flux, known, **changes):
    autoencoder = make_autoencoder(
        latent_dim=4, max_epochs=60, batch_size=64, patience=None, **changes
    )
    pairs = np.arange(N_TRAIN) // 2
    return autoencoder.fit(flux[:N_TRAIN], conditions=known[:N_TRAIN], groups=pairs)


def readable(autoencoder, flux, known, column):
    """Coefficient of determination of a condition that neighbours in the code predict."""
    train = standardised(autoencoder.transform(flux[:N_TRAIN], conditions=known[:N_TRAIN]))
    test = standardised(autoencoder.transform(flux[N_TRAIN:], conditions=known[N_TRAIN:]))
    neighbours = KNeighborsRegressor(20).fit(train, known[:N_TRAIN, column])
    return neighbours.score(test, known[N_TRAIN:, column])


def standardised(codes):
    return (codes - codes.mean(axis=0)) / np.maximum(codes.std(axis=0), 1e-6)


def swap_error(autoencoder, flux, known):
    """Mean squared error of the test spectra, each from its twin's code."""
    flux, known = flux[N_TRAIN:], known[N_TRAIN:]
    codes = autoencoder.transform(flux, conditions=known)
    twin = np.arange(len(codes)) ^ 1
    return np.square(autoencoder.decode(codes[twin], known) - flux).mean()


def test_adversary_leaves_little_of_the_conditions_in_the_code(
    flux, known, with_adversary, baseline
):
    assert readable(baseline, flux, known, 0) > 0.5
    assert readable(with_adversary, flux, known, 0) < 0.4
    assert readable(with_adversary, flux, known, 1) < 0.4
    knowledge = with_adversary.history_["valid_knowledge"].iloc[-1]
    assert 0.0 <= knowledge < 0.2 * math.log(10)


def test_swapped_codes_of_twins_reconstruct(flux, known, with_adversary, baseline):
    assert swap_error(with_adversary, flux, known) < 0.2 * swap_error(baseline, flux, known)
    # The conditions alone do not explain the spectra: the code holds what twins share.
    mean_error = np.square(flux[N_TRAIN:] - flux[:N_TRAIN].mean(axis=0)).mean()
    assert swap_error(with_adversary, flux, known) < 0.2 * mean_error


def test_codes_and_reconstructions_have_their_shapes(flux, known):
    autoencoder = make_autoencoder(adversary_heads="joint", n_bins=4)
    codes = autoencoder.fit_transform(flux, conditions=known)
    assert codes.shape == (1200, 3) and codes.dtype == np.float32
    assert autoencoder.n_conditions_ == 2
    network = autoencoder.net_.module_
    assert network.bins.n_bins == (16,) and len(network.adversary.heads) == 1
    reconstruction = autoencoder.reconstruct(flux, conditions=known)
    np.testing.assert_allclose(reconstruction, autoencoder.decode(codes, known), rtol=1e-5)
    error = np.abs(flux - reconstruction).mean(axis=1)
    found = autoencoder.score(flux, conditions=known)
    assert found == pytest.approx(-error.mean(), rel=1e-4)
    weight = np.arange(1200.0)
    found = autoencoder.score(flux, conditions=known, sample_weight=weight)
    assert found == pytest.approx(-np.average(error, weights=weight), rel=1e-4)
    assert list(autoencoder.get_feature_names_out()) == ["latent0", "latent1", "latent2"]
    assert {"valid_knowledge", "valid_kl"} <= set(autoencoder.history_)
    # Other conditions, other spectra.
    assert not np.allclose(autoencoder.decode(codes, known + [300.0, 0.0]), reconstruction)


def test_without_conditions_it_is_an_autoencoder(flux):
    autoencoder = make_autoencoder(kl_weight=0.0).fit(flux)
    assert autoencoder.n_conditions_ == 0 and autoencoder.net_.module_.adversary is None
    codes = autoencoder.transform(flux)
    np.testing.assert_array_equal(autoencoder.decode(codes), autoencoder.reconstruct(flux))
    assert not {"valid_kl", "valid_knowledge"} & set(autoencoder.history_)


def test_lazy_matrix_missing_pixels_and_one_condition(flux, known):
    holes = flux.copy()
    holes[:, 10:15] = np.nan
    holes[7, 50] = np.nan
    lazy = SpectraArray(holes, grid=GRID)
    teff = known[:, 0]
    from_lazy = make_autoencoder().fit(lazy, conditions=teff)
    codes = from_lazy.transform(lazy, conditions=teff)
    from_array = make_autoencoder().fit_transform(holes, conditions=teff[:, None])
    np.testing.assert_array_equal(codes, from_array)
    reconstruction = from_lazy.decode(codes, teff)
    assert np.isnan(reconstruction[:, 10:15]).all()
    assert np.isfinite(np.delete(reconstruction, np.s_[10:15], axis=1)).all()


def test_same_seed_same_codes_and_global_states_are_untouched(flux, known):
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state().clone(), np.random.get_state()[1].copy()
    first = make_autoencoder().fit_transform(flux, conditions=known)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    torch.manual_seed(2)
    again = make_autoencoder().fit_transform(flux, conditions=known)
    np.testing.assert_array_equal(again, first)
    other = make_autoencoder(random_state=1).fit_transform(flux, conditions=known)
    assert not np.array_equal(other, first)


def test_pickle_and_clone_keep_their_promises(flux, known):
    fitted = make_autoencoder().fit(flux, conditions=known)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(
        again.transform(flux, conditions=known), fitted.transform(flux, conditions=known)
    )
    with pytest.raises(NotFittedError):
        clone(fitted).transform(flux, conditions=known)


@pytest.mark.parametrize(
    ("changes", "conditions", "message"),
    [
        ({}, np.zeros((3, 2)), "conditions has 3 rows, X 1200 spectra"),
        ({}, np.full((1200, 2), np.nan), "conditions contains NaN"),
        ({"adversary_weight": -1.0}, None, "adversary_weight"),
        ({"adversary_heads": "both"}, None, "adversary_heads must be one of"),
        ({"adversary_steps": 0}, None, "adversary_steps"),
        ({"n_bins": 1}, None, "n_bins"),
        ({"kl_weight": -1.0}, None, "kl_weight"),
        ({"latent_dim": 0}, None, "latent_dim"),
        ({"reconstruction": "l3"}, None, "reconstruction must be one of"),
    ],
)
def test_errors_are_named_and_leave_no_trace(flux, changes, conditions, message):
    autoencoder = make_autoencoder(**changes)
    before = set(vars(autoencoder))
    with pytest.raises(ValueError, match=message):
        autoencoder.fit(flux, conditions=conditions)
    assert set(vars(autoencoder)) == before


def test_conditions_must_be_as_in_fit(flux, known):
    told = make_autoencoder().fit(flux, conditions=known)
    with pytest.raises(ValueError, match="conditions must be as in fit, 2 columns"):
        told.transform(flux)
    with pytest.raises(ValueError, match="conditions has 1 columns; fit had 2"):
        told.decode(np.zeros((4, 3)), np.zeros((4, 1)))
    with pytest.raises(ValueError, match="Z has 5 columns"):
        told.decode(np.zeros((4, 5)), np.zeros((4, 2)))
    untold = make_autoencoder().fit(flux)
    with pytest.raises(ValueError, match="conditions must be as in fit, None"):
        untold.transform(flux, conditions=known)


def small_network():
    generator = make_generator(0)
    conditions = torch.randn((64, 2), generator=generator)
    edges = torch.quantile(conditions, torch.tensor([0.25, 0.5, 0.75]), dim=0).T.contiguous()
    parts = [
        DenseEncoder(12, 6, n_conditions=2),
        DenseDecoder(3, 12, n_conditions=2),
        FaderAdversary(3, (4, 4)),
    ]
    encoder, decoder, adversary = (initialise(part, generator) for part in parts)
    network = ConditionalAutoencoder(
        encoder,
        decoder,
        FluxScaler(torch.zeros(12), 1.0),
        3,
        condition_scaler=LabelScaler(torch.zeros(2), torch.ones(2)),
        adversary=adversary,
        bins=ConditionBins(edges, conditions),
    )
    flux = conditions @ torch.randn((2, 12), generator=generator)
    return network, Batch(flux, torch.ones(64), conditions=conditions)


def make_objective(**changes):
    parameters = {"weight": 1.0, "n_steps": 1, "warmup_epochs": 0, "kl_weight": 1e-3}
    return AdversarialObjective(**{**parameters, "reconstruction": "l1", **changes})


def test_only_the_adversary_learns_to_find_and_only_the_network_learns_to_hide():
    network, batch = small_network()
    objective = make_objective()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    before = [weight.detach().clone() for weight in network.adversary.parameters()]
    losses = objective(network, batch, Stage(0, make_generator(0)))
    taught = [weight.detach().clone() for weight in network.adversary.parameters()]
    assert all(not torch.equal(a, b) for a, b in zip(before, taught, strict=True))
    losses.total.backward()
    assert all(weight.grad is None for weight in network.adversary.parameters())
    assert all(weight.grad is not None for weight in network.encoder.parameters())
    assert all(weight.requires_grad for weight in network.adversary.parameters())
    optimizer.step()
    after = list(network.adversary.parameters())
    assert all(torch.equal(a, b) for a, b in zip(taught, after, strict=True))


def test_watching_teaches_nothing():
    network, batch = small_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        first = make_objective()(network, batch, Stage(0, None))
        again = make_objective()(network, batch, Stage(5, None))
    assert torch.equal(first.total, again.total)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_adversary_finds_what_a_fixed_code_holds():
    network, batch = small_network()
    objective = make_objective()
    code = torch.cat([batch.conditions, torch.zeros(64, 1)], dim=1)
    bins = network.bins(batch.conditions)
    for _ in range(300):
        objective._teach(network.adversary, code, bins)
    found = knowledge_of_bins(network.adversary(code), bins, network.bins.entropy)
    assert found > 0.7 * math.log(4)


def test_state_of_the_adversary_goes_on_bit_for_bit():
    network, batch = small_network()
    objective = make_objective(n_steps=2)
    assert objective.state_dict() == {}
    for _ in range(3):
        objective(network, batch, Stage(0, make_generator(0)))
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    state = pickle.loads(pickle.dumps(objective.state_dict()))
    objective(network, batch, Stage(0, make_generator(1)))
    whole = [weight.detach().clone() for weight in network.adversary.parameters()]

    network.load_state_dict(weights)
    resumed = make_objective(n_steps=2)
    resumed.load_state_dict(state)
    assert resumed.state_dict() is state
    resumed(network, batch, Stage(0, make_generator(1)))
    for found, wanted in zip(network.adversary.parameters(), whole, strict=True):
        assert torch.equal(found, wanted)
    network.load_state_dict(weights)
    make_objective(n_steps=2)(network, batch, Stage(0, make_generator(1)))
    assert not torch.equal(next(network.adversary.parameters()), whole[0])


def test_standardised_codes_do_not_depend_on_their_scale():
    generator = make_generator(0)
    code = torch.randn((50, 2), generator=generator, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(standardise(1e-3 * code + 5.0), standardise(code))
    # No gradient towards smaller codes.
    weight = torch.randn((50, 2), generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((standardise(code) * weight).sum(), code)
    centred = code.detach() - code.detach().mean(dim=0)
    torch.testing.assert_close((gradient * centred).sum(dim=0), torch.zeros(2).double())
    dead = torch.ones((4, 1), requires_grad=True)
    standardise(dead).sum().backward()
    assert torch.equal(dead.grad, torch.zeros(4, 1))


def test_bins_of_conditions():
    edges = torch.tensor([[0.0, 1.0], [10.0, 20.0]])
    conditions = torch.tensor([[-1.0, 5.0], [0.0, 15.0], [0.5, 15.0], [2.0, 25.0]])
    bins = ConditionBins(edges, conditions)
    assert bins.n_bins == (3, 3)
    assert bins(conditions).tolist() == [[0, 0], [1, 1], [1, 1], [2, 2]]
    halves = 1.5 * math.log(2)
    torch.testing.assert_close(bins.entropy, torch.tensor([halves, halves]))
    joint = ConditionBins(edges, conditions, joint=True)
    assert joint.n_bins == (9,)
    assert joint(conditions).tolist() == [[0], [4], [4], [8]]


@pytest.mark.parametrize("changes", [{}, {"adversary_heads": "joint"}, {"adversary_weight": 0.0}])
def test_empty_network_has_the_shapes_of_the_trained_one(flux, known, changes):
    fitted = make_autoencoder(**changes).fit(flux, conditions=known)
    state = fitted.net_.module_.state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    empty = fitted._empty_network(shapes).state_dict()
    assert {name: tuple(value.shape) for name, value in empty.items()} == shapes


def test_epochs_are_compared_at_the_full_price():
    network, batch = small_network()
    objective = make_objective(weight=5.0, warmup_epochs=9, n_steps=200)
    losses = objective(network, batch, Stage(0, make_generator(0)))
    knowledge = float(losses.parts["knowledge"].value)
    assert knowledge > 0.1
    mean = EpochMean()
    mean.add(losses.parts)
    lacking = mean.loss() - float(losses.total.detach())
    assert lacking == pytest.approx(0.9 * 5.0 * knowledge, rel=1e-4)


def test_conditions_of_a_dataframe_are_read_by_name(flux, known):
    table = pd.DataFrame(known, columns=["teff_k", "logg_dex"])
    model = AdversarialAutoencoder(
        2, encoder="dense", decoder="dense", max_epochs=1, random_state=0, device="cpu"
    )
    codes = model.fit_transform(flux, conditions=table)
    turned = table[["logg_dex", "teff_k"]]
    np.testing.assert_array_equal(model.transform(flux, conditions=turned), codes)
    np.testing.assert_array_equal(model.decode(codes, turned), model.decode(codes, known))
    with pytest.raises(ValueError, match="conditions lacks teff_k"):
        model.decode(codes, table[["logg_dex"]])
    assert not hasattr(model.fit(flux, conditions=known), "condition_names_in_")
