"""All that takes flux takes a SpectraArray, and gives what it gives for the array."""

import dataclasses
import inspect

import numpy as np
import pytest
from sklearn.decomposition import IncrementalPCA
from sklearn.linear_model import LinearRegression

from specvae import estimators as est
from specvae import inspection, metrics, model_selection, preprocessing
from specvae.estimators import (
    AdversarialAutoencoder,
    BatchedTransformer,
    PartialLabelRegressor,
    SemiSupervisedVAE,
    SpectralAutoencoder,
    SpectralRegressor,
    SpectralSimulator,
    SpectralVAE,
)
from specvae.exceptions import SpectrumError
from specvae.metrics import gis, rvis, swap_error, telluric_rejection
from specvae.model_selection import MutualInfoScorer, make_rvis_scorer, nan_r2
from specvae.simulation import generative_design, simulate_spectra
from specvae.spectra import NpyStore, SpectraArray, WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.1, 300)
N_SPECTRA = 24
WINDOW_AA = (5152.0, 5178.0)
TRANSMISSION = np.ones(300)
TRANSMISSION[40:260:20] = 0.8
DESIGN = generative_design(4, ["teff_k"], 5, base={"teff_k": (4500, 5500)}, random_state=0)

# They take codes, labels, errors or groups, and never flux. PartialLabelRegressor hands what it
# gets to regressors that know arrays only; the message of a SpectraArray says what to do.
WITHOUT_FLUX = {
    "estimators": {"MADSelector", "PartialLabelRegressor", "visibility_weights"},
    "preprocessing": set(),
    "metrics": {
        *("bootstrap_by_star", "compare_models", "cumulative_share", "doppelganger_rate"),
        *("error_density", "histogram_mutual_information", "ksg_mutual_information"),
        *("label_errors", "latent_mad", "latent_mutual_information", "mean_by_star"),
        *("mutual_information_gap", "nan_mean_absolute_error", "nan_r2_score", "outlier_score"),
        *("ratio_by_star", "repeat_consistency", "running_median", "total_correlation"),
        *("twin_rank", "whiten_codes"),
    },
    "inspection": {"latent_slope", "nearest_spectra"},
    "model_selection": {"StarGroupKFold", "label_scorers"},
}


@pytest.fixture(scope="module")
def simulated():
    return simulate_spectra(N_SPECTRA, GRID, random_state=0, spectra_per_star=2)


@pytest.fixture(scope="module")
def pair(simulated, tmp_path_factory):
    """The same spectra, with gaps, as an array and as a lazy matrix over a file."""
    flux = (simulated.flux / np.median(simulated.flux, axis=1, keepdims=True)).astype(np.float32)
    flux[3, 10:20] = flux[:, 290:] = np.nan
    path = tmp_path_factory.mktemp("store") / "flux.npy"
    np.save(path, np.concatenate([flux[::-1], flux]))
    lazy = SpectraArray(NpyStore(path), grid=GRID)[np.arange(N_SPECTRA, 2 * N_SPECTRA)]
    return flux, lazy


@pytest.fixture(scope="module")
def labels(simulated):
    return simulated.labels[["teff_k", "rv_kms"]]


def network(kind, *latent, **changes):
    parts = {"encoder": "dense", "decoder": "dense"}
    names = inspect.signature(kind).parameters
    given = {"max_epochs": 1, "random_state": 0, "device": "cpu", "grid": GRID, **parts, **changes}
    return kind(*latent, **{name: value for name, value in given.items() if name in names})


def of_autoencoder(kind, X, **fit):
    fitted = network(kind, 2).fit(X, **fit)
    told = {"conditions": fit["conditions"]} if "conditions" in fit else {}
    found = [fitted.transform(X, **told), fitted.reconstruct(X, **told), fitted.score(X, **told)]
    if hasattr(fitted, "reconstruction_error"):
        found.append(fitted.reconstruction_error(X))
    return found


