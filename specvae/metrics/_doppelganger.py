"""How often a field star looks like a member of a cluster."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist, pdist
from sklearn.utils import column_or_1d

from .._validation import check_choice, check_codes, check_number, group_ids, unmask
from ._whitening import whiten_codes

_SCIPY_METRIC = {"euclidean": "euclidean", "manhattan": "cityblock"}


@dataclass(frozen=True)
class DoppelgangerRate:
    """Share of matched pairs of a member and a field star that lie as close as members do."""

    rate: float  # mean over clusters, weighted by their members
    standard_error: float  # jackknife over clusters; NaN for a single one
    by_cluster: pd.DataFrame  # index: cluster; rate, n_members, n_pairs, median_distance
    n_pairs: int  # pairs of a member and a field star that match
    n_left_out: int  # rows without velocity or extinction
    chance: float = 0.5  # of a code in which members are no closer to each other than to others


def doppelganger_rate(
    codes: Any,
    groups: Any,
    *,
    velocity: Any,
    extinction: Any,
    max_velocity_difference: float = 5.0,
    max_extinction_difference: float = 0.05,
    metric: str = "euclidean",
    whiten: bool = True,
) -> DoppelgangerRate:
    """Share of field stars that are as close to a cluster's stars as these are to each other.

    Stars born together share their composition, so that a code of the chemistry brings them
    together: the fewer strangers lie within the typical distance of two members, the better. It
    needs no twins and works on real stars.

    Parameters
    ----------
    codes : array-like of shape (n_spectra, n_latents)
        Encoder means of members and field stars; one row a star, so average repeated spectra.
    groups : array-like of shape (n_spectra,)
        Cluster of each star; None, NaN, "" or -1 for a field star.
    velocity : array-like of shape (n_spectra,) or None
        Radial velocity, in the frame in which lines of the Earth rest. A member is compared only
        with field stars of nearly its velocity: members share theirs, and a code that leaks it
        would find them by it. None for no matching.
    extinction : array-like of shape (n_spectra,) or None
        Likewise, the extinction.
    max_velocity_difference : float, default=5.0
        Largest difference of a pair, in the unit of `velocity`; the paper's 5 km/s.
    max_extinction_difference : float, default=0.05
        Largest difference of a pair, in the unit of `extinction`; the paper's 0.05 mag in K.
    metric : {"euclidean", "manhattan"}, default="euclidean"
    whiten : bool, default=True
        Whether to measure distances between codes whitened by the field stars.

    Returns
    -------
    result : DoppelgangerRate
        `by_cluster` holds the clusters of two members or more that have a matched pair.

    Raises
    ------
    ValueError
        If a code is not finite, lengths differ, there is no field star, no cluster of two members,
        or no pair that matches.

    Notes
    -----
    The rate of a cluster is the share of its matched pairs that are closer than the median
    distance of two members; a pair at just that distance counts one half, so that a collapsed
    code gives chance, not zero. Members are compared with each other whatever their velocity and
    extinction, as in the paper's code. Rows without velocity or extinction are left out. A cluster
    of one star has no distance and is dropped.

    References
    ----------
    de Mijolla & Ness 2022, ApJ 926, 193.

    Examples
    --------
    >>> result = doppelganger_rate(
    ...     [[0.0], [0.2], [0.1], [3.0], [9.0]],
    ...     ["M67", "M67", None, None, None],
    ...     velocity=[30.0, 31.0, 33.0, 29.0, 80.0],
    ...     extinction=None,
    ...     whiten=False,
    ... )
    >>> result.rate, result.n_pairs  # the last star moves too fast
    (0.5, 4)
    """
    check_choice("metric", metric, tuple(_SCIPY_METRIC))
    check_number("max_velocity_difference", max_velocity_difference, minimum=0)
    check_number("max_extinction_difference", max_extinction_difference, minimum=0)
    codes = check_codes(codes)
    cluster = _check_clusters(groups, len(codes))
    matches, limits = [], []
    for name, values, limit in (
        ("velocity", velocity, max_velocity_difference),
        ("extinction", extinction, max_extinction_difference),
    ):
        if values is not None:
            matches.append(_check_match(name, values, len(codes)))
            limits.append(limit)
    match = np.column_stack(matches) if matches else np.empty((len(codes), 0))
    known = ~np.isnan(match).any(axis=1)
    is_field = cluster.isna().to_numpy()
    field, members = known & is_field, known & ~is_field
    if not field.any():
        raise ValueError(
            f"groups has no field star with velocity and extinction among {len(codes)} rows; mark "
            "field stars by None, NaN, '' or -1."
        )
    if whiten:
        codes = whiten_codes(codes, reference=codes[field])
    rows_of = pd.Series(np.flatnonzero(members)).groupby(cluster[members].to_numpy())
    clusters = {
        name: _cluster_rate(codes, match, rows.to_numpy(), field, np.array(limits), metric)
        for name, rows in rows_of
        if len(rows) > 1
    }
    if not clusters:
        raise ValueError(
            "groups has no cluster of two members with velocity and extinction; the distance "
            "between members is what field stars are held against."
        )
    table = pd.DataFrame.from_dict(
        clusters, orient="index", columns=["rate", "n_members", "n_pairs", "median_distance"]
    ).astype({"n_members": int, "n_pairs": int})
    table = table[table["n_pairs"] > 0]
    if table.empty:
        raise ValueError(
            "no field star has the velocity and extinction of any member; allow larger "
            "differences or pass None for one of them."
        )
    rate, error = _weighted_jackknife(table["rate"].to_numpy(), table["n_members"].to_numpy(float))
    return DoppelgangerRate(rate, error, table, int(table["n_pairs"].sum()), int((~known).sum()))


def _cluster_rate(
    codes: np.ndarray,
    match: np.ndarray,
    rows: np.ndarray,
    field: np.ndarray,
    limits: np.ndarray,
    metric: str,
) -> tuple[float, int, int, float]:
    """Rate, number of members and of matched pairs, median distance of members."""
    metric = _SCIPY_METRIC[metric]
    median = float(np.median(pdist(codes[rows], metric)))
    field_codes, field_match = codes[field], match[field]
    n_close, n_pairs = 0.0, 0
    for row in rows:  # one at a time: distances to stars that do not match are never taken
        matched = (np.abs(field_match - match[row]) <= limits).all(axis=1)
        distance = cdist(codes[row, None], field_codes[matched], metric)
        n_close += (distance < median).sum() + 0.5 * (distance == median).sum()
        n_pairs += distance.size
    return n_close / n_pairs if n_pairs else np.nan, len(rows), n_pairs, median


def _weighted_jackknife(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted mean, and its standard error from leaving out one value at a time."""
    mean, n_values = float(np.average(values, weights=weight)), len(values)
    if n_values < 2:
        return mean, np.nan
    without = ((weight * values).sum() - weight * values) / (weight.sum() - weight)
    scatter = (n_values - 1) / n_values * ((without - without.mean()) ** 2).sum()
    return mean, float(np.sqrt(scatter))


def _check_clusters(groups: Any, n_spectra: int) -> pd.Series:
    """Cluster names, missing for field stars."""
    masked = np.ma.getmaskarray(groups) if isinstance(groups, np.ma.MaskedArray) else False
    ids = pd.Series(group_ids(groups), dtype=object)
    if len(ids) != n_spectra:
        raise ValueError(
            f"groups has {len(ids)} entries for {n_spectra} codes; give each star its cluster, "
            "None for a field star."
        )
    return ids.mask(ids.isin(["", -1]) | masked)


def _check_match(name: str, values: Any, n_spectra: int) -> np.ndarray:
    values = column_or_1d(np.asarray(unmask(values), dtype=float))
    if len(values) != n_spectra:
        raise ValueError(
            f"{name} has {len(values)} values for {n_spectra} codes; give one for each, NaN where "
            "unknown."
        )
    if np.isinf(values).any():
        raise ValueError(f"{name} contains infinity; mark unknown values as NaN.")
    return values
