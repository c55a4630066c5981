"""The spectra whose codes lie nearest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from .._validation import (
    check_choice,
    check_codes,
    check_groups,
    check_number,
    check_same_names,
    column_names,
)
from ..metrics import whiten_codes
from ..metrics._nearest import nearest_of_others


@dataclass(frozen=True)
class Neighbours:
    """Nearest spectra of each query, the nearest first."""

    rows: np.ndarray  # (n_queries, k) int, rows of the codes that were searched
    distances: np.ndarray  # (n_queries, k), in code units, or in units of scatter if whitened
    names: np.ndarray | None  # (n_queries, k), names of these rows if names were given


def nearest_spectra(
    Z: Any,
    query: Any,
    k: int = 5,
    *,
    metric: str = "euclidean",
    whiten: bool = False,
    names: Any = None,
    groups: Any = None,
    include_self: bool = False,
) -> Neighbours:
    """Find the spectra most like given ones, by their codes.

    Parameters
    ----------
    Z : array-like of shape (n_spectra, n_latents)
        Codes to search, all finite.
    query : int, array-like of int of shape (n_queries,), or array-like of float
        Rows of `Z`, or codes: one of shape (n_latents,) or several of shape (n_queries,
        n_latents). Whole numbers in one dimension are rows.
    k : int, default=5
        Neighbours of each query.
    metric : {"euclidean", "manhattan", "cosine"}, default="euclidean"
    whiten : bool, default=False
        Whether to measure distances between codes whitened by `Z`, see
        `specvae.metrics.whiten_codes`. Good for components of PCA, whose scales differ; in the
        code of a VAE it gives collapsed latents the weight of the others.
    names : array-like of shape (n_spectra,), optional
        Names of the rows of `Z`, of stars or files.
    groups : array-like of shape (n_spectra,), optional
        Id of the star of each row of `Z`: a row's own star is not among its neighbours.
    include_self : bool, default=False
        Whether a query that is a row finds itself, at distance 0. A query given as a code finds
        whatever row is nearest.

    Returns
    -------
    result : Neighbours
        A single query gives one row.

    Raises
    ------
    ValueError
        If a code is not finite, a row does not exist, lengths or names of latents differ, `k` is
        larger than the number of spectra that may be found, or `groups` comes with codes or
        `include_self`.

    Notes
    -----
    The search is scikit-learn's NearestNeighbors: a k-d tree below about 15 latents, else products
    of blocks of matrices; no matrix of all distances is held.

    Examples
    --------
    >>> codes = [[0.0, 0.0], [0.1, 0.0], [3.0, 0.0], [3.5, 0.0]]
    >>> nearest_spectra(codes, 0, k=2, names=["HD 1", "HD 2", "HD 3", "HD 4"]).names
    array([['HD 2', 'HD 3']], ...)
    >>> nearest_spectra(codes, [3.2, 0.0], k=1)
    Neighbours(rows=array([[2]]), distances=array([[0.2]]), names=None)
    """
    check_choice("metric", metric, ("euclidean", "manhattan", "cosine"))
    check_number("k", k, minimum=1, integer=True)
    k = int(k)
    codes = check_codes(Z, "Z").astype(np.float64, copy=False)
    rows, queries = _check_query(query, codes)
    if rows is None:
        # The names of one code, a row of a DataFrame, are its index.
        named = query.to_frame().T if hasattr(query, "to_frame") else query
        check_same_names("query", column_names(named), "Z", column_names(Z))
    labels = None if names is None else _check_names(names, len(codes))
    if groups is not None and (rows is None or include_self):
        raise ValueError(
            "groups leaves out the star of a query that is a row of Z; it goes neither with codes "
            "nor with include_self=True."
        )
    if whiten:
        queries = whiten_codes(queries, reference=codes)
        codes = whiten_codes(codes)
    if rows is None or include_self:
        if k > len(codes):
            raise ValueError(f"k={k} neighbours are wanted, but Z has {len(codes)} spectra.")
        distances, found = (
            NearestNeighbors(n_neighbors=k, metric=metric).fit(codes).kneighbors(queries)
        )
    else:
        star = np.arange(len(codes)) if groups is None else check_groups(groups, len(codes))
        found, distances = nearest_of_others(codes, rows, star, k, metric)
    return Neighbours(found, distances, None if labels is None else labels[found])


def _check_query(query: Any, codes: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Rows, if that is what was asked for, and codes of the queries."""
    asked = np.asarray(query)
    if asked.dtype.kind in "iu" and asked.ndim <= 1:
        rows = np.atleast_1d(asked).astype(int)
        bad = (rows < 0) | (rows >= len(codes))
        if not len(rows) or bad.any():
            came = f"row {rows[np.argmax(bad)]}" if len(rows) else "nothing"
            raise ValueError(
                f"query asks for {came}; wanted are rows of Z, 0 to {len(codes) - 1}, or codes."
            )
        return rows, codes[rows]
    if asked.dtype.kind not in "iuf" or asked.ndim == 0:
        raise ValueError(
            f"query must be rows of Z, as integers, or codes, got {asked.dtype} of shape "
            f"{asked.shape}."
        )
    queries = check_codes(np.atleast_2d(asked), "query").astype(np.float64, copy=False)
    if queries.shape[1] != codes.shape[1]:
        raise ValueError(
            f"query has {queries.shape[1]} latents, Z {codes.shape[1]}; give codes of the same "
            "encoder, or rows as integers."
        )
    return None, queries


def _check_names(names: Any, n_spectra: int) -> np.ndarray:
    names = np.asarray(names)
    if names.shape != (n_spectra,):
        raise ValueError(
            f"names has shape {names.shape}, wanted is ({n_spectra},), one for each row."
        )
    return names
