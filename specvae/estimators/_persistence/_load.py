"""From a file back to the estimator; names are looked up in lists, nothing in the file is run."""

import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline
from torch import Tensor

from ..._device import resolve_device
from ...exceptions import GridMismatchError
from ...spectra import WavelengthGrid
from ...spectra._grid import check_grid_type
from .._base import AbstractSpectralEstimator
from .._net import net_around
from ._classes import NOT_LEARNT, PLACES, known_estimators, known_modules
from ._format import read_file
from ._save import check_finite, check_state, grid_of

# Bytes of one entry of an array; texts of fixed width may be longer than numbers.
_MAX_ITEM = 65_536
_ATTRIBUTE = re.compile(r"_?[A-Za-z][A-Za-z0-9_]*")


def load(
    path: Any, *, grid: WavelengthGrid | None = None, classes: Any = (), device: str | None = None
) -> Any:
    """Read an estimator or a pipeline that `save` wrote; nothing in the file is run.

    Parameters
    ----------
    path : str or Path
    grid : WavelengthGrid, optional
        Grid on which the spectra to come lie: a file for another, or for none that is known, is
        refused.
    classes : sequence of subclasses of nn.Module, default=()
        Networks of your own that the estimator was built with. They are called with the sizes.
    device : str, optional
        Where the networks are put; by default as their parameter `device` says.

    Returns
    -------
    estimator : estimator or Pipeline
        It gives bit for bit the same as the one that was saved, on the same kind of machine with
        the same number of threads. A training that goes on starts with fresh moments of Adam.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        With the reason, if the file is no model of specvae, was cut off or edited, has a newer
        format, names a class that is not known, or does not fit together.
    GridMismatchError
        If the file is for another grid than `grid`.
    ImportError
        If safetensors is not installed; the extra "save" brings it.

    Warns
    -----
    InconsistentVersionWarning
        If the file holds estimators of another version of scikit-learn.

    Notes
    -----
    The SHA-256 in the file tells damage and careless edits, not forgery: who can change the file
    can change the sum. A forged file can hold wrong numbers; it cannot run code.

    Examples
    --------
    See `save`.
    """
    check_grid_type("grid", grid)
    known = known_modules(classes)
    path = Path(path)
    try:
        description, tensors = read_file(path)
        decoder = Decoder(tensors, known, description["versions"], device)
        estimator = decoder.decode(description["estimator"])
        if not hasattr(estimator, "get_params"):
            raise ValueError("it holds no estimator")
        if decoder.tensors:
            raise ValueError(f"its tensor {next(iter(decoder.tensors))} belongs to nothing")
    except (OSError, ImportError, Warning):
        raise
    except ValueError as error:
        raise ValueError(f"{path} cannot be loaded: {str(error).rstrip('.')}.") from error
    except Exception as error:
        # Whatever a forged description makes fail: no traceback from deep inside a library.
        raise ValueError(
            f"{path} cannot be loaded: its contents do not fit together "
            f"({type(error).__name__}: {error})."
        ) from error
    if grid is not None:
        _check_grid(path, grid_of(estimator), grid)
    return estimator


