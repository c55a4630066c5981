"""Spectra, what a model makes of them, and what is known of them: the explorer without its page."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.utils.validation import _num_samples

from .._validation import check_groups, check_labels, is_lazy
from ..exceptions import DataQualityWarning
from ..inspection._traversal import _unit_of
from ..model_selection._code_model import CodeModel, check_not_empty
from ..spectra import WavelengthGrid
from ..spectra._targets import normalise_name
from ._codes import codes_of, model_with_code, rows_of

PROJECTION = ("PCA 1", "PCA 2")
# What tables call their other columns, and the map its other colour.
_TAKEN = ("row", "name", "distance", "density", "index")
_N_FOR_PROJECTION = 20_000
_N_SPARE = 32


@dataclass(frozen=True, eq=False)
class Archive:
    """Read by all visitors of a page at once, changed by none."""

    model: CodeModel
    X: Any  # (n_spectra, n_pixels), as the model takes it
    codes: np.ndarray  # (n_spectra, n_latents) float32, NaN where a spectrum cannot be used
    latents: tuple[str, ...]
    labels: pd.DataFrame  # (n_spectra, n_labels), perhaps without columns
    names: np.ndarray  # (n_spectra,) of str
    groups: np.ndarray | None  # (n_spectra,), star of each
    conditions: np.ndarray | None
    grid: WavelengthGrid | None  # of what the last step sees
    axis: np.ndarray  # (n_pixels,), wavelengths in Angstrom, or numbers of pixels

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def axis_name(self) -> str:
        """What the axis of the spectra is."""
        if self.grid is None:
            return "pixel"
        return f"wavelength in {self.grid.medium} (\u00c5)"

    @cached_property
    def usable(self) -> np.ndarray:
        """Rows with a code, increasing."""
        return np.flatnonzero(np.isfinite(self.codes[:, 0]))

    def unit(self, column: int) -> tuple[float, float, bool]:
        """Centre and scale of a latent in the unit in which it is shown, and if it is a label."""
        centre, scale, kind = _unit_of(self.model.coder, column)
        return centre, scale, kind == "label"

    def coordinate(self, name: str) -> np.ndarray:
        """Values of a latent or a component of the projection, float64, shape (n_spectra,)."""
        if name in self.latents:
            column = self.latents.index(name)
            centre, scale, _ = self.unit(column)
            return self.codes[:, column].astype(np.float64) * scale + centre
        return self._projected[:, PROJECTION.index(name)]

    @cached_property
    def _projected(self) -> np.ndarray:
        sample = self.usable
        if len(sample) > _N_FOR_PROJECTION:
            sample = np.random.default_rng(0).choice(sample, _N_FOR_PROJECTION, replace=False)
        pca = PCA(2, svd_solver="full").fit(self.codes[sample])
        projected = np.full((len(self), 2), np.nan)
        projected[self.usable] = pca.transform(self.codes[self.usable])
        return projected

    @property
    def axes(self) -> tuple[str, ...]:
        """What the map can show along an axis."""
        can_project = len(self.latents) > 2 and len(self.usable) > 2
        return (*self.latents, *PROJECTION) if can_project else self.latents

    def spectrum(self, row: int) -> np.ndarray:
        """Flux of a spectrum as the last step of the model sees it, shape (n_pixels,)."""
        flux = self.model.prepare(self.X[np.array([row])])
        flux = flux.to_numpy() if is_lazy(flux) else np.asarray(flux)
        return flux[0].astype(np.float32, copy=False)

    def decode(self, code: np.ndarray, row: int | None = None) -> np.ndarray:
        """Flux of a code, under the conditions of a spectrum where the model wants some."""
        conditions = None if row is None else rows_of(self.conditions, np.array([row]))
        code = np.asarray(code, dtype=np.float32)[None]
        return self.model.decode(code, conditions)[0].astype(np.float32, copy=False)

    def code_at(self, row: int, moved: dict[int, float]) -> np.ndarray:
        """Code of a spectrum with some latents set, given by column in the unit that is shown."""
        code = self.codes[row].copy()
        for column, value in moved.items():
            centre, scale, _ = self.unit(column)
            code[column] = (value - centre) / scale
        return code

    @cached_property
    def _centred(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Usable codes less their mean, half their squared lengths, and the mean."""
        codes = self.codes[self.usable]
        mean = codes.mean(axis=0, dtype=np.float64)
        codes = (codes - mean).astype(np.float32)
        return codes, 0.5 * np.einsum("ij,ij->i", codes, codes), mean

    def nearest(self, code: np.ndarray, k: int, *, besides: int | None = None) -> pd.DataFrame:
        """Return the spectra nearest to a code: a row each, the nearest first.

        Columns are "row", "name", "distance" (Euclidean, in units of the code) and the labels.
        """
        # One product with all codes finds candidates: at 128 latents a third of the time that
        # NearestNeighbors takes for a single query. Exact distances of a few more than are wanted
        # put right what float32 rounds.
        codes, half_square, mean = self._centred
        code = np.asarray(code, dtype=np.float64)
        farness = half_square - codes @ (code - mean).astype(np.float32)
        n_candidates = min(k + 1 + _N_SPARE, len(farness))
        candidates = np.sort(np.argpartition(farness, n_candidates - 1)[:n_candidates])
        rows = self.usable[candidates]
        distance = np.linalg.norm(self.codes[rows] - code, axis=1)
        order = np.argsort(distance, kind="stable")
        order = order[rows[order] != besides][:k]
        rows = rows[order]
        table = pd.DataFrame({"row": rows, "name": self.names[rows], "distance": distance[order]})
        return pd.concat([table, self.labels.iloc[rows].reset_index(drop=True)], axis=1)

    def find(self, text: str, *, n_most: int = 50) -> list[int]:
        """Rows of the stars of a name, or of the only spectrum ``#row``; at most `n_most`.

        Names are compared as `group_targets` compares them. Where none is the same, those that
        begin so are given, and else those that contain it.
        """
        text = text.strip()
        if text.startswith("#"):
            number = text[1:]
            is_row = number.isascii() and number.isdigit() and int(number[:15]) < len(self)
            return [int(number)] if is_row else []
        wanted = normalise_name(text)
        if not wanted:
            return []
        rows, keys = self._keys
        for found in (
            np.flatnonzero(keys == wanted),
            np.flatnonzero(np.char.startswith(keys, wanted)),
            np.flatnonzero(np.char.find(keys, wanted) >= 0),
        ):
            if len(found):
                return [int(row) for row in rows[found][:n_most]]
        return []

    @cached_property
    def _keys(self) -> tuple[np.ndarray, np.ndarray]:
        return self.usable, np.array([normalise_name(str(self.names[row])) for row in self.usable])

    def describe(self, row: int, *, n_labels: int = 6) -> str:
        """Name and labels of a spectrum in one line of plain text."""
        known = [
            f"{name} {self.labels[name].iloc[row]:.5g}"
            for name in self.labels.columns[:n_labels]
            if np.isfinite(self.labels[name].iloc[row])
        ]
        return " \u00b7 ".join([f"{self.names[row]} (#{row})", *known])


