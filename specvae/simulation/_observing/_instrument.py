"""The spectrographs that the simulator knows: throughput, echelle orders, detectors, gaps."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..._validation import check_choice, check_number


class Blaze(NamedTuple):
    """Relative blaze of the two sets of echelle orders, 0 where no order of a set records."""

    even: np.ndarray  # (n_pixels,), peak 1
    odd: np.ndarray  # (n_pixels,)


@dataclass(frozen=True)
class Spectrograph:
    """What a spectrograph and its telescope do to light and to electrons.

    Wavelengths are those of the observatory frame, in `medium`. The efficiency is that of
    telescope, spectrograph and detector at the blaze peak of each order; the atmosphere and the
    light that misses the fibre are not in it.

    Parameters
    ----------
    name : str
        Name used in messages.
    resolving_power : float
        Wavelength over the full width at half maximum of the line-spread function.
    collecting_area_cm2 : float
        Of the telescope, central obstruction taken off.
    efficiency_table : tuple of (wavelength_aa, efficiency) pairs
        Electrons per photon, linear in between, constant beyond its ends.
    fibre_arcsec : float
        Diameter of the fibre on the sky.
    pixel_kms : float
        Mean width of a detector pixel along the spectrum.
    n_spatial_pixels : float
        Detector pixels summed across the spectrum.
    dark_e_per_s : float
        Dark current per detector pixel.
    readout_e : float
        Standard deviation of the read-out noise per detector pixel and read-out.
    first_aa, last_aa : float
        Ends of what the detectors record.
    missing_aa : tuple of (low, high) pairs, default=()
        Gaps between the detectors. An order whose blaze peak lies in a gap is lost whole.
    orders : tuple of (int, int), optional
        Lowest and highest echelle order. Without it there is one order, and its blaze is 1.
    order_constant_aa : float, optional
        Order number times the wavelength of its blaze peak; wanted with `orders`.
    order_width : float, default=0.01
        Part of its central wavelength over which each order is recorded, half to each side.
    medium : {"air", "vacuum"}, default="air"
        Medium of all wavelengths here.

    Raises
    ------
    ValueError
        If a number is not positive or a table does not increase.
    """

    name: str
    resolving_power: float
    collecting_area_cm2: float
    efficiency_table: tuple[tuple[float, float], ...]
    fibre_arcsec: float
    pixel_kms: float
    n_spatial_pixels: float
    dark_e_per_s: float
    readout_e: float
    first_aa: float
    last_aa: float
    missing_aa: tuple[tuple[float, float], ...] = ()
    orders: tuple[int, int] | None = None
    order_constant_aa: float | None = None
    order_width: float = 0.01
    medium: str = "air"

    def __post_init__(self) -> None:
        for name in ("resolving_power", "collecting_area_cm2", "fibre_arcsec", "pixel_kms"):
            check_number(name, getattr(self, name), minimum=0.0, open_below=True)
        for name in ("n_spatial_pixels", "first_aa", "order_width"):
            check_number(name, getattr(self, name), minimum=0.0, open_below=True)
        for name in ("dark_e_per_s", "readout_e"):
            check_number(name, getattr(self, name), minimum=0.0)
        check_choice("medium", self.medium, ("air", "vacuum"))
        edges_aa = [self.first_aa, *(edge for gap in self.missing_aa for edge in gap), self.last_aa]
        if not (np.diff(edges_aa) > 0).all():
            raise ValueError(f"first_aa, the gaps and last_aa must increase, got {edges_aa!r}.")
        table = np.array(self.efficiency_table, dtype=float)
        if table.ndim != 2 or table.shape[1] != 2 or not (np.diff(table[:, 0]) > 0).all():
            raise ValueError(
                "efficiency_table must be (wavelength_aa, efficiency) pairs whose wavelengths "
                f"increase, got {self.efficiency_table!r}."
            )
        if not ((table[:, 1] > 0) & (table[:, 1] <= 1)).all():
            raise ValueError(
                "efficiency_table must hold efficiencies above 0 and up to 1, got "
                f"{table[:, 1].tolist()!r}."
            )
        if (self.orders is None) != (self.order_constant_aa is None):
            raise ValueError(
                "orders and order_constant_aa belong together: give both for an echelle, neither "
                f"else; got {self.orders!r} and {self.order_constant_aa!r}."
            )

    def efficiency(self, wavelength_aa: np.ndarray) -> np.ndarray:
        """Electrons per photon that entered the telescope and the fibre, at the blaze peak.

        Parameters
        ----------
        wavelength_aa : ndarray of shape (n_pixels,)
            In the observatory frame.

        Returns
        -------
        efficiency : ndarray of shape (n_pixels,)
        """
        table = np.array(self.efficiency_table)
        return np.interp(wavelength_aa, table[:, 0], table[:, 1])

    def blaze(self, wavelength_aa: np.ndarray) -> Blaze:
        """Relative blaze of the even and of the odd order that record each wavelength.

        That of a plane grating, sinc^2(pi x) with x the distance from the peak in free spectral
        ranges: x = m - K / wavelength for order m and order constant K, uniform in wavenumber
        (Schroeder, Astronomical Optics; Gray, The Observation and Analysis of Stellar
        Photospheres, chapter 3). Where two orders record a wavelength and one has less than a
        third of the other's blaze, it is left out: the plain mean of equation A.1 would carry
        more photon noise than the brighter order alone. In the red the detector is narrower than
        that, and the overlap shrinks to nothing.

        Parameters
        ----------
        wavelength_aa : ndarray of shape (n_pixels,)
            In the observatory frame, increasing.

        Returns
        -------
        blaze : Blaze
            Two float64 arrays, `even` and `odd`, 0 where no such order records the wavelength.
        """
        wavelength_aa = np.asarray(wavelength_aa, dtype=float)
        even, odd = blaze = Blaze(*np.zeros((2, *wavelength_aa.shape)))
        if self.orders is None or self.order_constant_aa is None:
            even[:] = 1.0
        else:
            place = self.order_constant_aa / wavelength_aa  # fractional order number
            half_width = np.array([-0.5, 0.5]) * self.order_width
            for order, peak_aa in self._recorded_orders():
                pixels = slice(*np.searchsorted(wavelength_aa, peak_aa * (1.0 + half_width)))
                blaze[order % 2][pixels] = np.sinc(order - place[pixels]) ** 2
            even[3.0 * even < odd] = 0.0
            odd[3.0 * odd < even] = 0.0
        for low_aa, high_aa in ((-np.inf, self.first_aa), *self.missing_aa, (self.last_aa, np.inf)):
            gap = slice(*np.searchsorted(wavelength_aa, [low_aa, high_aa]))
            even[gap] = odd[gap] = 0.0
        return blaze

    def _recorded_orders(self) -> list[tuple[int, float]]:
        """Echelle orders and the wavelengths of their peaks, without those lost in a gap."""
        assert self.orders is not None and self.order_constant_aa is not None
        peaks_aa = [
            (order, self.order_constant_aa / order)
            for order in range(self.orders[0], self.orders[1] + 1)
        ]
        return [
            (order, peak_aa)
            for order, peak_aa in peaks_aa
            if not any(low_aa <= peak_aa <= high_aa for low_aa, high_aa in self.missing_aa)
        ]


HARPS = Spectrograph(
    name="HARPS",
    resolving_power=115_000,
    collecting_area_cm2=8.9e4,  # rounded: 3.6 m with its obstruction
    # The level meets the S/N of 110 per pixel at 5500 Angstrom that ESO states (V = 6, G2V, 60 s,
    # seeing 1 arcsec, airmass 1.2) with half the light in the fibre, as for Gaussian seeing. The
    # shape is rounded from the S/N per order in headers of public spectra of F, G and K stars,
    # over Planck functions; below 4500 Angstrom line blanketing was allowed for by eye.
    efficiency_table=(
        (3780.0, 0.014),
        (3900.0, 0.024),
        (4000.0, 0.036),
        (4200.0, 0.056),
        (4400.0, 0.068),
        (4600.0, 0.079),
        (4800.0, 0.083),
        (5000.0, 0.086),
        (5500.0, 0.088),
        (6000.0, 0.092),
        (6400.0, 0.090),
        (6900.0, 0.080),
    ),
    fibre_arcsec=1.0,
    pixel_kms=0.82,  # rounded: an order of 4096 pixels spans 0.0112 of its wavelength
    n_spatial_pixels=4,  # assumed
    dark_e_per_s=3.0 / 3600.0,  # assumed
    readout_e=4.9,  # ESO, normal read-out mode at 416 kpix/s; the slow mode has 2.9
    first_aa=3782.0,
    last_aa=6913.0,
    # Order 115 falls between the CCDs. `spectra.HARPS_MISSING` is this gap and what the motion of
    # the Earth, 30 km/s or 0.5 Angstrom to either side, does to it in the barycentric frame.
    missing_aa=((5304.3, 5337.3),),
    orders=(89, 161),
    order_constant_aa=611_875.0,  # rounded from the wavelength solution of public spectra
    order_width=0.0112,  # likewise
)
"""HARPS at the ESO 3.6 m telescope; rounded and assumed figures, as the comments say."""

APOGEE = Spectrograph(
    name="APOGEE",
    resolving_power=22_500,
    collecting_area_cm2=3.6e4,  # rounded: 2.5 m with its obstruction and baffles
    # Assumed: near the S/N of 100 per pixel for H = 12.2 in three hours that the survey planned.
    efficiency_table=((15_100.0, 0.11), (15_500.0, 0.14), (16_200.0, 0.15), (17_000.0, 0.12)),
    fibre_arcsec=2.0,
    pixel_kms=5.2,  # rounded: 0.33 to 0.24 Angstrom from the blue to the red detector
    n_spatial_pixels=3,  # assumed
    dark_e_per_s=0.01,  # assumed
    readout_e=12.0,  # assumed: what remains after many reads up the ramp
    # These edges are rounded from spectra of single visits.
    first_aa=15_145.0,
    last_aa=16_952.0,
    missing_aa=((15_808.0, 15_859.0), (16_433.0, 16_475.0)),
    medium="vacuum",
)
"""APOGEE at the Sloan 2.5 m telescope; rounded and assumed figures, as the comments say."""

_SPECTROGRAPHS = {"harps": HARPS, "apogee": APOGEE}


def spectrograph(instrument: str | None) -> Spectrograph | None:
    """Return the spectrograph of that name; None, which stands for no instrument, passes.

    Raises
    ------
    ValueError
        If the word is unknown.
    """
    if instrument is None:
        return None
    if not isinstance(instrument, str) or instrument not in _SPECTROGRAPHS:
        words = ", ".join(map(repr, _SPECTROGRAPHS))
        raise ValueError(
            f"instrument must be {words} or None, got {instrument!r}; use None for spectra as they "
            "reach the telescope, without orders and gaps."
        )
    return _SPECTROGRAPHS[instrument]
