"""Which latents tell something, and what: Sedaghat et al. 2021 on spectra whose causes are known.

Spectra are simulated as in `_harps`, in eight windows between 3785 and 6910 Angstrom, so that the
slope of the continuum and lines are both there; some stars have very many, test stars one each.
`SpectralVAE` is trained without labels for the published weights of the divergence, 0.03, 0.1, 0.3
and 1, with 8 and 128 latents. Their loss is not in the public code, so each weight is tried as the
three things that it may mean. Counted are latents that move (MAD > 0.02, as published), that pay
(more than 0.01 nats), and that know a cause better than permuted stars do. The same is asked of
principal components, and of an autoencoder to which every spectrum counts alike.

``python benchmarks/evidence/informative_latents.py``, ``--full`` on a GPU.
"""

import io
from dataclasses import asdict
from typing import Any

import numpy as np
from _evidence import ROOT, Evidence, Figure, Options, parse_options
from _informative_latents_claims import claims_of
from _informative_latents_data import CAUSES, Range
from _informative_latents_picture import FIGURE, draw_maps
from _informative_latents_study import PUBLISHED_LAMBDA, Sizes, Study, study
from _informative_latents_tables import all_tables, kind_tests, lead_over_components

SIZES = {
    "test": Sizes(
        seeds=(0,),
        pixels=Range(2.0, 1500.0, 8, 8),
        n_stars=12,
        n_spectra=24,
        n_test_stars=16,
        max_epochs=2,
        n_permutations=4,
        large=12,
        small=4,
        other_epochs=(1,),
        conv_epochs=1,
    ),
    "cpu": Sizes(
        seeds=(0, 1),
        pixels=Range(0.8, 4000.0, 8, 64),
        n_stars=600,
        n_spectra=1800,
        n_test_stars=500,
        max_epochs=300,
        n_permutations=199,
        other_epochs=(75, 600),
        side_weights=(0.3,),
    ),
    # All of their pixels, stars and epochs; of their 272,376 spectra as many as memory holds.
    "full": Sizes(
        seeds=(0,),
        pixels=Range(0.01, 115_000.0, 1, 312_000),
        n_stars=7653,
        n_spectra=20_000,
        n_test_stars=2000,
        max_epochs=182,
        n_permutations=199,
        batch_size=32,
        learning_rate=3e-3,
        network="conv",
    ),
}

DOES_NOT_SHOW = [
    "Real spectra. What has a latent, and how many there are, depends on how much flux each cause "
    "moves: here on the simulator, its population of stars and its four unknown factors.",
    "The published spectra: 312,501 pixels at a resolving power of 115,000 are 512 pixels in eight "
    "windows at 4,000 here, so that a velocity moves less flux and is easier to follow.",
    "The published training, 1.5 million steps of a convolutional network on 272,376 spectra; here "
    "a few thousand steps of a small dense one. The number of latents with MAD > 0.02 depends on "
    "the length of training, see that table: twice the epochs still lower the error by a third, so "
    "that verdicts on trends, on kinds of stars and on visibility are left open.",
    "Which of the readings of their weight is theirs. Errors averaged over pixels are not those "
    "of their spectra, so that a number of nats bought by a weight is not theirs either.",
    "One training a seed; scatter between trainings on the same stars is part of that between "
    "seeds.",
    "Causes that share a latent are listed one by one: Teff, log g and rotation go together in the "
    "population, and a latent of one knows of the others.",
]


def run(options: Options) -> Evidence:
    sizes = SIZES[options.size]
    studies = [study(options, sizes, seed) for seed in sizes.seeds]
    draw(studies[0], sizes, options)
    picture = Figure(
        FIGURE,
        f"What 128 latents, lambda {PUBLISHED_LAMBDA}, and 128 principal components know of each "
        f"cause, seed {studies[0].seed}: the 16 of largest divergence and of largest variance. "
        "Nats above permuted stars, a dot where p < 0.01.",
    )
    return Evidence(
        name="informative_latents",
        title="Informative latents of an unsupervised autoencoder",
        question="How many latents tell something, which causes do they tell, and does that "
        "depend on the price of a nat, the size of the code, and stars observed often?\n\n"
        "After Sedaghat et al. 2021. An informative latent is one with a median absolute "
        "deviation above 0.02 over test stars, one spectrum of each.",
        seeds=list(sizes.seeds),
        chosen_on=["simulated, purpose choose, seed 0"] * (options.purpose == "report"),
        reported_on=[f"simulated, purpose {options.purpose}, seed {s}" for s in sizes.seeds],
        does_not_show=DOES_NOT_SHOW,
        settings=settings(studies[0], sizes),
        tables=all_tables(studies, sizes),
        claims=claims_of(studies, sizes),
        figures=[picture],
        numbers=numbers(studies, sizes),
    )


def draw(first: Study, sizes: Sizes, options: Options) -> None:
    """Draw the maps of the first seed; into nothing where no record is written."""
    kl = first.coded[sizes.published].latent_kl
    maps = {
        f"VAE, {sizes.large} latents": (
            first.scorers[sizes.published],
            np.argsort(-kl, kind="stable"),
        ),
        f"PCA, {first.components.codes.shape[1]} components": (
            first.scorers["PCA"],
            np.arange(first.components.codes.shape[1]),
        ),
    }
    picture = ROOT / "docs/results" / FIGURE
    picture.parent.mkdir(exist_ok=True)
    is_kept = options.purpose == "report" and options.size == "cpu"
    draw_maps(maps, picture if is_kept else io.BytesIO())


def settings(first: Study, sizes: Sizes) -> dict[str, Any]:
    train = ~first.archive.is_test
    return {
        "Spectra": f"{int(train.sum())} of {sizes.n_stars} stars to train on, one of each of "
        f"{sizes.n_test_stars} others to test; {first.archive.flux.shape[1]} pixels of "
        f"{sizes.pixels.step_aa} Angstrom in {sizes.pixels.n_windows} windows, resolving power "
        f"{sizes.pixels.resolving_power:.0f}",
        "Training": f"{sizes.network} encoder and decoder, {sizes.max_epochs} epochs of batches of "
        f"{sizes.batch_size}, learning rate {sizes.learning_rate}, the price rising over half of "
        "them; every star alike unless said otherwise",
        "Permutations": sizes.n_permutations,
    }


def numbers(studies: list[Study], sizes: Sizes) -> dict[str, Any]:
    """Return what the tables round, seed by seed."""
    fits = [
        {
            **fit._asdict(),
            "seed": each.seed,
            "mad": np.round(coded.mads, 5),
            "kl_nats": np.round(coded.latent_kl, 5),
            "error": float(coded.error.mean()),
            "seconds": coded.seconds,
        }
        for each in studies
        for fit, coded in each.coded.items()
    ]
    asked = [
        {
            "seed": each.seed,
            "codes": name if isinstance(name, str) else name._asdict(),
            "information_nats": np.round(scorer.information_, 4),
            "p": np.round(scorer.p_latent_, 4),
            "chance_nats": np.round(scorer.null_best_, 4),
        }
        for each in studies
        for name, scorer in each.scorers.items()
        if name in (sizes.published, sizes.unbalanced, "PCA")
    ]
    return {
        "causes": CAUSES,
        "sizes": asdict(sizes),
        "fits": fits,
        "asked": asked,
        "lead": lead_over_components(studies, sizes),
        "kinds": kind_tests(studies, sizes),
    }


def main() -> None:
    options = parse_options(__doc__)
    run(options).write(options)


if __name__ == "__main__":
    main()
