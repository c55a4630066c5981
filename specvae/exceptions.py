"""Errors and warnings that a user may want to catch by name."""

__all__ = [
    "CollapsedLatentsWarning",
    "DataQualityWarning",
    "GridMismatchError",
    "SpectrumError",
    "SpectrumReadError",
]


class SpectrumError(ValueError):
    """One spectrum of a matrix cannot be used; `row` says which, `reason` says why.

    Parameters
    ----------
    row : int
        Row of the offending spectrum in the matrix that the caller holds.
    reason : str
        What is wrong with it, and the remedy.
    """

    def __init__(self, row: int, reason: str):
        super().__init__(row, reason)
        self.row = row
        self.reason = reason

    def __str__(self) -> str:
        return f"spectrum {self.row} {self.reason}"


class SpectrumReadError(ValueError):
    """A file holds no usable spectrum; the message names the file, the reason and the remedy."""


class GridMismatchError(ValueError):
    """Two wavelength grids that had to be the same are not."""


class DataQualityWarning(UserWarning):
    """Some of the data were left out or could not be used as asked."""


class CollapsedLatentsWarning(UserWarning):
    """Some latents carry no information: the encoder gives the prior whatever the spectrum."""
