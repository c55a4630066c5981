"""From electrons in two sets of echelle orders to flux, its variance, and one noisy draw.

Appendix A of Cvrcek et al., Stellar parameter prediction and spectral simulation using machine
learning: signal S, sky B and constant noise n, in electrons, and h, the blaze times the
dispersion, in even (A) and odd (B) echelle orders.
"""

from typing import NamedTuple

import numpy as np

# Electrons squared in one order. Above, the distribution that three cumulants describe has a
# skewness under 0.1 and leaves out an excess kurtosis under 0.01; below, the draw is exact.
SMALL_VARIANCE_E2 = 100.0
_SNR_PIXELS = 4000

COSMIC_RAYS_PER_PIXEL_S = 5.6e-8
"""Assumed: 1.5 hits a minute and cm2 of detector, on a pixel of 15 micrometres."""

_COSMIC_RAY_E, _COSMIC_RAY_SCATTER = 1000.0, 0.7  # assumed: log-normal, median and log scatter
_COSMIC_RAY_PIXELS = 3  # assumed: most pixels along the spectrum that one hit touches


class Order(NamedTuple):
    """Expected electrons in the even or the odd orders, one value for each pixel of the grid.

    Where the orders do not record a pixel, `response` is 0 and the electrons any finite number.
    """

    signal: np.ndarray  # (n_pixels,), electrons of the star
    background: np.ndarray  # (n_pixels,) or scalar, electrons of the sky
    response: np.ndarray  # (n_pixels,), h of A.1: electrons per unit of flux, up to a constant


class DetectorNoise(NamedTuple):
    """What a dark detector gives in the pixels that are summed to one."""

    dark_e: float  # expected electrons, also their variance
    readout_e2: float  # variance of the read-out

    @property
    def variance(self) -> float:
        """The constant n of equation A.2, in electrons squared."""
        return self.dark_e + self.readout_e2


class Observed(NamedTuple):
    """What is expected in each pixel, with all that a draw needs."""

    flux: np.ndarray  # (n_pixels,), float32, mean of the noise; NaN where nothing is recorded
    variance: np.ndarray  # (n_pixels,), float32, NaN likewise
    third_cumulant: np.ndarray  # (n_pixels,), float32, NaN likewise
    few: np.ndarray  # (n_few,), pixels where an order has a small variance
    few_electrons: np.ndarray  # (2, n_few), expected star, sky and dark, even and odd order
    few_weight: np.ndarray  # (2, n_few), flux per electron
    readout_e: float  # standard deviation of the read-out in each order


def constant_noise(
    n_pixels: float, n_exposures: int, exposure_s: float, dark_e_per_s: float, readout_e: float
) -> DetectorNoise:
    """Noise that does not depend on the star, in `n_pixels` = Nspat Nspec pixels of the detector.

    n = Nspat Nspec (exposure_s dark + Nexp RON^2), with `exposure_s` the total of all exposures.
    Appendix A writes Nspat Nspec Nexp (Texp dark + RON^2) with Texp = DIT NDIT, which is already
    the total: it counts the exposures twice in the dark current, and here they count once.
    `n_pixels` may be a fraction where a pixel of the grid is narrower than one of the detector.
    """
    return DetectorNoise(
        dark_e=n_pixels * exposure_s * dark_e_per_s,
        readout_e2=n_pixels * n_exposures * readout_e**2,
    )


