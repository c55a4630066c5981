import numpy as np
import pytest

from specvae.explorer._lines import LINES, PRESETS, lines_on, names_to_show, presets_on
from specvae.spectra import APOGEE_GRID, HARPS_GRID, WavelengthGrid, air_to_vacuum


def test_harps_has_all_presets_and_apogee_none():
    assert all(inside for _, inside in presets_on(HARPS_GRID))
    assert not any(inside for _, inside in presets_on(APOGEE_GRID))
    assert not any(inside for _, inside in presets_on(None))
    assert len(lines_on(HARPS_GRID)) == len(LINES) and not lines_on(APOGEE_GRID)


def test_wavelengths_follow_the_medium_of_the_grid():
    grid = WavelengthGrid(6000.0, 0.1, 10_000, medium="vacuum")
    found = {line.name: line.wavelength_aa for line in lines_on(grid)}
    assert found["H\u03b1"] == pytest.approx(6564.61, abs=0.01)
    (preset,) = [each for each, inside in presets_on(grid) if each.name == "H\u03b1" and inside]
    assert preset.low_aa == pytest.approx(float(air_to_vacuum(np.array(6542.0))))


def test_each_preset_holds_a_line_that_it_names():
    lines = [line.wavelength_aa for line in LINES]
    for preset in PRESETS[:-1]:  # the last is of the Earth's atmosphere
        assert any(preset.low_aa < wavelength < preset.high_aa for wavelength in lines)


def test_names_do_not_overlap():
    shown = [line.name for line in names_to_show(lines_on(HARPS_GRID), 3785.0, 6910.0)]
    assert "Mg b4" in shown and "Mg b2" not in shown
    assert len(names_to_show(lines_on(HARPS_GRID), 5160.0, 5190.0)) == 3