def open_archive(
    estimator: Any,
    X: Any,
    labels: Any = None,
    *,
    meta: pd.DataFrame | None = None,
    groups: Any = None,
    codes: Any = None,
    conditions: Any = None,
    grid: WavelengthGrid | None = None,
    show: bool = False,
) -> Archive:
    """Encode an archive, unless codes are given, and put beside it what is known.

    Parameters are those of `specvae.explorer.explore`.

    Raises
    ------
    ValueError
        If the model has no code, or something does not fit.
    """
    check_not_empty(X)
    X = X if is_lazy(X) else np.asarray(X, dtype=np.float32)
    if len(X.shape) != 2:
        raise ValueError(f"X must have two axes, spectra and pixels; its shape is {X.shape}.")
    n_spectra = _num_samples(X)
    model = model_with_code(estimator)
    labels = _label_table(labels, n_spectra)
    names = _names(meta, n_spectra)
    groups = None if groups is None else check_groups(groups, n_spectra)
    conditions = _conditions(model.coder, conditions, labels)
    labels.columns = _free_names(labels.columns)
    codes = codes_of(model, X, codes, conditions=conditions, show=show)
    first = np.flatnonzero(np.isfinite(codes[:, 0]))[:1]  # one that the steps before can prepare
    prepared = model.prepare(X[first])
    found_grid = model.grid(prepared, grid)
    axis = np.arange(float(prepared.shape[1])) if found_grid is None else found_grid.wavelength_aa
    latents = tuple(model.names(codes.shape[1]))
    return Archive(model, X, codes, latents, labels, names, groups, conditions, found_grid, axis)


