"""Which latent knows which label, at which scale."""

from typing import Any

import numpy as np

from .._validation import check_choice, check_number
from ._names import name_and_unit
from ._style import COLOUR_MAP, axes_list

_MOST_NAMES = 16
_MOST_DOTS = 48


def plot_information(
    result: Any,
    axes: Any,
    *,
    labels: Any = None,
    values: str = "corrected",
    alpha: float = 0.05,
    shared_scale: bool = False,
) -> Any:
    """Draw the mutual information of every latent with a label at every scale, as a heat map.

    Parameters
    ----------
    result : MutualInfoScorer
        Fitted.
    axes : matplotlib Axes, or array of them
        One for each label.
    labels : str or int, or sequence of those, optional
        Which labels, by name or number; by default all.
    values : {"corrected", "plug-in", "normalized"}, default="corrected"
        `mi_corrected_`, below zero drawn as zero; `mi_` as counted; or the paper's view, each row
        over its largest.
    alpha : float, default=0.05
        Cells with a mark, white or black, are significant: `p_corrected_` of the cell and
        `p_latent_` of its latent, which knows of the other scales, both lie below.
    shared_scale : bool, default=False
        Whether the axes share one colour bar, so that labels compare. With one for each, labels of
        which little is known show their structure, and noise is as bright: read bar and marks.

    Returns
    -------
    axes : matplotlib Axes, or array of them
        As they came.

    Raises
    ------
    ValueError
        If there is no such label, the number of axes is not that of the labels, or a parameter is
        none of those listed.

    References
    ----------
    Sedaghat, N., et al. 2021, MNRAS 501, 6026, section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from specvae.model_selection import MutualInfoScorer
    >>> codes = np.random.default_rng(0).normal(size=(300, 4))
    >>> scorer = MutualInfoScorer((5, 10), n_permutations=30, random_state=0)
    >>> ax = plot_information(scorer.fit(codes, codes[:, 2]), Figure().subplots())
    >>> ax.images[0].get_array().shape
    (2, 4)
    """
    check_choice("values", values, ("corrected", "plug-in", "normalized"))
    check_number("alpha", alpha, minimum=0, maximum=1)
    each = axes_list(axes)
    chosen = _choose(labels, _label_names(result))
    if len(chosen) != len(each):
        raise ValueError(
            f"axes holds {len(each)} axes for {len(chosen)} labels; give one for each label, or "
            "say which labels to draw."
        )
    information, unit = _values(result, values)
    drawn = [number for number, _ in chosen]
    # Of no information at all the scale still needs an end.
    top = np.maximum(information[drawn].max(axis=(1, 2)), 1e-12)
    if shared_scale:
        top[:] = top.max()
    significant = (result.p_corrected_ < alpha) & (result.p_latent_[:, None] < alpha)
    scales = [str(n_bins) for n_bins in result.bins_] or ["KSG"]
    # A colour bar moves its axes into a mosaic of two, of which each is the lowest.
    lowest = [_is_lowest(ax) for ax in each]
    said = f"{unit}\nmarks: p < {alpha:g}"
    for ax, (number, name), end, last in zip(each, chosen, top, lowest, strict=True):
        image = ax.imshow(
            information[number],
            aspect="auto",
            interpolation="none",
            cmap=COLOUR_MAP,
            vmin=0.0,
            vmax=end,
        )
        light = information[number] > 0.6 * end
        _draw_marks(significant[number] & ~light, "white", ax)
        _draw_marks(significant[number] & light, "black", ax)
        ax.set_yticks(np.arange(len(scales)), scales)
        ax.set_ylabel(name_and_unit(name)[0] + ("\nbins" if result.bins_ else ""))
        _name_latents(result, last, ax)
        if not shared_scale:
            ax.figure.colorbar(image, ax=ax, label=said)
    if shared_scale:
        each[0].figure.colorbar(image, ax=each, label=said)
    return axes


def _draw_marks(cells: np.ndarray, colour: str, ax: Any) -> None:
    """Draw a dot in each cell, a stroke where cells are too narrow for one in a single column."""
    scale, latent = np.nonzero(cells)
    n_latents = cells.shape[1]
    if n_latents <= _MOST_DOTS:
        size = min(90.0 / n_latents, 4.0)
        ax.plot(latent, scale, "o", color=colour, markersize=size, markeredgewidth=0)
    else:
        width = max(70.0 / n_latents, 0.4)
        ax.plot(latent, scale, "|", color=colour, markersize=3.5, markeredgewidth=width)


def _label_names(result: Any) -> list[str]:
    names = getattr(result, "label_names_in_", None)
    if names is None:
        return [f"label{number}" for number in range(len(result.mi_))]
    return [str(name) for name in names]


def _choose(labels: Any, names: list[str]) -> list[tuple[int, str]]:
    """Numbers and names of the labels to draw."""
    if labels is None:
        return list(enumerate(names))
    wanted = [labels] if isinstance(labels, str | int | np.integer) else list(labels)
    chosen = []
    for label in wanted:
        known = label in names if isinstance(label, str) else 0 <= label < len(names)
        if not known:
            raise ValueError(
                f"there is no label {label!r}; labels are {', '.join(names)}, or 0 to "
                f"{len(names) - 1}."
            )
        number = names.index(label) if isinstance(label, str) else int(label)
        chosen.append((number, names[number]))
    return chosen


def _values(result: Any, values: str) -> tuple[np.ndarray, str]:
    if values == "normalized":
        return result.normalized_view(), "MI / row's largest"
    if values == "plug-in":
        return result.mi_, "plug-in MI (nats)"
    return result.mi_corrected_, "MI (nats)"


def _is_lowest(ax: Any) -> bool:
    place = ax.get_subplotspec()
    return place is None or place.is_last_row()


def _name_latents(result: Any, lowest: bool, ax: Any) -> None:
    """Name the latents below the lowest map, if there is room."""
    if lowest:
        ax.set_xlabel("latent")
    names = getattr(result, "feature_names_in_", None)
    if names is not None and len(names) <= _MOST_NAMES:
        shown = [str(name) if lowest else "" for name in names]
        ax.set_xticks(np.arange(len(names)), shown, rotation=90, fontsize="small")
