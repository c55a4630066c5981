# ruff: noqa: E501 (the lines of VALD are long)
import gzip

import numpy as np
import pytest

from specvae.exceptions import DataQualityWarning
from specvae.simulation._lines._read_lines import read_line_list

# Made up after the formats of VALD3, not taken from it.
STELLAR_LONG = """\
 6436.00000, 6444.00000, 3, 895, 1.0 Wavelength region, lines selected, lines processed, Vmicro
                                                        Lande factors        Damping parameters   Central
Spec Ion       WL_air(A)   log gf* E_low(eV) J lo  E_up(eV) J up  lower  upper   mean   Rad.  Stark  Waals  depth
'Fe 1',       6436.4055,  -2.460,  4.1864,  2.0,  6.1122,  1.0, 0.680, 0.560, 0.730, 7.490,-6.030, -7.810, 0.112,
'  LS                                                                      3d8 c3F'
'  LS                                                        3d6.(3F2).4s.4p.(3P*) v3D*'
'N  D     Kurucz Fe I 2014Fe   1 wl:K14   2 gf:FMW   1 K14   1 K14   1 K14   1 K14   1 K14   1 K14   Fe '
'Ca 1',       6439.0750,   0.390,  2.5257,  3.0,  4.4506,  4.0, 1.330, 1.250, 1.120, 7.649,-6.569,366.242, 0.812,
'  LS                                                                 3p6.4s.3d 3D'
'  LS                                                                3p6.4p.3d 3F*'
'_        SR                   3 wl:SR    3 gf:SR    3 SR   3 SR   3 SR   3 SR    3 BPM   3 SR    Ca '
'Eu 2',       6437.6400,  -0.320,  1.3196,  5.0,  3.2450,  5.0, 1.730, 1.790, 1.760, 0.000, 0.000,  0.000, 0.011,
'  LS                                                                   4f7.(8S).5d a9D*'
'  JJ                                                        4f7.(8S<7/2>).6p<3/2> (7/2,3/2)'
'E   0.05 Wisconsin REE ex   4 LWHS   4 LWHS   4 LWHS   4 LWHS   4 LWHS   4 LWHS   4 LWHS   Eu+ '
'castelli_ap00k2_T05750G45.krz',
'H :  -0.04','He:  -1.07',
'Li: -10.99','Be: -10.66','B :  -9.34','C :  -3.61','N :  -4.21',
'END'
* oscillator strengths were scaled by the solar isotopic ratios.
 References:
  1. Kurucz obs. energy level: Fe 1
"""
ALL_LONG = """\
                                                                     Lande factors        Damping parameters
Elm Ion       WL_vac(A)  log gf* E_low(eV) J lo  E_up(eV) J up   lower   upper    mean   Rad.  Stark    Waals
'Fe 1',      5000.12345,  -4.500,  3.2500,  2.0,  5.7290,  3.0,  1.100,  0.700,  0.300, 7.500,-5.500,-7.300,
  LS                                                                      3d7.(2D2).4s a3D
  JK                                                              3d7.(4F<3/2>).4f 2[7/2]*
'_          Kurucz Fe I 2014   1 wl:K14   1 gf:K14   1 K14   1 K14   1 K14   1 K14   1 K14   1 K14   1 K14    Fe'
'OH 1',      5001.00000,  -2.500,  0.5000,  9.5,  2.9790,  9.5, 99.000, 99.000, 99.000, 0.000, 0.000, 0.000,
  Hb                                                                          X,2,1
  Hb                                                                          X,2,2
'_          made up             2 wl:MU    2 gf:MU    2 MU    2 MU    2 MU    2 MU    2 MU    2 MU    2 MU    OH'
* oscillator strengths were scaled by the solar isotopic ratios.
 References:
  1. Kurucz obs. energy level: Fe 1
"""
STELLAR_SHORT = """\
  5000.00000,   5001.00000,  2,  99, 1.0 Wavelength region, lines selected, lines processed, Vmicro
                                                 Damping parameters   Lande  Central
Spec Ion       WL_air(A)  Excit(eV) Vmic log gf*  Rad.   Stark   Waals factor depth  Reference
'Ti 1',        5000.9900,  1.9973, 1.0, -0.306, 8.170, -5.870,  -7.720,  0.980, 0.219, '   1 wl:LGWSC'
'Fe 1',        5000.3000,  3.1124, 1.0, -0.760, 7.970, -5.260, 280.238,  0.780, 0.018, '   2 wl:K14'
'castelli_ap00k2_T05750G45.krz',
'H :  -0.04','He:  -1.07',
'END'
"""
ALL_SHORT = """\
                                            Damping parameters    Lande
Elm Ion       WL_air(A) Excit(eV) log gf*   Rad.  Stark    Waals  factor References
'Cu 2',       4403.7511,  14.1980, -2.009, 9.300,-5.840,  -7.750, 1.460,'   1 K11       1 K11     Cu+    '
'Cr 1',       4403.7742,   1.0300, -9.583, 0.930,-6.150,  -7.790, 1.770,'   2 K10       2 K10     Cr     '
* oscillator strengths were scaled by the solar isotopic ratios.
"""
CSV = """\
# my own measurements
species,wavelength_aa,excitation_ev,log_gf,name
Fe 1,6240.646,2.223,-3.23,
26.01,6432.680,2.891,-3.57,"Fe II, mult. 40"  # another comment
"""


