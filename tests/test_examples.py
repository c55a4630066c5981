"""What the examples of the documentation claim must come out when they run."""

import runpy
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[1] / "docs/examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run an example on one thread; give its variables and what it printed."""
    n_threads = torch.get_num_threads()

    def run_example(name, *pictures):
        torch.set_num_threads(1)
        monkeypatch.setattr("sys.argv", [name, str(tmp_path / "new" / "folder")])
        variables = runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        printed = capsys.readouterr().out
        assert f"seed {variables['SEED']}" in printed
        for picture in pictures:
            data = (tmp_path / "new" / "folder" / picture).read_bytes()
            assert data.startswith(b"\x89PNG") and len(data) > 10_000, picture
        return variables, printed

    yield run_example
    torch.set_num_threads(n_threads)


def test_first_pipeline_beats_a_constant_on_stars_it_has_not_seen(run):
    variables, printed = run("first_pipeline.py", "first_pipeline.png")
    constant, *codes = variables["errors"].values()
    assert list(variables["errors"]) == ["constant", "PCA(8)", "autoencoder(8)"]
    for errors in codes:
        for label, share in {"teff_k": 0.3, "mh_dex": 0.6, "rv_kms": 0.4}.items():
            assert errors.values.loc[label, "mae"] < share * constant.values.loc[label, "mae"]
    # A third of the stars have no [M/H]; an error bar counts stars.
    n_stars = constant.counts["n_stars"].to_dict()
    assert n_stars == {"teff_k": 120, "logg_dex": 120, "mh_dex": 80, "rv_kms": 120}
    for name in ("constant", "PCA(8)", "autoencoder(8)", "teff_k", "rv_kms"):
        assert name in printed


def test_the_latents_know_teff_and_velocity(run):
    variables, printed = run("what_the_latents_know.py", "information.png", "latents.png")
    table, kept = variables["table"], list(variables["kept"])
    assert len(kept) < 8
    for label in ("teff_k", "rv_kms"):
        latent, nats, p = table.loc[label, "VAE"][["latent", "nats", "p"]]
        assert p < 0.001
        assert nats > 0.4
        assert latent in kept
        assert latent in printed
    # 128 components went through the same code on the same stars.
    vae, pca = variables["asked"]["VAE"], variables["asked"]["PCA"]
    assert pca.mi_.shape == (4, 4, 128) and vae.mi_.shape == (4, 4, 16)
    assert pca.n_permutations == vae.n_permutations == 1999
    assert set(variables["groups"]).isdisjoint(variables["stars"].groups[variables["train"]])


def test_the_chosen_bottleneck_moves_the_lines(run):
    variables, printed = run("choose_the_bottleneck.py", "bottleneck.png")
    ratios, chosen = variables["ratios"], variables["chosen"]
    best = ratios[chosen]
    assert best.ratio < 0.75
    assert best.ratio + 5.0 * best.standard_error < 1.0
    # No decoder draws better than the interpolation that it is compared with.
    assert best.ratio > variables["scores"][chosen].floor / variables["scores"][chosen].do_nothing
    # Free latents learn the velocity again.
    assert ratios[max(ratios)].ratio > best.ratio + 0.1
    assert best.n_stars == 60
    for ratio in ratios.values():
        assert f"{ratio.ratio:.3f} +- {ratio.standard_error:.3f}" in printed
    assert f"chose {chosen} free latents" in printed and "1 (do nothing)" in printed


def test_an_adversary_finds_more_twins_than_components_and_chance(run):
    variables, printed = run("chemical_twins.py", "twins.png")
    ranks, swaps = variables["ranks"], variables["swaps"]
    adversary = ranks["adversary"]
    assert adversary.fractions[0] > 50.0 * adversary.chance[0]
    for other in ("PCA", "PCA of residuals", "no adversary"):
        error = adversary.standard_error[0] + ranks[other].standard_error[0]
        assert adversary.fractions[0] > ranks[other].fractions[0] + error, other
        assert adversary.fractions[1] > ranks[other].fractions[1], other
    assert swaps["adversary"].score < 0.5 * swaps["adversary"].constant
    assert f"{adversary.fractions[0]:.3f} +- " in printed and "chance" in printed
