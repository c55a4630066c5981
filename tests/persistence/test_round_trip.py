import importlib
import inspect
import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from numpydoc.docscrape import FunctionDoc
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import specvae
from specvae import estimators
from specvae.estimators import (
    MADSelector,
    PartialLabelRegressor,
    SemiSupervisedVAE,
    SpectralAutoencoder,
    SpectralRegressor,
    SpectralSimulator,
    SpectralVAE,
)
from specvae.exceptions import GridMismatchError
from specvae.networks import ConvEncoder
from specvae.preprocessing import (
    ContinuumNormalizer,
    MedianNormalizer,
    PixelMasker,
    SpectraLoader,
    SpectrumResampler,
)
from specvae.spectra import HARPS_GRID

SMALL = {"max_epochs": 2, "random_state": 0, "device": "cpu"}
DENSE = {**SMALL, "encoder": "dense", "decoder": "dense"}


class LastPixels(nn.Module):
    """An encoder of a user."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.layer = nn.Linear(n_inputs, n_outputs)
        self.register_buffer("shift", torch.ones(1))

    def forward(self, flux):
        return self.layer(flux) + self.shift


def public(name):
    """Return an estimator of that name, where there is one."""
    if name not in estimators.__all__:
        pytest.skip(f"specvae.estimators has no {name}")
    return getattr(estimators, name)


def outputs(estimator, flux):
    """Everything that an estimator gives for spectra, by the name of the method."""
    found = {}
    if hasattr(estimator, "transform"):
        codes = estimator.transform(flux)
        found["transform"] = codes
        if isinstance(estimator, SpectralAutoencoder | SpectralVAE):
            found["inverse_transform"] = estimator.inverse_transform(codes)
            found["score"] = np.array(estimator.score(flux))
    if isinstance(estimator, SpectralVAE):
        found["std"] = estimator.transform(flux, return_std=True)[1]
        found["sample"] = estimator.sample(2, random_state=0)
    if hasattr(estimator, "predict"):
        found["predict"] = estimator.predict(flux)
    if isinstance(estimator, SemiSupervisedVAE):
        found["inverse_transform"] = estimator.inverse_transform(found["transform"])
    if isinstance(estimator, SpectralRegressor | SemiSupervisedVAE):
        found["std"] = estimator.predict(flux, return_std=True)[1]
    assert found
    return found


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def round_trip(estimator, path, **options):
    specvae.save(estimator, path)
    return specvae.load(path, **options)


def all_parameters(estimator):
    parameters = estimator.get_params(deep=True)
    return {name: re.sub(" at 0x[0-9A-F]+", "", repr(each)) for name, each in parameters.items()}


NETWORKS = {
    "autoencoder conv": SpectralAutoencoder(3, **SMALL),
    "autoencoder dense with linear path": SpectralAutoencoder(3, linear_path=True, **DENSE),
    "autoencoder resnet": SpectralAutoencoder(3, encoder="resnet", decoder="resnet", **SMALL),
    "vae conv": SpectralVAE(3, kl_weight=1e-6, **SMALL),
    "vae resnet": SpectralVAE(3, decoder="resnet", kl_weight=1e-6, **SMALL),
    "regressor": SpectralRegressor(encoder="dense", **SMALL),
    "semi-supervised": SemiSupervisedVAE(**DENSE),
    "semi-supervised, shifting": SemiSupervisedVAE(velocity_label="rv_kms", **DENSE),
    "semi-supervised, one point": SemiSupervisedVAE(variational=False, decoder="resnet", **SMALL),
}


@pytest.fixture(scope="module", params=list(NETWORKS))
def fitted(request, flux, simulated, grid):
    estimator = clone(NETWORKS[request.param]).set_params(grid=grid)
    labels = simulated.labels.copy()
    labels.iloc[:5, 0] = np.nan
    return estimator.fit(flux, labels, groups=simulated.groups)


@pytest.mark.filterwarnings("ignore::specvae.exceptions.CollapsedLatentsWarning")  # two epochs
def test_network_comes_back_bit_for_bit(fitted, flux, grid, tmp_path):
    loaded = round_trip(fitted, tmp_path / "model", grid=grid)
    assert type(loaded) is type(fitted)
    assert_same(outputs(loaded, flux), outputs(fitted, flux))
    pd.testing.assert_frame_equal(loaded.history_, fitted.history_)
    assert all_parameters(loaded) == all_parameters(fitted)
    assert all_parameters(clone(loaded)) == all_parameters(fitted)
    ours, theirs = vars(loaded), vars(fitted)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if name not in ("net_", "history_"):
            assert type(ours[name]) is type(value), name
            np.testing.assert_array_equal(ours[name], value)
    assert loaded.net_.module_.scaler.unit == fitted.net_.module_.scaler.unit
    assert all(weight.requires_grad for weight in loaded.net_.module_.parameters())
    assert not loaded.net_.module_.training
    assert_same(outputs(pickle.loads(pickle.dumps(loaded)), flux), outputs(fitted, flux))
    again = round_trip(loaded, tmp_path / "again")
    assert_same(outputs(again, flux), outputs(fitted, flux))


@pytest.mark.filterwarnings("ignore::specvae.exceptions.CollapsedLatentsWarning")  # two epochs
def test_another_process_gives_the_same(flux, simulated, grid, tmp_path):
    wanted = {}
    for number, estimator in enumerate(NETWORKS.values()):
        fitted = clone(estimator).set_params(grid=grid).fit(flux, simulated.labels)
        found = outputs(fitted, flux)
        wanted[number] = found.get("predict", found.get("transform"))
        fitted.save(tmp_path / f"model{number}")
    np.save(tmp_path / "flux.npy", flux)
    code = (
        "import sys, numpy as np, torch, specvae\n"
        "folder, n_models, n_threads = sys.argv[1:]\n"
        "torch.set_num_threads(int(n_threads))\n"
        "flux = np.load(f'{folder}/flux.npy')\n"
        "for number in range(int(n_models)):\n"
        "    model = specvae.load(f'{folder}/model{number}')\n"
        "    use = model.predict if hasattr(model, 'predict') else model.transform\n"
        "    np.save(f'{folder}/found{number}.npy', use(flux))\n"
    )
    numbers = [str(len(wanted)), str(torch.get_num_threads())]
    subprocess.run([sys.executable, "-W", "error", "-c", code, tmp_path, *numbers], check=True)
    for number, values in wanted.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"found{number}.npy"), values)


def test_simulator_comes_back_by_itself_and_inside_another(flux, simulated, tmp_path):
    simulator = public("SpectralSimulator")(decoder="dense", **SMALL).fit(simulated.labels, flux)
    loaded = round_trip(simulator, tmp_path / "simulator")
    wanted = simulator.predict(simulated.labels)
    np.testing.assert_array_equal(loaded.predict(simulated.labels), wanted)
    model = SemiSupervisedVAE(decoder_pretrained=simulator, **DENSE).fit(flux, simulated.labels)
    loaded = round_trip(model, tmp_path / "model")
    assert_same(outputs(loaded, flux), outputs(model, flux))
    within = loaded.decoder_pretrained.predict(simulated.labels)
    np.testing.assert_array_equal(within, wanted)


@pytest.mark.parametrize("heads", ["separate", "joint"])
@pytest.mark.parametrize("weight", [0.0, 0.01])
def test_adversarial_autoencoder_comes_back(heads, weight, flux, simulated, tmp_path):
    conditions = simulated.labels[["teff_k", "logg_dex"]]
    fitted = public("AdversarialAutoencoder")(
        3, adversary_weight=weight, adversary_heads=heads, **DENSE
    ).fit(flux, conditions=conditions)
    loaded = round_trip(fitted, tmp_path / "model")
    codes = fitted.transform(flux, conditions=conditions)
    np.testing.assert_array_equal(loaded.transform(flux, conditions=conditions), codes)
    wanted = fitted.decode(codes, conditions)
    np.testing.assert_array_equal(loaded.decode(codes, conditions), wanted)


@pytest.mark.parametrize("one", [True, False])
def test_labels_of_a_regressor_keep_their_shape_and_names(one, flux, simulated, tmp_path):
    labels = simulated.labels["teff_k"] if one else simulated.labels
    fitted = SpectralRegressor(encoder="dense", **SMALL).fit(flux, labels)
    loaded = round_trip(fitted, tmp_path / "model")
    assert loaded.predict(flux).shape == np.shape(labels)
    if not one:
        assert list(loaded.label_names_in_) == list(labels.columns)
        assert loaded.label_names_in_.dtype == object


def test_training_goes_on_with_fresh_moments(flux, tmp_path):
    fitted = SpectralAutoencoder(2, **DENSE).fit(flux)
    loaded = round_trip(fitted, tmp_path / "model")
    before = loaded.transform(flux)
    assert loaded.net_.moments_ is None
    loaded.partial_fit(flux)
    assert loaded.n_iter_ == fitted.n_iter_ + 1
    # Without moments the saved one goes on in the same way.
    np.testing.assert_array_equal(fitted.partial_fit(flux).transform(flux), loaded.transform(flux))
    assert (before != loaded.transform(flux)).any()
    loaded.set_params(warm_start=True).fit(flux)


def test_table_with_names_of_pixels(flux, tmp_path):
    table = pd.DataFrame(flux, columns=[f"flux{i}" for i in range(flux.shape[1])])
    fitted = SpectralAutoencoder(2, **DENSE).fit(table).set_output(transform="pandas")
    loaded = round_trip(fitted, tmp_path / "model")
    assert list(loaded.feature_names_in_) == list(table.columns)
    pd.testing.assert_frame_equal(loaded.transform(table), fitted.transform(table))


def test_parameters_of_every_kind(flux, tmp_path):
    fitted = SpectralAutoencoder(
        np.int64(2),
        encoder=ConvEncoder,
        learning_rate=np.float32(1e-3),
        random_state=np.random.RandomState(3),
        checkpoint_path=tmp_path / "checkpoint",
        max_epochs=1,
    ).fit(flux)
    loaded = round_trip(fitted, tmp_path / "model")
    assert loaded.encoder is ConvEncoder
    assert type(loaded.latent_dim) is np.int64 and type(loaded.learning_rate) is np.float32
    assert loaded.random_state.randint(1000) == fitted.random_state.randint(1000)
    assert loaded.checkpoint_path is None  # a place on another machine


def test_network_of_a_user_must_be_handed_over(flux, tmp_path):
    fitted = SpectralAutoencoder(2, encoder=LastPixels, decoder="dense", **SMALL).fit(flux)
    fitted.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"LastPixels, which is not part of specvae.*classes="):
        specvae.load(tmp_path / "model")
    with pytest.raises(TypeError, match=r"subclasses of torch\.nn\.Module"):
        specvae.load(tmp_path / "model", classes=[Ridge])
    state = torch.random.get_rng_state()
    loaded = specvae.load(tmp_path / "model", classes=[LastPixels])
    assert_same(outputs(loaded, flux), outputs(fitted, flux))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_device_may_be_chosen_anew(flux, tmp_path):
    fitted = SpectralAutoencoder(2, **DENSE).fit(flux)
    fitted.device = "cuda:99"
    fitted.save(tmp_path / "model")
    with pytest.raises(ValueError, match="cannot be used on this machine"):
        specvae.load(tmp_path / "model")
    assert specvae.load(tmp_path / "model", device="cpu").device == "cpu"


def pipelines(grid):
    network = SpectralAutoencoder(3, **DENSE)
    narrower = grid.resampled(64)
    return {
        "network and labels": make_pipeline(
            PixelMasker([(5155.0, 5156.0)], grid=grid),
            MedianNormalizer(),
            network,
            StandardScaler(),
            PartialLabelRegressor(Ridge(0.1)),
        ),
        "selected codes": make_pipeline(
            PixelMasker([(5155.0, 5156.0)], grid=grid),
            SimpleImputer(strategy="constant", fill_value=1.0, keep_empty_features=True),
            PCA(6),
            MADSelector("auto"),
            PartialLabelRegressor(),
        ),
        "control": make_pipeline(
            SpectrumResampler(narrower, input_grid=grid),
            ContinuumNormalizer(window_pixels=30),
            SpectraLoader(),
            SimpleImputer(strategy="constant", fill_value=1.0, add_indicator=True),
            PCA(4, svd_solver="randomized", random_state=np.random.RandomState(0)),
            PartialLabelRegressor(),
        ),
        "nested, with a step that does nothing": Pipeline(
            [
                ("prepare", Pipeline([("median", MedianNormalizer()), ("none", "passthrough")])),
                ("fill", SimpleImputer()),
                ("codes", PCA(3)),
                ("labels", LinearRegression()),
            ]
        ),
    }


@pytest.mark.parametrize("name", list(pipelines(HARPS_GRID)))
def test_pipeline_comes_back_bit_for_bit(name, flux, simulated, grid, tmp_path):
    labels = simulated.labels.copy()
    if "nested" not in name:
        labels.iloc[::7, 1] = np.nan
    usable = flux if "nested" not in name else np.nan_to_num(flux, nan=1.0)
    fitted = pipelines(grid)[name].fit(usable, labels)
    loaded = round_trip(fitted, tmp_path / "model", grid=None if "nested" in name else grid)
    np.testing.assert_array_equal(loaded.predict(usable), fitted.predict(usable))
    np.testing.assert_array_equal(loaded[:-1].transform(usable), fitted[:-1].transform(usable))
    assert all_parameters(loaded) == all_parameters(fitted)
    fresh = clone(loaded).fit(usable, labels)
    assert fresh.predict(usable).shape == (40, 4)


@pytest.mark.parametrize("solver", ["randomized", "full", "covariance_eigh", "arpack"])
def test_components_keep_the_order_by_which_sums_are_rounded(solver, flux, tmp_path):
    filled = np.nan_to_num(flux, nan=1.0)
    fitted = PCA(4, svd_solver=solver, random_state=0).fit(filled)
    loaded = round_trip(fitted, tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(filled), fitted.transform(filled))


def test_plain_arrays_keep_their_order_in_memory(tmp_path):
    values = np.random.default_rng(0).normal(size=(30, 6))
    fitted = Ridge().fit(values, values[:, :3])
    fitted.coef_ = np.asfortranarray(fitted.coef_)
    loaded = round_trip(fitted, tmp_path / "model")
    assert loaded.coef_.flags.f_contiguous and not loaded.coef_.flags.c_contiguous
    assert loaded.coef_.flags.writeable and loaded.coef_.flags.owndata


def test_grid_of_the_file(flux, grid, tmp_path):
    known = SpectralAutoencoder(2, grid=grid, **DENSE).fit(flux)
    known.save(tmp_path / "known")
    assert specvae.load(tmp_path / "known", grid=grid).grid_ == grid
    with pytest.raises(GridMismatchError, match=r"known is for the small grid.*HARPS"):
        specvae.load(tmp_path / "known", grid=HARPS_GRID)
    with pytest.raises(TypeError, match="grid must be a WavelengthGrid"):
        specvae.load(tmp_path / "known", grid="HARPS")
    SpectralAutoencoder(2, **DENSE).fit(flux).save(tmp_path / "unknown")
    assert specvae.load(tmp_path / "unknown").grid_ is None
    with pytest.raises(GridMismatchError, match="does not say on which grid"):
        specvae.load(tmp_path / "unknown", grid=grid)


def test_description_can_be_read_by_others(forge, flux, simulated, grid):
    labels, groups = simulated.labels, np.arange(40) // 2
    forgery = forge(
        SpectralRegressor(encoder="dense", grid=grid, **SMALL).fit(flux, labels, groups=groups)
    )
    description = forgery.description
    assert description["grid"] == grid.to_dict()
    assert description["labels"][:2] == [
        {"name": "teff_k", "unit": "K"},
        {"name": "logg_dex", "unit": "dex"},
    ]
    training = description["training"]
    assert (training["epochs"], training["n_train"], training["n_valid"]) == (2, 36, 4)
    assert training["n_stars"] == 20 and training["loss"] == "valid_loss"
    assert description["versions"]["torch"] == torch.__version__
    assert forgery.metadata["sha256"] == forgery.sum(forgery.metadata["specvae"])


def test_writing_is_all_or_nothing(flux, tmp_path, monkeypatch):
    path = tmp_path / "model"
    fitted = SpectralAutoencoder(2, **DENSE).fit(flux)
    fitted.save(path)
    before = path.read_bytes()

    def fail(number):
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="no space left"):
            fitted.save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_what_cannot_be_saved(flux, simulated, tmp_path):
    path = tmp_path / "model"
    with pytest.raises(NotFittedError):
        SpectralAutoencoder().save(path)
    with pytest.raises(TypeError, match="Lasso, which is not among the classes"):
        specvae.save(Lasso().fit([[1.0], [2.0]], [1.0, 2.0]), path)
    search = GridSearchCV(SpectralAutoencoder(2, **DENSE), {"latent_dim": [1]}, cv=2).fit(flux)
    with pytest.raises(TypeError, match="save its best_estimator_"):
        specvae.save(search, path)
    specvae.save(search.best_estimator_, path)
    path.unlink()
    fitted = SpectralAutoencoder(2, **DENSE).fit(flux)
    fitted.extra_ = lambda: None
    with pytest.raises(TypeError, match=r"SpectralAutoencoder\.extra_ is of .*function"):
        fitted.save(path)
    fitted.extra_ = np.array([1 + 2j])
    with pytest.raises(TypeError, match="array of complex128"):
        fitted.save(path)
    del fitted.extra_
    fitted.latent_dim = 5
    with pytest.raises(ValueError, match=r"parameters of SpectralAutoencoder are no longer those"):
        fitted.save(path)
    fitted.latent_dim = 2
    with torch.no_grad():
        next(fitted.net_.module_.parameters())[0] = torch.nan
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        fitted.save(path)
    assert not path.exists()


def test_other_version_of_scikit_learn_is_said(tmp_path, monkeypatch):
    fitted = make_pipeline(StandardScaler()).fit([[1.0], [2.0]])
    specvae.save(fitted, tmp_path / "model")
    monkeypatch.setattr("sklearn.__version__", "99.0")
    with pytest.warns(InconsistentVersionWarning, match="StandardScaler"):
        specvae.load(tmp_path / "model")


def test_missing_extra_is_named(flux, tmp_path, monkeypatch):
    fitted = SpectralAutoencoder(2, **DENSE).fit(flux)
    fitted.save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r"save needs safetensors: pip install 'specvae\[save\]'"):
        fitted.save(tmp_path / "other")
    with pytest.raises(ImportError, match=r"load needs safetensors: pip install 'specvae\[save\]'"):
        specvae.load(tmp_path / "model")


@pytest.mark.parametrize("name", ["load", "load_astro_machines", "model_card", "save"])
def test_functions_are_public_and_documented(name):
    function = getattr(specvae, name)
    assert name in specvae.__all__ and name in dir(specvae)
    described = {
        each for entry in FunctionDoc(function)["Parameters"] for each in entry.name.split(", ")
    }
    assert described == set(inspect.signature(function).parameters)
    assert function is getattr(importlib.import_module("specvae.estimators._persistence"), name)


def test_model_with_a_frozen_simulator(flux, simulated, tmp_path):
    simulator = SpectralSimulator(decoder="dense", max_epochs=1, random_state=0, device="cpu")
    frozen = FrozenEstimator(simulator.fit(simulated.labels, flux))
    model = SemiSupervisedVAE(
        1,
        encoder="dense",
        decoder="dense",
        decoder_pretrained=frozen,
        max_epochs=1,
        random_state=0,
        device="cpu",
    ).fit(flux, simulated.labels)
    specvae.save(model, tmp_path / "model")
    loaded = specvae.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(flux), model.predict(flux))
    np.testing.assert_array_equal(
        loaded.decoder_pretrained.predict(simulated.labels), frozen.predict(simulated.labels)
    )
