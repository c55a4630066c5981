"""Every public object says what it takes, gives and raises, in numpydoc."""

import importlib
import inspect

import pytest
from numpydoc.docscrape import FunctionDoc, get_doc_object

LAYERS = [
    "spectra",
    "simulation",
    "preprocessing",
    "networks",
    "metrics",
    "estimators",
    "model_selection",
    "inspection",
    "plotting",
    "cli",
    "distributed",
    "explorer",
]
PUBLIC = [
    pytest.param(getattr(importlib.import_module(f"specvae.{layer}"), name), id=f"{layer}.{name}")
    for layer in LAYERS
    for name in importlib.import_module(f"specvae.{layer}").__all__
]


def parameters_of(thing):
    """Names of the parameters that a docstring must describe."""
    signature = inspect.signature(thing)
    return [
        name
        for name, parameter in signature.parameters.items()
        if name not in ("self", "cls") and parameter.kind is not parameter.VAR_KEYWORD
    ]


def described(doc):
    """Names of the parameters that a parsed docstring describes."""
    return {
        name.strip().lstrip("*") for entry in doc["Parameters"] for name in entry.name.split(",")
    }


@pytest.mark.parametrize("thing", PUBLIC)
def test_public_object_is_documented(thing):
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return  # an object such as HARPS_GRID or a scorer: a string beside it says what it is
    doc = get_doc_object(thing)
    assert doc["Summary"], "no summary"
    if inspect.isclass(thing) and issubclass(thing, tuple):
        return  # fields of a named tuple are described where they are declared
    if hasattr(thing, "__dataclass_fields__") and not doc["Parameters"]:
        return  # a result: its fields are described where they are declared
    assert set(parameters_of(thing)) <= described(doc)


@pytest.mark.parametrize("thing", PUBLIC)
def test_public_object_has_an_example(thing):
    """Results have theirs where they are made, and networks are used through the estimators."""
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return
    is_result = hasattr(thing, "__dataclass_fields__") or (
        inspect.isclass(thing) and issubclass(thing, tuple)
    )
    is_network = inspect.isclass(thing) and thing.__module__.startswith("specvae.networks")
    if is_result or is_network or thing.__name__ == "initialise":
        return
    assert ">>> " in thing.__doc__


@pytest.mark.parametrize("thing", [case for case in PUBLIC if inspect.isclass(case.values[0])])
def test_public_methods_are_documented(thing):
    for name, method in inspect.getmembers(thing, inspect.isfunction):
        if name.startswith("_") or not method.__module__.startswith("specvae."):
            continue
        doc = FunctionDoc(method)
        assert doc["Summary"], f"{name}: no summary"
        if thing.__module__.startswith("specvae.networks"):
            continue  # shapes stand beside the tensors
        wanted = set(parameters_of(method))
        if name in ("get_n_splits", "get_metadata_routing") or name.startswith("set_"):
            continue  # their parameters are scikit-learn's
        assert wanted <= described(doc) or "Parameters and errors as for" in method.__doc__, name


def test_described_finds_what_is_missing():
    def documented(flux, grid):
        """Do nothing.

        Parameters
        ----------
        flux : ndarray
        """

    assert described(FunctionDoc(documented)) == {"flux"}
    assert parameters_of(documented) == ["flux", "grid"]