def of_semi_supervised(X, labels):
    fitted = network(SemiSupervisedVAE, 1).fit(X, labels)
    moved = fitted.intervene(X, "teff_k", 100.0)
    found = [fitted.transform(X), fitted.reconstruct(X), moved, fitted.score(X, labels)]
    return [*found, *fitted.predict(X, return_std=True), fitted.reconstruction_error(X)]


def of_regressor(X, labels):
    fitted = network(SpectralRegressor).fit(X, labels)
    return [*fitted.predict(X, return_std=True), fitted.score(X, labels)]


def of_simulator(X, labels):
    fitted = network(SpectralSimulator).fit(labels, X)
    return [fitted.predict(labels), fitted.score(labels, X)]


def of_batched(X, labels):
    fitted = BatchedTransformer(IncrementalPCA(2), batch_size=10).fit(X)
    return [fitted.transform(X), fitted.transformer_.components_]


def of_row_transformer(transformer):
    def call(X, labels):
        found = transformer.fit(X).transform(X)
        return [found.to_numpy() if isinstance(found, SpectraArray) else found]

    return call


def fitted_on(X, labels):
    return network(SemiSupervisedVAE, 1).fit(X, labels)


def drawn(X):
    """Spectra like `X` but smoother, of the same kind as `X`."""
    smooth = lambda flux: (flux + np.nanmean(flux, axis=1, keepdims=True)) / 2  # noqa: E731
    return X.map_rows(smooth) if isinstance(X, SpectraArray) else smooth(X)


def filled(X):
    """Return decoded spectra, which have no gaps."""
    return X.map_rows(np.nan_to_num) if isinstance(X, SpectraArray) else np.nan_to_num(X)


def of_swap(X, labels):
    twin = np.arange(N_SPECTRA) ^ 1
    return [swap_error(filled(drawn(X)), X, twin, reconstruction=filled(X))]


CASES = {
    "estimators.SpectralAutoencoder": lambda X, y: of_autoencoder(SpectralAutoencoder, X),
    "estimators.SpectralVAE": lambda X, y: [
        *of_autoencoder(SpectralVAE, X),
        *network(SpectralVAE, 2).fit(X, flux_error=X).transform(X, return_std=True),
    ],
    "estimators.AdversarialAutoencoder": lambda X, y: of_autoencoder(
        AdversarialAutoencoder, X, conditions=y
    ),
    "estimators.SemiSupervisedVAE": of_semi_supervised,
    "estimators.SpectralRegressor": of_regressor,
    "estimators.SpectralSimulator": of_simulator,
    "estimators.BatchedTransformer": of_batched,
    "preprocessing.MedianNormalizer": of_row_transformer(preprocessing.MedianNormalizer()),
    "preprocessing.ContinuumNormalizer": of_row_transformer(
        preprocessing.ContinuumNormalizer(grid=GRID)
    ),
    "preprocessing.PixelMasker": of_row_transformer(
        preprocessing.PixelMasker([(5160.0, 5161.0)], grid=GRID)
    ),
    "preprocessing.SpectrumResampler": of_row_transformer(
        preprocessing.SpectrumResampler(WavelengthGrid(5151.0, 0.2, 100), input_grid=GRID)
    ),
    "preprocessing.SpectraLoader": of_row_transformer(preprocessing.SpectraLoader()),
    "preprocessing.quality_report": lambda X, y: [preprocessing.quality_report(X)],
    "preprocessing.der_snr": lambda X, y: [preprocessing.der_snr(X)],
    "preprocessing.valid_median": lambda X, y: [preprocessing.valid_median(X)],
    "metrics.telluric_rejection": lambda X, y: [
        telluric_rejection(X, drawn(X), TRANSMISSION, min_depth=0.001)
    ],
    "metrics.rvis": lambda X, y: [
        rvis(GRID, X, [drawn(X), drawn(drawn(X))], [-5.0, 5.0], window_aa=WINDOW_AA)
    ],
    "metrics.gis": lambda X, y: [
        gis(X, drawn(X)[:3], core_rows=[0, 0, 5], variant_rows=[2, 9, 6], truth=drawn(X))
    ],
    "metrics.swap_error": of_swap,
    "inspection.traverse": lambda X, y: [
        inspection.traverse(fitted_on(X, y), X[4:5], "teff_k", [5000.0, 6000.0])
    ],
    "inspection.radial_velocity_intervention": lambda X, y: [
        inspection.radial_velocity_intervention(fitted_on(X, y), X, window_aa=WINDOW_AA)
    ],
    "inspection.generative_intervention": lambda X, y: [
        inspection.generative_intervention(fitted_on(X, y), X, DESIGN, "teff_k", truth=drawn(X))
    ],
    "model_selection.MutualInfoScorer": lambda X, y: [
        MutualInfoScorer(bins=(4,), n_permutations=9, random_state=0)(fitted_on(X, y), X, y)
    ],
    "model_selection.make_rvis_scorer": lambda X, y: [
        make_rvis_scorer(window_aa=WINDOW_AA)(fitted_on(X, y), X)
    ],
    "model_selection.nan_r2": lambda X, y: [nan_r2(fitted_on(X, y), X, y)],
    "model_selection.neg_nan_mae": lambda X, y: [
        model_selection.neg_nan_mae(fitted_on(X, y), X, y)
    ],
}


