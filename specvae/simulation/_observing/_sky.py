"""What the air takes from a star's light besides lines, and the light of the sky."""

import numpy as np

from ..._validation import check_number

# La Silla, Angstrom and mag per airmass: measured by Tueg (1977, The Messenger 11, 7), from the ESO
# Users Manual of 1993; here at fewer wavelengths, between which it is linear to 0.01 mag.
_EXTINCTION_MAG = np.array(
    [
        (3100, 1.53), (3200, 0.94), (3300, 0.72), (3400, 0.60), (3500, 0.52), (3600, 0.46),
        (3700, 0.41), (3800, 0.37), (4000, 0.30), (4200, 0.25), (4300, 0.22), (4500, 0.19),
        (4800, 0.16), (5000, 0.13), (5400, 0.11), (5800, 0.10), (6200, 0.08), (6400, 0.07),
        (6600, 0.05), (7000, 0.04), (7600, 0.02), (8200, 0.02), (8400, 0.01), (9000, 0.01),
    ]
)  # fmt: skip
EXTINCTION_AA = (3100.0, 25_000.0)
"""Wavelengths at which the extinction is known, in Angstrom."""

_V_AA = 5500.0
# A star of V = 0: 3.63e-9 erg/s/cm2/Angstrom at 5500 Angstrom, as photons (rounded).
_V_ZERO_PHOTONS = 1005.0
_DARK_SKY_VMAG = 21.8  # per square arcsecond at zenith, moonless (rounded)
_ZODIACAL_SHARE = 0.5  # of the dark sky at 5500 Angstrom (assumed)

# Where the Moon stands (assumed): 45 degrees from the zenith and from the star.
_MOON_AIRMASS = np.sqrt(2.0)
_MOON_SEPARATION_DEG = 45.0


def extinction_mag(wavelength_aa: np.ndarray | float) -> np.ndarray:
    """Extinction of the clear sky of La Silla at airmass 1, in magnitudes.

    Scattering by air and dust, and the broad bands of ozone; no telluric lines. Measured from 3100
    to 9000 Angstrom and linear between; from there to 25,000 it is held at 0.01 (assumed).

    Raises
    ------
    ValueError
        If a wavelength lies outside 3100 to 25,000 Angstrom.
    """
    wavelength_aa = np.asarray(wavelength_aa, dtype=float)
    shortest_aa, longest_aa = EXTINCTION_AA
    if not ((wavelength_aa >= shortest_aa) & (wavelength_aa <= longest_aa)).all():
        raise ValueError(
            f"wavelength_aa must lie in {shortest_aa:g} to {longest_aa:g} Angstrom, where the "
            f"extinction is known; it runs from {np.min(wavelength_aa):g} to "
            f"{np.max(wavelength_aa):g}: leave the rest out."
        )
    return np.interp(wavelength_aa, *_EXTINCTION_MAG.T)


def extinction_transmission(wavelength_aa: np.ndarray | float, airmass: float) -> np.ndarray:
    """Fraction of the light that the clear sky lets through: 10**(-0.4 k airmass)."""
    check_number("airmass", airmass, minimum=1)
    return 10.0 ** (-0.4 * airmass * extinction_mag(wavelength_aa))


def sky_photons(
    wavelength_aa: np.ndarray | float, moon_illumination: float, airmass: float
) -> np.ndarray:
    """Photons of the sky per s, cm2, Angstrom and square arcsecond, at the ground.

    Dark sky: V = 21.8 mag/arcsec2 at zenith, one half zodiacal light with the colour of the Sun,
    one half airglow as lambda**4 (assumed: with it B - V and V - R lie within 0.2 mag of those of
    Patat 2003, A&A 400, 1183), times airmass 10**(-0.4 k (airmass - 1)), equation 2 of Krisciunas
    and Schaefer 1991 (PASP 103, 1033). The lines of the airglow are spread into this continuum;
    beyond 9000 Angstrom, where OH rules, it is right to a factor of a few only.

    Moonlight: their equation 15 for a Moon of which the fraction `moon_illumination` is lit, 45
    degrees from zenith and star. They give V alone; the colour comes from that of the Sun and from
    the extinction k at each wavelength, which decides what is scattered: Rayleigh's blue mainly.

    Parameters
    ----------
    wavelength_aa : float or ndarray
        3100 to 25,000 Angstrom.
    moon_illumination : float
        0 for a new to 1 for a full Moon.
    airmass : float
        Of the star, from 1 up.

    Raises
    ------
    ValueError
        If a parameter lies outside its range.
    """
    check_number("moon_illumination", moon_illumination, minimum=0, maximum=1)
    check_number("airmass", airmass, minimum=1)
    wavelength_aa = np.asarray(wavelength_aa, dtype=float)
    extinction = extinction_mag(wavelength_aa)
    sun = _solar_colour(wavelength_aa)
    colour = _ZODIACAL_SHARE * sun + (1.0 - _ZODIACAL_SHARE) * (wavelength_aa / _V_AA) ** 4
    dark = _V_ZERO_PHOTONS * 10.0 ** (-0.4 * _DARK_SKY_VMAG) * colour
    dark = dark * airmass * 10.0 ** (-0.4 * extinction * (airmass - 1.0))
    moon = sun * _v_photons(
        _moonlight_nanolambert(
            moon_illumination, airmass, _MOON_AIRMASS, _MOON_SEPARATION_DEG, extinction
        )
    )
    return dark + moon


