"""What an interrupted ``specvae fit`` leaves beside its model, to go on from."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np


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
        On entering it, if a call with other settings began it.
    """

    def __init__(self, target: Path, settings: dict[str, Any]):
        self.folder = target.with_name(f"{target.name}.progress")
        self._digests = {name: _digest(value) for name, value in settings.items()}

    def __enter__(self) -> "Progress":
        begun = self.folder / "settings.json"
        if not begun.exists():
            self.folder.mkdir(exist_ok=True)
            _write(begun, json.dumps(self._digests).encode())
            return self
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
        return self

    def __exit__(self, *error: object) -> None:
        # One that holds nothing but the settings would only stand in the way of a corrected call.
        if self.folder.exists() and len(list(self.folder.iterdir())) <= 1:
            self.remove()

    def load(self, part: str) -> np.ndarray | None:
        """Return what was kept under this name, or None."""
        path = self.folder / f"{part}.npy"
        return np.load(path) if path.exists() else None

    def keep(self, part: str, values: np.ndarray) -> None:
        """Keep an array, whole or not at all; its checkpoint is not needed any more."""
        path = self.folder / f"{part}.npy"
        unfinished = path.with_suffix(".part")
        with open(unfinished, "wb") as file:
            np.save(file, values)
        unfinished.replace(path)
        (self.folder / f"{part}.checkpoint").unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder: the model is written."""
        shutil.rmtree(self.folder)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _write(path: Path, data: bytes) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(data)
    unfinished.replace(path)
