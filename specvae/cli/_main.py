"""Parse the command line, run one command, turn errors into one line and an exit code."""

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from ..exceptions import CollapsedLatentsWarning, DataQualityWarning
from ._parser import make_parser

# 2 is what argparse exits with when the command line itself is wrong, 130 what a shell gives for
# Ctrl-C, 141 for a closed pipe.
FAILED, INTERRUPTED, PIPE_CLOSED = 1, 130, 141

OURS = (CollapsedLatentsWarning, DataQualityWarning)

# What says by its message what to do; anything else is a fault of the program and keeps its
# traceback.
_EXPECTED = (ValueError, TypeError, OSError, ImportError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ``specvae`` command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line after the name of the program; by default that of the process.

    Returns
    -------
    code : int
        0 if all went well, 1 after an error, which is printed to stderr, 130 after Ctrl-C. A
        command line that makes no sense exits with 2.

    Raises
    ------
    SystemExit
        After ``--help``, ``--version`` or a command line that makes no sense.

    Examples
    --------
    >>> import contextlib
    >>> import tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from specvae.cli import main
    >>> from specvae.spectra import WavelengthGrid, write_spectra
    >>> grid, meta = WavelengthGrid(5000.0, 1.0, 4), pd.DataFrame({"object": ["HD 1", "HD 2"]})
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    ...     _ = write_spectra(lambda row: np.ones(4), "stars.npy", grid, meta=meta)
    ...     code = main(["info", "stars.npy"])  # doctest: +ELLIPSIS
    stars.npy: 2 spectra of 4 pixels
    ...
    >>> code
    0
    """
    options = make_parser().parse_args(arguments)
    show = warnings.showwarning
    with warnings.catch_warnings():
        # What other libraries warn of is for programmers, and stays as it is.
        warnings.showwarning = _short_warning(show)
        for category in OURS:
            warnings.simplefilter("always", category)
        try:
            # Some seconds, in which Ctrl-C may come as well.
            command = importlib.import_module(f"{__package__}._{options.module}")
            command.run(options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            return _say(f"interrupted. {options.after_interrupt}", INTERRUPTED)
        except BrokenPipeError:
            # Whoever reads, such as `head`, has enough; Python would complain again at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        except _EXPECTED as error:
            if options.traceback:
                raise
            notes = " ".join(getattr(error, "__notes__", []))
            return _say(f"{_message(error)} {notes}".strip(), FAILED)
    return 0


def _say(message: str, code: int) -> int:
    print(f"specvae: {message}", file=sys.stderr)
    return code


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _short_warning(show: Any) -> Any:
    """Print warnings of this package without the line of the program they came from."""

    def short(message: Any, category: Any, *rest: Any, **more: Any) -> None:
        if issubclass(category, OURS):
            print(f"specvae: warning: {message}", file=sys.stderr)
        else:
            show(message, category, *rest, **more)

    return short
