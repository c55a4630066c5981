"""The wavelength axis that all rows of a flux matrix share."""

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

# A wavelength this close to a pixel centre, in pixels, is on it: 4 to 8 cm/s at the HARPS step.
PIXEL_TOLERANCE = 1e-4


@dataclass(frozen=True)
class WavelengthGrid:
    """A uniform wavelength axis, small and frozen so that it can be a constructor parameter.

    Parameters
    ----------
    start_aa : float
        Wavelength of the centre of pixel 0, in Angstrom.
    step : float
        Distance between pixel centres: Angstrom for linear spacing, dex for "log".
    n_pixels : int
        Number of pixels.
    spacing : {"linear", "log"}, default="linear"
        Whether the wavelength or its decimal logarithm is uniform.
    medium : {"air", "vacuum"}, default="air"
        Medium to which the wavelengths refer.
    name : str, default=""
        Name used in messages; it plays no part in comparisons.

    Raises
    ------
    ValueError
        If the start or the step is not positive, `n_pixels` is below 1, or a word is unknown.

    Examples
    --------
    >>> grid = WavelengthGrid(start_aa=5000.0, step=0.5, n_pixels=5)
    >>> grid.wavelength_aa
    array([5000. , 5000.5, 5001. , 5001.5, 5002. ])
    >>> grid.index_of(5001.2)
    2
    >>> grid.slice(5000.5, 5001.5)
    slice(1, 4, None)
    """

    start_aa: float
    step: float
    n_pixels: int
    spacing: str = "linear"
    medium: str = "air"
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.start_aa) and self.start_aa > 0):
            raise ValueError(f"start_aa must be a positive wavelength, got {self.start_aa!r}.")
        if not (np.isfinite(self.step) and self.step > 0):
            raise ValueError(f"step must be positive: wavelengths increase, got {self.step!r}.")
        _check_n_pixels(self.n_pixels)
        if self.spacing not in ("linear", "log"):
            raise ValueError(f"spacing must be 'linear' or 'log', got {self.spacing!r}.")
        if self.medium not in ("air", "vacuum"):
            raise ValueError(f"medium must be 'air' or 'vacuum', got {self.medium!r}.")
        # Plain numbers, whatever kind came: `to_dict` must fit JSON.
        object.__setattr__(self, "start_aa", float(self.start_aa))
        object.__setattr__(self, "step", float(self.step))
        object.__setattr__(self, "n_pixels", int(self.n_pixels))

    def __str__(self) -> str:
        unit = "Angstrom" if self.spacing == "linear" else "dex"
        name = f"the {self.name} grid" if self.name else "a grid"
        return (
            f"{name} ({self.n_pixels} pixels from {self.start_aa:.2f} to {self.end_aa:.2f} "
            f"Angstrom, step {self.step:g} {unit}, {self.medium})"
        )

    @property
    def wavelength_aa(self) -> np.ndarray:
        """Pixel centres in Angstrom, shape (n_pixels,)."""
        return self._wavelength_at(np.arange(self.n_pixels))

    @property
    def edges_aa(self) -> np.ndarray:
        """Pixel edges in Angstrom, half a step beside the centres, shape (n_pixels + 1,)."""
        return self._wavelength_at(np.arange(self.n_pixels + 1) - 0.5)

    @property
    def end_aa(self) -> float:
        """Wavelength of the centre of the last pixel, in Angstrom."""
        return float(self._wavelength_at(np.array(self.n_pixels - 1)))

    def _wavelength_at(self, pixel: np.ndarray) -> np.ndarray:
        if self.spacing == "linear":
            return self.start_aa + self.step * pixel
        return 10.0 ** (np.log10(self.start_aa) + self.step * pixel)

    def pixel_at(self, wavelength_aa: np.ndarray) -> np.ndarray:
        """Fractional pixel of each wavelength; outside the grid it runs on below 0 or above.

        Parameters
        ----------
        wavelength_aa : ndarray
            In Angstrom.

        Returns
        -------
        pixel : ndarray
            Same shape.
        """
        if self.spacing == "linear":
            return (np.asarray(wavelength_aa) - self.start_aa) / self.step
        return (np.log10(wavelength_aa) - np.log10(self.start_aa)) / self.step

    def index_of(self, wavelength_aa: float) -> int:
        """Index of the pixel that holds a wavelength.

        Parameters
        ----------
        wavelength_aa : float
            In Angstrom.

        Returns
        -------
        index : int

        Raises
        ------
        ValueError
            If the wavelength lies outside the grid.
        """
        index = round(float(self.pixel_at(np.array(wavelength_aa, dtype=float))))
        if not 0 <= index < self.n_pixels:
            raise ValueError(f"wavelength_aa={wavelength_aa:g} lies outside {self}.")
        return index

    def slice(self, low_aa: float, high_aa: float) -> slice:
        """Pixels whose centres lie in a range of wavelengths.

        Parameters
        ----------
        low_aa, high_aa : float
            Ends of the range in Angstrom; both belong to it.

        Returns
        -------
        pixels : slice
            Empty if there are none.

        Raises
        ------
        ValueError
            If `low_aa` exceeds `high_aa`.
        """
        if not low_aa <= high_aa:
            raise ValueError(f"low_aa={low_aa:g} must not exceed high_aa={high_aa:g}.")
        low, high = self.pixel_at(np.array([low_aa, high_aa], dtype=float))
        start = int(np.clip(np.ceil(low - PIXEL_TOLERANCE), 0, self.n_pixels))
        stop = int(np.clip(np.floor(high + PIXEL_TOLERANCE) + 1, start, self.n_pixels))
        return slice(start, stop)

    def resampled(self, n_pixels: int) -> "WavelengthGrid":
        """Return a grid of `n_pixels` pixels that together cover the same wavelengths.

        Its outer pixel edges are those of this grid: 11,000 pixels instead of 327,680, say.

        Parameters
        ----------
        n_pixels : int
            Number of pixels wanted.

        Returns
        -------
        grid : WavelengthGrid

        Raises
        ------
        ValueError
            If `n_pixels` is no integer above 0.
        """
        _check_n_pixels(n_pixels)
        step = self.step * self.n_pixels / n_pixels
        start_aa = float(self._wavelength_at(np.array((step / self.step - 1.0) / 2.0)))
        return WavelengthGrid(start_aa, step, n_pixels, self.spacing, self.medium)

    def matches(self, other: "WavelengthGrid") -> bool:
        """Whether both grids have the same pixels to a thousandth of a pixel, in one medium.

        Parameters
        ----------
        other : WavelengthGrid

        Returns
        -------
        matches : bool
        """
        if (self.n_pixels, self.spacing, self.medium) != (
            other.n_pixels,
            other.spacing,
            other.medium,
        ):
            return False
        ends = self.pixel_at(np.array([other.start_aa, other.end_aa]))
        return bool(np.allclose(ends, [0.0, self.n_pixels - 1], rtol=0.0, atol=1e-3))

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, arguments: Mapping[str, Any]) -> "WavelengthGrid":
        """Return the grid that `to_dict` described.

        Parameters
        ----------
        arguments : mapping
            What `to_dict` gave.

        Returns
        -------
        grid : WavelengthGrid
        """
        return cls(**arguments)


