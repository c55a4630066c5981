"""Which labels to simulate: independent, one at a time, or in pairs of one chemistry.

A design is a plain table of causes; nothing is simulated here. What looks like a catalogue is in
`_catalogue_design`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from ..._validation import check_number
from ...spectra import WavelengthGrid
from .._labels import ABUNDANCE_LABELS, STELLAR_LABELS
from ._ranges import Given, Range, check_known, check_ranges, draw_uniform, merge_ranges

# A star keeps these; the circumstances of the observation change from spectrum to spectrum.
STAR_LABELS = (*STELLAR_LABELS, "rv_kms", "vmag")
_CHEMISTRY = ("mh_dex", *ABUNDANCE_LABELS)

_MIXED_RANGES: dict[str, Range] = {
    "teff_k": (3000.0, 11_000.0),
    "logg_dex": (3.5, 5.0),
    "mh_dex": (-1.2, 0.4),
    "rv_kms": (-100.0, 100.0),
    "berv_kms": (-30.0, 30.0),
    "airmass": (1.0, 2.5),
    "pwv_mm": (0.5, 10.0),
    "snr": (30.0, 300.0),
}
_TWIN_RANGES: dict[str, Range] = {
    "teff_k": (4000.0, 5000.0),
    "logg_dex": (1.0, 3.5),
    "mh_dex": (-1.0, 0.4),
    **dict.fromkeys(ABUNDANCE_LABELS, (-0.3, 0.5)),
}

# From APOGEE_GRID's pixel 246 on, so that APOGEE spectra need cutting, not resampling.
TWIN_GRID = WavelengthGrid(
    10.0 ** (4.179 + 246 * 6e-6), 6e-6, 7751, spacing="log", medium="vacuum", name="twin"
)
"""Pixels 246 to 7996 of `APOGEE_GRID`, 15152 to 16865 Angstrom, for `twin_design`."""


@dataclass(frozen=True)
class Design:
    """Labels to simulate and the star of each row."""

    labels: pd.DataFrame  # (n_spectra, n_labels), float64, in the order of LABELS
    groups: np.ndarray  # (n_spectra,), id of the star


@dataclass(frozen=True)
class GenerativeDesign:
    """Cores, and for each core rows in which one label differs from it."""

    labels: pd.DataFrame  # (n_rows, n_labels), float64
    groups: np.ndarray  # (n_rows,), a core and its variations are one group
    core: np.ndarray  # (n_rows,), id of the core
    varied_label: np.ndarray  # (n_rows,), str: the label that differs, "" in the core itself
    variation: np.ndarray  # (n_rows,), 0 to n_variations - 1, -1 in the core itself
    core_row: np.ndarray  # (n_rows,), row that holds the core


@dataclass(frozen=True)
class TwinDesign:
    """Pairs of stars of one chemistry and different atmospheres."""

    labels: pd.DataFrame  # (n_rows, n_labels), float64
    groups: np.ndarray  # (n_rows,), every star is its own group
    pair: np.ndarray  # (n_rows,), id of the pair
    partner_row: np.ndarray  # (n_rows,), row of the other star of the pair


def mixed_design(
    n_spectra: int,
    labels: Mapping[str, Given] | None = None,
    *,
    spectra_per_star: int = 1,
    random_state: Any = None,
) -> Design:
    """Draw all labels uniformly and independently of each other.

    Parameters
    ----------
    n_spectra : int
        Number of rows.
    labels : mapping of str to (low, high) or number, optional
        Ranges that add to the default ones or replace them; a number fixes a label.
    spectra_per_star : int, default=1
        Rows of one star share `teff_k` to `vsini_kms`, `rv_kms` and `vmag`; `berv_kms`,
        `airmass` and the other circumstances of an observation differ. The last star has fewer
        rows where the number does not divide `n_spectra`.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Returns
    -------
    design : Design

    Raises
    ------
    ValueError
        If a count is below 1, a label is unknown, or a range is empty or not physical.

    Notes
    -----
    Default ranges of section 3.1 of [1]_: `teff_k` 3000 to 11000, `logg_dex` 3.5 to 5,
    `mh_dex` -1.2 to 0.4; of its section 3.2: `rv_kms` -100 to 100. The paper varies airmass and
    water vapour too but gives no ranges; assumed here: `airmass` 1 to 2.5, `pwv_mm` 0.5 to 10,
    and `berv_kms` -30 to 30, `snr` 30 to 300. `exposure_s`, if given, replaces `snr`. Labels
    that have no range are left out: the simulator's defaults hold.

    References
    ----------
    .. [1] Cvrcek et al. 2025, A&A 693, A256.

    Examples
    --------
    >>> design = mixed_design(6, {"mg_fe_dex": (-0.2, 0.4), "snr": 100}, spectra_per_star=3)
    >>> design.labels.shape, design.groups.tolist()
    ((6, 9), [0, 0, 0, 1, 1, 1])
    """
    check_number("n_spectra", n_spectra, minimum=1, integer=True)
    check_number("spectra_per_star", spectra_per_star, minimum=1, integer=True)
    ranges = merge_ranges(_MIXED_RANGES, labels)
    rng = check_random_state(random_state)
    groups = np.arange(n_spectra) // spectra_per_star
    n_stars = int(groups[-1]) + 1
    columns = {
        name: draw_uniform(span, n_stars, rng)[groups]
        if name in STAR_LABELS
        else draw_uniform(span, n_spectra, rng)
        for name, span in ranges.items()
    }
    return Design(pd.DataFrame(columns), groups)


def generative_design(
    n_cores: int,
    labels: Sequence[str] | Mapping[str, Sequence[float]],
    n_variations: int,
    *,
    base: Mapping[str, Given] | None = None,
    random_state: Any = None,
) -> GenerativeDesign:
    """Draw cores, and for each core and label variations in which only that label differs.

    Parameters
    ----------
    n_cores : int
        Number of cores, all of whose labels are uniform.
    labels : sequence of str, or mapping of str to (low, high)
        The labels to vary. A mapping gives the range of the variations; otherwise it is that of
        the cores.
    n_variations : int
        Number of variations of each label of each core, drawn uniformly.
    base : mapping of str to (low, high) or number, optional
        Ranges of the cores that add to those of `mixed_design` or replace them; a number fixes a
        label. A label that only `labels` knows has the range given there.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Returns
    -------
    design : GenerativeDesign
        ``n_cores * (1 + n_labels * n_variations)`` rows: each core, followed by its variations
        label by label.

    Raises
    ------
    ValueError
        If a count is below 1, `labels` is empty, a label is unknown, twice there or without a
        range, or a range is empty or not physical.

    Notes
    -----
    After section 3.1 of [1]_, which keeps the ``c * f * v`` variations only; here the cores are
    rows as well, because a change is measured from them.

    References
    ----------
    .. [1] Cvrcek et al. 2025, A&A 693, A256.

    Examples
    --------
    >>> design = generative_design(2, ["teff_k", "mh_dex"], 3, random_state=0)
    >>> len(design.labels), design.core_row.tolist()
    (14, [0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7])
    >>> row = 5
    >>> changed = design.labels.iloc[row] != design.labels.iloc[design.core_row[row]]
    >>> changed[changed].index.tolist(), str(design.varied_label[row])
    (['mh_dex'], 'mh_dex')
    """
    check_number("n_cores", n_cores, minimum=1, integer=True)
    check_number("n_variations", n_variations, minimum=1, integer=True)
    ranges, varied = _generative_ranges(labels, base)
    rng = check_random_state(random_state)
    cores = np.column_stack([draw_uniform(span, n_cores, rng) for span in ranges.values()])
    rows_per_core = 1 + len(varied) * n_variations
    rows = np.repeat(cores[:, None, :], rows_per_core, axis=1)  # (core, row, label)
    for place, (name, span) in enumerate(varied.items()):
        first = 1 + place * n_variations
        values = draw_uniform(span, n_cores * n_variations, rng).reshape(n_cores, n_variations)
        rows[:, first : first + n_variations, list(ranges).index(name)] = values

    core = np.repeat(np.arange(n_cores), rows_per_core)
    of_one_core = ["", *(name for name in varied for _ in range(n_variations))]
    return GenerativeDesign(
        labels=pd.DataFrame(rows.reshape(-1, len(ranges)), columns=list(ranges)),
        groups=core.copy(),
        core=core,
        varied_label=np.tile(np.array(of_one_core), n_cores),
        variation=np.tile(np.r_[-1, np.tile(np.arange(n_variations), len(varied))], n_cores),
        core_row=core * rows_per_core,
    )


def twin_design(
    n_pairs: int,
    labels: Mapping[str, Given] | None = None,
    *,
    random_state: Any = None,
) -> TwinDesign:
    """Draw pairs of red giants with the same chemistry and different Teff and log g.

    Parameters
    ----------
    n_pairs : int
        Number of pairs.
    labels : mapping of str to (low, high) or number, optional
        Ranges that add to the default ones or replace them; a number fixes a label. The two
        stars share `mh_dex` and the abundances; each other label is drawn for each star.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Returns
    -------
    design : TwinDesign
        ``2 * n_pairs`` rows; the stars of a pair follow each other.

    Raises
    ------
    ValueError
        If `n_pairs` is below 1, a label is unknown, a range is empty or not physical, or
        `teff_k` or `logg_dex` is fixed.

    Notes
    -----
    The experiment is that of [1]_, whose appendix B says that composition is shared within a
    pair and temperature and gravity are distinct, but gives no ranges. Assumed here, all uniform
    and independent: `teff_k` 4000 to 5000, `logg_dex` 1 to 3.5, `mh_dex` -1 to 0.4, and each
    abundance -0.3 to 0.5 dex. Independence of the abundances is no property of real stars.
    Velocities are left out: the spectra are at rest. `TWIN_GRID` is a grid for them.

    References
    ----------
    .. [1] de Mijolla, Ness & Viti 2019, "Identifying chemically identical stars using adverserial
       disentanglement".

    Examples
    --------
    >>> design = twin_design(2, random_state=0)
    >>> design.pair.tolist(), design.partner_row.tolist()
    ([0, 0, 1, 1], [1, 0, 3, 2])
    >>> design.labels.loc[:1, ["mh_dex", "o_fe_dex"]].nunique().tolist()
    [1, 1]
    """
    check_number("n_pairs", n_pairs, minimum=1, integer=True)
    ranges = merge_ranges(_TWIN_RANGES, labels)
    for name in ("teff_k", "logg_dex"):
        if ranges[name][0] == ranges[name][1]:
            raise ValueError(
                f"labels fixes {name!r} at {ranges[name][0]:g}, but twins must differ in it; give "
                "(low, high)."
            )
    rng = check_random_state(random_state)
    pair = np.repeat(np.arange(n_pairs), 2)
    columns = {
        name: draw_uniform(span, n_pairs, rng)[pair]
        if name in _CHEMISTRY
        else draw_uniform(span, 2 * n_pairs, rng)
        for name, span in ranges.items()
    }
    rows = np.arange(2 * n_pairs)
    return TwinDesign(pd.DataFrame(columns), rows, pair, partner_row=rows ^ 1)


def _generative_ranges(labels: Any, base: Any) -> tuple[dict[str, Range], dict[str, Range]]:
    """Ranges of the cores, and of the labels to vary in the order given."""
    if isinstance(labels, Mapping):
        varied = check_ranges(labels, "labels")
        ranges = merge_ranges({**varied, **_MIXED_RANGES}, base, "base")
    else:
        ranges = merge_ranges(_MIXED_RANGES, base, "base")
        varied = {name: ranges.get(name, (0.0, 0.0)) for name in _check_names(labels)}
    if not varied:
        raise ValueError("labels is empty; name at least one label to vary, such as 'teff_k'.")
    for name, (low, high) in varied.items():
        if name not in ranges or low == high:
            raise ValueError(
                f"labels names {name!r}, which has no range to vary in; give "
                f"{{{name!r}: (low, high)}} as labels or in base."
            )
    return ranges, varied


def _check_names(labels: Any) -> list[str]:
    if isinstance(labels, str):
        raise ValueError(f"labels must be a list of names, got {labels!r}; write [{labels!r}].")
    names = list(labels)
    for name in names:
        check_known(name, "labels")
        if names.count(name) > 1:
            raise ValueError(f"labels names {name!r} twice.")
    return names
