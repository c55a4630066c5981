"""Tables and figure of `interventions.py`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from _evidence import Table, plus_minus
from _interventions_decoders import CNN, RESNET
from _interventions_models import (
    AE_MIX,
    AE_REAL,
    INFO_VAE,
    UNSUPERVISED,
    Scores,
    with_free,
)
from _interventions_pool import (
    Errors,
    both,
    mean_and_error,
    pool,
    pool_gis,
    pool_rvis,
    stars_of_seeds,
)
from _interventions_spectra import ARCHIVE, CHANGED, FORWARD, Sizes

PUBLISHED_DECODERS = {CNN: "0.0139 ± 0.0026", RESNET: "0.0064 ± 0.0011"}
PUBLISHED = {
    UNSUPERVISED: ("0.063",),
    AE_REAL: ("0.019", "0.0078", "0.017", "0.036"),
    AE_MIX: ("0.017", "0.0041", "0.0069", "0.0077"),
    INFO_VAE: ("0.020", "0.0051", "0.0065", "0.0062"),
}


def decoder_table(of_seeds: Sequence[dict[str, Any]]) -> Table:
    """Make table 7."""
    rows = []
    stars = stars_of_seeds([each["mean spectrum"].groups for each in of_seeds])
    mean = np.concatenate([each["mean spectrum"].errors for each in of_seeds])
    for name, first in of_seeds[0].items():
        scores = [each[name] for each in of_seeds]
        errors = np.concatenate([each.errors for each in scores])
        noisy = np.concatenate([each.errors_noisy for each in scores])
        rows.append(
            [
                name,
                PUBLISHED_DECODERS.get(name, "-"),
                plus_minus(*mean_and_error(errors, stars)),
                f"{errors.std():.4f}",
                f"{noisy.mean():.4f}",
                f"{errors.mean() / mean.mean():.2f}",
                "-" if first.n_epochs is None else str(first.n_epochs),
                f"{np.mean([each.seconds for each in scores]):.0f}",
                "-" if first.n_parameters is None else f"{first.n_parameters:,}",
            ]
        )
    return Table(
        "Table 7: labels to spectra",
        ["Decoder", "Published", "Error", "Scatter", "Against noisy", "Of mean spectrum",
         "Epochs", "Seconds", "Parameters"],
        rows,
        "Mean |predicted - noise-free spectrum| with its standard error by star, and the scatter "
        "of the spectra, which is what the published ± seems to be. Trained on noise-free spectra "
        "of the forward model. 'At rest': trained on spectra shifted to rest, and shifted by the "
        "velocity afterwards.",
    )  # fmt: skip


def rvis_table(models: dict[str, list[Scores]], truth: dict[str, Errors]) -> Table:
    """Make the first column of table 8."""
    rows = []
    for name, scores in models.items():
        found = pool_rvis(scores)
        rows.append([name, PUBLISHED.get(name, ("-",))[0], *rvis_cells(scores, found)])
    for name, each in truth.items():
        nothing = f"{each.do_nothing:.4f}"
        rows.append([name, "-", both(each.score), nothing, "1", "1", "-", "-"])
    return Table(
        "Table 8: velocity moved in the code (RVIS)",
        ["Model", "Published", "RVIS", "Doing nothing", "Ratio", "Ratio by seed", "Reconstruction",
         "Velocity (km/s)"],
        rows,
        "Archive stars not trained on, ±4 to ±40 km/s, 6050 to 6250 Å. 'Doing nothing': the score "
        "of the same reconstructions if moving the velocity changed nothing; ratio: one over the "
        "other. 'Reconstruction': mean |drawn - observed|, noise included; 'Velocity': error of "
        "the label. The last rows are noise-free stars as in the archive.",
    )  # fmt: skip


def rvis_cells(scores: Sequence[Scores], found: Errors) -> list[str]:
    return [
        both(found.score),
        f"{found.do_nothing:.4f}",
        both(found.ratio),
        ", ".join("-" if np.isnan(each) else f"{each:.2f}" for each in found.by_seed),
        both(pool(scores, "reconstruction")),
        both(pool(scores, "velocity_errors")),
    ]


def gis_table(models: dict[str, list[Scores]]) -> Table:
    """Make the other columns of table 8."""
    rows = []
    for name, scores in models.items():
        if not scores[0].gis:
            continue
        for number, label in enumerate(CHANGED):
            published = PUBLISHED.get(name, ("-",) * 4)[1 + number]
            row = [name, label, published]
            for design in (FORWARD, ARCHIVE):
                found = pool_gis(scores, design, label)
                row += [both(found.score), f"{found.do_nothing:.4f}", both(found.ratio)]
            of_forward = [each.gis[FORWARD][label] for each in scores]
            row.append(f"{np.mean([each.against_truth for each in of_forward]):.4f}")
            rows.append(row)
    return Table(
        "Table 8: other labels changed in the code (GIS)",
        ["Model", "Label", "Published", "GIS", "Doing nothing", "Ratio", "GIS, archive stars",
         "Doing nothing, archive stars", "Ratio, archive stars", "Against truth"],
        rows,
        "First on the forward model with its errors, over its whole range, as published; then with "
        "the true line list and labels between the 10 % and 90 % quantiles of the archive. "
        "'Against truth': changed code against the true spectrum of the forward model, not the "
        "model's own reconstruction of it.",
    )  # fmt: skip


def size_rows(models: dict[str, list[Scores]], sizes: Sizes) -> list[dict[str, Any]]:
    """Return what figure 2 shows, as numbers."""
    rows = []
    for penalised in (False, True):
        for n_free in sizes.free_sizes:
            # Without free latents the two are one model.
            name = with_free(n_free, penalised or n_free == 0)
            found = pool_rvis(models[name])
            rows.append(
                {
                    "n_free": n_free,
                    "penalised": penalised,
                    "rvis": found.score,
                    "do_nothing": found.do_nothing,
                    "ratio": found.ratio,
                    "by_seed": found.by_seed,
                    "reconstruction": pool(models[name], "reconstruction"),
                }
            )
    return rows


def size_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Make the table of figure 2."""
    return Table(
        "Figure 2: number of free latents, with and without zero penalty",
        ["Free latents", "Zero penalty", "RVIS", "Doing nothing", "Ratio", "Ratio by seed",
         "Reconstruction"],
        [
            [
                row["n_free"],
                "yes" if row["penalised"] else "no",
                both(row["rvis"]),
                f"{row['do_nothing']:.4f}",
                both(row["ratio"]),
                ", ".join(f"{each:.2f}" for each in row["by_seed"]),
                both(row["reconstruction"]),
            ]
            for row in rows
        ],
        "Autoencoders on mixed spectra with a pretrained decoder, four labels (published: seven). "
        "Published: two free latents are best, RVIS rises on both sides, and less so with the "
        "penalty. Without free latents there is one model, shown twice.",
    )  # fmt: skip


