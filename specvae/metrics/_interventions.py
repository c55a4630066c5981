"""Does a decoder move the velocity as nature does: the radial velocity intervention score."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import check_groups, row_chunks
from ..spectra import WavelengthGrid, doppler_factor
from ..spectra._grid import check_grid_type
from ._flux_errors import (
    flux_matrix,
    mean_difference,
    mean_of_known,
    ratio_to_nothing,
    rows_of,
)
from ._labels import mean_by_star
from ._shift import at_places, neighbours, shift_flux, source_places


@dataclass(frozen=True)
class InterventionScore:
    """Radial velocity intervention score, with what to compare it to; all in units of the flux.

    Means are over pixels, then over velocities, then over the spectra of a star, then over stars.
    """

    velocities_kms: np.ndarray  # (n_velocities,), by which the velocity was moved
    window_aa: tuple[float, float]  # wavelengths compared, in Angstrom
    score: float  # mean |intervened - shifted reconstruction|
    standard_error: float  # of `score`, from the scatter of the stars; NaN for one star
    n_stars: int  # stars with a pixel to compare
    do_nothing: float  # the score of a decoder that ignores the velocity
    floor: float  # mean change of a reconstruction shifted and back: what interpolation costs
    by_velocity: np.ndarray  # (n_velocities,)
    do_nothing_by_velocity: np.ndarray  # (n_velocities,)
    by_spectrum: np.ndarray  # (n_spectra,), NaN where a spectrum has no pixel to compare
    do_nothing_by_spectrum: np.ndarray  # (n_spectra,)

    @property
    def ratio(self) -> float:
        """Score over that of doing nothing: 0 is perfect, 1 no better than ignoring the cause.

        NaN where doing nothing is perfect, as for spectra without lines.
        """
        return ratio_to_nothing(self.score, self.do_nothing)


def rvis(
    grid: WavelengthGrid,
    reconstructions: Any,
    intervened: Iterable[Any],
    velocities_kms: Any,
    *,
    window_aa: tuple[float, float] = (6050.0, 6250.0),
    groups: Any = None,
) -> InterventionScore:
    r"""Compare the velocity moved in the code with a Doppler shift: the intervention score.

    .. math:: \langle\, |d_v(\lambda) - s(\lambda / D(v))| \,\rangle_{i, v, \lambda},
        \quad D(v) = \sqrt{(1 + v/c) / (1 - v/c)},

    with the reconstruction s of spectrum i, and d_v decoded from its code moved by v.

    Parameters
    ----------
    grid : WavelengthGrid
        Pixels of the spectra.
    reconstructions : array-like or SpectraArray of shape (n_spectra, n_pixels)
        Decoded from the codes as they are; NaN is a missing pixel.
    intervened : array-like of shape (n_velocities, n_spectra, n_pixels), or iterable
        Decoded from the moved codes. A generator that gives one (n_spectra, n_pixels) array or
        SpectraArray for each velocity saves memory.
    velocities_kms : array-like of shape (n_velocities,)
        By how much the velocity was moved, in km/s; positive is away from us.
    window_aa : (low, high), default=(6050.0, 6250.0)
        Wavelengths to compare, in Angstrom: the Earth's lines, which do not move with the star,
        are few there.
    groups : array-like of shape (n_spectra,), optional
        Star of each spectrum; None takes each spectrum for a star of its own.

    Returns
    -------
    result : InterventionScore

    Raises
    ------
    ValueError
        If there is no spectrum, no velocity or no pixel to compare, shapes or counts disagree, or
        a number is infinite.

    See Also
    --------
    specvae.inspection.radial_velocity_intervention : The same for a fitted estimator.
    gis : For other labels.

    Notes
    -----
    Equation 16 of [1]_. A model that draws no lines has a small score, since nothing changes:
    read `ratio`. With noiseless spectra of the star as `reconstructions` and of the star at the
    other velocities as `intervened` this is the score of the truth itself. The spectrum is shifted
    as the simulation does it, by the relativistic formula without a change of the flux, and with
    cubic convolution [2]_. Pixels whose source lies outside the grid or beside a missing pixel
    are left out, of all scores alike. `floor`, of shifting there and back, tells the part of
    interpolation in `score` to a factor of about two; errors of the two ways may cancel at single
    velocities, so that it is given for all of them together.

    References
    ----------
    .. [1] Cvrcek et al. 2025, A&A 693, A256; its code shifts linearly and by 1 + v/c, and decodes
       `reconstructions` from a sample of the code and `intervened` from its mean.
    .. [2] Keys 1981, IEEE Trans. Acoust. Speech Signal Process. 29, 1153.

    Examples
    --------
    >>> import numpy as np
    >>> from specvae.spectra import WavelengthGrid, doppler_factor
    >>> grid = WavelengthGrid(6050.0, 0.05, 2000)
    >>> line = lambda kms: 1 - 0.5 * np.exp(
    ...     -0.5 * ((grid.wavelength_aa / doppler_factor(kms) - 6100.0) / 0.2) ** 2)[None]
    >>> result = rvis(grid, line(0.0), [line(-20.0), line(0.5 * 20.0)], [-20.0, 20.0])
    >>> np.round(result.by_velocity / result.do_nothing_by_velocity, 2)  # right; half the way
    array([0.  , 0.56])
    """
    check_grid_type("grid", grid, required=True)
    unmoved = flux_matrix("reconstructions", reconstructions, (None, grid.n_pixels))
    velocities = check_velocities(velocities_kms)
    window = check_window(window_aa, grid)
    star = np.arange(len(unmoved)) if groups is None else check_groups(groups, len(unmoved))

    errors = np.full((3, len(velocities), len(unmoved)), np.nan)
    n_given = 0
    for number, moved in enumerate(intervened):
        n_given = number + 1
        if n_given > len(velocities):
            break
        moved = flux_matrix(f"intervened[{number}]", moved, unmoved.shape)
        # Whole rows are read of a lazy matrix, and the window is cut from them.
        for rows in row_chunks(len(unmoved), grid.n_pixels):
            errors[:, number, rows] = _velocity_errors(
                grid, rows_of(unmoved, rows), rows_of(moved, rows), velocities[number], window
            )
    if n_given != len(velocities):
        came = "more" if n_given > len(velocities) else str(n_given)
        raise ValueError(
            f"intervened has {came} sets of spectra, velocities_kms {len(velocities)} numbers; "
            "give one set of decoded spectra for each velocity."
        )
    if np.isnan(errors[0]).all():
        raise ValueError(
            f"no pixel of window_aa={window_aa} can be compared: all are missing or come from "
            f"outside {grid}; widen the window or move by less."
        )
    by_spectrum = mean_of_known(errors, axis=1)  # (3, n_spectra)
    over_stars = mean_by_star(by_spectrum.T, star)
    score, do_nothing, floor = over_stars.mean.tolist()
    by_velocity = [mean_by_star(kind.T, star).mean for kind in errors[:2]]
    return InterventionScore(
        velocities_kms=velocities,
        window_aa=(float(window_aa[0]), float(window_aa[1])),
        score=score,
        standard_error=float(over_stars.standard_error[0]),
        n_stars=int(over_stars.n_stars[0]),
        do_nothing=do_nothing,
        floor=floor,
        by_velocity=by_velocity[0],
        do_nothing_by_velocity=by_velocity[1],
        by_spectrum=by_spectrum[0],
        do_nothing_by_spectrum=by_spectrum[1],
    )


def check_velocities(velocities_kms: Any) -> np.ndarray:
    """Return velocities as float64 of shape (n_velocities,), at least one and all finite."""
    velocities = np.asarray(velocities_kms, dtype=np.float64)
    if velocities.ndim != 1 or not len(velocities) or not np.isfinite(velocities).all():
        raise ValueError(
            "velocities_kms must be a list of finite numbers in km/s, at least one; got "
            f"{velocities_kms!r}."
        )
    doppler_factor(velocities)  # raises from the speed of light on
    return velocities


def check_window(window_aa: Any, grid: WavelengthGrid) -> slice:
    """Return the pixels of a window, at least one."""
    ends = np.asarray(window_aa, dtype=np.float64)
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise ValueError(f"window_aa must be (low, high) in Angstrom, got {window_aa!r}.")
    pixels = grid.slice(float(ends[0]), float(ends[1]))
    if pixels.start == pixels.stop:
        raise ValueError(
            f"window_aa={window_aa!r} holds no pixel of {grid}; give wavelengths inside the grid."
        )
    return pixels


def _velocity_errors(
    grid: WavelengthGrid,
    unmoved: np.ndarray,
    moved: np.ndarray,
    velocity_kms: float,
    window: slice,
) -> np.ndarray:
    """Score, score of doing nothing and floor of each spectrum, shape (3, n_spectra)."""
    shifted = shift_flux(grid, unmoved, velocity_kms, window)
    before = unmoved[:, window].astype(np.float64)
    after = moved[:, window].astype(np.float64)
    compared = np.isfinite(shifted + before + after)
    # Back again: only the pixels that the way back takes are shifted on the way there.
    back = source_places(grid, -velocity_kms, window)
    start, stop = neighbours(back, grid.n_pixels)
    there = shift_flux(grid, unmoved, velocity_kms, slice(start, stop))
    returned = at_places(there, back - start)
    return np.stack(
        [
            mean_difference(after, shifted, compared),
            mean_difference(before, shifted, compared),
            mean_difference(before, returned, compared & ~np.isnan(returned)),
        ]
    )
