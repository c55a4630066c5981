"""What an interrupted ``specvae fit`` leaves beside its model, to go on from."""

import hashlib
import io
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from ..spectra._part import lock, open_unbuffered

_SETTINGS, _LOCK = "settings.json", "lock"
# What a call that was killed at its very beginning leaves, or one that begins now.
_EMPTY = {"settings.part", _LOCK}


class Progress:
    """A folder with checkpoints and predictions of the folds that are done.

    Parameters
    ----------
    target : Path
        The model; the folder bears its name with ``.progress`` added.
    settings : dict
        What all calls that use the folder must agree on, fit for JSON.

    Attributes
    ----------
    folder : Path

    Raises
    ------
    ValueError
        On entering it, if a call with other settings began it, or it is no such folder.
    BlockingIOError
        On entering it, if another process uses it.
    """

    def __init__(self, target: Path, settings: dict[str, Any]):
        self.folder = target.with_name(f"{target.name}.progress")
        self._target = target
        self._digests = {name: _digest(value) for name, value in settings.items()}

    def __enter__(self) -> "Progress":
        begun = self.folder / _SETTINGS
        self.folder.mkdir(exist_ok=True)
        if not begun.exists() and not self._names() <= _EMPTY:
            raise ValueError(
                f"{self.folder} holds no {_SETTINGS}, so that it is of no `specvae fit`; delete or "
                "rename it."
            )
        self._lock = open_unbuffered(self.folder / _LOCK)
        try:
            lock(self._lock, self._target)
            if begun.exists():
                self._check_same(begun)
            else:
                _write(begun, json.dumps(self._digests).encode())
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        # One that holds nothing but the settings would only stand in the way of a corrected call.
        if self.folder.exists() and self._names() <= {*_EMPTY, _SETTINGS}:
            self.remove()
        self._lock.close()

    def _names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def _check_same(self, begun: Path) -> None:
        try:
            found = json.loads(begun.read_text(encoding="utf-8"))
        except ValueError:
            found = {}
        differing = [name for name in self._digests if found.get(name) != self._digests[name]]
        if differing:
            raise ValueError(
                f"{self.folder} was begun with another {', '.join(differing)}: repeat that command "
                "to go on from there, or delete the folder to begin anew."
            )

    def load(self, part: str) -> np.ndarray | None:
        """Return what was kept under this name, or None where it is missing or torn."""
        try:
            return np.load(self.folder / f"{part}.npy")
        except (FileNotFoundError, ValueError, EOFError):
            return None

    def keep(self, part: str, values: np.ndarray) -> None:
        """Keep an array, whole or not at all; its checkpoint is not needed any more."""
        data = io.BytesIO()
        np.save(data, values)
        _write(self.folder / f"{part}.npy", data.getvalue())
        (self.folder / f"{part}.checkpoint").unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder: the model is written."""
        # Under another name first: half a folder would be taken for an unfinished call.
        if os.name == "nt":  # no folder with an open file can be renamed there
            self._lock.close()
        gone = self.folder.with_name(f"{self.folder.name}.{uuid.uuid4().hex}")
        self.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _write(path: Path, data: bytes) -> None:
    unfinished = path.with_suffix(".part")
    with open(unfinished, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
