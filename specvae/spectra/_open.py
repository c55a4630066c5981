"""Which kind of store lies at a path."""

from pathlib import Path

import numpy as np

from ._grid import WavelengthGrid
from ._hdf5_store import HDF5Store
from ._row_store import RowStore
from ._sidecar import open_store
from ._zarr_store import ZarrStore

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")


def open_rows(
    path: str | Path,
    dataset: str | None = None,
    grid: WavelengthGrid | None = None,
    scale: np.ndarray | str | None = None,
) -> tuple[RowStore, WavelengthGrid | None]:
    """Return the rows and the grid of a .npy, HDF5 or Zarr store.

    Raises
    ------
    FileNotFoundError
        If there is nothing of that name.
    ValueError
        If it is no store, is damaged, or does not fit what was said of it.
    """
    path = Path(path)
    if path.suffix == ".npy" and not path.is_dir():
        given = {"dataset": dataset, "grid": grid, "scale": scale}
        for name, value in given.items():
            if value is not None:
                raise ValueError(
                    f"{name} is for HDF5 and Zarr; what {path.name} holds stands in the .json "
                    f"beside it: leave {name} out."
                )
        return open_store(path)
    if path.is_dir() or path.suffix == ".zarr":
        return ZarrStore(path, dataset, scale), grid
    if path.suffix in _HDF5_SUFFIXES or _is_hdf5(path):
        return HDF5Store(path, dataset, scale), grid
    raise ValueError(
        f"path must be the name of a .npy file, of an HDF5 file or of a Zarr folder; got "
        f"{str(path)!r}, which is none of them{'' if path.exists() else ' and does not exist'}."
    )


def _is_hdf5(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
