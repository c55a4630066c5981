"""A spectrum and its reconstruction."""

from typing import Any

from ._style import BLACK, GREY, VERMILLION


def plot_reconstruction(
    wavelength_aa: Any,
    flux: Any,
    reconstruction: Any,
    ax: Any,
    *,
    window_aa: Any = None,
    residual_ax: Any = None,
) -> Any:
    """Draw a spectrum and its reconstruction over each other.

    Parameters
    ----------
    wavelength_aa, flux, reconstruction : ndarray of shape (n_pixels,)
        Wavelengths in Angstrom; NaN flux leaves a gap.
    ax : matplotlib Axes
    window_aa : tuple of float, optional
        (low, high) in Angstrom; all wavelengths by default.
    residual_ax : matplotlib Axes, optional
        Below `ax`, for flux minus reconstruction; the wavelengths stand there instead.

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> wavelength_aa = np.array([5000.0, 5001.0])
    >>> ax, below = Figure().subplots(2, height_ratios=(3, 1))
    >>> ax = plot_reconstruction(wavelength_aa, np.ones(2), np.ones(2), ax, residual_ax=below)
    >>> ax.get_legend_handles_labels()[1]
    ['observed', 'reconstruction']
    """
    if window_aa is None:
        window_aa = wavelength_aa[0], wavelength_aa[-1]
    low_aa, high_aa = window_aa
    shown = (wavelength_aa >= low_aa) & (wavelength_aa <= high_aa)
    if not shown.any():
        raise ValueError(
            f"window_aa={low_aa:g} to {high_aa:g} Angstrom holds no pixel; the spectrum goes from "
            f"{wavelength_aa[0]:g} to {wavelength_aa[-1]:g}."
        )
    x = wavelength_aa[shown]
    ax.plot(x, flux[shown], color=GREY, linewidth=1.2, label="observed")
    ax.plot(x, reconstruction[shown], color=VERMILLION, linewidth=0.8, label="reconstruction")
    ax.set(xlabel="wavelength (Angstrom)", ylabel="flux", xlim=(low_aa, high_aa))
    if residual_ax is not None:
        # A difference to be seen, not a result: it is left to the picture.
        residual_ax.plot(x, flux[shown] - reconstruction[shown], color=GREY, linewidth=0.6)
        residual_ax.axhline(0.0, color=BLACK, linewidth=0.6)
        residual_ax.set(xlabel="wavelength (Angstrom)", ylabel="residual", xlim=(low_aa, high_aa))
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    return ax
