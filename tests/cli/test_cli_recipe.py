import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from specvae import load
from specvae.cli._recipe import build_pipeline, read_recipe
from specvae.spectra import HARPS_GRID, HARPS_MISSING, WavelengthGrid, write_spectra

GRID = WavelengthGrid(5000.0, 1.0, 30)


def steps_of(text):
    return tomllib.loads(text)["step"]


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--model vae --latents 5 --network resnet --epochs 7 --mask 5161:5162 --mask 5170:5171",
        "--model pca --latents 3",
        "--model semi-supervised --latents 0 --network dense --labels labels.csv",
        "--model regressor --network dense --labels labels.csv",
        "--labels labels.csv",
    ],
)
def test_a_printed_recipe_builds_what_the_options_build(specvae, folder, options):
    line = f"fit stars.npy --to m.specvae {options}"
    code, text, _ = specvae(f"{line} --print-recipe")
    assert code == 0 and not (folder / "m.specvae").exists()
    (folder / "recipe.toml").write_text(text)
    steps = read_recipe(folder / "recipe.toml")
    assert steps == steps_of(text)
    pipeline = build_pipeline(steps, GRID, seed=3, device="cpu")
    step = next((step for _, step in pipeline.steps if hasattr(step, "random_state")), None)
    if "pca" not in options:
        assert (step.grid, step.random_state, step.device) == (GRID, 3, "cpu")


def test_options_reach_their_parameters(specvae):
    _, text, _ = specvae(
        "fit stars.npy --to m --model vae --latents 5 --network resnet --epochs 7 "
        "--mask 5161:5162 --print-recipe"
    )
    assert steps_of(text) == [
        {"class": "PixelMasker", "ranges_aa": [[5161.0, 5162.0]]},
        {"class": "MedianNormalizer"},
        {
            "class": "SpectralVAE",
            "latent_dim": 5,
            "decoder": "resnet",
            "encoder": "conv",
            "max_epochs": 7,
        },
    ]


def test_nought_is_a_number_too(specvae):
    for line, name in (("--model pca", "n_components"), ("--model vae", "latent_dim")):
        _, text, _ = specvae(f"fit stars.npy --to m {line} --latents 0 --print-recipe")
        step = steps_of(text)[-1]
        assert step.get("transformer", step)[name] == 0
        assert specvae(f"fit stars.npy --to m {line} --latents 0")[0] == 1
    _, text, _ = specvae("fit stars.npy --to m --epochs 0 --print-recipe")
    assert steps_of(text)[-1]["max_epochs"] == 0


def test_a_recipe_may_begin_with_a_byte_order_mark(folder):
    (folder / "r.toml").write_text('\ufeff[[step]]\nclass = "Ridge"\n', encoding="utf-8")
    assert read_recipe(folder / "r.toml") == [{"class": "Ridge"}]


def test_the_gap_of_harps_is_left_out(specvae, folder):
    meta = pd.DataFrame({"object": ["HD 1"]})
    write_spectra(lambda row: np.ones(HARPS_GRID.n_pixels), "h.npy", HARPS_GRID, meta=meta)
    _, text, _ = specvae("fit h.npy --to m --print-recipe")
    assert steps_of(text)[0]["ranges_aa"] == [list(ends) for ends in HARPS_MISSING]


def test_a_recipe_of_several_levels_is_fitted_saved_and_loaded(specvae, folder):
    (folder / "r.toml").write_text(
        """
        [[step]]
        class = "MedianNormalizer"
        [[step]]
        class = "BatchedTransformer"
        transformer.class = "IncrementalPCA"
        transformer.n_components = 4
        [[step]]
        class = "PartialLabelRegressor"
        estimator = { class = "Ridge", alpha = 0.5 }
        """
    )
    code, _, err = specvae(
        "fit stars.npy --to m.specvae --labels labels.csv --by object=name --recipe r.toml"
    )
    assert code == 0, err
    model = load(folder / "m.specvae")
    assert model[1].transformer_.n_components_ == 4 and model[-1].estimator.alpha == 0.5


def test_the_recipe_of_the_documentation():
    page = (Path(__file__).parents[2] / "docs/command.md").read_text(encoding="utf-8")
    steps = steps_of(page.partition("```toml\n")[2].partition("```")[0])
    pipeline = build_pipeline(steps, GRID, seed=0, device=None)
    assert pipeline[1].learning_rate == 0.002 and pipeline[-1].estimator.alpha == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[step]", "is no TOML"),
        ("a = 1", r"must hold tables \[\[step\]\] and nothing else"),
        ("step = []", r"must hold tables \[\[step\]\]"),
        ('[[step]]\nname = "PCA"', r"step 1 of the recipe needs class = one of .*; got None"),
        ('[[step]]\nclass = "os.system"', r"got 'os.system'"),
        ('[[step]]\nclass = "Pipeline"', r"got 'Pipeline'"),
        ('[[step]]\nclass = "Ridge"\nbeta = 1', r"Ridge has no parameter 'beta'; it has alpha"),
        ('[[step]]\nclass = "Ridge"\nalpha = nan', r"step 1, alpha of the recipe is nan"),
        ('[[step]]\nclass = "Ridge"\nalpha = 1979-05-27', r"step 1, alpha of the recipe is date"),
    ],
)
def test_what_is_no_recipe(specvae, folder, text, message):
    (folder / "r.toml").write_text(text)
    code, _, err = specvae("fit stars.npy --to m.specvae --recipe r.toml")
    assert code == 1
    assert re.search(message, err), err
    assert sorted(path.name for path in folder.iterdir()) == [
        "labels.csv",
        "r.toml",
        "stars.json",
        "stars.npy",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model regressor", "--model regressor learns labels; give them with --labels"),
        ("--model pca --epochs 0", "--network and --epochs are for networks"),
        ("--model regressor --latents 3 --labels labels.csv", "a regressor has none"),
        ("--model regressor --latents 0 --labels labels.csv", "a regressor has none"),
        ("--recipe r.toml --epochs 0", "--epochs and --recipe say the same"),
        ("--recipe r.toml --latents 3", "--latents and --recipe say the same"),
        ("--mask 3", "--mask must be LOW:HIGH"),
        ("--folds 3 --model pca", "--folds measures errors of labels"),
    ],
)
def test_options_that_do_not_go_together(specvae, options, message):
    code, _, err = specvae(f"fit stars.npy --to m.specvae {options}")
    assert code == 1 and message in err