def draw_sizes(rows: Sequence[dict[str, Any]], target: Any) -> None:
    """Draw RVIS, its ratio and the reconstruction against the number of free latents."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    panels = {
        "rvis": "RVIS",
        "ratio": "RVIS / doing nothing",
        "reconstruction": "Reconstruction error",
    }
    # Two of the colours of Okabe & Ito 2008, with markers that differ in grey print too.
    looks = {False: ("#0072B2", "o", "no penalty"), True: ("#D55E00", "s", "zero penalty")}
    for ax, (key, title) in zip(axes, panels.items(), strict=True):
        for penalised, (colour, marker, text) in looks.items():
            chosen = [row for row in rows if row["penalised"] is penalised]
            place = np.arange(len(chosen)) + (0.05 if penalised else -0.05)
            mean, error = np.array([row[key] for row in chosen]).T
            ax.errorbar(place, mean, error, color=colour, marker=marker, label=text, capsize=3)
            if key == "rvis":
                nothing = [row["do_nothing"] for row in chosen]
                ax.plot(place, nothing, ":", color=colour, label=f"doing nothing, {text}")
        ax.set_xticks(np.arange(len(chosen)), [str(row["n_free"]) for row in chosen])
        ax.set_xlabel("Free latents")
        ax.set_ylabel(title)
    axes[1].axhline(1.0, color="0.5", linestyle="--")
    axes[0].set_ylim(bottom=0.0)
    axes[0].legend(fontsize="small")
    figure.savefig(target, format="png", dpi=120)
