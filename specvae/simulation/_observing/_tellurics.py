"""Lines of the Earth's atmosphere, at rest in the frame of the observatory."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import voigt_profile

from ..._validation import check_choice, check_number
from ...spectra import SPEED_OF_LIGHT_KMS, air_to_vacuum, vacuum_to_air

# Column of air above La Silla: 770 hPa over the weight of a molecule, molecules/cm2 (rounded).
_AIR_COLUMN_CM2 = 1.63e25
_O2_COLUMN_CM2 = 0.2095 * _AIR_COLUMN_CM2
_CO2_COLUMN_CM2 = 4.0e-4 * _AIR_COLUMN_CM2  # 400 parts per million
_CH4_COLUMN_CM2 = 1.8e-6 * _AIR_COLUMN_CM2  # 1.8 parts per million

# One temperature for all layers, that of the middle of the column (assumed).
_TEMPERATURE_K = 255.0
_KT_CM = 0.6950348 * _TEMPERATURE_K  # Boltzmann's constant in 1/cm/K

# Half width at half maximum by collisions, 1/cm: HITRAN's 0.05 to 0.09 per atmosphere times the
# pressure that the gas meets on average, 0.38 atm where it is well mixed, more for water, which
# lies low (rounded).
_LORENTZ_HWHM_CM = {"O2": 0.021, "H2O": 0.055, "CO2": 0.03, "CH4": 0.025}
_MOLAR_MASS = {"O2": 32.0, "H2O": 18.0, "CO2": 44.0, "CH4": 16.0}

# Water with its true positions: pairs of wavelength in air, Angstrom, and strength, mAngstrom per
# mm of water at airmass 1. Below 7000 Angstrom the positions were measured in HARPS spectra of
# three stars that move at different velocities, and agree with HITRAN to 0.01 Angstrom where the
# two were compared; those of blends with stellar lines are HITRAN's or from lists for calibration,
# with strengths that may be off by half. The other strengths, good to 20 %, are scaled to HITRAN's
# for five lines between 6473 and 6558 Angstrom. In the near infrared positions,
# to 0.1 Angstrom, and relative strengths are those of the telluric corrections of APOGEE spectra;
# their scale, 4 mm on average, is assumed.
_WATER_LINES = """
5745.78 0.5  5885.97 2.5  5887.23 2.2  5887.66 1.7  5891.65 1.9  5898.16 2.3  5900.04 2.0
5901.46 3.5  5909.00 1.6  5910.78 1.0  5912.99 1.6  5914.93 0.5  5918.41 2.3  5919.06 2.9
5919.64 3.8  5920.56 1.2  5922.51 1.2  5924.27 2.2  5928.28 1.4  5932.09 2.5  5932.79 1.8
5935.81 0.8  5939.97 0.5  5941.63 2.0  5942.56 2.2  5944.31 1.3  5946.00 2.7  5947.06 2.5
5949.17 1.6  5951.51 0.9  5957.88 1.5  5966.67 1.4  5967.83 1.5  5968.27 1.7  5989.28 0.7
5994.54 0.3  6342.41 0.7  6463.48 0.7  6466.72 0.7  6467.57 0.7  6472.48 1.2  6473.17 1.7
6475.06 2.2  6475.20 2.3  6479.17 1.3  6480.06 3.0  6483.24 3.2  6483.76 1.3  6483.91 1.4
6484.66 0.5  6486.78 1.9  6488.01 0.5  6514.73 4.0  6515.85 1.4  6516.54 3.2  6516.63 2.8
6517.09 2.0  6519.46 1.7  6523.84 2.2  6532.36 2.5  6534.00 1.0  6536.72 1.1  6542.31 1.3
6543.90 3.8  6547.70 1.7  6548.62 2.9  6552.62 3.1  6553.79 1.2  6557.17 1.8  6558.15 0.6
6560.56 1.1  6564.21 2.6  6568.81 0.6  6572.09 2.0  6574.85 2.7  6580.79 0.8
15144.3 46  15151.4 14  15158.7 72  15164.1 63  15168.4 24  15172.0 74  15179.7 36
15183.1 11  15184.9 34  15186.2 23  15187.7 48  15190.6 20  15192.4 12  15196.1 12
15200.2 35  15212.1 8   15214.5 34  15230.3 17  15241.5 29  15245.9 12  15251.1 9
15253.9 27  15257.8 7   15260.6 15  15263.6 30  15269.7 31  15275.9 7   15283.4 24
15292.1 12  15299.5 13  15309.5 30  15367.5 15  15438.3 11  15516.3 7   15968.0 6
16319.9 6   16390.9 11  16515.8 17  16530.5 13  16608.9 11  16630.3 9   16701.9 6
16750.4 8   16764.1 6   16779.8 8   16866.2 8   16890.1 6   16901.3 47  16905.2 18
16910.9 22
"""

# Water that is invented: band in air, Angstrom, number of lines, median strength in mAngstrom.
_INVENTED_WATER = (
    (5030.0, 5100.0, 12, 0.08),
    (5415.0, 5455.0, 15, 0.1),
    (5680.0, 5790.0, 25, 0.15),
    (5880.0, 6000.0, 60, 0.2),
    (6280.0, 6350.0, 12, 0.15),
    (6455.0, 6600.0, 70, 0.2),
    (6890.0, 7000.0, 45, 1.5),
)
_INVENTED_SEED = 1925

# Bands of CO2 from the ground level: origin and B' in 1/cm, strength in cm/molecule (rounded; B'
# of the two strong ones adjusted to the telluric corrections of APOGEE spectra).
_CO2_BANDS = (
    (6075.98, 0.38750, 5e-23),
    (6227.92, 0.38661, 4.5e-22),
    (6347.85, 0.38646, 4.5e-22),
    (6503.08, 0.38793, 5e-23),
)
_CO2_LOWER_B_CM = 0.39022

# The optical depth below which a line is not followed, and the farthest that any is.
_SMALLEST_DEPTH = 1e-4
_FARTHEST_CM = 25.0
_AIRMASS_LIMITS = (1.0, 3.5)
_MOST_AIRMASS, _MOST_PWV_MM = 3.0, 15.0  # what "smallest" refers to

# Gas, wavelength in air and strength, both in Angstrom, of some lines.
_Lines = tuple[str, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class TelluricLines:
    """Lines in order of wavelength; `strength` is the optical depth integrated over wavelength.

    It holds at airmass 1, for water and 1 mm of it.
    """

    gas: np.ndarray  # (n_lines,), "O2", "H2O", "CO2" or "CH4"
    wavelength_air_aa: np.ndarray  # (n_lines,)
    strength: np.ndarray  # (n_lines,), Angstrom
    lorentz_hwhm_aa: np.ndarray  # (n_lines,)
    doppler_sigma_aa: np.ndarray  # (n_lines,), standard deviation


@cache
def telluric_lines() -> TelluricLines:
    """Oxygen, water, carbon dioxide and methane, 5000 to 7000 and 15,000 to 17,000 Angstrom.

    The bands B and gamma of O2 follow from rotational constants and are true to 0.01 Angstrom. Of
    water, 126 lines stand at their true wavelengths, those that a star observed with HARPS or
    APOGEE shows at a few mm of water; the other 239 are INVENTED: drawn once with a fixed seed,
    uniform in their bands, of log-normal strength (0.8 natural log units wide), and weak but for
    those beyond 6890 Angstrom. The near infrared bands are coarse: CO2 to 0.1 Angstrom, the band
    2 nu3 of CH4 to 0.3. Left out: the A band of O2, isotopes, weaker bands of CH4 and CO2, the
    collision bands of O2, and ozone.
    """
    parts = [_oxygen(14525.653, 1.37293, 5.36e-6, 1.5e-23)]  # B band, v' = 1
    parts.append(_oxygen(15902.416, 1.35464, 5.73e-6, 5.4e-25))  # gamma band, v' = 2
    parts.extend(_carbon_dioxide(*band) for band in _CO2_BANDS)
    parts.append(_methane())
    parts.append(_water())
    gas = np.concatenate([np.full(len(wavelength), name) for name, wavelength, _ in parts])
    wavelength_aa = np.concatenate([wavelength for _, wavelength, _ in parts])
    strength = np.concatenate([strength for _, _, strength in parts])
    order = np.argsort(wavelength_aa)
    gas, wavelength_aa, strength = gas[order], wavelength_aa[order], strength[order]
    lorentz_cm = np.array([_LORENTZ_HWHM_CM[name] for name in gas])
    mass = np.array([_MOLAR_MASS[name] for name in gas])
    # sqrt(k T / m), with the gas constant in J/mol/K and the molar mass in g.
    thermal_kms = np.sqrt(8.314463e-3 * _TEMPERATURE_K / mass)
    columns = (
        wavelength_aa,
        strength,
        lorentz_cm * 1e-8 * wavelength_aa**2,
        wavelength_aa * thermal_kms / SPEED_OF_LIGHT_KMS,
    )
    for column in (gas, *columns):
        column.setflags(write=False)  # one table is shared by all callers
    return TelluricLines(gas, *columns)


class TelluricModel:
    """Transmission of the telluric lines on one axis in the frame of the observatory.

    The optical depth of dry air and of 1 mm of water is kept where lines absorb: where it exceeds
    1e-4 at airmass 3 and 15 mm of water. With each line a Voigt profile phi of unit area,
    T = exp(-airmass (tau_dry + pwv tau_water)), tau = sum strength phi, then convolved with the
    Gaussian line spread of the spectrograph. The atmosphere is plane-parallel and of one layer:
    the far wings of saturated lines, formed at higher pressure, come out a little too narrow.

    Parameters
    ----------
    wavelength_aa : ndarray of shape (n_pixels,)
        Increasing and uniform in its logarithm.
    medium : {"air", "vacuum"}
    resolving_power : float, optional
        Wavelength over the full width at half maximum of the line spread; None for none.

    Raises
    ------
    ValueError
        If the axis is not uniform in its logarithm, or a parameter lies outside its range.
    """

    def __init__(
        self, wavelength_aa: np.ndarray, medium: str, resolving_power: float | None = None
    ):
        check_choice("medium", medium, ("air", "vacuum"))
        step = _log_step(wavelength_aa)
        self._sigma_pixels = 0.0
        if resolving_power is not None:
            check_number("resolving_power", resolving_power, minimum=0, open_below=True)
            self._sigma_pixels = 1.0 / (resolving_power * np.sqrt(8.0 * np.log(2.0)) * step)
        dry, water = _optical_depths(np.asarray(wavelength_aa, dtype=float), medium, step)
        absorbs = _MOST_AIRMASS * (dry + _MOST_PWV_MM * water) > _SMALLEST_DEPTH
        margin = 1 + int(np.ceil(4.0 * self._sigma_pixels))
        self.windows = _windows(absorbs, margin)
        self._depths = [
            (pixels, dry[pixels].astype(np.float32), water[pixels].astype(np.float32))
            for pixels in self.windows
        ]

    def transmission(self, airmass: float, pwv_mm: float) -> list[tuple[slice, np.ndarray]]:
        """Pixels and their transmission, float32, for each window; elsewhere it is 1.

        Parameters
        ----------
        airmass : float
            1 to 3.5.
        pwv_mm : float
            Precipitable water vapour at zenith, in mm.

        Raises
        ------
        ValueError
            If a parameter lies outside its range.
        """
        check_number("airmass", airmass, minimum=_AIRMASS_LIMITS[0], maximum=_AIRMASS_LIMITS[1])
        check_number("pwv_mm", pwv_mm, minimum=0, maximum=100)
        dry_factor, water_factor = np.float32(-airmass), np.float32(-airmass * pwv_mm)
        windows = []
        for pixels, dry, water in self._depths:
            passed = np.exp(dry_factor * dry + water_factor * water)
            if self._sigma_pixels:
                passed = gaussian_filter1d(passed, self._sigma_pixels, mode="nearest")
            windows.append((pixels, passed))
        return windows


def _oxygen(origin_cm: float, upper_b_cm: float, upper_d_cm: float, band_strength: float) -> _Lines:
    """Lines of one band b1Sigma+ from X3Sigma-: gas, wavelengths in air, strengths.

    Lower levels by the formulas of Schlapp (1937, Physical Review 51, 342): F2 = B N(N+1) for
    J = N, and F1, F3 for J = N + 1, N - 1, split by the spin-spin and spin-rotation constants
    lambda and gamma; N is odd by nuclear symmetry. Four branches: PP and RR from F2, RQ from F1,
    PQ from F3, of relative strength N+1, N, N+2 and N-1 (magnetic dipole, pure Hund's case b).
    Ground state constants are textbook values. Origins lie within 0.01 1/cm of those of Babcock
    and Herzberg (1948, Astrophysical Journal 108, 167); they, B' and D' were adjusted to the
    wavelengths of 26 and 20 lines in HARPS spectra, which leaves 0.001 Angstrom. The band
    strength, cm/molecule, is rounded.
    """
    b, d, spin_spin, spin_rotation = 1.437676, 4.842e-6, 1.984751, -0.0084254
    n = np.arange(1.0, 46.0, 2.0)
    square = n * (n + 1.0)
    f2 = b * square - d * square**2
    root1 = np.sqrt((2 * n + 3) ** 2 * b**2 + spin_spin**2 - 2 * spin_spin * b)
    root3 = np.sqrt((2 * n - 1) ** 2 * b**2 + spin_spin**2 - 2 * spin_spin * b)
    f1 = f2 + (2 * n + 3) * b - spin_spin - root1 + spin_rotation * (n + 1)
    f3 = f2 - (2 * n - 1) * b - spin_spin + root3 - spin_rotation * n

    def upper(m: np.ndarray) -> np.ndarray:
        square = m * (m + 1.0)
        return origin_cm + upper_b_cm * square - upper_d_cm * square**2

    down, up = upper(n - 1), upper(n + 1)
    wavenumber_cm = np.concatenate([down - f2, down - f3, up - f2, up - f1])
    lower_cm = np.concatenate([f2, f3, f2, f1])
    weight = np.concatenate([n + 1, n - 1, n, n + 2]) * np.exp(-lower_cm / _KT_CM)
    exists = weight > 0  # there is no PQ(1): its lower level would be J = 0, as its upper one is
    return _band("O2", wavenumber_cm[exists], weight[exists], band_strength * _O2_COLUMN_CM2)


def _carbon_dioxide(origin_cm: float, upper_b_cm: float, band_strength: float) -> _Lines:
    """P and R lines of a parallel band of CO2; J is even by nuclear symmetry."""
    j = np.arange(0.0, 62.0, 2.0)

    def level(rotational_b_cm: float, k: np.ndarray) -> np.ndarray:
        return rotational_b_cm * k * (k + 1) - 1.33e-7 * (k * (k + 1)) ** 2

    lower_cm = level(_CO2_LOWER_B_CM, j)
    down, up = level(upper_b_cm, j - 1) - lower_cm, level(upper_b_cm, j + 1) - lower_cm
    boltzmann = np.exp(-lower_cm / _KT_CM)
    weight = np.concatenate([j * boltzmann, (j + 1) * boltzmann])
    wavenumber_cm = origin_cm + np.concatenate([down, up])
    exists = weight > 0  # there is no P(0)
    return _band("CO2", wavenumber_cm[exists], weight[exists], band_strength * _CO2_COLUMN_CM2)


def _methane() -> _Lines:
    """Manifolds of the band 2 nu3 of CH4, in 1/cm, from the lower level J.

    P at 6004.86 - 10.79 J - 0.056 J**2, Q at 6005.10 - 0.062 J(J+1), R at 6004.86 + 10.88 (J+1)
    - 0.082 (J+1)**2, fitted to their places in the telluric corrections of APOGEE spectra. J + 1
    equal components over 1e-4 J**4 stand for the splitting of each (rounded). Weights are those of
    a spherical top, (2J + 1)(2J' + 1), spin statistics left out; the band strength, 6e-20
    cm/molecule, is assumed.
    """
    wavenumber_cm, weight = [], []
    for j in range(13):
        components_cm = 1e-4 * j**4 * np.linspace(-0.5, 0.5, j + 1)
        population = (2 * j + 1) * np.exp(-5.241 * j * (j + 1) / _KT_CM)
        branches_cm = {
            j - 1: 6004.86 - 10.79 * j - 0.056 * j**2,
            j: 6005.10 - 0.062 * j * (j + 1),
            j + 1: 6004.86 + 10.88 * (j + 1) - 0.082 * (j + 1) ** 2,
        }
        for upper_j, centre_cm in branches_cm.items():
            if j or upper_j == 1:  # from J = 0 only R(0) starts
                wavenumber_cm.append(centre_cm + components_cm)
                weight.append(np.full(j + 1, population * (2 * upper_j + 1) / (j + 1)))
    return _band(
        "CH4", np.concatenate(wavenumber_cm), np.concatenate(weight), 6e-20 * _CH4_COLUMN_CM2
    )


def _band(gas: str, wavenumber_cm: np.ndarray, weight: np.ndarray, total_cm: float) -> _Lines:
    """Lines that share `total_cm`, an optical depth integrated over wavenumber, by weight."""
    vacuum_aa = 1e8 / wavenumber_cm
    strength_aa = total_cm * weight / weight.sum() * 1e-8 * vacuum_aa**2
    return gas, vacuum_to_air(vacuum_aa), strength_aa


def _water() -> _Lines:
    """Water: the lines listed, and those invented."""
    known = np.array(_WATER_LINES.split(), dtype=float).reshape(-1, 2)
    rng = np.random.default_rng(_INVENTED_SEED)
    wavelength_aa, strength_ma = [known[:, 0]], [known[:, 1]]
    for low_aa, high_aa, n_lines, median_ma in _INVENTED_WATER:
        wavelength_aa.append(rng.uniform(low_aa, high_aa, n_lines))
        strength_ma.append(median_ma * np.exp(0.8 * rng.standard_normal(n_lines)))
    return "H2O", np.concatenate(wavelength_aa), 1e-3 * np.concatenate(strength_ma)


def _log_step(wavelength_aa: np.ndarray) -> float:
    """Distance of the pixels in the natural logarithm of the wavelength, checked to be uniform."""
    log_wavelength = np.log(np.asarray(wavelength_aa, dtype=float))
    n_pixels = len(log_wavelength)
    step = (log_wavelength[-1] - log_wavelength[0]) / (n_pixels - 1) if n_pixels > 1 else np.nan
    # A hundredth of a pixel, which files in float32 would miss and computed axes do not.
    uniform = log_wavelength[0] + step * np.arange(n_pixels)
    if not (step > 0 and np.abs(log_wavelength - uniform).max() < 0.01 * step):
        raise ValueError(
            f"wavelength_aa must increase and be uniform in its logarithm over at least 2 pixels; "
            f"got {n_pixels} pixels that are not: give np.exp of a uniform axis, such as that of "
            "a WavelengthGrid with spacing='log'."
        )
    return float(step)


def _optical_depths(
    wavelength_aa: np.ndarray, medium: str, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Optical depth at airmass 1 of dry air, and of 1 mm of water, both of shape (n_pixels,)."""
    lines = telluric_lines()
    centre_aa = lines.wavelength_air_aa
    if medium == "vacuum":
        centre_aa = air_to_vacuum(centre_aa)
    # A profile narrower than a pixel would be missed between two: widened by the pixel's own
    # variance, its area stays.
    sigma_aa = np.hypot(lines.doppler_sigma_aa, centre_aa * step / np.sqrt(12.0))
    is_water = lines.gas == "H2O"
    most = _MOST_AIRMASS * np.where(is_water, _MOST_PWV_MM, 1.0) * lines.strength
    # Where the wing, strength hwhm / (pi distance**2), has fallen to a tenth of what counts.
    reach_aa = np.sqrt(most * lines.lorentz_hwhm_aa / (np.pi * 0.1 * _SMALLEST_DEPTH))
    reach_aa = np.minimum(reach_aa + 6.0 * sigma_aa, _FARTHEST_CM * 1e-8 * centre_aa**2)
    start = np.searchsorted(wavelength_aa, centre_aa - reach_aa)
    stop = np.searchsorted(wavelength_aa, centre_aa + reach_aa)
    dry, water = np.zeros(len(wavelength_aa)), np.zeros(len(wavelength_aa))
    for i in np.flatnonzero(stop > start):
        pixels = slice(start[i], stop[i])
        profile = voigt_profile(
            wavelength_aa[pixels] - centre_aa[i], sigma_aa[i], lines.lorentz_hwhm_aa[i]
        )
        (water if is_water[i] else dry)[pixels] += lines.strength[i] * profile
    return dry, water


def _windows(absorbs: np.ndarray, margin: int) -> list[slice]:
    """Return runs of pixels that absorb, `margin` wider; runs that then touch are one."""
    pixels = np.flatnonzero(absorbs)
    if not len(pixels):
        return []
    breaks = np.flatnonzero(np.diff(pixels) > 2 * margin)
    first = np.maximum(pixels[np.r_[0, breaks + 1]] - margin, 0)
    last = np.minimum(pixels[np.r_[breaks, -1]] + margin, len(absorbs) - 1)
    return [slice(int(start), int(stop) + 1) for start, stop in zip(first, last, strict=True)]
