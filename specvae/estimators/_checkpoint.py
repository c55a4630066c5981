"""The state of a training on disk, complete enough to go on as if nothing had happened."""

import errno
import hashlib
import json
import os
import shutil
import time
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

_FORMAT, _VERSION = "specvae-checkpoint", 1
_KEYS = {
    *("format", "version", "identity", "network", "optimizer", "history", "keep_best"),
    *("generators", "numpy_generator"),
}
# Entries of an identity that summarise the data.
_OF_DATA = ("labels", "conditions", "groups", "weights", "simulated", "flux_error")
# Parts of networks that hold statistics of the training rows.
_OF_TRAINING_ROWS = ("scaler.", "label_scaler.", "condition_scaler.")


@dataclass
class Checkpoint:
    """Where and how often the state is written, and the state that a training goes on from.

    Parameters
    ----------
    path : Path, optional
        Written whole or not at all; None writes nothing.
    minutes : float
        Between two writes; 0 writes after each epoch.
    identity : dict
        What a training that goes on must have in common with this one, fit for JSON.
    resume : dict, optional
        What `read_checkpoint` gave.
    read_from : Path, optional
        Where it was read.
    """

    path: Path | None
    minutes: float
    identity: dict[str, Any]
    resume: dict[str, Any] | None = None
    read_from: Path | None = None
    _written_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Raise at once, not after the first epoch, if the file cannot be written."""
        if self.path is not None and (self.path.is_dir() or not self.path.parent.is_dir()):
            raise ValueError(
                f"checkpoint_path must be a file in a folder that exists, got {str(self.path)!r}."
            )

    def write(
        self,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        history: list[Any],
        keep_best: dict[str, Any],
        generators: Mapping[str, torch.Generator],
        numpy_generator: np.random.Generator,
        objective: Any,
    ) -> None:
        """Write the state after a whole epoch, where it is due.

        Raises
        ------
        OSError
            If it cannot be written, for instance to a full disk; the earlier file stays as it is.
        """
        if self.path is None or time.monotonic() - self._written_at < 60.0 * self.minutes:
            return
        self._written_at = time.monotonic()
        state = {
            "format": _FORMAT,
            "version": _VERSION,
            "identity": json.dumps(self.identity, sort_keys=True),
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": json.dumps([_plain(row) for row in history]),
            "keep_best": {**keep_best, "best": float(keep_best["best"])},
            "generators": {name: each.get_state() for name, each in generators.items()},
            "numpy_generator": json.dumps(numpy_generator.bit_generator.state),
            # An objective that learns, as that of an adversary, has an optimizer of its own.
            "objective": objective.state_dict() if hasattr(objective, "state_dict") else {},
        }
        part = self.path.with_name(self.path.name + ".part")
        try:
            with open(part, "wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        # torch says in its own way, with a RuntimeError, that a disk is full.
        except (OSError, RuntimeError) as error:
            free_gb = 1e-9 * shutil.disk_usage(self.path.parent).free
            raise OSError(
                getattr(error, "errno", None) or errno.EIO,
                f"the checkpoint {self.path} could not be written after epoch {len(history)} "
                f"({error}; {free_gb:.3g} GB are free). What the file held before is intact: make "
                "room, and go on from it with fit(resume_from=...)",
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def restore(
        self,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        generators: Mapping[str, torch.Generator],
        numpy_generator: np.random.Generator,
        objective: Any,
    ) -> None:
        """Put the state that is resumed in place.

        Raises
        ------
        ValueError
            If it belongs to other spectra, labels or conditions than `network`, which is not
            trained yet.
        """
        assert self.resume is not None
        found, ours = self.resume["network"], network.state_dict()
        for name, wanted in ours.items():
            # The sums differ by rounding with other threads.
            if name.startswith(_OF_TRAINING_ROWS) and not _almost_equal(
                found.get(name), wanted.cpu(), _size_of(name, ours)
            ):
                raise ValueError(
                    f"the checkpoint {self.read_from} belongs to a training on other spectra, "
                    "labels or weights: repeat the call that wrote it, or start anew without "
                    "resume_from."
                )
        if self.resume["generators"].keys() != generators.keys():
            raise ValueError(
                f"the checkpoint {self.read_from} was written for a network of other layers, which "
                "draw other random numbers: start anew without resume_from."
            )
        network.load_state_dict(found)
        optimizer.load_state_dict(self.resume["optimizer"])
        for name, generator in generators.items():
            generator.set_state(self.resume["generators"][name])
        numpy_generator.bit_generator.state = self.resume["numpy_generator"]
        if hasattr(objective, "load_state_dict"):
            objective.load_state_dict(self.resume["objective"])


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in the file is run.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the file is damaged, no checkpoint, or of a newer version.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}; leave resume_from out to start.")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # the loader does not look at the checksums
        if damaged is not None:
            raise ValueError(f"checksum of {damaged}")
        # Tensors and plain containers only: anything else is refused by the loader.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path} is no checkpoint or is damaged ({type(error).__name__}); start anew without "
            "resume_from."
        ) from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a checkpoint of a training.")
    if not _KEYS <= state.keys() or not isinstance(state["version"], int):
        raise ValueError(f"{path} is a checkpoint without all its parts; start anew.")
    if state["version"] > _VERSION:
        raise ValueError(
            f"{path} has version {state['version']} of the checkpoint format, this specvae reads "
            f"up to {_VERSION}: upgrade specvae."
        )
    state["identity"] = json.loads(state["identity"])
    state["history"] = json.loads(state["history"])
    state["numpy_generator"] = json.loads(state["numpy_generator"])
    return state


def digest(values: Any) -> str | None:
    """Short digest of a small array, to tell that which a training had from others."""
    if values is None:
        return None
    content = np.ascontiguousarray(values, dtype=np.float64).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def summary_of_rows(rows: Any) -> list[float]:
    """Mean and deviation of some rows, equal on all machines but for rounding."""
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of nothing
        return [
            float(each)
            for row in rows
            for each in (np.nanmean(row, dtype=np.float64), np.nanstd(row, dtype=np.float64))
        ]


def check_identity(found: Mapping[str, Any], wanted: Mapping[str, Any], path: Any) -> None:
    """Raise unless a checkpoint belongs to the training that is to go on."""
    differing = [
        # What is known by a digest or a summary says nothing to a reader.
        f"other {name.replace('_', ' ')}"
        if name in _OF_DATA
        else f"{name} was {found.get(name)!r}, is {wanted.get(name)!r}"
        for name in {**found, **wanted}
        if not _same(found.get(name), wanted.get(name))
    ]
    if differing:
        raise ValueError(
            f"the checkpoint {path} belongs to another training ({'; '.join(differing)}): repeat "
            "the call that wrote it, or start anew without resume_from."
        )


def _same(one: Any, other: Any) -> bool:
    """Whether two entries agree; of numbers, but for rounding on another machine."""
    if not (isinstance(one, list) and isinstance(other, list)):
        return one == other
    if len(one) != len(other) or not all(isinstance(each, float) for each in one + other):
        return one == other
    return np.allclose(one, other, rtol=1e-4, atol=0.0, equal_nan=True)


def _size_of(name: str, state: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Size beside which a difference is rounding: each label has its own, all pixels one."""
    part = name.rpartition(".")[0]
    if part in ("label_scaler", "condition_scaler"):
        return state[f"{part}.scale"].cpu().double()
    size = state[name].cpu().double().abs()
    return size.max() if size.numel() else size


def _almost_equal(found: Any, wanted: torch.Tensor, size: torch.Tensor) -> bool:
    if not isinstance(found, torch.Tensor) or found.shape != wanted.shape:
        return False
    found, wanted = found.double(), wanted.double()
    return bool(((found - wanted).abs() <= 1e-4 * wanted.abs() + 1e-5 * size).all())


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the history without its batches, fit for JSON."""
    kept = {name: value for name, value in row.items() if name != "batches"}
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in kept.items()
    }
