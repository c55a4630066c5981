"""The code of each spectrum of an archive: computed, or taken from where it was computed before."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import _num_samples

from .._progress import progress_bar
from .._validation import row_chunks
from ..exceptions import SpectrumError
from ..model_selection._code_model import CodeModel, _thawed

_N_COMPARED = 3
# Codes of one spectrum may differ by this share of their scatter: precision and rounding.
_TOLERANCE = 0.02


def model_with_code(estimator: Any) -> CodeModel:
    """Open an estimator up to its code: of a pipeline that goes on to labels, the steps before.

    A step that keeps each pixel by itself, such as a scaler, can be undone but has no code.

    Raises
    ------
    ValueError
        If there is no code that can be decoded.
    """
    estimator = _thawed(estimator)
    if isinstance(estimator, Pipeline):
        for n_steps in range(len(estimator), 0, -1):
            step = _thawed(estimator[n_steps - 1])
            decodes = hasattr(step, "inverse_transform") or hasattr(step, "decode")
            if hasattr(step, "transform") and decodes and not _is_scaler(step):
                return CodeModel.of(estimator[:n_steps])
    model = CodeModel.of(estimator)
    if _is_scaler(model.coder):
        raise ValueError(
            f"{type(model.coder).__name__} cannot encode and decode: it keeps each pixel by "
            "itself; give an estimator with a code, such as PCA."
        )
    return model


def _is_scaler(step: Any) -> bool:
    return isinstance(step, OneToOneFeatureMixin)


def codes_of(
    model: CodeModel, X: Any, given: Any = None, *, conditions: Any = None, show: bool = False
) -> np.ndarray:
    """Return float32 codes of shape (n_spectra, n_latents), NaN for spectra that cannot be used.

    Parameters
    ----------
    model : CodeModel
    X : ndarray or SpectraArray of shape (n_spectra, n_pixels)
    given : array-like, str or Path, optional
        Codes as `transform` gives them, or the .npy file of ``specvae encode``; a few are compared
        with the model.
    conditions : ndarray of shape (n_spectra, n_conditions), optional
    show : bool, default=False
        Whether to draw a progress bar.

    Raises
    ------
    ValueError
        If the given codes are not those of these spectra, or no spectrum can be used.
    """
    if given is None:
        codes = _computed(model, X, conditions, show)
    else:
        codes = _checked(model, X, _loaded(given), conditions)
    codes[~np.isfinite(codes).all(axis=1)] = np.nan
    if np.isnan(codes).all():
        raise ValueError("none of the spectra has a code: the model can use none of them.")
    return codes


def rows_of(conditions: Any, rows: np.ndarray) -> Any:
    """Return the conditions of some rows, None where there are none."""
    return None if conditions is None else conditions[rows]


def _computed(model: CodeModel, X: Any, conditions: Any, show: bool) -> np.ndarray:
    n_spectra = _num_samples(X)
    blocks = list(row_chunks(n_spectra, X.shape[1]))
    codes: list[np.ndarray] = []
    for block in progress_bar(blocks, desc="Encoding", show=show):
        rows = np.arange(n_spectra)[block]
        codes.append(_block(model, X, rows, conditions))
    width = max(part.shape[1] for part in codes)
    # A block of unusable spectra does not know the width.
    wide = [part if part.shape[1] else np.full((len(part), width), np.nan) for part in codes]
    return np.concatenate(wide).astype(np.float32)


def _block(model: CodeModel, X: Any, rows: np.ndarray, conditions: Any) -> np.ndarray:
    """Codes of some rows; those that are refused are left out one by one and are NaN."""
    left = rows
    while len(left):
        try:
            found = model.encode(model.prepare(X[left]), rows_of(conditions, left))
        except SpectrumError as error:
            left = np.delete(left, error.row)
            continue
        codes = np.full((len(rows), found.shape[1]), np.nan, dtype=np.float32)
        codes[np.isin(rows, left)] = found
        return codes
    return np.empty((len(rows), 0), dtype=np.float32)


def _loaded(given: Any) -> np.ndarray:
    if isinstance(given, str | Path):
        try:
            given = np.load(given, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(
                f"{given} is no .npy file of codes: {error}; write one with `specvae encode`."
            ) from error
    codes = np.array(given, dtype=np.float32)  # a copy, which may be changed
    if codes.ndim != 2 or not codes.size:
        raise ValueError(
            f"codes must have a row for each spectrum and a column for each latent, got shape "
            f"{codes.shape}."
        )
    return codes


def _checked(model: CodeModel, X: Any, codes: np.ndarray, conditions: Any) -> np.ndarray:
    n_spectra = _num_samples(X)
    if len(codes) != n_spectra:
        raise ValueError(f"codes has {len(codes)} rows for {n_spectra} spectra.")
    known = np.flatnonzero(np.isfinite(codes).all(axis=1))
    if not len(known):
        return codes
    rows = known[np.linspace(0, len(known) - 1, _N_COMPARED).astype(int)]
    found = model.encode(model.prepare(X[rows]), rows_of(conditions, rows))
    if found.shape[1] != codes.shape[1]:
        raise ValueError(f"codes has {codes.shape[1]} latents, the model {found.shape[1]}.")
    scatter = np.nanstd(codes, axis=0) + 1e-6 * np.abs(found).max() + 1e-12
    if (np.abs(found - codes[rows]) > _TOLERANCE * scatter).any():
        raise ValueError(
            "codes are not those of this model and these spectra; compute them again with "
            "`specvae encode`."
        )
    return codes