def order_weights(even: np.ndarray, odd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flux per electron of each order, float32: 1 / (n_orders h) of equation A.1.

    An order that is absent, h = 0, has weight 0; where both are, both weights are NaN.
    """
    has_even, has_odd = even > 0, odd > 0
    n_orders = has_even.astype(np.float32) + has_odd
    n_orders[n_orders == 0] = np.nan
    with np.errstate(divide="ignore"):
        weight_even = np.float32(1.0) / (even * n_orders)
        weight_odd = np.float32(1.0) / (odd * n_orders)
    # NaN belongs where both are absent, infinity nowhere.
    weight_even[~has_even & has_odd] = 0.0
    weight_odd[~has_odd & has_even] = 0.0
    return weight_even.astype(np.float32, copy=False), weight_odd.astype(np.float32, copy=False)


def combine_orders(even: Order, odd: Order, detector: DetectorNoise) -> Observed:
    """Flux and noise of the merged orders, equations A.1 and A.2 of Cvrcek et al.

    flux = sum of w S and variance = sum of w^2 (S + B + n) over the orders that record a pixel,
    with w = 1 / (n_orders h): the 1/2 and the 1/2^2 of the paper where two orders overlap. Sky
    and dark current are taken off after the draw, so they add noise and no flux. The third
    cumulant is the sum of w^3 (S + B + dark): cumulants of independent numbers add, those of a
    Poisson number all equal its mean, and the Gaussian read-out has none.
    """
    weight_even, weight_odd = order_weights(even.response, odd.response)
    dark, readout = np.float32(detector.dark_e), np.float32(detector.readout_e2)
    electrons_even = _electrons(even, dark)
    electrons_odd = _electrons(odd, dark)

    flux = weight_even * even.signal
    flux += weight_odd * odd.signal
    third_cumulant, variance = _moments(weight_even, electrons_even, readout)
    third_odd, variance_odd = _moments(weight_odd, electrons_odd, readout)
    third_cumulant += third_odd
    variance += variance_odd

    enough = np.float32(SMALL_VARIANCE_E2) - readout
    is_few = (electrons_even < enough) & (weight_even > 0)
    is_few |= (electrons_odd < enough) & (weight_odd > 0)
    few = np.flatnonzero(is_few)
    return Observed(
        flux=flux.astype(np.float32, copy=False),
        variance=variance,
        third_cumulant=third_cumulant,
        few=few,
        few_electrons=np.stack([electrons_even[few], electrons_odd[few]]),
        few_weight=np.stack([weight_even[few], weight_odd[few]]),
        readout_e=float(np.sqrt(detector.readout_e2)),
    )


def _electrons(order: Order, dark: np.float32) -> np.ndarray:
    electrons = np.add(order.signal, order.background, dtype=np.float32)
    electrons += dark
    return electrons


def _moments(
    weight: np.ndarray, electrons: np.ndarray, readout: np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """Third cumulant and variance that one order contributes to the flux."""
    square = weight * weight
    variance = electrons + readout
    variance *= square
    square *= weight
    square *= electrons
    return square, variance


def draw_flux(observed: Observed, generator: np.random.Generator) -> np.ndarray:
    """One noisy spectrum, float32: photons are Poisson, the read-out is Gaussian.

    With many electrons the flux is a normal deviate z put through the first term of the
    Cornish-Fisher expansion, mean + sigma z + third_cumulant / (6 sigma^2) (z^2 - 1) (Fisher and
    Cornish 1960, Technometrics 2, 209): right to the third cumulant, with a variance
    too large by at most 1/18 electron^2, 0.06 % of `SMALL_VARIANCE_E2`. Below that variance the
    numbers of each order are drawn exactly, which takes four times as long.
    """
    deviate = generator.standard_normal(len(observed.flux), dtype=np.float32)
    # mean + sigma z + skew (z^2 - 1), grouped so that one array is allocated.
    with np.errstate(invalid="ignore"):  # no electrons, no variance: such a pixel is drawn below
        skew = observed.third_cumulant / observed.variance
    skew *= np.float32(1.0 / 6.0)
    flux = np.sqrt(observed.variance)
    flux += skew * deviate
    flux *= deviate
    flux -= skew
    flux += observed.flux
    if len(observed.few):
        flux[observed.few] = _draw_few(observed, generator)
    return flux


def _draw_few(observed: Observed, generator: np.random.Generator) -> np.ndarray:
    """Flux of the pixels with few electrons: what is expected plus the error of each order."""
    # A weight of 0 says that the order is absent; an expectation of 0 costs nothing to draw.
    expected = np.where(observed.few_weight > 0, observed.few_electrons, 0.0)
    error: np.ndarray = generator.poisson(expected) - expected
    error += observed.readout_e * generator.standard_normal(expected.shape)
    return observed.flux[observed.few] + (observed.few_weight * error).sum(axis=0)


def exposure_for_snr(
    snr: float, even_per_s: Order, odd_per_s: Order, detector_per_s: DetectorNoise
) -> float:
    """Exposure time in seconds at which the median signal to noise of the pixels is `snr`.

    The orders hold electrons a second, and `detector_per_s` those of one second, its read-out
    included once: flux = r t and variance = a t + c, with r, a and c weighted as in
    `combine_orders`. S/N = snr where r^2 t^2 = snr^2 (a t + c); it grows with t in each pixel, so
    the median of the pixels' times is the time of the median. At most about 4,000 pixels, evenly
    spaced, are looked at.

    Raises
    ------
    ValueError
        If no more than half of the recorded pixels get light.
    """
    every = slice(None, None, -(-len(even_per_s.response) // _SNR_PIXELS))
    even, odd = (
        Order(*(np.broadcast_to(part, order.response.shape)[every] for part in order))
        for order in (even_per_s, odd_per_s)
    )
    dark_only = DetectorNoise(detector_per_s.dark_e, 0.0)
    rate = combine_orders(even, odd, dark_only)
    recorded = ~np.isnan(rate.flux)
    flux_per_s = rate.flux[recorded].astype(float)
    n_lit = np.count_nonzero(flux_per_s > 0)
    if 2 * n_lit <= len(flux_per_s):
        raise ValueError(
            f"no exposure time gives a median snr={snr:g}: light of the star falls on {n_lit} of "
            f"the {len(flux_per_s)} recorded pixels looked at; use a grid that the instrument "
            "covers."
        )
    weights = order_weights(even.response, odd.response)
    weight2 = sum(np.square(weight[recorded], dtype=float) for weight in weights)
    photon = snr**2 * rate.variance[recorded]
    readout = snr**2 * detector_per_s.readout_e2 * weight2
    root = np.sqrt(photon**2 + 4.0 * flux_per_s**2 * readout)
    time_s = np.full(len(flux_per_s), np.inf)  # a black pixel never gets there
    np.divide(photon + root, 2.0 * flux_per_s**2, out=time_s, where=flux_per_s > 0)
    return float(np.median(time_s))


def row_generator(seed: int, row: int, visit: int = 0) -> np.random.Generator:
    """Random numbers of one row and visit of one simulation, whatever was drawn before."""
    sequence = np.random.SeedSequence(seed, spawn_key=(row, visit))
    return np.random.Generator(np.random.SFC64(sequence))


def draw_cosmic_rays(
    n_pixels: int, hits_per_pixel_s: float, exposure_s: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that cosmic rays hit, and the electrons that they leave there.

    The number of hits is Poisson, their places uniform; each touches 1 to 3 neighbouring pixels,
    which share its electrons alike; these are log-normal with median 1,000. All assumed. A pixel
    may occur twice (add with `np.add.at`). Electrons are before the division by h.
    """
    n_hits = generator.poisson(n_pixels * hits_per_pixel_s * exposure_s)
    first = generator.integers(n_pixels, size=n_hits)
    length = generator.integers(1, _COSMIC_RAY_PIXELS + 1, size=n_hits)
    electrons = generator.lognormal(np.log(_COSMIC_RAY_E), _COSMIC_RAY_SCATTER, size=n_hits)
    pixel = first[:, np.newaxis] + np.arange(_COSMIC_RAY_PIXELS)  # (n_hits, 3)
    touched = (pixel - first[:, np.newaxis] < length[:, np.newaxis]) & (pixel < n_pixels)
    share = np.broadcast_to((electrons / length)[:, np.newaxis], pixel.shape)
    return pixel[touched], share[touched].astype(np.float32)
