"""Mutual information of codes and labels from histograms at several scales."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.special import digamma, xlogy
from scipy.stats import rankdata
from sklearn.utils import check_array, check_consistent_length

from .._validation import check_choice, check_labels
from ._bins import DEFAULT_BINS, BinFamily, bin_families, bin_index, check_bins

BINNINGS = ("width", "frequency")
ESTIMATES = ("plug-in", "grassberger")

# Cells of the tables that are filled at once: they should stay in the processor's cache.
_CELLS_AT_ONCE = 262_144


class BinnedColumns(NamedTuple):
    """Bins of some columns over the same rows, at the finest scale of each family."""

    families: list[BinFamily]
    columns: list[np.ndarray]  # for each family (n_columns, n_rows), int32


def histogram_mutual_information(
    codes: Any,
    labels: Any,
    bins: Any = DEFAULT_BINS,
    *,
    binning: str = "width",
    estimate: str = "plug-in",
    sample_weight: Any = None,
) -> np.ndarray:
    """Mutual information of every code with every label, at every scale.

    One pass over the rows fills the finest table of a pair; tables with half, a quarter, ... as
    many bins are sums of its cells. The counts are those of ``np.histogram2d``.

    Parameters
    ----------
    codes : array-like of shape (n_spectra, n_latents)
        Encoder means.
    labels : array-like or DataFrame of shape (n_spectra,) or (n_spectra, n_labels)
        NaN where unknown: such rows are left out for that label, also from the range of the codes.
    bins : int or sequence of int, default=(5, 10, 20, 40, 80, 160)
        Numbers of bins on both axes. Any will do; those that differ by powers of two share work.
    binning : {"width", "frequency"}, default="width"
        Bins of equal width between the extremes, or of equally many rows (equal width in the
        ranks; equal values share a bin). The second does not mind outliers.
    estimate : {"plug-in", "grassberger"}, default="plug-in"
        "plug-in" takes the shares of the cells for probabilities; from independent data it gives
        about (bins - 1)^2 / (2 n_spectra) nats. "grassberger" removes the leading part of that
        bias and may be slightly negative; it takes no weights.
    sample_weight : array-like of shape (n_spectra,), optional
        Weight of each spectrum, not negative. Those of weight 0 are left out, as are those without
        the label.

    Returns
    -------
    information : ndarray of shape (n_labels, n_scales, n_latents)
        In nats. A constant code or label gives 0; of a label with two values it is at most log 2.

    Raises
    ------
    ValueError
        If a code is not finite, a label has no value (of weight above 0) or an infinite one,
        lengths differ, or a parameter is none of those listed.

    See Also
    --------
    ksg_mutual_information : Without bins.
    specvae.model_selection.MutualInfoScorer : With a null, so that significance can be told.

    Notes
    -----
    Complexity: O(n_labels n_latents (n_spectra + max(bins)^2)).

    References
    ----------
    Sedaghat, N., et al. 2021, MNRAS 501, 6026, section 4.2 (plug-in, equal width);
    Grassberger, P. 2008, arXiv:physics/0307138v2 (the entropy with G_1 = -gamma - log 2).

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.array([[0.0, 7.0], [1.0, 7.0], [0.0, 7.0], [1.0, 7.0]])
    >>> histogram_mutual_information(codes, [3.0, 5.0, 3.0, np.nan], bins=2)
    array([[[0.63651417, 0.        ]]])
    """
    codes = check_array(codes, dtype=[np.float64, np.float32], input_name="codes")
    matrix = check_labels(labels, len(codes))[0].reshape(len(codes), -1)
    bins = check_bins(bins)
    check_choice("binning", binning, BINNINGS)
    check_choice("estimate", estimate, ESTIMATES)
    weight = _check_weight(sample_weight, len(codes), estimate)
    if weight is not None:
        matrix = np.where(weight[:, None] > 0, matrix, np.nan)
        empty = np.isnan(matrix).all(axis=0)
        if empty.any():
            raise ValueError(
                f"Label column {int(np.argmax(empty))} of labels is known only in rows of "
                "sample_weight 0; leave the column out or give one a weight."
            )
    result = np.empty((matrix.shape[1], len(bins), codes.shape[1]))
    for rows, columns in labels_by_rows(matrix):
        of_codes = bin_columns(codes[rows], bins, binning=binning)
        used = None if weight is None else weight[rows]
        counter = PairInformation(of_codes, len(bins), weight=used)
        for column in columns:
            of_label = bin_columns(matrix[rows, column, None], bins, binning=binning)
            result[column] = counter.information(of_label, estimate=estimate)
    return result


def labels_by_rows(labels: np.ndarray) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Rows that are known, with the columns that are known in these very rows."""
    together: dict[bytes, list[int]] = {}
    for column in range(labels.shape[1]):
        together.setdefault(np.isnan(labels[:, column]).tobytes(), []).append(column)
    for columns in together.values():
        yield np.flatnonzero(~np.isnan(labels[:, columns[0]])), columns


