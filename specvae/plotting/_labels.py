"""Predicted against true labels."""

from typing import Any

import numpy as np


def plot_predictions(true: Any, predicted: Any, ax: Any, *, label: str = "") -> Any:
    """Draw predicted over true values of one label, with the line on which they agree.

    Parameters
    ----------
    true, predicted : array-like of shape (n_spectra,)
        NaN is left out.
    ax : matplotlib Axes
    label : str, default=""
        Name and unit of the label.

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_predictions([1, 2], [1.1, 1.9], Figure().subplots(), label="logg_dex")
    >>> ax.get_ylabel()
    'predicted logg_dex'
    """
    ax.plot(true, predicted, ".", markersize=3, alpha=0.5)
    # Anchored inside the data: through the origin it would stretch the axes to zero.
    anchor = float(np.nanmedian(true))
    ax.axline((anchor, anchor), slope=1.0, color="black", linewidth=0.8)
    ax.set(xlabel=f"true {label}", ylabel=f"predicted {label}")
    return ax
