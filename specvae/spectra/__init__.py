"""Spectra: the wavelength axis, the lazy matrix, and the files they come from."""

from ._array import SpectraArray
from ._grid import APOGEE_GRID, HARPS_GRID, HARPS_MISSING, WavelengthGrid
from ._resample import resample_flux
from ._wavelength import (
    SPEED_OF_LIGHT_KMS,
    air_to_vacuum,
    doppler_factor,
    doppler_shift,
    vacuum_to_air,
)

__all__ = [
    "APOGEE_GRID",
    "HARPS_GRID",
    "HARPS_MISSING",
    "SPEED_OF_LIGHT_KMS",
    "SpectraArray",
    "WavelengthGrid",
    "air_to_vacuum",
    "doppler_factor",
    "doppler_shift",
    "resample_flux",
    "vacuum_to_air",
]
