"""The two maps: which latent, and which principal component, knows which cause."""

from typing import Any

import numpy as np

__all__ = ["FIGURE", "draw_maps"]

FIGURE = "informative_latents_mi.png"
_N_SHOWN = 16
_NAMES = {
    "teff_k": "Teff",
    "logg_dex": "log g",
    "mh_dex": "[M/H]",
    "vsini_kms": "v sin i",
    "rv_kms": "radial velocity",
    "berv_kms": "barycentric vel.",
    "pwv_mm": "water vapour",
    "snr": "S/N",
}


def draw_maps(maps: dict[str, tuple[Any, np.ndarray]], file: Any) -> None:
    """Draw fitted MutualInfoScorers side by side, each with the order of its latents.

    The colour is what a latent knows above permuted stars; a dot marks p < 0.01.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.8), layout="constrained")
    axes = figure.subplots(1, len(maps), sharey=True, squeeze=False)[0]
    top = max(scorer.information_.max() for scorer, _ in maps.values())
    for ax, (title, (scorer, order)) in zip(axes, maps.items(), strict=True):
        shown = order[:_N_SHOWN]
        information = scorer.information_[:, shown]
        image = ax.imshow(
            information, aspect="auto", interpolation="none", cmap="cividis", vmin=0.0, vmax=top
        )
        cause, latent = np.nonzero(scorer.p_latent_[:, shown] < 0.01)
        light = information[cause, latent] > 0.6 * top
        colours = np.where(light, "black", "white")
        ax.scatter(latent, cause, s=14, c=colours, linewidths=0)
        ax.set_title(title, fontsize="medium")
        ax.set_xticks(np.arange(len(shown)), shown, fontsize="small")
    names = [_NAMES.get(name, name.replace("_", " ")) for name in scorer.label_names_in_]
    axes[0].set_yticks(np.arange(len(names)), names)
    axes[0].set_xlabel("latent, by divergence")
    axes[-1].set_xlabel("component, by variance")
    figure.colorbar(image, ax=axes, label="information above permuted stars (nats)")
    figure.savefig(file, dpi=110, format="png")
