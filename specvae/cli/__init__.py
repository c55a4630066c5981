"""The ``specvae`` command: from FITS files to a table of labels without a line of Python."""

from ._main import main

__all__ = ["main"]