def bin_columns(matrix: np.ndarray, bins: tuple[int, ...], *, binning: str) -> BinnedColumns:
    """Bins of every column of a matrix of shape (n_rows, n_columns), all values known."""
    families = bin_families(bins)
    index = [np.empty(matrix.shape[::-1], dtype=np.int32) for _ in families]
    for column, values in enumerate(matrix.T):
        values = rankdata(values) if binning == "frequency" else values
        for family, where in zip(families, index, strict=True):
            where[column] = bin_index(values, family.root)
    return BinnedColumns(families, index)


class PairInformation:
    """Mutual information of many binned columns with one label after another.

    Parameters
    ----------
    codes : BinnedColumns
        Of n_latents columns, which are overwritten: at the size of an archive there is no room for
        others.
    n_scales : int
    weight : ndarray of shape (n_rows,), optional
        Only "plug-in" can be had with weights.
    """

    def __init__(self, codes: BinnedColumns, n_scales: int, *, weight: np.ndarray | None = None):
        self._families = codes.families
        self._n_scales = n_scales
        self._n_latents, self._n_rows = codes.columns[0].shape
        self._weight = weight
        self._total = float(self._n_rows) if weight is None else float(weight.sum())
        self._tables: dict[str, CellTable] = {}
        self._of_codes: dict[str, np.ndarray] = {}
        # Places in a table of `step` latents, so that a label's bin has only to be added.
        self._place, self._step, self._code_counts = [], [], []
        for family, index in zip(codes.families, codes.columns, strict=True):
            counts = [self._count(row, family.root) for row in index]
            cells = family.root**2
            step = max(1, min(self._n_latents, _CELLS_AT_ONCE // max(cells, self._n_rows)))
            index *= family.root
            index += (np.arange(self._n_latents, dtype=np.int32) % step * cells)[:, None]
            self._place.append(index)
            self._step.append(step)
            self._code_counts.append(np.array(counts))
        self._is_constant = np.count_nonzero(self._code_counts[0], axis=1) < 2

    def information(
        self, label: BinnedColumns, rows: np.ndarray | None = None, *, estimate: str = "plug-in"
    ) -> np.ndarray:
        """Mutual information in nats with a single label, shape (n_scales, n_latents).

        With `rows`, spectrum i gets the label of spectrum rows[i].
        """
        table, of_codes = self._table(estimate)
        result = np.empty((self._n_scales, self._n_latents))
        for family, place, step, index in zip(
            self._families, self._place, self._step, label.columns, strict=True
        ):
            of_rows = index[0] if rows is None else index[0][rows]
            of_label = self._count(of_rows, family.root)
            sums = np.empty((len(family.scales), self._n_latents))
            for start in range(0, self._n_latents, step):
                some = slice(start, start + step)
                tables = self.joint_counts(place[some], of_rows, family.root)
                sums[:, some] = _sums_at_scales(tables, family, table)
            sums -= _sums_at_scales(of_label[None], family, table)
            for (_, scale), of_scale in zip(family.scales, sums, strict=True):
                result[scale] = of_scale - of_codes[scale]
        result = result / self._total + np.log(self._total) - table.first
        # Exactly zero, which sums of rounded terms are not.
        return np.where(self._is_constant | (np.count_nonzero(of_label) < 2), 0.0, result)

    def entropy(self, label: BinnedColumns) -> np.ndarray:
        """Plug-in entropy of a single label in nats, shape (n_scales,)."""
        table, _ = self._table("plug-in")
        result = np.empty(self._n_scales)
        for family, index in zip(self._families, label.columns, strict=True):
            counts = self._count(index[0], family.root)
            sums = _sums_at_scales(counts[None], family, table)
            for (_, scale), of_scale in zip(family.scales, sums[:, 0], strict=True):
                result[scale] = np.log(self._total) - of_scale / self._total
        return result

    def joint_counts(self, place: np.ndarray, of_rows: np.ndarray, root: int) -> np.ndarray:
        """Tables of counts of some latents with the label, (n_latents, root, root)."""
        where = (place + of_rows).ravel()
        weight = None if self._weight is None else np.tile(self._weight, len(place))
        counts = np.bincount(where, weights=weight, minlength=len(place) * root**2)
        return counts.reshape(len(place), root, root)

    def _count(self, index: np.ndarray, root: int) -> np.ndarray:
        return np.bincount(index, weights=self._weight, minlength=root)

    def _table(self, estimate: str) -> tuple["CellTable", np.ndarray]:
        """Return the function of the counts, with its sums over each code's own bins."""
        if estimate not in self._tables:
            table = cell_table(self._n_rows if self._weight is None else None, estimate)
            of_codes = np.empty((self._n_scales, self._n_latents))
            for family, counts in zip(self._families, self._code_counts, strict=True):
                sums = _sums_at_scales(counts, family, table)
                for (_, scale), of_scale in zip(family.scales, sums, strict=True):
                    of_codes[scale] = of_scale
            self._tables[estimate], self._of_codes[estimate] = table, of_codes
        return self._tables[estimate], self._of_codes[estimate]


class CellTable(NamedTuple):
    """Function f of the count of a cell: log n - sum(f) / n over the cells is the entropy."""

    values: np.ndarray | None  # f(count) - count f(1), zero for 0 and 1; None: count log(count)
    first: float  # f(1)


def cell_table(n_rows: int | None, estimate: str) -> CellTable:
    """Tabulate f for every count up to `n_rows`; None is for weights, which are not whole.

    f(c) = c log c for "plug-in" and c [psi(c) + (-1)^c (psi((c + 1) / 2) - psi(c / 2)) / 2] for
    "grassberger".
    """
    if n_rows is None:
        return CellTable(None, 0.0)
    count = np.arange(1.0, n_rows + 1)
    if estimate == "plug-in":
        each = np.log(count)
    else:
        half = 0.5 * (digamma((count + 1) / 2) - digamma(count / 2))
        each = digamma(count) + np.where(count % 2, -half, half)
    # The part linear in the count sums to a constant: taking it off leaves zeros to be skipped.
    return CellTable(np.concatenate([[0.0], count * (each - each[0])]), float(each[0]))


def _sums_at_scales(tables: np.ndarray, family: BinFamily, function: CellTable) -> np.ndarray:
    """Sum of the function over the cells of each table, shape (n_scales of the family, n_tables).

    Tables are (n_tables, root) or (n_tables, root, root).
    """
    sums = np.empty((len(family.scales), len(tables)))
    done = 0
    for number, (halvings, _) in enumerate(family.scales):
        for _ in range(halvings - done):
            tables = tables[:, ::2] + tables[:, 1::2]
            if tables.ndim == 3:
                tables = tables[:, :, ::2] + tables[:, :, 1::2]
        done = halvings
        sums[number] = _sum_cells(tables, function)
    return sums


def _sum_cells(tables: np.ndarray, function: CellTable) -> np.ndarray:
    counts = tables.ravel()
    # Most cells of a fine table are empty or hold one row.
    cells = np.flatnonzero(counts > (0 if function.values is None else 1))
    counts = counts[cells]
    values = xlogy(counts, counts) if function.values is None else function.values[counts]
    return np.bincount(cells // (tables.size // len(tables)), values, minlength=len(tables))


def _check_weight(sample_weight: Any, n_spectra: int, estimate: str) -> np.ndarray | None:
    if sample_weight is None:
        return None
    if estimate != "plug-in":
        raise ValueError(
            f"estimate={estimate!r} counts spectra and takes no sample_weight; use 'plug-in'."
        )
    weight = check_array(
        sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
    )
    check_consistent_length(weight, np.empty(n_spectra))
    if weight.ndim != 1 or weight.min() < 0 or not weight.sum() > 0:
        raise ValueError("sample_weight must be one number >= 0 for each spectrum, not all 0.")
    return weight
