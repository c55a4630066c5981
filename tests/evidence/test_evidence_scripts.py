import ast
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _evidence import RESULTS, Evidence, Options
from _harps import GRID, imperfect_lines, modelled, observed
from pages import PAGES, make_pages, read_records

from specvae.simulation import default_line_list

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks/evidence"
MODULES = sorted(FOLDER.glob("*.py"))
SCRIPTS = [path.stem for path in MODULES if path.stem[0] != "_" and path.stem != "pages"]
RECORDS = read_records()
# What draws stars: its seed must come from `star_seed`, so that no star serves both purposes.
DRAWS = re.compile(r"_design$|^simulate_spectra$|^simulate$")


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_runs_through(name):
    evidence = importlib.import_module(name).run(Options("test", "choose", 1))
    if evidence is None:
        pytest.skip("the data of this script are absent")
    assert isinstance(evidence, Evidence) and evidence.name == name
    assert evidence.tables and evidence.claims
    for table in evidence.tables:
        assert table.rows and all(len(row) == len(table.columns) for row in table.rows)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_has_a_record_and_a_place_in_make_evidence(name):
    assert f"evidence_{name}" in RECORDS
    makefile = (ROOT / "Makefile").read_text()
    listed = re.search(r"^EVIDENCE := ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert name in listed[1].replace("\\\n", " ").split()


def test_pages_are_those_of_the_records():
    pages = make_pages()
    assert {path.name for path in pages} == {path.name for path in PAGES.glob("*.md")}
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run pages.py"


@pytest.mark.parametrize("stem", RECORDS)
def test_record_reports_on_no_star_that_was_chosen_on(stem):
    record = RECORDS[stem]
    assert record["reported_on"] and not set(record["chosen_on"]) & set(record["reported_on"])
    assert {claim["verdict"] for claim in record["claims"]} <= {
        "holds",
        "fails",
        "cannot be told here",
    }
    assert all((PAGES / figure["file"]).exists() for figure in record["figures"])
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_seeds_of_stars_are_no_constants(path):
    """A constant seed would give stars to choose on that are reported as well."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if DRAWS.search(name):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            seeds = [keyword.value for keyword in node.keywords if keyword.arg == "random_state"]
            assert seeds or len(given) > 1, f"{path.name}:{node.lineno} draws without a seed"
            constant = [seed for seed in seeds if isinstance(seed, ast.Constant)]
            assert not constant, f"{path.name}:{node.lineno} draws stars from a constant seed"


@pytest.mark.parametrize(
    "draw", [lambda p, s: observed(p, s, 8, 20), lambda p, s: modelled(p, s, 9)]
)
def test_stars_to_choose_on_are_not_those_reported(draw):
    sets = [draw(purpose, seed) for purpose in ("choose", "report") for seed in (0, 1)]
    teff_k = pd.concat([one.labels["teff_k"].drop_duplicates() for one in sets])
    assert teff_k.is_unique
    again = draw("report", 1)
    np.testing.assert_array_equal(again.flux, sets[-1].flux)


def test_observed_spectra_are_as_many_as_asked_for_and_have_all_stars():
    spectra = observed("choose", 0, 12, 40)
    assert spectra.flux.shape == (40, GRID.n_pixels) and len(set(spectra.groups)) == 12
    assert spectra.labels.notna().all(axis=None)
    few = spectra.rows(spectra.groups == spectra.groups[0])
    assert few.labels.equals(spectra.labels[: len(few.flux)])


def test_what_the_model_says_differs_from_the_observed_in_its_lines():
    lines, real = imperfect_lines(), default_line_list()
    assert 0.8 < len(lines) / len(real) < 0.9
    assert (np.diff(lines.wavelength_aa) >= 0.0).all()
    assert modelled("choose", 0, 3).labels["berv_kms"].isna().all()
    assert (modelled("choose", 0, 3).groups < 0).all()


def test_results_hold_no_record_without_script():
    known = {f"evidence_{name}{suffix}" for name in SCRIPTS for suffix in ("", "_full")}
    assert {path.stem for path in RESULTS.glob("evidence_*.json")} <= known
