"""A fan of spectra along one latent."""

from typing import Any

import numpy as np

from ._names import with_unit
from ._style import BLACK, axes_list, colour_scale, draw_colour_bar, draw_legend


def plot_traversal(
    result: Any,
    axes: Any,
    *,
    windows_aa: Any = None,
    nearest_flux: Any = None,
    offset: float = 0.0,
) -> Any:
    """Draw the spectra decoded along one latent, coloured by its value.

    Parameters
    ----------
    result : Traversal
        Of `specvae.inspection.traverse`. A value that no real code reaches is drawn dashed, the
        spectrum as encoded in black.
    axes : matplotlib Axes, or array of them
        One for each window; they share one colour bar.
    windows_aa : (low, high), or sequence of those, optional
        Wavelengths to zoom in on, in Angstrom; all pixels by default.
    nearest_flux : array-like of shape (n_values, n_pixels), optional
        Real spectra nearest to the steps, ``flux[result.nearest]``, prepared as the last step of
        the estimator sees them: thin lines in the colour of their step.
    offset : float, default=0.0
        Flux by which each step is drawn above the one before, in the order of the values, so that
        noisy real spectra do not cover each other.

    Returns
    -------
    axes : matplotlib Axes, or array of them
        As they came.

    Raises
    ------
    ValueError
        If the number of axes is not that of the windows, a window holds no pixel or wavelengths
        are not known, or `nearest_flux` has another shape than the decoded spectra.

    References
    ----------
    Sedaghat, N., et al. 2021, MNRAS 501, 6026: sliders, and the nearest real object beside.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from sklearn.decomposition import PCA
    >>> from specvae.inspection import traverse
    >>> from specvae.spectra import WavelengthGrid
    >>> grid = WavelengthGrid(5000.0, 0.5, 200)
    >>> flux = 1.0 + 0.01 * np.random.default_rng(0).normal(size=(30, 200))
    >>> pca = PCA(3, random_state=0).fit(flux)
    >>> fan = traverse(pca, flux[0], "pca0", [-0.1, 0.0, 0.1], grid=grid)
    >>> ax = plot_traversal(fan, Figure().subplots(), windows_aa=(5010.0, 5030.0))
    >>> ax.get_xlabel(), len(ax.lines)
    ('wavelength (Angstrom)', 4)
    """
    each = axes_list(axes)
    wavelength_aa = result.wavelength_aa
    pixel = np.arange(result.flux.shape[1])
    x, unit = (
        (pixel, "pixel") if wavelength_aa is None else (wavelength_aa, "wavelength (Angstrom)")
    )
    windows = _check_windows(windows_aa, wavelength_aa, len(each))
    real = None if nearest_flux is None else np.asarray(nearest_flux)
    if real is not None and real.shape != result.flux.shape:
        raise ValueError(
            f"nearest_flux has shape {real.shape}, the decoded spectra {result.flux.shape}; give "
            "the real spectrum of each step, flux[result.nearest], on the same pixels."
        )
    scale, ends = colour_scale(each[0], result.values)
    for ax, window in zip(each, windows, strict=True):
        low, high = window or (x[0], x[-1])
        shown = (x >= low) & (x <= high)
        _draw_fan(result, real, scale, x, shown, offset, ax)
        ax.set_xlim(low, high)
        # Wavelengths are long numbers: more of them run into each other in a single column.
        ax.locator_params(axis="x", nbins=4, steps=[1, 2, 5, 10])
        _name_outer(ax, unit, "flux" if offset == 0 else "flux + offset")
    draw_legend(each[0])
    name = result.latent
    label = with_unit(name) if result.unit == "label" else f"{name} (code units)"
    draw_colour_bar(scale, each, label, ends)
    return axes


def _draw_fan(
    result: Any, real: Any, scale: Any, x: Any, shown: Any, offset: float, ax: Any
) -> None:
    outside = np.zeros(len(result.values), bool) if result.outside is None else result.outside
    colours = scale.to_rgba(result.values)
    said: set[str] = set()
    order = np.argsort(result.values, kind="stable")
    for place, step in enumerate(order):
        up = offset * place
        if real is not None:
            ax.plot(
                x[shown],
                real[step][shown] + up,
                color=colours[step],
                linewidth=0.5,
                alpha=0.6,
                label=_once("nearest real", said),
            )
        ax.plot(
            x[shown],
            result.flux[step][shown] + up,
            color=colours[step],
            linewidth=1.2,
            linestyle="--" if outside[step] else "-",
            label=_once("extrapolated" if outside[step] else "decoded", said),
        )
    # At the height of its own value among the steps.
    places = np.arange(len(order))
    up = offset * float(np.interp(result.reference_value, result.values[order], places))
    ax.plot(
        x[shown],
        result.reference[shown] + up,
        color=BLACK,
        linewidth=0.8,
        linestyle=":",
        label="as encoded",
    )


def _once(name: str, said: set[str]) -> str | None:
    """Return the name for the legend the first time only."""
    if name in said:
        return None
    said.add(name)
    return name


def _name_outer(ax: Any, across: str, up: str) -> None:
    """Name the axes at the left and at the bottom of a mosaic; the others have no room for it."""
    place = ax.get_subplotspec()
    if place is None or place.is_last_row():
        ax.set_xlabel(across)
    if place is None or place.is_first_col():
        ax.set_ylabel(up)


def _check_windows(windows_aa: Any, wavelength_aa: Any, n_axes: int) -> list[Any]:
    if windows_aa is None:
        if n_axes != 1:
            raise ValueError(f"axes holds {n_axes} axes; give windows_aa, one for each.")
        return [None]
    if wavelength_aa is None:
        raise ValueError(
            "windows_aa needs the wavelengths of the pixels, which the traversal does not know; "
            "give traverse the grid."
        )
    ends = np.atleast_2d(np.asarray(windows_aa, dtype=np.float64))
    if ends.ndim != 2 or ends.shape[1] != 2 or not (ends[:, 0] < ends[:, 1]).all():
        raise ValueError(f"windows_aa must be (low, high) in Angstrom, got {windows_aa!r}.")
    if len(ends) != n_axes:
        raise ValueError(f"axes holds {n_axes} axes for {len(ends)} windows; give one for each.")
    for low, high in ends:
        if not ((wavelength_aa >= low) & (wavelength_aa <= high)).any():
            raise ValueError(
                f"the window {low:g} to {high:g} Angstrom holds no pixel; the spectra cover "
                f"{wavelength_aa[0]:g} to {wavelength_aa[-1]:g}."
            )
    return [(float(low), float(high)) for low, high in ends]
