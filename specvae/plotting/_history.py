"""The learning curve."""

from typing import Any

from ._style import line_style


def plot_history(history: Any, ax: Any) -> Any:
    """Draw the loss over the epochs.

    Parameters
    ----------
    history : DataFrame
        `history_` of a fitted estimator.
    ax : matplotlib Axes

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> history = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.2, 0.1], "best": [True, True]})
    >>> ax = plot_history(history, Figure().subplots())
    >>> ax.get_xlabel()
    'epoch'
    """
    curves = (("train_loss", "training"), ("valid_loss", "validation"))
    for number, (column, label) in enumerate(curves):
        if column in history:
            ax.plot(history["epoch"], history[column], label=label, **line_style(number))
    kept = history[history["best"]].iloc[-1]
    # An epoch of partial_fit has no validation loss.
    watched = kept.get("valid_loss", float("nan"))
    loss = kept["train_loss"] if watched != watched else watched
    ax.plot(kept["epoch"], loss, "ko", label="weights kept")
    # One with parts is a sum of terms, or an error of labels.
    has_parts = any(name.startswith("train_") and name != "train_loss" for name in history)
    meaning = "loss" if has_parts else "mean |flux - reconstruction|"
    ax.set(xlabel="epoch", ylabel=meaning, yscale="log")
    ax.legend()
    return ax
