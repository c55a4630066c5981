import pytest

from specvae.plotting._names import name_and_unit, with_unit
from specvae.plotting._style import line_style
from specvae.simulation import LABELS


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("teff_k", "Teff (K)"),
        ("logg_dex", "log g (dex)"),
        ("mh_dex", "[M/H] (dex)"),
        ("feh_dex", "[Fe/H] (dex)"),
        ("mg_fe_dex", "[Mg/Fe] (dex)"),
        ("c_fe_dex", "[C/Fe] (dex)"),
        ("iron_peak_fe_dex", "[iron peak/Fe] (dex)"),
        ("mg_h_dex", "[Mg/H] (dex)"),
        ("rv_kms", "radial velocity (km/s)"),
        ("seeing_arcsec", "seeing (arcsec)"),
        ("line_depth_aa", "line depth (Angstrom)"),
        ("exposure_s", "exposure (s)"),
        ("vmag", "V (mag)"),
        ("snr", "S/N"),
        ("airmass", "airmass"),
        ("k", "k"),
        ("my_label", "my_label"),
        ("Teff [K]", "Teff [K]"),
        ("", ""),
    ],
)
def test_label_is_read_with_its_unit(label, text):
    assert with_unit(label) == text


def test_every_label_of_the_simulation_has_its_unit():
    meant = {"km/s", "dex", "K", "mm", "arcsec", "s"}
    for label, entry in LABELS.items():
        unit = entry.meaning.rpartition(", ")[2]
        if unit in meant:
            assert name_and_unit(label)[1] == unit, label


def test_styles_of_lines_differ():
    styles = [tuple(line_style(number).values()) for number in range(28)]
    assert len(set(styles)) == 28
    # Neighbours in the legend differ without colour as well.
    assert len({stroke for _, stroke in styles[:4]}) == 4
