"""Decoders, and labels moved in codes: ``python benchmarks/evidence/interventions.py``.

Tables 7 and 8 and figure 2 of Cvrcek et al. 2025, on simulated HARPS spectra from 6047.6 to
6252.4 Angstrom, which hold the published window of RVIS. "Archive" are stars of a catalogue design
with unknown continuum, blaze, line spread and cosmic rays; "forward model" has labels uniform and
independent and a line list with errors (`_harps.py`).

Table 7: decoders trained on labels and noise-free spectra of the forward model, beside the mean
spectrum, the nearest spectrum in labels and a quadratic polynomial of principal components; also
with all spectra at rest and the velocity put in by a Doppler shift. Table 8: RVIS on archive stars
not trained on; GIS on designs in which one label changes, without noise. Every score stands beside
that of doing nothing. Figure 2: RVIS against the number of free latents, with and without the price
on free latents of simulated spectra (`zero_weight`).

"Mixed" autoencoders see archive and forward model, one row of each, and begin with the decoder of
table 7 that has the same architecture, as the published code does. "Shifts": `velocity_label` makes
the decoder draw stars at rest and shift them. Codes without labels are moved in the latent that
follows the velocity best, as published, or in all latents along the line of least squares.
"""

import io
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from _evidence import ROOT, Evidence, Figure, Options, parse_options
from _interventions_claims import claims_of
from _interventions_decoders import score_decoders
from _interventions_models import (
    TRUTH,
    Scores,
    score_models,
    score_of_constant,
    score_of_truth,
)
from _interventions_pool import Errors, mean_and_error
from _interventions_report import (
    decoder_table,
    draw_sizes,
    gis_table,
    rvis_table,
    size_rows,
    size_table,
)
from _interventions_spectra import ARCHIVE, HARPS_GRID, Data, Sizes, make_data, true_cores
from joblib import Parallel, delayed

from specvae.metrics import InterventionScore

PICTURE = "interventions_rvis.png"
SIZES = {
    "test": Sizes(
        seeds=(0,), decoder_seeds=(0,), n_pixels=64, n_stars=20, n_observed=30, n_modelled=30,
        n_cores=2, n_variations=1, free_sizes=(0, 1), n_free=1, n_codes=6, decoder="dense",
        epochs_decoder=1, more_epochs=2, epochs_pretraining=1, epochs=1, batch_size=16,
    ),
    "cpu": Sizes(
        seeds=(0, 1), decoder_seeds=(0,), n_pixels=512, n_stars=320, n_observed=1000,
        n_modelled=3000, n_cores=30, n_variations=4, free_sizes=(0, 2, 8, 32), n_free=2,
        n_codes=32, decoder="dense", epochs_decoder=20, more_epochs=100, epochs_pretraining=120,
        epochs=40, batch_size=16,
    ),
    "full": Sizes(
        seeds=(0,), decoder_seeds=(0,), n_pixels=20_480, n_stars=7274, n_observed=42_000,
        n_modelled=42_000, n_cores=140, n_variations=7, free_sizes=(0, 2, 4, 8, 13, 32), n_free=2,
        n_codes=32, decoder="resnet", epochs_decoder=100, more_epochs=400, epochs_pretraining=100,
        epochs=100, batch_size=32,
    ),
}  # fmt: skip
# Ratio of RVIS to doing nothing of an autoencoder with two free latents, on the stars to choose on,
# seed 0: encoder and decoder, pixels, epochs, pretrained, ratio.
TRIED = [
    ("conv, conv", 2048, 25, False, 0.997),
    ("dense, dense", 2048, 40, False, 1.070),
    ("conv, resnet", 2048, 12, False, 0.993),
    ("conv, conv, shifting", 2048, 25, False, 0.101),
    ("dense, dense", 1024, 100, False, 1.050),
    ("conv, conv", 1024, 40, False, 1.026),
    ("conv, conv", 512, 40, False, 1.014),
    ("conv, conv", 512, 40, True, 0.946),
    ("conv, dense", 512, 60, True, 0.645),
]
QUESTION = """Does a decoder move its lines when the velocity in its code is moved?

Tables 7 and 8 and figure 2 of Cvrcek et al. 2025 again, on simulated HARPS spectra: errors of
decoders from labels to spectra beside baselines without a network; the radial velocity and the
generative intervention score of autoencoders with and without labels, each beside the score that
the same spectra have if nothing is done; and both against the number of free latents. A decoder
that draws a blank continuum has an RVIS of 0, and one that blurs its lines a low one, so that only
the ratio to doing nothing tells whether a velocity was moved: 0 is perfect, 1 is no better than
ignoring it."""
DOES_NOT_SHOW = [
    "Published sizes: some thousand spectra of 512 pixels (0.4 Å, against 0.01 Å of HARPS) and 20 "
    "to 120 epochs, where the paper has 84,000 spectra of 327,680 pixels and 1,000 epochs. Coarse "
    "pixels blur the lines, which makes velocities easier to learn and RVIS smaller.",
    "The published networks in the autoencoders: 512 pixels leave the CNN five of fourteen stages, "
    "with few channels. On the stars to choose on, CNN, ResNet and dense decoders were tried with "
    "2048, 1024 and 512 pixels (see `numbers` in the record). Only a pretrained dense decoder of "
    "512 pixels moved its lines with the velocity, RVIS being 0.65 of doing nothing and 0.95 to "
    "1.07 in all others; it stands in the autoencoders for that, and the ResNet has a row.",
    "The published continua and orders: GIS is that of 200 Å, not of all of HARPS, and without "
    "Earth's lines worth the name, so that airmass and BERV are no labels here.",
    "Scatter of training: one training a seed, and the decoders alone of the first seed only. "
    "Standard errors and p-values count stars.",
    "Tuned models: the prices of the infoVAE are guesses, since the published losses count nats "
    "and pixels otherwise; the published price of free latents is lower, as it counts with labels.",
    "Real spectra.",
]