def public_names(layer):
    """What a layer offers, results aside."""
    return {
        name
        for name in layer.__all__
        if not dataclasses.is_dataclass(getattr(layer, name))
        and not (inspect.isclass(getattr(layer, name)) and issubclass(getattr(layer, name), tuple))
    }


@pytest.mark.parametrize("layer", [est, preprocessing, metrics, inspection, model_selection])
def test_everything_public_is_tried_or_takes_no_flux(layer):
    name = layer.__name__.rpartition(".")[2]
    tried = {case.partition(".")[2] for case in CASES if case.startswith(f"{name}.")}
    assert tried | WITHOUT_FLUX[name] == public_names(layer)
    assert not tried & WITHOUT_FLUX[name]


def numbers(found):
    """Arrays of numbers that a result holds."""
    if dataclasses.is_dataclass(found):
        values = [getattr(found, field.name) for field in dataclasses.fields(found)]
        return [each for value in values for each in numbers(value)]
    if isinstance(found, str | tuple | type(None)):
        return []
    return [np.asarray(found)]


@pytest.mark.parametrize("case", CASES)
def test_a_lazy_matrix_gives_what_the_array_gives(case, pair, labels):
    flux, lazy = pair
    from_array, from_lazy = (
        [each for found in CASES[case](X, labels) for each in numbers(found)] for X in (flux, lazy)
    )
    assert len(from_array) == len(from_lazy) > 0
    for expected, found in zip(from_array, from_lazy, strict=True):
        assert expected.shape == found.shape and np.isfinite(found).any()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_lazy_rows_with_infinity_are_named(pair):
    bad = pair[0].copy()
    bad[7, 30] = np.inf
    flux, lazy = SpectraArray(pair[0]), SpectraArray(bad)
    with pytest.raises(SpectrumError, match="spectrum 7 of reconstruction contains infinity"):
        telluric_rejection(flux, lazy, TRANSMISSION)
    with pytest.raises(SpectrumError, match="spectrum 7 of truth contains infinity"):
        swap_error(flux, lazy, np.arange(N_SPECTRA) ^ 1)
    with pytest.raises(SpectrumError, match="spectrum 7 of intervened contains infinity"):
        gis(flux, lazy, core_rows=[0] * N_SPECTRA, variant_rows=[1] * N_SPECTRA)


def test_regressors_that_know_arrays_only_say_what_to_do(pair, labels):
    with pytest.raises(TypeError, match=r"not read into memory unasked .* put SpectraLoader\(\)"):
        PartialLabelRegressor(LinearRegression()).fit(pair[1], labels)
