"""Names of the columns of a table of results, of which no two may be the same."""

import inspect
from collections import Counter
from collections.abc import Sequence
from typing import Any

# What a spectrum is known by in a table of results; "row" is its place in the store.
IDENTITY = ("row", "file", "object", "ra_deg", "dec_deg", "mjd")


def prediction_columns(last_step: Any, labels: Sequence[str]) -> list[str]:
    """Return the columns that a model with this last step predicts: labels, then their errors."""
    errors = [f"{name}_error" for name in labels] if states_errors(last_step) else []
    return [*labels, *errors]


def states_errors(estimator: Any) -> bool:
    """Whether its ``predict`` gives standard deviations where they are asked for."""
    predict = getattr(estimator, "predict", None)
    return predict is not None and "return_std" in inspect.signature(predict).parameters


def check_columns(columns: Sequence[str], identity: Sequence[str] = IDENTITY) -> None:
    """Raise if a table with these columns beside the identity would lose one of them.

    Raises
    ------
    ValueError
        If two would have one name.
    """
    twice = [name for name, count in Counter([*identity, *columns]).items() if count > 1]
    if twice:
        raise ValueError(
            f"two columns of the table of results would be called {', '.join(twice)}: "
            f"{', '.join(IDENTITY)} name the spectrum, NAME_error is the uncertainty of NAME; "
            "leave such labels out with --target, or rename them."
        )
