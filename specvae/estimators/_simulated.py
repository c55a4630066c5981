"""Simulated spectra that join the real ones in training."""

import copy
from typing import Any

import numpy as np

from .._validation import check_flux, check_labels, unmask
from ..exceptions import SpectrumError
from ._checkpoint import summary_of_rows


class Pairs:
    """A map-style data set of flux and labels that are given as two arrays.

    Parameters
    ----------
    flux : ndarray of shape (n_spectra, n_pixels)
    labels : ndarray of shape (n_spectra, n_labels)
    """

    def __init__(self, flux: np.ndarray, labels: np.ndarray):
        self.flux, self.labels = flux, labels

    def __len__(self) -> int:
        return len(self.flux)

    def __getitems__(self, rows: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(self.flux[row], self.labels[row]) for row in rows]


def check_simulated(simulated: Any, X: Any, n_labels: int, names: Any, flux_error: Any) -> Any:
    """Return a map-style data set of (flux, labels), or None where nothing is given.

    Raises
    ------
    ValueError
        If its labels are not those of `y`, its spectra not as long as those of `X` or not usable,
        or errors of the flux are given beside it.
    """
    if simulated is None:
        return None
    if flux_error is not None:
        raise ValueError(
            "flux_error cannot be given beside simulated, whose rows have none; leave one out."
        )
    if isinstance(simulated, tuple):
        if len(simulated) != 2:
            raise ValueError(f"simulated must be (flux, labels), got {len(simulated)} entries.")
        flux = np.asarray(unmask(simulated[0]), dtype=np.float32)
        try:
            check_flux(flux)
        except SpectrumError as error:
            raise ValueError(f"simulated: {error}") from error
        labels, given = check_labels(simulated[1], len(flux))
        data: Any = Pairs(flux, labels.reshape(len(labels), -1).astype(np.float32))
    else:
        # A copy, since which visit comes next is told to it.
        data, given = copy.copy(simulated), getattr(simulated, "label_names", None)
    if names is not None and given is not None and list(names) != list(given):
        raise ValueError(
            f"simulated has the labels {', '.join(given)}, y has {', '.join(names)}: give the same "
            "in the same order."
        )
    if hasattr(data, "set_epoch"):
        data.set_epoch(0)  # this copy counts no visits, which it would share with the original
    ((first, of_first),) = data.__getitems__([0])
    n_pixels = np.shape(X)[-1]
    if np.shape(first) != (n_pixels,):
        raise ValueError(
            f"simulated has spectra of shape {np.shape(first)}, X has {n_pixels} pixels: put both "
            "on one grid."
        )
    if len(of_first) != n_labels:
        raise ValueError(f"simulated has {len(of_first)} labels, y has {n_labels}.")
    return data


def identify_simulated(data: Any) -> list[float] | None:
    """Summary of a few simulated spectra, by which a training that goes on knows them again.

    Of a data set whose items change at every visit, and which cannot be told which visit it is,
    the length is all that can be known.
    """
    if data is None:
        return None
    length = [float(len(data))]
    if not isinstance(data, Pairs) and not hasattr(data, "set_epoch"):
        return length
    if hasattr(data, "set_epoch"):
        data.set_epoch(0)
    rows = np.unique(np.linspace(0, len(data) - 1, 8).astype(int)).tolist()
    items = data.__getitems__(rows)
    labels = [float(each) for _, of_item in items for each in of_item]
    return length + summary_of_rows([flux for flux, _ in items]) + labels
