"""Simulated spectra that are drawn anew each time they are looked at."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .._validation import check_number
from ._base import AbstractSimulator, RestSpectra
from ._labels import LABELS
from ._observing._noise import row_generator

# Of the rest spectra held by default.
_KEPT_BYTES = 1_000_000_000


class RedrawnSpectra:
    """Data set for training that draws velocity and noise anew at each visit of a row.

    A map-style data set as ``torch.utils.data.DataLoader`` takes it, made of numpy arrays. The
    spectrum of a star at rest, the expensive part, is computed when first wanted and kept; a visit
    moves it by the velocity of the row and one drawn uniformly beside it, observes it and adds
    noise. What no label tells (``unknown`` of the simulator) belongs to the row and stays.

    Parameters
    ----------
    simulator : StellarSpectrumSimulator or GridSimulator
        Gives the spectra.
    labels : DataFrame of shape (n_spectra, n_labels), or dict
        As for the simulator's ``simulate``. Rows whose stellar labels agree share a rest spectrum.
    random_state : int, RandomState or None, default=None
        Seed. With an integer visit k of row i is the same whatever was drawn before.
    max_rv_kms : float, default=100.0
        Largest velocity added to the label ``rv_kms`` of a row, in either direction, in km/s. The
        sum must stay within the limits of that label.
    label_names : sequence of str, optional
        Labels of an item, in order. By default the columns of `labels`, and ``rv_kms`` after them
        if it is not among them.
    transform : callable, optional
        Applied to the flux of the rows that are fetched together, (n, n_pixels), before they are
        handed out: ``pipeline[:-1].transform``, say, so that they are normalised as others are.
    n_kept : int, optional
        Rest spectra held in memory, those used last; about 1 GB of them by default.

    Attributes
    ----------
    label_names : list of str
        Labels of an item, in order.

    Raises
    ------
    ValueError
        If a label is missing, unknown or out of its range, or a velocity could leave its range.
    TypeError
        If `simulator` is no simulator or `label_names` is one word.

    See Also
    --------
    StellarSpectrumSimulator.write : Spectra in a file, drawn once.

    Notes
    -----
    An item is (flux, labels), float32 arrays of shapes (n_pixels,) and (n_labels,); the velocity
    among the labels is the one drawn. Pixels that the instrument does not record are NaN.

    Visits are counted in the object. Worker processes work on copies of it, whose counts the object
    never learns of: with ``num_workers`` above 0 and without `set_epoch` every epoch is the same.
    Call `set_epoch` before each epoch, and leave ``persistent_workers`` off, since workers that
    live on do not hear of it. Each worker has rest spectra of its own, and loses them when its
    epoch ends; those that the object has computed before its loader starts, as by
    ``data.compute_rest_spectra()``, come with the copies.

    Examples
    --------
    >>> from specvae.simulation import StellarSpectrumSimulator
    >>> from specvae.spectra import WavelengthGrid
    >>> simulator = StellarSpectrumSimulator(WavelengthGrid(5160.0, 0.01, 3000))
    >>> sun = {"teff_k": 5772.0, "logg_dex": 4.44, "mh_dex": 0.0}
    >>> data = RedrawnSpectra(simulator, sun, random_state=0, max_rv_kms=30.0)
    >>> flux, labels = data[0]
    >>> flux.shape, data.label_names
    ((3000,), ['teff_k', 'logg_dex', 'mh_dex', 'rv_kms'])
    >>> bool(abs(data[0][1][3] - labels[3]) > 0.0)  # another velocity
    True
    """

    def __init__(
        self,
        simulator: AbstractSimulator,
        labels: Any,
        random_state: Any = None,
        *,
        max_rv_kms: float = 100.0,
        label_names: Sequence[str] | None = None,
        transform: Callable[[np.ndarray], np.ndarray] | None = None,
        n_kept: int | None = None,
    ):
        if not isinstance(simulator, AbstractSimulator):
            raise TypeError(
                f"simulator must be a StellarSpectrumSimulator or a GridSimulator, got "
                f"{type(simulator).__name__}."
            )
        check_number("max_rv_kms", max_rv_kms, minimum=0.0)
        if n_kept is None:
            n_kept = max(1, _KEPT_BYTES // (4 * simulator._observatory.axis.n_pixels))
        check_number("n_kept", n_kept, minimum=1, integer=True)
        self._simulator = simulator
        self._n_kept = n_kept
        self._transform = transform
        self._labels, _, self._seed = simulator._prepare(labels, None, random_state)
        _check_velocities(self._labels["rv_kms"].to_numpy(), max_rv_kms)
        self._max_rv_kms = max_rv_kms
        if label_names is None:
            label_names = list(dict.fromkeys([*labels, "rv_kms"]))
        self.label_names = _check_names(label_names, self._labels.columns.tolist())
        self._stars = RestSpectra(simulator, self._labels, n_kept=n_kept)
        self._n_visits = np.zeros(len(self._labels), dtype=np.int64)
        self._epoch: int | None = None

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows, {self._simulator!r})"

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return flux and labels of the next visit of a row."""
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Iterable[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return one item for each row, in their order; the form in which DataLoader asks."""
        chosen = [range(len(self))[row] for row in rows]
        visits = [self._next_visit(row) for row in chosen]
        items: list[Any] = [None] * len(chosen)
        # Star by star, so that each rest spectrum is fetched once however few are kept.
        for i in np.argsort(self._stars.star_of_row[chosen], kind="stable"):
            items[i] = self._draw(chosen[i], visits[i])
        if self._transform is None or not items:
            return items
        flux = np.asarray(self._transform(np.stack([one for one, _ in items])), dtype=np.float32)
        return [(one, labels) for one, (_, labels) in zip(flux, items, strict=True)]

    def set_epoch(self, epoch: int) -> None:
        """Make every fetch of a row its visit number `epoch`; from then on none are counted.

        Parameters
        ----------
        epoch : int
            From 0 up.

        Raises
        ------
        ValueError
            If it is no such integer.
        """
        check_number("epoch", epoch, minimum=0, integer=True)
        self._epoch = int(epoch)

    def compute_rest_spectra(self) -> None:
        """Compute the rest spectra now, as many as are kept, without counting a visit."""
        first_rows = np.unique(self._stars.star_of_row, return_index=True)[1]
        for row in first_rows[: self._n_kept]:
            self._stars(int(row))

    def _next_visit(self, row: int) -> int:
        if self._epoch is not None:
            return self._epoch
        visit = int(self._n_visits[row])
        self._n_visits[row] += 1
        return visit

    def _draw(self, row: int, visit: int) -> tuple[np.ndarray, np.ndarray]:
        # A child, whose numbers are those of no visit and of no unknown factor.
        (generator,) = row_generator(self._seed, row, visit).spawn(1)
        extra_rv_kms = generator.uniform(-self._max_rv_kms, self._max_rv_kms)
        observed = self._simulator._observe(
            self._labels, row, self._seed, self._stars(row), visit=visit, extra_rv_kms=extra_rv_kms
        )
        label = self._labels.iloc[row].copy()
        label["rv_kms"] += extra_rv_kms
        return observed.flux, label[self.label_names].to_numpy(dtype=np.float32)


def _check_velocities(rv_kms: np.ndarray, max_rv_kms: float) -> None:
    limits = LABELS["rv_kms"]
    low, high = float(rv_kms.min()) - max_rv_kms, float(rv_kms.max()) + max_rv_kms
    if not (limits.low <= low and high <= limits.high):
        raise ValueError(
            f"max_rv_kms={max_rv_kms:g} beside the rv_kms of labels gives velocities from {low:g} "
            f"to {high:g} km/s, beyond {limits.low:g} to {limits.high:g}: choose a smaller one, or "
            "leave the fastest rows out."
        )


def _check_names(label_names: Any, known: Sequence[str]) -> list[str]:
    if isinstance(label_names, str):
        raise TypeError(f"label_names must be a list of names, got {label_names!r}; give it in [].")
    names = list(label_names)
    unknown = [name for name in names if name not in known]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(
            f"label_names must hold names among {', '.join(known)}, each once and one at least; "
            f"got {names!r}."
        )
    return names
