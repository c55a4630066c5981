import numpy as np
import pandas as pd
import pytest

from specvae.simulation._lines._line_list import LineList
from specvae.spectra import air_to_vacuum

TABLE = pd.DataFrame(
    {
        "species": ["Na 1", "Fe I", "CaII"],
        "wavelength_aa": [5895.924, 6240.646, 3933.663],
        "excitation_ev": [0.0, 2.223, 0.0],
        "log_gf": [-0.19, -3.23, 0.13],
        "damping": [np.nan, -7.8, 234.223],
        "name": ["Na D1", None, "Ca II K"],
    }
)


def test_from_table_sorts_and_completes():
    lines = LineList.from_table(TABLE)
    assert len(lines) == 3 and lines.medium == "air"
    assert lines.species.tolist() == ["Ca 2", "Na 1", "Fe 1"]
    np.testing.assert_array_equal(lines.wavelength_aa, [3933.663, 5895.924, 6240.646])
    np.testing.assert_array_equal(lines.excitation_ev, [0.0, 0.0, 2.223])
    np.testing.assert_array_equal(lines.log_gf, [0.13, -0.19, -3.23])
    np.testing.assert_array_equal(lines.damping, [234.223, 0.0, -7.8])
    assert lines.name.tolist() == ["Ca II K", "Na D1", ""]
    assert repr(lines) == "LineList(3 lines from 3933.66 to 6240.65 Angstrom, air)"


def test_from_table_takes_dictionaries_and_text_and_leaves_the_table_alone():
    before = TABLE.copy()
    columns = {name: TABLE[name].astype(str).tolist() for name in TABLE.columns[:4]}
    lines = LineList.from_table(columns, medium="vacuum")
    assert lines.medium == "vacuum" and lines.damping.tolist() == [0.0] * 3
    assert lines.name.tolist() == [""] * 3
    np.testing.assert_array_equal(lines.log_gf, LineList.from_table(TABLE).log_gf)
    pd.testing.assert_frame_equal(TABLE, before)


def test_arrays_are_read_only():
    lines = LineList.from_table(TABLE)
    for array in (lines.species, lines.wavelength_aa, lines.to_medium("vacuum").wavelength_aa):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]


def test_lines_of_one_wavelength_keep_their_order():
    table = pd.concat([TABLE, TABLE.assign(log_gf=[1.0, 2.0, 3.0])], ignore_index=True)
    assert LineList.from_table(table).log_gf.tolist() == [0.13, 3.0, -0.19, 1.0, -3.23, 2.0]


def test_to_table_and_back():
    lines = LineList.from_table(TABLE)
    again = LineList.from_table(lines.to_table())
    pd.testing.assert_frame_equal(again.to_table(), lines.to_table())


def test_within_holds_both_ends():
    lines = LineList.from_table(TABLE)
    assert lines.within(3933.663, 5895.924).name.tolist() == ["Ca II K", "Na D1"]
    assert lines.within(3933.67, 5895.92).name.tolist() == []
    assert len(lines.within(7000.0, 8000.0)) == 0
    assert repr(lines.within(7000.0, 8000.0)) == "LineList(no lines, air)"
    with pytest.raises(ValueError, match="low_aa=2 must not exceed high_aa=1"):
        lines.within(2.0, 1.0)


def test_select_keeps_some_lines():
    hydrogen = TABLE.iloc[:1].assign(species="H I", wavelength_aa=6562.8)
    lines = LineList.from_table(pd.concat([TABLE, hydrogen], ignore_index=True))
    assert lines.select(lines.species != "H 1").species.tolist() == ["Ca 2", "Na 1", "Fe 1"]


