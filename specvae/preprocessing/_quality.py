"""Which spectra are fit for training, and why the others are not."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_array

from .._validation import check_number, is_lazy, row_chunks
from ._median import valid_median


@dataclass(frozen=True)
class QualityReport:
    """What `quality_report` found.

    Attributes
    ----------
    keep : ndarray of bool, shape (n_spectra,)
        Whether the spectrum breaks no rule.
    reasons : tuple of str, length n_spectra
        The rules that it breaks, joined by "; "; empty if it is kept.
    valid_fraction : ndarray of shape (n_spectra,)
        Fraction of finite pixels.
    median : ndarray of shape (n_spectra,)
        Median of the finite pixels, NaN if there are none.
    extreme_fraction : ndarray of shape (n_spectra,)
        Fraction of the finite pixels with an extreme value.
    snr : ndarray of shape (n_spectra,)
        Signal-to-noise ratio per pixel, as given or else estimated; NaN if neither.

    Examples
    --------
    >>> import numpy as np
    >>> report = quality_report(np.array([[1.0, 2.0, 1.0], [-1.0, -2.0, -1.0]]))
    >>> report.summary()
    {'kept': 1, 'median not positive': 1}
    """

    keep: np.ndarray
    reasons: tuple[str, ...]
    valid_fraction: np.ndarray
    median: np.ndarray
    extreme_fraction: np.ndarray
    snr: np.ndarray

    def summary(self) -> dict[str, int]:
        """Count the kept spectra and, by reason, the others, the most frequent first.

        A spectrum that breaks two rules is counted under both.
        """
        counts = Counter(
            reason for reasons in self.reasons if reasons for reason in reasons.split("; ")
        )
        return {"kept": int(self.keep.sum()), **dict(counts.most_common())}


def quality_report(
    X: Any,
    *,
    snr: Any = None,
    min_snr: float | None = 1.0,
    min_valid_fraction: float = 0.5,
    extreme_factor: float = 1000.0,
    max_extreme_fraction: float = 0.01,
    min_median: float | None = None,
) -> QualityReport:
    """Judge each spectrum by the rules with which archives are cleaned before training.

    The rules are those of the ESCAPE networks (flux that is no number, unstable or extreme flux,
    very low signal-to-noise ratio) and, if asked for, the artefact rule of Cvrcek et al. [1]_.
    It is a function, since a transformer cannot drop rows: use ``X[report.keep]`` and
    ``y[report.keep]``.

    Parameters
    ----------
    X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        Flux before any normalisation; NaN is a missing pixel. A `SpectraArray` is read once.
    snr : array-like of shape (n_spectra,), optional
        Known signal-to-noise ratios; where missing or NaN, that of `der_snr` is used.
    min_snr : float or None, default=1.0
        Smallest signal-to-noise ratio per pixel; None for no such rule. A ratio that is not known
        is no reason to remove a spectrum.
    min_valid_fraction : float, default=0.5
        Smallest fraction of finite pixels.
    extreme_factor : float, default=1000.0
        A pixel is extreme if its absolute flux exceeds this many times the median absolute flux.
    max_extreme_fraction : float, default=0.01
        Largest fraction of the finite pixels that may be extreme.
    min_median : float or None, default=None
        Smallest median flux. The published rule for HARPS is 50, in counts of the pipeline; it
        means nothing for flux in other units. The median must be positive in any case.

    Returns
    -------
    report : QualityReport
        What to keep, why the rest goes, and the numbers on which that rests.

    Raises
    ------
    ValueError
        If a parameter is out of range, `X` is empty or `snr` has another number of rows.

    References
    ----------
    .. [1] Cvrcek et al. 2025, A&A 693, A256.

    Examples
    --------
    >>> import numpy as np
    >>> flux = np.array([[1.0, 2.0, 1.0], [np.nan, np.nan, 3.0], [1.0, np.inf, 1.0]])
    >>> report = quality_report(flux)
    >>> report.keep
    array([ True, False, False])
    >>> report.reasons
    ('', 'too few valid pixels', 'contains infinity')
    """
    check_number("min_valid_fraction", min_valid_fraction, minimum=0.0, maximum=1.0)
    check_number("extreme_factor", extreme_factor, minimum=1.0)
    check_number("max_extreme_fraction", max_extreme_fraction, minimum=0.0, maximum=1.0)
    for name, value in (("min_snr", min_snr), ("min_median", min_median)):
        if value is not None:
            check_number(name, value, minimum=0.0)
    if not is_lazy(X):
        X = check_array(X, dtype=[np.float32, np.float64], ensure_all_finite=False, input_name="X")
    if not X.shape[0]:
        raise ValueError("X has no spectra; give at least one.")
    known_snr = _check_snr(snr, X.shape[0])

    blocks = [_measure(flux, extreme_factor) for flux in _blocks(X)]
    found = _Measured(*(np.concatenate(column) for column in zip(*blocks, strict=True)))
    used_snr = np.where(np.isnan(known_snr), found.snr, known_snr)
    rules = {
        "contains infinity": found.n_infinite > 0,
        "too few valid pixels": (found.valid_fraction < min_valid_fraction)
        | (found.valid_fraction == 0),
        "median not positive": found.median <= 0,
        "median too low": found.median < (0.0 if min_median is None else min_median),
        "extreme values": found.extreme_fraction > max_extreme_fraction,
        "signal-to-noise ratio too low": used_snr < (-np.inf if min_snr is None else min_snr),
    }
    # A median below zero is already named; "too low" adds something only to a positive one.
    rules["median too low"] &= ~rules["median not positive"]
    broken = np.column_stack(list(rules.values()))
    reasons = tuple(
        "; ".join(name for name, breaks in zip(rules, row, strict=True) if breaks) for row in broken
    )
    return QualityReport(
        keep=np.array(~broken.any(axis=1)),
        reasons=reasons,
        valid_fraction=found.valid_fraction,
        median=found.median,
        extreme_fraction=found.extreme_fraction,
        snr=used_snr,
    )


def der_snr(flux: Any) -> np.ndarray:
    r"""Signal-to-noise ratio per pixel from the flux alone, DER_SNR [1]_.

    The median over ``1.482602 / sqrt(6) * median(|2 f(i) - f(i-2) - f(i+2)|)``.

    Parameters
    ----------
    flux : ndarray or SpectraArray of shape (n_spectra, n_pixels)
        Flux; NaN is a missing pixel, which takes the differences it belongs to with it.

    Returns
    -------
    snr : ndarray of shape (n_spectra,)
        Infinite for flux without noise; NaN where no five pixels in a row allow an estimate.

    Notes
    -----
    It takes the noise of pixels two apart for independent: on oversampled or rebinned spectra it
    comes out too high, on crowded narrow lines too low.

    References
    ----------
    .. [1] Stoehr et al. 2008, ASP Conf. Ser. 394, 505.

    Examples
    --------
    >>> import numpy as np
    >>> der_snr(np.array([[10.0, 10.0, 12.0, 10.0, 10.0]])).round(3)
    array([4.13])
    """
    if is_lazy(flux):
        found = [der_snr(block) for block in flux.iter_batches()]
        return np.concatenate(found) if found else np.empty(0, dtype=flux.dtype)
    if flux.shape[1] < 5:
        return np.full(len(flux), np.nan, dtype=flux.dtype)
    difference = np.abs(2.0 * flux[:, 2:-2] - flux[:, :-4] - flux[:, 4:])
    noise = flux.dtype.type(1.482602 / np.sqrt(6.0)) * valid_median(difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        return valid_median(flux) / noise


class _Measured(NamedTuple):
    n_infinite: np.ndarray
    valid_fraction: np.ndarray
    median: np.ndarray
    extreme_fraction: np.ndarray
    snr: np.ndarray


def _measure(flux: np.ndarray, extreme_factor: float) -> _Measured:
    """Numbers on which the rules rest, each of shape (n_spectra,)."""
    infinite = np.isinf(flux)
    n_valid = flux.shape[1] - np.count_nonzero(infinite | np.isnan(flux), axis=1)
    flux = np.where(infinite, flux.dtype.type(np.nan), flux)
    # Damaged files hold values near the largest float; an overflow there is no news.
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(flux)
        limit = extreme_factor * valid_median(size)
        n_extreme = np.count_nonzero(size > limit[:, None], axis=1)
        return _Measured(
            np.count_nonzero(infinite, axis=1),
            n_valid / flux.shape[1],
            valid_median(flux),
            n_extreme / np.maximum(n_valid, 1),
            der_snr(flux),
        )


def _blocks(X: Any) -> Iterator[np.ndarray]:
    if is_lazy(X):
        yield from X.iter_batches()
    else:
        for rows in row_chunks(*X.shape):
            yield X[rows]


def _check_snr(snr: Any, n_spectra: int) -> np.ndarray:
    """Known ratios in float64, NaN where unknown."""
    if snr is None:
        return np.full(n_spectra, np.nan)
    snr = np.asarray(snr, dtype=np.float64)
    if snr.shape != (n_spectra,):
        raise ValueError(
            f"snr has shape {snr.shape}, X has {n_spectra} spectra; give one number for each, NaN "
            "where unknown."
        )
    return snr
