"""Wavelengths in air and vacuum, and under a radial velocity."""

import numpy as np

SPEED_OF_LIGHT_KMS = 299_792.458

# Below, air absorbs, and the formula of its refractive index runs through infinity.
_AIR_FROM_AA = 2000.0


def doppler_shift(wavelength_aa: np.ndarray | float, velocity_kms: float) -> np.ndarray:
    """Wavelengths seen by an observer from whom the source recedes at `velocity_kms`.

    The relativistic longitudinal formula, sqrt((1 + v/c) / (1 - v/c)).

    Parameters
    ----------
    wavelength_aa : float or ndarray
        Rest wavelengths, in Angstrom.
    velocity_kms : float
        Radial velocity, positive when the distance grows, in km/s.

    Returns
    -------
    shifted_aa : float or ndarray
        Same shape as `wavelength_aa`, in Angstrom.

    Raises
    ------
    ValueError
        If the speed is that of light or more.

    Examples
    --------
    >>> float(doppler_shift(6562.8, 30.0))
    6563.4567...
    """
    return np.asarray(wavelength_aa) * doppler_factor(velocity_kms)


def doppler_factor(velocity_kms: np.ndarray | float) -> np.ndarray:
    """Observed over rest wavelength of a source that recedes at `velocity_kms`.

    Parameters
    ----------
    velocity_kms : float or ndarray
        Radial velocity, positive when the distance grows, in km/s.

    Returns
    -------
    factor : float or ndarray
        Same shape, sqrt((1 + v/c) / (1 - v/c)).

    Raises
    ------
    ValueError
        If a speed is that of light or more.

    Examples
    --------
    >>> float(doppler_factor(30.0))
    1.00010007
    """
    beta = np.asarray(velocity_kms, dtype=float) / SPEED_OF_LIGHT_KMS
    if not (np.abs(beta) < 1.0).all():
        raise ValueError(
            f"velocity_kms must be finite and below {SPEED_OF_LIGHT_KMS:g} km/s in absolute "
            f"value, got {velocity_kms!r}."
        )
    return np.sqrt((1.0 + beta) / (1.0 - beta))


def refractive_index(vacuum_aa: np.ndarray | float) -> np.ndarray:
    """Refractive index of standard air at vacuum wavelengths in Angstrom.

    Dry air at 15 C, 101325 Pa, 450 ppm CO2: equation 1 of Ciddor 1996, Applied Optics 35, 1566.
    """
    wavenumber2 = (1e4 / np.asarray(vacuum_aa, dtype=float)) ** 2  # 1/micrometre^2
    return 1.0 + 0.05792105 / (238.0185 - wavenumber2) + 0.00167917 / (57.362 - wavenumber2)


def vacuum_to_air(vacuum_aa: np.ndarray | float) -> np.ndarray:
    """Convert wavelengths from vacuum to standard air.

    Parameters
    ----------
    vacuum_aa : float or ndarray
        Vacuum wavelengths in Angstrom, above 2000.

    Returns
    -------
    air_aa : float or ndarray
        Same shape, in Angstrom: divided by the refractive index of equation 1 of Ciddor 1996,
        Applied Optics 35, 1566 (dry air at 15 C, 101325 Pa, 450 ppm CO2).

    Examples
    --------
    >>> float(vacuum_to_air(5000.0))
    4998.6055...
    """
    return np.asarray(vacuum_aa) / refractive_index(vacuum_aa)


def air_to_vacuum(air_aa: np.ndarray | float) -> np.ndarray:
    """Convert wavelengths from standard air to vacuum: `vacuum_to_air` inverted to 1e-9 Angstrom.

    Parameters
    ----------
    air_aa : float or ndarray
        Wavelengths in air in Angstrom, above 2000.

    Returns
    -------
    vacuum_aa : float or ndarray
        Same shape, in Angstrom.

    Examples
    --------
    >>> float(air_to_vacuum(vacuum_to_air(5000.0)))
    5000.0
    """
    air_aa = np.asarray(air_aa, dtype=float)
    vacuum_aa = air_aa
    for _ in range(4):  # the index changes by 1e-8 per Angstrom: each turn gains five digits
        vacuum_aa = air_aa * refractive_index(vacuum_aa)
    return vacuum_aa


def to_medium(wavelength_aa: np.ndarray, medium: str, new_medium: str) -> np.ndarray:
    """Convert wavelengths from one medium, "air" or "vacuum", to another.

    Where either is "", that is unknown, or both are the same, the wavelengths stay as they are.

    Raises
    ------
    ValueError
        If there is something to convert below 2000 Angstrom.
    """
    if "" in (medium, new_medium) or medium == new_medium:
        return wavelength_aa
    shortest_aa = np.min(wavelength_aa)
    if shortest_aa < _AIR_FROM_AA:
        raise ValueError(
            f"wavelengths from {shortest_aa:.2f} Angstrom on cannot be converted from {medium} to "
            f"{new_medium}: that is defined from {_AIR_FROM_AA:g} Angstrom on; leave the shorter "
            f"ones out, or use a grid in {medium}."
        )
    return air_to_vacuum(wavelength_aa) if new_medium == "vacuum" else vacuum_to_air(wavelength_aa)
