"""Ranges from which labels are drawn, as the caller writes them and checked against physics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._labels import LABELS

Range = tuple[float, float]
Given = float | Sequence[float]


def draw_uniform(span: Range, n_values: int, rng: np.random.RandomState) -> np.ndarray:
    """Uniform values; a fixed label draws nothing."""
    low, high = span
    return np.full(n_values, low) if low == high else rng.uniform(low, high, n_values)


def merge_ranges(
    defaults: dict[str, Range], given: Any, argument: str = "labels"
) -> dict[str, Range]:
    """Return the ranges in the order of LABELS, whatever the order in which they were given.

    A fixed label has its value twice.
    """
    given = check_ranges(given, argument)
    ranges = {**defaults, **given}
    if "exposure_s" in ranges and "snr" in given:
        raise ValueError(
            f"{argument} gives snr beside exposure_s: one follows from the other; leave one out."
        )
    if "exposure_s" in ranges:
        ranges.pop("snr", None)
    return {name: ranges[name] for name in LABELS if name in ranges}


def check_known(name: Any, argument: str) -> None:
    if name not in LABELS:
        raise ValueError(
            f"{argument} names the unknown label {name!r}; known: {', '.join(LABELS)}."
        )


def check_ranges(given: Any, argument: str) -> dict[str, Range]:
    """Return (low, high) of each label, both the number itself where it is fixed."""
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"{argument} must map names to (low, high) or a number, got {given!r}.")
    ranges = {}
    for name, value in (given or {}).items():
        check_known(name, argument)
        limits = LABELS[name]
        ends = np.asarray(value)
        if ends.dtype.kind not in "iuf" or ends.shape not in ((), (2,)):
            raise ValueError(
                f"{argument}[{name!r}] must be (low, high) or a number, got {value!r}."
            )
        low, high = float(ends.flat[0]), float(ends.flat[-1])
        if ends.ndim and not low < high:
            raise ValueError(f"{argument}[{name!r}] must have low < high, got {value!r}.")
        if not (limits.low <= low and high <= limits.high):
            raise ValueError(
                f"{argument}[{name!r}] must lie within {limits.low:g} to {limits.high:g} "
                f"({limits.meaning}), got {value!r}."
            )
        ranges[name] = (low, high)
    return ranges