class Decoder:
    """The counterpart of `Encoder`; each tensor is handed out once."""

    def __init__(
        self,
        tensors: dict[str, Tensor],
        modules: dict[str, Any],
        versions: dict[str, str],
        device: str | None,
    ):
        self.tensors, self.modules, self.versions, self.device = tensors, modules, versions, device
        self._kinds: dict[str, Any] = {
            "$float": self._float,
            "$tuple": lambda entry: tuple(self.decode(entry["$tuple"])),
            "$dict": lambda entry: dict(self.decode(entry["$dict"])),
            "$scalar": self._scalar,
            "$array": self._array,
            "$objects": self._objects,
            "$dtype": lambda entry: _dtype(entry["$dtype"], "biufOU"),
            "$type": lambda entry: _dtype(entry["$type"], "biuf").type,
            "$grid": lambda entry: WavelengthGrid.from_dict(entry["$grid"]),
            "$table": self._table,
            "$random_state": self._random_state,
            "$module": self._module,
            "$estimator": self._estimator,
        }

    def decode(self, entry: Any) -> Any:
        """Return the value that an entry describes."""
        if isinstance(entry, list):
            return [self.decode(each) for each in entry]
        if not isinstance(entry, dict):
            return entry
        kind = next(iter(entry), "")
        if kind not in self._kinds:
            raise ValueError(f"it describes something of the unknown kind {kind!r}")
        return self._kinds[kind](entry)

    def _take(self, name: Any) -> Tensor:
        if name not in self.tensors:
            raise ValueError(f"tensor {name} is missing or used twice")
        return self.tensors.pop(name)

    def _float(self, entry: Any) -> float:
        if entry["$float"] not in ("nan", "inf", "-inf"):
            raise ValueError(f"{entry['$float']!r} is no number")
        return float(entry["$float"])

    def _scalar(self, entry: Any) -> Any:
        return _dtype(entry["$scalar"], "biuf").type(self.decode(entry["value"]))

    def _array(self, entry: Any) -> np.ndarray:
        values = self._take(entry["$array"]).numpy()
        return np.array(values, order="F" if entry["by_columns"] else "C")

    def _objects(self, entry: Any) -> np.ndarray:
        values = np.empty(len(entry["$objects"]), dtype=_dtype(entry["dtype"], "OU"))
        for index, each in enumerate(entry["$objects"]):
            values[index] = self.decode(each)
        return values.reshape(entry["shape"])

    def _table(self, entry: Any) -> pd.DataFrame:
        return pd.DataFrame({name: self.decode(column) for name, column in entry["$table"]})

    def _random_state(self, entry: Any) -> np.random.RandomState:
        state = self.decode(entry["$random_state"])
        if state["bit_generator"] != "MT19937":
            raise ValueError(f"its random_state is a {state['bit_generator']!r}")
        generator = np.random.RandomState()
        generator.set_state(state)
        return generator

    def _module(self, entry: Any) -> Any:
        name = entry["$module"]
        if name not in self.modules:
            raise ValueError(
                f"its network is of the class {name}, which is not part of specvae: hand the "
                f"class over, load(path, classes=[{str(name).rpartition('.')[2]}]), if you trust it"
            )
        return self.modules[name]

    def _estimator(self, entry: Any) -> Any:
        kind = known_estimators().get(entry["$estimator"])
        if kind is None:
            raise ValueError(
                f"it names the class {entry['$estimator']!r}, which is not among those that load "
                "knows"
            )
        self._check_version(kind)
        parameters = {name: self.decode(value) for name, value in entry["parameters"].items()}
        unknown = set(parameters).difference(kind._get_param_names()) | set(PLACES) & set(
            parameters
        )
        if unknown:
            raise ValueError(
                f"{kind.__name__} has no parameter {', '.join(sorted(unknown))} that a file may "
                f"set; it was saved with {self.versions}"
            )
        if self.device is not None and "device" in kind._get_param_names():
            parameters["device"] = self.device
        estimator = kind(**parameters)
        fitted = {name: self.decode(value) for name, value in entry["fitted"].items()}
        for name, value in fitted.items():
            taken = name in NOT_LEARNT or hasattr(estimator, name)
            if taken or not _ATTRIBUTE.fullmatch(name):
                raise ValueError(f"{kind.__name__} cannot have learnt {name!r}")
            setattr(estimator, name, value)
        if "network" in entry:
            if not isinstance(estimator, AbstractSpectralEstimator):
                raise ValueError(f"a {kind.__name__} has no network")
            estimator.net_ = self._net(estimator, entry["network"])
        return estimator

    def _net(self, estimator: AbstractSpectralEstimator, entry: Any) -> Any:
        prefix = f"{entry['tensors']}."
        names = [name for name in self.tensors if name.startswith(prefix)]
        state = {name.removeprefix(prefix): self._take(name) for name in names}
        estimator._check_parameters()
        shapes = {name: tuple(value.shape) for name, value in state.items()}
        for name in ("scaler.mean", "label_scaler.centre", "condition_scaler.centre"):
            # A shape such as (10**12, 0) takes no bytes, and would tell a huge network.
            if len(shapes.get(name, (0,))) != 1:
                raise ValueError(f"tensor {name} of shape {shapes[name]} is no vector")
        network = estimator._empty_network(shapes)
        check_state(network.state_dict(), state)
        network.load_state_dict(state, assign=True)
        check_finite(network)
        if not math.isfinite(entry["unit"]) or not entry["unit"] > 0:
            raise ValueError(f"its unit of flux is {entry['unit']!r}")
        network.get_submodule("scaler").unit = entry["unit"]
        return net_around(network, resolve_device(estimator.device))

    def _check_version(self, kind: Any) -> None:
        saved, present = self.versions["scikit-learn"], sklearn.__version__
        if kind.__module__.startswith("sklearn.") and kind is not Pipeline and saved != present:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=kind.__name__,
                    current_sklearn_version=present,
                    original_sklearn_version=saved,
                ),
                stacklevel=4,
            )


def _dtype(word: str, kinds: str) -> np.dtype:
    found = np.dtype(word) if isinstance(word, str) else None
    if found is None or found.kind not in kinds or found.itemsize > _MAX_ITEM:
        raise ValueError(f"{word!r} is no kind of number that load knows")
    return found


def _check_grid(path: Path, found: WavelengthGrid | None, wanted: WavelengthGrid) -> None:
    if found is None:
        raise GridMismatchError(
            f"{path} does not say on which grid its estimator was fitted, so it cannot be checked "
            f"against {wanted}; load it without grid if you know."
        )
    if not found.matches(wanted):
        raise GridMismatchError(
            f"{path} is for {found}, not for {wanted}; put the spectra on its grid with "
            "SpectrumResampler."
        )