def check_grid_type(name: str, grid: Any, *, required: bool = False) -> None:
    """Raise unless argument `name` is a `WavelengthGrid`, or None where it is not required."""
    if isinstance(grid, WavelengthGrid) or (grid is None and not required):
        return
    wanted = "a WavelengthGrid" if required else "a WavelengthGrid or None"
    raise TypeError(
        f"{name} must be {wanted}, got {reprlib.repr(grid)}: give one of specvae.spectra, such as "
        "HARPS_GRID, or make one with WavelengthGrid(start_aa, step, n_pixels)."
    )


def _check_n_pixels(n_pixels: Any) -> None:
    if not np.isfinite(n_pixels) or n_pixels % 1 or n_pixels < 1:
        raise ValueError(f"n_pixels must be an integer >= 1, got {n_pixels!r}.")


HARPS_GRID = WavelengthGrid(3709.11, 0.01, 327_680, name="HARPS")
"""HARPS, 3785 to 6910 Angstrom at 0.01, padded by 7589 and 7590 pixels to 2**18 + 2**16."""

HARPS_MISSING = ((3709.11, 3784.99), (5303.64, 5338.04), (6910.01, 6985.90))
"""Wavelengths without data on `HARPS_GRID`: left pad, gap between the CCDs, right pad."""

APOGEE_GRID = WavelengthGrid(10.0**4.179, 6e-6, 8575, spacing="log", medium="vacuum", name="APOGEE")
"""APOGEE apStar and aspcapStar, 15101 to 16999 Angstrom, uniform in log10, vacuum."""