@pytest.fixture
def write(tmp_path):
    def write_text(text, name="lines.txt"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        return path

    return write_text


def test_vald_extract_stellar_long(write):
    lines = read_line_list(write(STELLAR_LONG))
    assert lines.medium == "air"
    assert lines.species.tolist() == ["Fe 1", "Eu 2", "Ca 1"]
    assert lines.wavelength_aa.tolist() == [6436.4055, 6437.64, 6439.075]
    assert lines.excitation_ev.tolist() == [4.1864, 1.3196, 2.5257]
    assert lines.log_gf.tolist() == [-2.46, -0.32, 0.39]
    assert lines.damping.tolist() == [-7.81, 0.0, 366.242]


def test_vald_extract_all_long(write):
    with pytest.warns(DataQualityWarning, match=r"1 of 2 lines were left out.*: OH 1\."):
        lines = read_line_list(write(ALL_LONG), unknown_species="skip")
    assert lines.medium == "vacuum" and lines.species.tolist() == ["Fe 1"]
    assert (lines.wavelength_aa[0], lines.excitation_ev[0]) == (5000.12345, 3.25)
    assert (lines.log_gf[0], lines.damping[0]) == (-4.5, -7.3)
    # The message gives the line in the file.
    with pytest.raises(ValueError, match=r"lines\.txt: row 7 .*unknown species 'OH 1'"):
        read_line_list(write(ALL_LONG))


def test_vald_short_formats(write):
    stellar = read_line_list(write(STELLAR_SHORT))
    assert stellar.species.tolist() == ["Fe 1", "Ti 1"]
    assert stellar.excitation_ev.tolist() == [3.1124, 1.9973]
    assert stellar.log_gf.tolist() == [-0.76, -0.306]
    assert stellar.damping.tolist() == [280.238, -7.72]
    everything = read_line_list(write(ALL_SHORT))
    assert everything.species.tolist() == ["Cu 2", "Cr 1"]
    assert everything.excitation_ev.tolist() == [14.198, 1.03]
    assert everything.log_gf.tolist() == [-2.009, -9.583]
    assert everything.damping.tolist() == [-7.75, -7.79]


def test_gzipped_files_are_read_and_damaged_ones_refused(write):
    assert len(read_line_list(write(STELLAR_LONG, "lines.gz"))) == 3
    path = write(STELLAR_LONG, "cut.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"cut\.gz: the gzip stream is damaged"):
        read_line_list(path)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("WL_air(A)", "WL_air(nm)", r"wavelengths in nm \(wanted Angstrom\): ask VALD again"),
        ("WL_air(A)", "WL_vac(cm^-1)", r"wavelengths in cm\^-1 .*'Wavelength unit: angstrom'"),
        ("E_low(eV)", "E_low(cm^-1)", r"energies in cm\^-1 \(wanted eV\).*'Energy unit: eV'"),
        ("were scaled", "were NOT scaled", "not scaled by the isotopic ratios.*ask VALD again"),
        (", 3, 895,", ", 4, 895,", "announces 4 lines in the head of the file, which holds 3"),
        ("-2.460,", "-2.4x0,", "line 4 is no transition in VALD's format"),
    ],
)
def test_vald_files_in_other_units_or_damaged_are_refused(write, old, new, message):
    assert old in STELLAR_LONG
    with pytest.raises(ValueError, match=message):
        read_line_list(write(STELLAR_LONG.replace(old, new)))


def test_warnings_of_vald_are_passed_on(write):
    text = "WARNING: Output was limited to 3 lines\n" + STELLAR_LONG
    with pytest.warns(DataQualityWarning, match="VALD says: WARNING: Output was limited"):
        assert len(read_line_list(write(text))) == 3


def test_tables_with_commas_tabs_and_spaces(write):
    lines = read_line_list(write(CSV, "lines.csv"))
    assert lines.species.tolist() == ["Fe 1", "Fe 2"]
    assert lines.name.tolist() == ["", "Fe II, mult. 40"]
    assert lines.damping.tolist() == [0.0, 0.0]
    rows = "species{0}wavelength_aa{0}excitation_ev{0}log_gf\n{1}{0}6240.646{0}2.223{0}-3.23\n"
    for separator, species in (("\t", "Fe 1"), ("   ", "'Fe 1'"), (" ", "FeI"), (" ", "26.00")):
        lines = read_line_list(write(rows.format(separator, species)), medium="vacuum")
        assert lines.medium == "vacuum" and lines.species.tolist() == ["Fe 1"]
        np.testing.assert_array_equal(lines.log_gf, [-3.23])


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the file holds no lines"),
        ("# nothing\n", "the file holds no lines"),
        ("species,wavelength_aa\nFe 1,5000\n", "lacks the columns excitation_ev, log_gf"),
        ("species wavelength_aa excitation_ev log_gf\nFe 1 5000 1 -1\n",
         r"line 2 has 5 fields under 4 column names: 'Fe 1 5000.*in quotation marks"),
        ("species,wavelength_aa,excitation_ev,log_gf\nFe 1,500.0,1,-1\n",
         r"lines\.txt: .*looks like nanometres"),
        ("species,wavelength_aa,excitation_ev,log_gf\nFe 1,,1,-1\n", "None in row 2"),
    ],
)  # fmt: skip
def test_other_tables_are_refused(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_line_list(write(text))


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = tmp_path / "saved_by_a_spreadsheet.csv"
    path.write_text(CSV, encoding="utf-8-sig")
    assert len(read_line_list(path)) == 2


def test_wrong_arguments(write, tmp_path):
    with pytest.raises(FileNotFoundError):
        read_line_list(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="unknown_species must be 'raise' or 'skip', got 'ignore'"):
        read_line_list(write(CSV), unknown_species="ignore")
    with pytest.raises(ValueError, match="medium must be 'air' or 'vacuum', got 'glass'"):
        read_line_list(write(CSV), medium="glass")
