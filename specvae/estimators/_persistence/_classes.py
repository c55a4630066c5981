"""The classes that a file may name. A name that is not here is refused, never imported."""

import inspect
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.frozen import FrozenEstimator
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from ... import networks, preprocessing
from ._astro_machines import PublishedNormalizer

# Plain ones: what they learn is arrays and numbers, and no parameter of theirs is a function.
_OF_SCIKIT_LEARN = (
    FrozenEstimator,
    IncrementalPCA,
    LinearRegression,
    MissingIndicator,
    PCA,
    Pipeline,
    Ridge,
    SimpleImputer,
    StandardScaler,
)

# Parameters that belong to one machine: a place where a later fit would write or read pickles, and
# what spreads a training over its devices.
PLACES = ("accelerator", "checkpoint_path", "memory")

# Attributes that are kept in another way or not at all: whether a method asks for metadata is a
# setting of the process, not something learnt.
NOT_LEARNT = ("net_", "_metadata_request")


def known_estimators() -> dict[str, Any]:
    """Estimators by name."""
    from ... import estimators  # its own layer, complete only after this module is read

    ours = [getattr(layer, name) for layer in (estimators, preprocessing) for name in layer.__all__]
    found = [each for each in ours if inspect.isclass(each) and issubclass(each, BaseEstimator)]
    return {each.__name__: each for each in (*found, PublishedNormalizer, *_OF_SCIKIT_LEARN)}


def known_modules(given: Any = ()) -> dict[str, Any]:
    """Networks by full name: those of this package, and those that the caller trusts.

    Raises
    ------
    TypeError
        If one that is given is no class of networks.
    """
    for each in given:
        if not (inspect.isclass(each) and issubclass(each, nn.Module)):
            raise TypeError(f"classes must hold subclasses of torch.nn.Module, got {each!r}.")
    ours = [getattr(networks, name) for name in networks.__all__]
    found = [each for each in ours if inspect.isclass(each) and issubclass(each, nn.Module)]
    return {full_name(each): each for each in (*found, *given)}


def full_name(kind: type) -> str:
    """Name of a class with its module."""
    return f"{kind.__module__}.{kind.__qualname__}"


def is_known(estimator: Any) -> bool:
    """Whether the class of an estimator is one that a file may name."""
    return known_estimators().get(type(estimator).__name__) is type(estimator)
