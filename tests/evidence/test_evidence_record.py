import json
from dataclasses import replace

import numpy as np
import pytest
from _evidence import Claim, Evidence, Options, Table, plus_minus, star_seed
from pages import LONGEST, as_text, make_index, make_page, shortened

EVIDENCE = Evidence(
    name="example",
    title="An example",
    question="What is measured.\nMore of it.",
    seeds=[0],
    chosen_on=["simulated, purpose choose"],
    reported_on=["simulated, purpose report"],
    does_not_show=["Anything else."],
    tables=[
        Table("Errors", ["model", "K"], [["PCA | OLS", 12.3456789], ["none", None]], "A note.")
    ],
    claims=[Claim("Somebody 2020", "It is small.", "It is 12.", "fails")],
)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr("_evidence.RESULTS", tmp_path)
    monkeypatch.setattr("_evidence.ROOT", tmp_path)
    return tmp_path


def test_a_set_of_stars_that_settings_were_chosen_on_cannot_be_reported():
    with pytest.raises(ValueError, match=r"share \['simulated, purpose report'\]"):
        replace(EVIDENCE, chosen_on=["simulated, purpose report"])


def test_a_record_must_say_what_it_leaves_open():
    with pytest.raises(ValueError, match="does_not_show"):
        replace(EVIDENCE, does_not_show=[])


@pytest.mark.parametrize(
    "options", [Options(purpose="choose"), Options(size="test")], ids=["choose", "test"]
)
def test_a_run_to_choose_or_to_test_leaves_no_record(options, results, capsys):
    assert EVIDENCE.write(options) is None
    assert list(results.iterdir()) == []
    assert "No record" in capsys.readouterr().out


def test_a_record_says_machine_seed_time_and_what_it_does_not_show(results):
    path = EVIDENCE.write(Options())
    record = json.loads(path.read_text())
    assert path.name == "evidence_example.json"
    assert record["seeds"] == [0] and record["minutes"] >= 0.0 and record["machine"]
    page = make_page(path.stem, record)
    for text in ("Anything else.", record["machine"], "Seeds: 0.", "**fails**", "A note."):
        assert text in page
    assert "PCA \\| OLS | 12.35" in page
    assert "[An example](example.md)" in make_index({path.stem: record})


def test_the_index_has_published_claims_first_and_counts_them(results):
    claims = [
        Claim("here: stars", "Ours is best.", "No.", "fails"),
        Claim("Cvrcek et al. 2025, table 4", "50 K.", "115 K.", "cannot be told here"),
        Claim("Sedaghat et al. 2021, figure 4", "6 latents.", "6.", "holds"),
    ]
    record = json.loads(replace(EVIDENCE, claims=claims).write(Options()).read_text())
    page = make_index({"evidence_example": record})
    assert "Published claims: 1 hold, 0 fail, 1 cannot be told here." in page
    assert "Further questions: 0 hold, 1 fail, 0 cannot be told here" in page
    places = [page.index(text) for text in ("6 latents.", "50 K.", "## Pages", "Ours is best.")]
    assert places == sorted(places)


def test_a_full_run_has_a_record_of_its_own(results):
    path = EVIDENCE.write(Options(size="full"))
    assert path.name == "evidence_example_full.json"
    assert "python benchmarks/evidence/example.py --full" in make_page(
        path.stem, json.loads(path.read_text())
    )


def test_a_number_that_is_none_is_refused_and_leaves_the_record_before(results):
    before = EVIDENCE.write(Options()).read_text()
    with pytest.raises(ValueError, match="JSON"):
        replace(EVIDENCE, numbers={"mae": float("nan")}).write(Options())
    assert [path.name for path in results.iterdir()] == ["evidence_example.json"]
    assert (results / "evidence_example.json").read_text() == before


def test_numpy_numbers_become_json(results):
    path = replace(EVIDENCE, numbers={"mae": np.arange(2), "n": np.int64(3)}).write(Options())
    assert json.loads(path.read_text())["numbers"] == {"mae": [0, 1], "n": 3}


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (104.3, 3.9, "104.3 ± 3.9"),
        (650.2, 17.3, "650 ± 17"),
        (0.20613, 0.01234, "0.206 ± 0.012"),
        (1.0, 0.0, "1"),
        (float("nan"), 1.0, "-"),
    ],
)
def test_errors_have_two_digits(mean, error, text):
    assert plus_minus(mean, error) == text


def test_every_seed_and_purpose_has_stars_of_its_own():
    seeds = [star_seed(purpose, seed) for purpose in ("choose", "report") for seed in range(200)]
    assert len(set(seeds)) == len(seeds)
    assert star_seed("report", 3) == star_seed("report", 3)


def test_the_index_cuts_long_texts_where_a_part_ends():
    long = "First part, 12 K; second part. " * 20
    assert shortened("Short.") == "Short." and len(shortened(long)) <= LONGEST + 4
    assert shortened(long).endswith(("part ...", "K ..."))
    assert shortened("x" * 500) == "x" * LONGEST + " ..."


def test_cells_have_usual_names_and_no_exponents():
    assert as_text("teff_k 3.27e+03, logg_dex 1e-06") == "Teff 3270, log g 1e-06"
    assert as_text({"epochs": 3, "rate": 1.5e-3}) == "epochs 3, rate 0.0015"
    assert as_text("1.51e+03 ± 2.1e+01, 8.50e+02") == "1510 ± 2.1e+01, 8.50e+02"


def test_text_of_cells():
    assert [as_text(None), as_text(1234.5), as_text(7), as_text("a|b")] == [
        "-",
        "1234",
        "7",
        "a\\|b",
    ]