def test_to_medium_there_and_back():
    lines = LineList.from_table(TABLE)
    vacuum = lines.to_medium("vacuum")
    # NIST: the air wavelength 5895.924 of Na D1 is 5897.558 in vacuum.
    assert vacuum.medium == "vacuum" and vacuum.wavelength_aa[1] == pytest.approx(
        5897.558, abs=2e-3
    )
    np.testing.assert_array_equal(vacuum.wavelength_aa, air_to_vacuum(lines.wavelength_aa))
    np.testing.assert_allclose(
        vacuum.to_medium("air").wavelength_aa, lines.wavelength_aa, rtol=0, atol=1e-8
    )
    assert lines.to_medium("air") is lines
    none = lines.within(1.0, 2.0).to_medium("vacuum")
    assert len(none) == 0 and none.medium == "vacuum"


def test_to_medium_refuses_other_words_and_the_far_ultraviolet():
    lines = LineList.from_table(TABLE)
    with pytest.raises(ValueError, match=r"medium must be 'air' or 'vacuum', got 'vac'"):
        lines.to_medium("vac")
    short = LineList.from_table(TABLE.assign(wavelength_aa=[1500.0, 5000.0, 6000.0]))
    with pytest.raises(ValueError, match=r"from 1500\.00 Angstrom on cannot .* air to vacuum"):
        short.to_medium("vacuum")


def test_concatenate_sorts_and_converts():
    lines = LineList.from_table(TABLE)
    joined = LineList.concatenate([lines.within(5000.0, 6000.0), lines.to_medium("vacuum")])
    assert joined.medium == "air" and len(joined) == 4
    assert (np.diff(joined.wavelength_aa) >= 0).all()
    assert joined.name.tolist() == ["Ca II K", "Na D1", "Na D1", ""]
    with pytest.raises(ValueError, match="lists is empty"):
        LineList.concatenate([])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"wavelength_aa": [589.5924, 624.0646, 393.3663]}, "624.065, which looks like nanomet"),
        ({"wavelength_aa": [0.5895924, 0.6240646, 0.3933663]}, "nanometres or micrometres; wanted"),
        ({"wavelength_aa": [5000.0, 6000.0, 31_000.0]}, "reaches 31000, .*wavenumbers in cm-1"),
        ({"wavelength_aa": [5000.0, 0.0, 6000.0]}, "must be positive; it is 0 in row 1"),
        ({"wavelength_aa": [5000.0, np.inf, 6000.0]}, "'wavelength_aa' .* finite .* inf in row 1"),
        ({"wavelength_aa": [5000.0, "5001 A", 6000.0]}, "it holds '5001 A' in row 1, and 1 such"),
        ({"excitation_ev": [0.0, 17_927.0, 0.0]}, "reaches 17927, which looks like cm-1; wanted"),
        ({"excitation_ev": [0.0, 0.0, -0.1]}, "must not be negative; it is -0.1 in row 2"),
        ({"log_gf": [0.0, np.nan, np.nan]}, "'log_gf' .* nan in row 1, and 2 such values in 3"),
        ({"damping": [0.0, 0.0, -np.inf]}, "'damping' .* -inf in row 2"),
        ({"species": ["Na 1", "OH 1", "Ca 2"]}, "row 1 of the line list: unknown species 'OH 1'"),
    ],
)
def test_impossible_values_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        LineList.from_table(TABLE.assign(**change))


def test_a_column_given_twice_is_refused():
    twice = pd.DataFrame([["Fe 1", 5000.0, 5001.0, 1.0, -1.0]])
    twice.columns = ["species", "wavelength_aa", "wavelength_aa", "excitation_ev", "log_gf"]
    with pytest.raises(ValueError, match="the column 'wavelength_aa' twice"):
        LineList.from_table(twice)


def test_missing_columns_and_rows_are_refused():
    with pytest.raises(ValueError, match=r"lacks the columns species, log_gf; it has wavelength_a"):
        LineList.from_table(TABLE[["wavelength_aa", "excitation_ev"]])
    with pytest.raises(ValueError, match=r"no rows: give at least one line"):
        LineList.from_table(TABLE.iloc[:0])
    with pytest.raises(ValueError, match=r"medium must be 'air' or 'vacuum', got 'water'"):
        LineList.from_table(TABLE, medium="water")