def one_seed(options: Options, sizes: Sizes, seed: int) -> dict[str, Any]:
    """Simulate, train and score everything of one seed."""
    torch.set_num_threads(1)
    data = make_data(options, sizes, seed)
    print(f"  seed {seed}: {len(data.train.flux)} archive spectra to train on, "
          f"{len(data.test.flux)} to test on", flush=True)  # fmt: skip
    decoders, pretrained = score_decoders(data, sizes, seed)
    models = score_models(data, sizes, seed, pretrained) | score_of_constant(data, sizes)
    return {"decoders": decoders, "models": models, "truth": scores_of_truth(options, data, sizes)}


def scores_of_truth(options: Options, data: Data, sizes: Sizes) -> dict[str, InterventionScore]:
    """Score noise-free archive stars that are not moved, on our pixels and on those of HARPS."""
    archive = data.designed[ARCHIVE]
    cores = archive.flux[np.unique(archive.design.core_row)]
    return {
        f"{TRUTH}, on these pixels": score_of_truth(sizes.grid, cores),
        f"{TRUTH}, on the pixels of HARPS": score_of_truth(HARPS_GRID, true_cores(options, data)),
    }


def errors_of_truth(score: InterventionScore) -> Errors:
    stars = np.arange(len(score.by_spectrum))
    return Errors(score.by_spectrum, score.do_nothing_by_spectrum, stars, (score.ratio,))


def numbers_of(found: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the scores of every seed as plain numbers."""
    models = [
        {name: numbers_of_model(each) for name, each in one["models"].items()} for one in found
    ]
    decoders = [
        {
            name: {
                "error": mean_and_error(each.errors, each.groups),
                "error_noisy": float(each.errors_noisy.mean()),
                "seconds": each.seconds,
            }
            for name, each in one["decoders"].items()
        }
        for one in found
    ]
    return {"decoders": decoders, "models": models, "free_latents": rows, "tried": TRIED}


def numbers_of_model(scores: Scores) -> dict[str, Any]:
    def plain(score: Any) -> dict[str, float | None]:
        ratio = score.ratio if np.isfinite(score.ratio) else None
        return {"score": score.score, "do_nothing": score.do_nothing, "ratio": ratio}

    return {
        "rvis": {**plain(scores.rvis), "floor": scores.rvis.floor},
        "rvis_by_velocity": scores.rvis.by_velocity,
        "do_nothing_by_velocity": scores.rvis.do_nothing_by_velocity,
        "gis": {
            design: {label: plain(score) for label, score in by_label.items()}
            for design, by_label in scores.gis.items()
        },
        "seconds": scores.seconds,
    }


def run(options: Options) -> Evidence:
    sizes = SIZES[options.size]
    found = Parallel(n_jobs=options.n_jobs)(
        delayed(one_seed)(options, sizes, seed) for seed in sizes.seeds
    )
    # Models that some seeds lack stand with the seeds that have them.
    names = list(found[0]["models"])
    models = {
        name: [one["models"][name] for one in found if name in one["models"]] for name in names
    }
    decoders = [one["decoders"] for one in found[: len(sizes.decoder_seeds)]]
    truth = {name: errors_of_truth(each) for name, each in found[0]["truth"].items()}
    rows = size_rows(models, sizes)
    of_sizes = {name for name in names if "free, " in name}
    listed = {name: each for name, each in models.items() if name not in of_sizes}
    is_kept = options.purpose == "report" and options.size != "test"
    draw_sizes(rows, ROOT / "docs/results" / PICTURE if is_kept else io.BytesIO())
    return Evidence(
        name="interventions",
        title="Labels moved in codes: RVIS, GIS and decoders",
        question=QUESTION,
        seeds=list(sizes.seeds),
        chosen_on=["simulated, purpose choose, seed 0"],
        reported_on=[f"simulated, purpose {options.purpose}, seed {seed}" for seed in sizes.seeds]
        if options.purpose == "report"
        else ["nothing: these are stars to choose on"],
        does_not_show=DOES_NOT_SHOW,
        settings=asdict(sizes),
        tables=[
            decoder_table(decoders),
            rvis_table(listed, truth),
            gis_table(listed),
            size_table(rows),
        ],
        claims=claims_of(models, decoders, rows, truth),
        figures=[
            Figure(
                PICTURE,
                "RVIS, its ratio to doing nothing, and the reconstruction error against the number "
                "of free latents, with and without the zero penalty; bars are standard errors by "
                "star.",
            )
        ],
        numbers=numbers_of(found, rows),
    )


def main() -> None:
    options = parse_options(__doc__)
    run(options).write(options)


if __name__ == "__main__":
    main()
