"""Predicted against true labels."""

from typing import Any

import numpy as np

from ._names import with_unit
from ._points import draw_points
from ._style import BLACK


def plot_predictions(true: Any, predicted: Any, ax: Any, *, label: str = "") -> Any:
    """Draw predicted over true values of one label, with the line on which they agree.

    Parameters
    ----------
    true, predicted : array-like of shape (n_spectra,)
        NaN is left out.
    ax : matplotlib Axes
    label : str, default=""
        Name of the label, the unit at its end, such as "teff_k".

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_predictions([1, 2], [1.1, 1.9], Figure().subplots(), label="logg_dex")
    >>> ax.get_ylabel()
    'predicted log g (dex)'
    """
    draw_points(true, predicted, ax)
    # Anchored inside the data: through the origin it would stretch the axes to zero.
    anchor = float(np.nanmedian(true))
    ax.axline((anchor, anchor), slope=1.0, color=BLACK, linewidth=0.8)
    name = with_unit(label)
    ax.set(xlabel=f"true {name}".strip(), ylabel=f"predicted {name}".strip())
    return ax
