"""The table of well known atomic lines that ships with the package."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

COLUMNS = ["species", "wavelength_aa", "excitation_ev", "log_gf", "damping", "name"]
MASKS = Path(__file__).parents[2].parent / "shared/data/lines"


@pytest.fixture(scope="module")
def lines():
    """The table as the package reads it."""
    path = files("specvae") / "simulation" / "_lines" / "data" / "famous_lines.csv"
    with path.open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#", keep_default_na=False)


def find(lines, species, wavelength_aa):
    """The one row of that species within 0.005 Angstrom."""
    near = (lines["wavelength_aa"] - wavelength_aa).abs() < 0.005
    found = lines[near & (lines["species"] == species)]
    assert len(found) == 1, (species, wavelength_aa, len(found))
    return found.iloc[0]


def test_columns_and_types(lines):
    assert list(lines.columns) == COLUMNS
    for column in ("wavelength_aa", "excitation_ev", "log_gf", "damping"):
        values = pd.to_numeric(lines[column])
        assert np.isfinite(values).all(), column
    assert len(lines) >= 1000


def test_species_are_element_and_ionisation(lines):
    assert lines["species"].str.fullmatch(r"[A-Z][a-z]? [12]").all()
    assert {"H 1", "Ca 2", "Na 1", "Mg 1", "Fe 1", "Fe 2", "Ti 2", "Ba 2"} <= set(lines["species"])


def test_wavelengths_increase_inside_the_two_ranges(lines):
    wavelength_aa = lines["wavelength_aa"]
    assert wavelength_aa.is_monotonic_increasing
    visible = wavelength_aa.between(3700, 6990)
    h_band = wavelength_aa.between(15_100, 17_000)
    assert (visible | h_band).all()
    assert visible.sum() >= 1000
    assert h_band.sum() >= 50


def test_no_line_is_entered_twice(lines):
    assert not lines.duplicated(["species", "wavelength_aa"]).any()


def test_lower_levels_are_bound(lines):
    assert lines["excitation_ev"].between(0, 14).all()


def test_strengths_and_damping_are_of_the_usual_size(lines):
    assert lines["log_gf"].between(-10, 1.5).all()
    damping = lines["damping"]
    unknown = damping == 0
    gamma = damping.between(-9, -6)  # log10 of rad/s cm3 at 10,000 K
    packed = damping.between(100, 4000) & (damping % 1).between(0.15, 0.45)  # sigma.alpha
    assert (unknown | gamma | packed).all()


@pytest.mark.parametrize(
    ("name", "species", "wavelength_aa", "excitation_ev", "log_gf"),
    [
        ("Na D1", "Na 1", 5895.924, 0.000, -0.194),
        ("Na D2", "Na 1", 5889.951, 0.000, 0.108),
        ("Mg b1", "Mg 1", 5183.604, 2.717, -0.167),
        ("Ca II K", "Ca 2", 3933.663, 0.000, 0.105),
        ("H alpha", "H 1", 6562.800, 10.199, 0.710),
        ("H beta", "H 1", 4861.330, 10.199, -0.020),
        ("Fe I 4383", "Fe 1", 4383.545, 1.485, 0.200),
    ],
)
def test_famous_values(lines, name, species, wavelength_aa, excitation_ev, log_gf):
    line = find(lines, species, wavelength_aa)
    assert line["name"] == name
    assert line["excitation_ev"] == pytest.approx(excitation_ev, abs=0.002)
    assert line["log_gf"] == pytest.approx(log_gf, abs=0.02)


def test_sodium_doublet_and_balmer_decrement_keep_their_ratios(lines):
    """g f of D2 is twice that of D1; the oscillator strengths of the Balmer series fall."""
    d1 = find(lines, "Na 1", 5895.924)["log_gf"]
    d2 = find(lines, "Na 1", 5889.951)["log_gf"]
    assert d2 - d1 == pytest.approx(np.log10(2), abs=0.01)
    balmer = lines[lines["species"] == "H 1"].sort_values("wavelength_aa", ascending=False)
    assert len(balmer) == 14
    assert (np.diff(balmer["log_gf"]) < 0).all()


def test_positions_agree_with_line_masks(lines):
    """At least 90 % lie within 0.05 Angstrom of a mask entry or are famous by name."""
    if not MASKS.is_dir():
        pytest.skip(f"line masks are not at hand in {MASKS}")
    tables = [Table.read(path) for path in sorted(MASKS.glob("ESPRESSO_*.fits"))]
    mask_aa = np.sort(np.concatenate([np.asarray(table["lambda"], float) for table in tables]))
    inside = lines[lines["wavelength_aa"].between(3811, 6900)]
    wavelength_aa = inside["wavelength_aa"].to_numpy()
    right = np.searchsorted(mask_aa, wavelength_aa).clip(1, len(mask_aa) - 1)
    distance_aa = np.minimum(
        np.abs(mask_aa[right] - wavelength_aa), np.abs(wavelength_aa - mask_aa[right - 1])
    )
    explained = (distance_aa <= 0.05) | (inside["name"] != "").to_numpy()
    assert explained.mean() >= 0.9
