"""Spectra: the wavelength axis, the lazy matrix, and the files they come from."""

from ._array import SpectraArray
from ._grid import APOGEE_GRID, HARPS_GRID, HARPS_MISSING, WavelengthGrid
from ._hdf5_store import HDF5Store
from ._pack import pack_spectra
from ._read import read_spectra, read_spectrum
from ._resample import resample_flux
from ._sidecar import read_meta
from ._spectrum import Spectrum
from ._store import NpyStore
from ._targets import group_targets
from ._wavelength import (
    SPEED_OF_LIGHT_KMS,
    air_to_vacuum,
    doppler_factor,
    doppler_shift,
    vacuum_to_air,
)
from ._write import write_spectra
from ._zarr_store import ZarrStore

__all__ = [
    "APOGEE_GRID",
    "HARPS_GRID",
    "HARPS_MISSING",
    "SPEED_OF_LIGHT_KMS",
    "HDF5Store",
    "NpyStore",
    "SpectraArray",
    "Spectrum",
    "WavelengthGrid",
    "ZarrStore",
    "air_to_vacuum",
    "doppler_factor",
    "doppler_shift",
    "group_targets",
    "pack_spectra",
    "read_meta",
    "read_spectra",
    "read_spectrum",
    "resample_flux",
    "vacuum_to_air",
    "write_spectra",
]