def _label_table(labels: Any, n_spectra: int) -> pd.DataFrame:
    if labels is None:
        return pd.DataFrame(index=pd.RangeIndex(n_spectra))
    if isinstance(labels, pd.Series):
        labels = labels.to_frame(labels.name or "label0")
    if isinstance(labels, pd.DataFrame):
        labels = _without_unknown(labels)
        if labels.empty and len(labels) == n_spectra:
            return pd.DataFrame(index=pd.RangeIndex(n_spectra))
    values, names = check_labels(labels, n_spectra)
    values = values.reshape(n_spectra, -1)
    if names is None:
        names = [f"label{i}" for i in range(values.shape[1])]
    return pd.DataFrame(values, columns=[str(name) for name in names])


def _without_unknown(labels: pd.DataFrame) -> pd.DataFrame:
    """Labels without those that are known of no spectrum."""
    unknown = labels.isna().all().to_numpy()
    if len(labels) and unknown.any():
        shown = ", ".join(map(str, labels.columns[unknown]))
        warnings.warn(
            f"labels {shown} are known of no spectrum and are left out.",
            DataQualityWarning,
            stacklevel=2,
        )
        return labels.loc[:, ~unknown]
    return labels


def _free_names(names: Iterable[str]) -> list[str]:
    """Names of labels that differ from all else in a table or a choice, whatever their case."""
    taken, free = set(_TAKEN), []
    for name in names:
        found = f"{name} (label)" if name.lower().startswith("code_") else name
        while found.lower() in taken:
            found += " (label)"
        taken.add(found.lower())
        free.append(found)
    return free


def _names(meta: pd.DataFrame | None, n_spectra: int) -> np.ndarray:
    """Name of the object, else of the file, else the number of each spectrum."""
    names = np.array([f"spectrum {row}" for row in range(n_spectra)], dtype=object)
    if meta is None:
        return names
    if len(meta) != n_spectra:
        raise ValueError(f"meta has {len(meta)} rows for {n_spectra} spectra.")
    for column in ("path", "object"):
        if column not in meta:
            continue
        for row, value in enumerate(meta[column]):
            if isinstance(value, str) and value.strip():
                names[row] = Path(value).name if column == "path" else value.strip()
    return names


def _conditions(coder: Any, given: Any, labels: pd.DataFrame) -> np.ndarray | None:
    n_conditions = getattr(coder, "n_conditions_", 0)
    if not n_conditions:
        return None
    if given is None:
        wanted = [str(name) for name in getattr(coder, "condition_names_in_", ())]
        if not wanted or not set(wanted) <= set(labels.columns):
            raise ValueError(
                f"{type(coder).__name__} was trained with {n_conditions} conditions; give them as "
                "conditions, or as columns of labels with the same names."
            )
        given = labels[wanted]
    values = np.asarray(given, dtype=np.float64).reshape(len(labels), -1)
    if values.shape[1] != n_conditions or not np.isfinite(values).all():
        raise ValueError(f"conditions must be {n_conditions} finite numbers for each spectrum.")
    return values
