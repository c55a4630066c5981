"""Sum of many absorption profiles over one uniform axis."""

import numpy as np
from scipy.special import voigt_profile

# What a line adds is left out where it is below this share of the continuous opacity.
CUTOFF = 1e-3

# Beyond so many Doppler widths three terms of the asymptotic series stand for the Voigt profile, to
# half a percent.
_CORE_WIDTHS = 4.0


def sum_voigt_profiles(
    n_pixels: int,
    centre: np.ndarray,
    area: np.ndarray,
    doppler: np.ndarray,
    damping: np.ndarray,
    *,
    max_reach: np.ndarray | float = 30_000.0,
) -> np.ndarray:
    """Sum of Voigt profiles, each followed to where it falls below `CUTOFF`, shape (n_pixels,).

    Parameters
    ----------
    n_pixels : int
    centre : ndarray of shape (n_lines,)
        In pixels; may lie outside the axis.
    area : ndarray of shape (n_lines,)
        Integral over the profile, in pixels.
    doppler : ndarray of shape (n_lines,)
        Half width at 1/e of the Gaussian core, in pixels.
    damping : ndarray of shape (n_lines,)
        Half width at half maximum of the Lorentz profile over `doppler`.
    max_reach : float or ndarray of shape (n_lines,), default=30_000
        Pixels at which a wing ends. What would be left there is taken off all along it, since the
        wing of a very strong line would end in a step.

    Notes
    -----
    Lines of like reach are computed as one matrix, so the cost is that of the profile's values:
    about 80 ns each in the core, a few in the wings.
    """
    peak = area / (np.sqrt(np.pi) * doppler)
    core = doppler * np.sqrt(np.log(np.maximum(peak / CUTOFF, 1.0)))
    wing = np.sqrt(area * damping * doppler / (np.pi * CUTOFF))
    end = np.broadcast_to(np.asarray(max_reach, dtype=float), centre.shape)
    reach = np.minimum(np.maximum(core, wing), end)
    left = np.maximum((wing / end) ** 2 - 1.0, 0.0) * CUTOFF
    touches = (peak > CUTOFF) | (wing > _CORE_WIDTHS * doppler)
    touches &= (centre + reach > 0) & (centre - reach < n_pixels)
    centre, area, doppler, damping, reach, left = (
        values[touches] for values in (centre, area, doppler, damping, reach, left)
    )
    # Multiples of four pixels, so that many lines share a width.
    exact = np.maximum(_CORE_WIDTHS * doppler, core[touches])
    half = 4 * np.ceil(np.minimum(reach, exact) / 4).astype(int)
    total = _Total(n_pixels)
    for width in np.unique(half):
        of = half == width
        offset = np.arange(-width, width + 1)
        distance = _distance(centre[of], offset)
        profile = voigt_profile(
            distance,
            (doppler[of] / np.sqrt(2.0))[:, None],
            (damping[of] * doppler[of])[:, None],
        )
        total.add(centre[of], offset, area[of, None] * profile)
        lorentz = damping[of] * doppler[of]
        total.add_wings(centre[of], area[of], doppler[of], lorentz, reach[of], left[of], width)
    return total.values


class _Total:
    """Pixels to which values at offsets from line centres are added; those outside are dropped."""

    def __init__(self, n_pixels: int):
        self.values = np.zeros(n_pixels)

    def add(self, centre: np.ndarray, offset: np.ndarray, values: np.ndarray) -> None:
        pixel = np.floor(centre).astype(int)[:, None] + offset
        low, high = max(int(pixel.min()), 0), min(int(pixel.max()) + 1, len(self.values))
        if high <= low:
            return
        if pixel.min() < low or pixel.max() >= high:
            inside = (pixel >= low) & (pixel < high)
            pixel, values = pixel[inside], values[inside]
        self.values[low:high] += np.bincount(
            pixel.ravel() - low, weights=values.ravel(), minlength=high - low
        )

    def add_wings(
        self,
        centre: np.ndarray,
        area: np.ndarray,
        doppler: np.ndarray,
        lorentz: np.ndarray,
        reach: np.ndarray,
        left: np.ndarray,
        width: int,
    ) -> None:
        """Add the Lorentz profile from `width` pixels off the centre to the reach, less `left`.

        What the Doppler core adds to it, to the second order in doppler / distance, is from the
        series i / (sqrt(pi) z) (1 + 1 / (2 z**2) + 3 / (4 z**4)) of the complex error function.
        """
        strength = area * lorentz / np.pi
        has_wing = reach > width
        if not has_wing.any():
            return
        log_reach = np.ceil(np.log2(reach)).astype(int)
        for power in np.unique(log_reach[has_wing]):
            of = np.flatnonzero(has_wing & (log_reach == power))
            side = np.arange(width + 1, 2**power + 1)
            for one in np.array_split(of, max(1, len(of) * len(side) // 200_000)):
                for offset in (side, -side[::-1]):
                    square = _distance(centre[one], offset) ** 2 + lorentz[one, None] ** 2
                    value = strength[one, None] / square
                    ratio = doppler[one, None] ** 2 / square
                    damping = lorentz[one, None] ** 2 / square
                    value *= 1.0 + ratio * (1.5 - 2.0 * damping + 3.75 * ratio)
                    value -= left[one, None]
                    value[square > reach[one, None] ** 2] = 0.0
                    self.add(centre[one], offset, value)


def _distance(centre: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Pixels from each centre to the pixels at `offset` from the one below it, (line, pixel)."""
    return offset - (centre - np.floor(centre))[:, None]
