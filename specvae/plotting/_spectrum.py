"""A spectrum and its reconstruction."""

from typing import Any


def plot_reconstruction(
    wavelength_aa: Any, flux: Any, reconstruction: Any, ax: Any, *, window_aa: Any = None
) -> Any:
    """Draw a spectrum and its reconstruction over each other.

    Parameters
    ----------
    wavelength_aa, flux, reconstruction : ndarray of shape (n_pixels,)
        Wavelengths in Angstrom; NaN flux leaves a gap.
    ax : matplotlib Axes
    window_aa : tuple of float, optional
        (low, high) in Angstrom; all wavelengths by default.

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> wavelength_aa = np.array([5000.0, 5001.0])
    >>> ax = plot_reconstruction(wavelength_aa, np.ones(2), np.ones(2), Figure().subplots())
    >>> ax.get_legend_handles_labels()[1]
    ['observed', 'reconstruction']
    """
    low_aa, high_aa = window_aa or (wavelength_aa[0], wavelength_aa[-1])
    shown = (wavelength_aa >= low_aa) & (wavelength_aa <= high_aa)
    ax.plot(wavelength_aa[shown], flux[shown], color="0.6", linewidth=0.8, label="observed")
    ax.plot(
        wavelength_aa[shown],
        reconstruction[shown],
        color="tab:orange",
        linewidth=0.8,
        label="reconstruction",
    )
    ax.set(xlabel="wavelength (Angstrom)", ylabel="flux", xlim=(low_aa, high_aa))
    return ax