def fibre_transmission(
    seeing_arcsec: float,
    airmass: float,
    wavelength_aa: np.ndarray | float | None = None,
    fibre_arcsec: float = 1.0,
) -> np.ndarray:
    """Fraction of a star's light that enters a round fibre on which it is centred.

    A Gaussian disc of full width at half maximum w = seeing airmass**0.6 (lambda / 5000)**-0.2
    (Kolmogorov turbulence) puts 1 - 2**-((fibre / w)**2) within the diameter of the fibre.
    Guiding errors and the wings of real discs, which lose some 10 % more, are left out.

    Parameters
    ----------
    seeing_arcsec : float
        Full width at half maximum at zenith and 5000 Angstrom.
    airmass : float
        From 1 up.
    wavelength_aa : float or ndarray, optional
        5000 Angstrom if not given.
    fibre_arcsec : float, default=1.0
        Diameter on the sky; that of HARPS.

    Raises
    ------
    ValueError
        If a parameter lies outside its range.
    """
    check_number("seeing_arcsec", seeing_arcsec, minimum=0, open_below=True)
    check_number("airmass", airmass, minimum=1)
    check_number("fibre_arcsec", fibre_arcsec, minimum=0, open_below=True)
    ratio = 1.0 if wavelength_aa is None else np.asarray(wavelength_aa, dtype=float) / 5000.0
    width_arcsec = seeing_arcsec * airmass**0.6 * ratio**-0.2
    return 1.0 - 2.0 ** -((fibre_arcsec / width_arcsec) ** 2)


def _solar_colour(wavelength_aa: np.ndarray) -> np.ndarray:
    """Photons of a black body of 5772 K per Angstrom, relative to those at 5500 Angstrom."""
    hc_over_kt_aa = 1.438777e8 / 5772.0
    ratio = np.expm1(hc_over_kt_aa / _V_AA) / np.expm1(hc_over_kt_aa / wavelength_aa)
    return (_V_AA / wavelength_aa) ** 4 * ratio


def _moonlight_nanolambert(
    moon_illumination: float,
    airmass: float,
    moon_airmass: float,
    separation_deg: float,
    extinction: np.ndarray | float,
) -> np.ndarray:
    """Brightness of scattered moonlight by equations 15, 20 and 21 of Krisciunas & Schaefer 1991.

    The phase angle alpha follows from the lit fraction, (1 + cos alpha) / 2. A new Moon still
    gives 1/3600 of the light of a full one, less than a hundredth of the dark sky.
    """
    alpha_deg = np.degrees(np.arccos(2.0 * moon_illumination - 1.0))
    illuminance = 10.0 ** (-0.4 * (3.84 + 0.026 * alpha_deg + 4e-9 * alpha_deg**4))
    rayleigh = 10.0**5.36 * (1.06 + np.cos(np.radians(separation_deg)) ** 2)
    scattering = rayleigh + 10.0 ** (6.15 - separation_deg / 40.0)
    reaches = 10.0 ** (-0.4 * extinction * moon_airmass)
    return scattering * illuminance * reaches * (1.0 - 10.0 ** (-0.4 * extinction * airmass))


def _v_photons(nanolambert: np.ndarray) -> np.ndarray:
    """Photons per s, cm2, Angstrom and square arcsecond at 5500 Angstrom of a brightness.

    Krisciunas and Schaefer's equation 1, B = 34.08 exp(20.7233 - 0.92104 V), solved for 10**-0.4V:
    0.92104 is 0.4 ln 10.
    """
    return _V_ZERO_PHOTONS * nanolambert / (34.08 * np.exp(20.7233))
