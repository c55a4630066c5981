"""One spectrum, as a file holds it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One spectrum on its own wavelengths, with what its file says about it.

    Parameters
    ----------
    wavelength_aa : ndarray of shape (n_pixels,)
        Increasing pixel centres, in Angstrom.
    flux : ndarray of shape (n_pixels,)
        Flux density in the units of the file; NaN is a missing pixel.
    error : ndarray of shape (n_pixels,), optional
        Standard deviation of the flux, NaN where unknown.
    mask : ndarray of bool, shape (n_pixels,), optional
        True where the file itself flags a pixel as bad; None if it has no flags.
    meta : dict
        What the header says: see `read_spectrum`.

    Raises
    ------
    ValueError
        If an array is not one-dimensional or differs in length, or `mask` is not boolean.

    See Also
    --------
    read_spectrum : Read one from a FITS file.

    Examples
    --------
    >>> import numpy as np
    >>> Spectrum(np.array([5000.0, 5000.5]), np.array([1.0, np.nan]))
    Spectrum(2 pixels from 5000.00 to 5000.50 Angstrom, 1 missing)
    """

    wavelength_aa: np.ndarray
    flux: np.ndarray
    error: np.ndarray | None = None
    mask: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = np.shape(self.wavelength_aa)
        if len(shape) != 1 or shape[0] == 0:
            raise ValueError(f"wavelength_aa must have one axis of pixels; its shape is {shape}.")
        for name in ("flux", "error", "mask"):
            values = getattr(self, name)
            if values is not None and np.shape(values) != shape:
                raise ValueError(
                    f"{name} has shape {np.shape(values)}, wavelength_aa has {shape[0]} pixels."
                )
        if self.mask is not None and np.asarray(self.mask).dtype != bool:
            raise ValueError(
                f"mask must be boolean, True where bad; its dtype is {np.asarray(self.mask).dtype}."
            )

    def __len__(self) -> int:
        return len(self.wavelength_aa)

    def __repr__(self) -> str:
        return (
            f"Spectrum({len(self)} pixels from {self.wavelength_aa[0]:.2f} to "
            f"{self.wavelength_aa[-1]:.2f} Angstrom, {int(np.isnan(self.flux).sum())} missing)"
        )
