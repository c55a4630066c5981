import numpy as np
import pandas as pd
import pytest
import torch

from specvae._device import resolve_device
from specvae._optional import import_optional
from specvae._progress import progress_bar
from specvae._random import make_generator, spawn_seeds
from specvae._validation import check_groups, check_number
from specvae.exceptions import SpectrumError


def test_missing_extra_is_named():
    with pytest.raises(ImportError, match=r"demo needs nonsense: pip install 'specvae\[plot\]'"):
        import_optional("nonsense.pyplot", caller="The demo", extra="plot")
    assert import_optional("numpy", caller="", extra="") is np


def test_demo_names_its_extra_before_it_works(monkeypatch, capsys):
    from specvae import demo

    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"specvae\[plot\]"):
        demo.main([])
    assert capsys.readouterr().out == ""


def test_device_is_resolved_or_refused():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for device in ("meta", "cuda:99"):
        with pytest.raises(ValueError, match=f"device='{device}' cannot be used on this machine"):
            resolve_device(device)
    for device in ("abacus", None):
        with pytest.raises(ValueError, match="device must be 'auto' or a torch device"):
            resolve_device(device)


def test_seeds_depend_on_the_state_alone():
    assert spawn_seeds(0, 3) == spawn_seeds(0, 3) != spawn_seeds(1, 3)
    assert len(set(spawn_seeds(0, 100))) == 100
    state = np.random.RandomState(0)
    assert spawn_seeds(state, 2) != spawn_seeds(state, 2)
    assert make_generator(7).initial_seed() == 7


def test_groups_become_integers():
    np.testing.assert_array_equal(check_groups(["b", "a", "b"]), [1, 0, 1])
    np.testing.assert_array_equal(check_groups(np.array([7.0, 7.0, 2.0])), [1, 1, 0])
    with pytest.raises(ValueError, match="groups mixes ids of kinds int, str; use one kind"):
        check_groups(["a", -1, "-1"])
    with pytest.raises(ValueError, match="3 spectra, 2 groups"):
        check_groups([1, 2], 3)
    with pytest.raises(ValueError, match="groups is empty"):
        check_groups([])
    missing = [
        pd.Series(["a", pd.NA], dtype="string"),
        pd.Series([1, pd.NA], dtype="Int64"),
        np.ma.array([1, 2], mask=[False, True]),
        np.ma.array(["a", "b"], mask=[False, True]),
    ]
    for groups in missing:
        with pytest.raises(ValueError, match="no star for 1 spectra, the first in row 1"):
            check_groups(groups)


@pytest.mark.parametrize("value", [True, "1", None, np.nan, 0.5, -1])
def test_check_number_wants_a_number_in_range(value):
    with pytest.raises(ValueError, match="n must be an integer >= 0"):
        check_number("n", value, minimum=0, integer=True)
    check_number("n", np.int64(3), minimum=0, integer=True)


def test_spectrum_error_says_which_and_why():
    error = SpectrumError(5, "has no valid pixel.")
    assert str(error) == "spectrum 5 has no valid pixel."
    assert (error.row, error.reason) == (5, "has no valid pixel.")


def test_progress_bar_is_silent_on_request(capsys):
    assert list(progress_bar([1, 2], desc="x", show=False)) == [1, 2]
    assert capsys.readouterr().err == ""
