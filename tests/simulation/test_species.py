import pytest

from specvae.simulation._lines._species import MOLECULES, parse_species, split_species


@pytest.mark.parametrize(
    "word, species",
    [
        ("Fe 1", "Fe 1"),
        (" Fe  2 ", "Fe 2"),
        ("Fe I", "Fe 1"),
        ("FeII", "Fe 2"),
        ("Ca III", "Ca 3"),
        ("V I", "V 1"),
        ("VI", "V 1"),
        ("NI", "N 1"),
        ("I I", "I 1"),
        ("26.00", "Fe 1"),
        ("26.0", "Fe 1"),
        (26, "Fe 1"),
        (26.0, "Fe 1"),
        (26.01, "Fe 2"),  # Kurucz
        ("26.1", "Fe 2"),  # MOOG
        ("26.02", "Fe 3"),
        ("63.1151", "Eu 2"),  # MOOG, of mass 151
        ("3.007", "Li 1"),
        ("92.01", "U 2"),
        ("CH 1", "CH 1"),
        ("CH", "CH 1"),
        ("C2 1", "C2 1"),
        ("C2", "C2 1"),
        ("C 2", "C 2"),  # an ion, no molecule
        ("C II", "C 2"),
        ("TiO 1", "TiO 1"),
        ("106.0", "CH 1"),
        ("106.00112", "CH 1"),
        (607.0, "CN 1"),
        (606, "C2 1"),
        (112.0, "MgH 1"),
        ("822.0", "TiO 1"),
    ],
)
def test_known_words(word, species):
    assert parse_species(word) == species


@pytest.mark.parametrize(
    "word",
    ["", "Xx 1", "Fe", "Fe1", "Fe 0", "Fe 4", "Fe IV", "fe 1", "FE 1", "OH 1", "CO 1", "N2", "O2",
     "CH 2", "26.03", "43.0", "108.0", "106.1", "0.0", "-26.0", "nan", None],
)  # fmt: skip
def test_unknown_words_are_refused(word):
    with pytest.raises(ValueError, match=r"^row 7: unknown species .*known are .*'Fe 1'.*CH, CN"):
        parse_species(word, row="row 7")


def test_canonical_names_are_known_to_themselves():
    for species in ("Fe 1", "Ba 2", *(f"{molecule} 1" for molecule in MOLECULES)):
        assert parse_species(species) == species
    assert split_species("Fe 2") == ("Fe", 2)
    assert split_species("TiO 1") == ("TiO", 1)
