import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import specvae
from specvae.estimators import (
    PartialLabelRegressor,
    SemiSupervisedVAE,
    SpectralAutoencoder,
    SpectralRegressor,
)
from specvae.preprocessing import SpectrumResampler


@pytest.fixture(scope="module")
def fitted(flux, simulated, grid):
    labels, groups = simulated.labels.rename(columns={"rv_kms": "rv|kms"}), np.arange(40) // 2
    regressor = SpectralRegressor(
        encoder="dense", grid=grid, max_epochs=2, random_state=0, device="cpu"
    )
    return regressor.fit(flux, labels, groups=groups)


def rows_of(card, section):
    """Cells of the tables of a section."""
    _, _, text = card.partition(f"\n## {section}\n")
    text = text.partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_card_says_what_trained_it(fitted, simulated):
    card = fitted.model_card()
    assert card.startswith("# SpectralRegressor\n")
    data = {row[0]: row[-1] for row in rows_of(card, "Data")}
    assert data["spectra that trained it"] == "36" and data["spectra that watched"] == "4"
    assert data["stars"] == "20" and data["epochs"] == "2" and data["pixels"] == "128"
    assert data["grid"].startswith("the small grid (128 pixels from 5150.00 to 5175.40 Angstrom")
    n_weights = sum(weight.numel() for weight in fitted.net_.module_.parameters())
    assert data["weights"] == str(n_weights)
    assert float(data["best valid_loss"]) == pytest.approx(
        fitted.history_["valid_loss"].min(), rel=1e-3
    )
    teff = rows_of(card, "Labels")[2]
    assert teff[:2] == ["teff_k", "K"]
    assert float(teff[2].split(" ± ")[0]) == pytest.approx(
        simulated.labels["teff_k"].mean(), rel=0.1
    )
    assert "BSD-3-Clause" in card and ["max_epochs", "2"] in rows_of(card, "Parameters")
    assert {row[0] for row in rows_of(card, "Versions")} >= {"specvae", "torch", "numpy"}


def test_labels_without_names_are_numbered(flux, simulated):
    regressor = SpectralRegressor(encoder="dense", max_epochs=1)
    card = regressor.fit(flux, simulated.labels.to_numpy()).model_card()
    assert [row[0] for row in rows_of(card, "Labels")[2:]] == [f"label {i}" for i in range(4)]


def test_names_cannot_break_the_table(fitted):
    rows = rows_of(fitted.model_card(), "Labels")
    assert ["rv\\|kms", "", rows[-1][-1]] in rows
    assert {len(row) for row in rows} == {3}


def test_metrics_are_printed_as_given(fitted):
    errors = {"teff_k": {"error": 51.23456, "stars": 20}, "logg_dex": {"error": 0.1, "stars": 20}}
    table = pd.DataFrame.from_dict(errors, orient="index")
    wanted = ["teff_k", "51.23", "20"]
    for metrics in (errors, table):
        found = [
            [cell.removesuffix(".0") for cell in row]
            for row in rows_of(fitted.model_card(metrics=metrics), "Metrics")
        ]
        assert wanted in found and len(found) == 4
    assert ["R2", "0.9"] in rows_of(fitted.model_card(metrics={"R2": 0.9}), "Metrics")
    assert "None were given" in fitted.model_card()


def test_licence_of_the_weights(fitted):
    assert "## Licence\n\nCC-BY-4.0\n" in fitted.model_card(licence="CC-BY-4.0")


def test_loaded_estimator_has_the_same_card(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    assert specvae.load(tmp_path / "model").model_card() == fitted.model_card()


def test_card_of_a_pipeline(flux, simulated, grid):
    network = SpectralAutoencoder(2, encoder="dense", decoder="dense", max_epochs=1)
    pipeline = make_pipeline(
        SpectrumResampler(grid.resampled(64), input_grid=grid), network, PartialLabelRegressor()
    ).fit(flux, simulated.labels)
    card = specvae.model_card(pipeline)
    assert card.startswith("# SpectrumResampler and SpectralAutoencoder and PartialLabelRegressor")
    assert ["teff_k", "K"] in rows_of(card, "Labels")
    data = {row[0]: row[-1] for row in rows_of(card, "Data")}
    assert data["grid"].startswith("the small grid") and data["pixels"] == "64"
    labels = make_pipeline(
        SemiSupervisedVAE(encoder="dense", decoder="dense", max_epochs=1), PartialLabelRegressor()
    )
    card = specvae.model_card(labels.fit(flux, simulated.labels[["teff_k", "mh_dex"]]))
    assert [row[0] for row in rows_of(card, "Labels")[2:]] == ["teff_k", "mh_dex"]
    plain = PCA(2).fit(np.eye(3))
    assert "| grid | not known |" in specvae.model_card(plain)


def test_unfitted_estimator_has_no_card():
    with pytest.raises(NotFittedError):
        SpectralAutoencoder().model_card()
