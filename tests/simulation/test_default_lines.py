import numpy as np

from specvae.simulation._lines._default_lines import default_line_list, read_famous_lines
from specvae.simulation._lines._line_list import LineList
from specvae.simulation._lines._species import MOLECULES


def test_about_five_thousand_lines_in_order():
    lines = default_line_list()
    assert 4000 <= len(lines) <= 6000
    assert lines.medium == "air"
    assert (np.diff(lines.wavelength_aa) >= 0).all()
    kinds = {species.split(" ")[0] for species in lines.species}
    assert set(MOLECULES) <= kinds and {"Fe", "Ca", "Na", "Mg", "Ba"} <= kinds


def test_the_famous_lines_are_in_it():
    famous = LineList.from_table(read_famous_lines())
    lines = default_line_list()
    assert np.isin(famous.wavelength_aa, lines.wavelength_aa).all()
    for low_aa, high_aa, species in (
        (3933.6, 3933.7, "Ca 2"),
        (5895.9, 5895.95, "Na 1"),
        (5183.58, 5183.63, "Mg 1"),
    ):
        assert species in lines.within(low_aa, high_aa).species


def test_one_frozen_object():
    lines = default_line_list()
    assert default_line_list() is lines
    for name in ("species", "wavelength_aa", "excitation_ev", "log_gf", "damping", "name"):
        assert not getattr(lines, name).flags.writeable
