"""What README and docs show must be true."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_imports_exist(page):
    for block in python_blocks(page):
        lines = [line for line in block.splitlines() if re.match(r"(from|import) ", line)]
        exec("\n".join(lines), {})


def test_first_pipeline_runs():
    first = next(b for b in python_blocks(ROOT / "docs/index.md") if "GridSearchCV" in b)
    namespace = {}
    exec(first, namespace)
    scores = namespace["search"].cv_results_["mean_test_score"]
    assert scores.shape == (2,) and np.isfinite(scores).all()


def test_first_simulation_runs(capsys):
    exec(python_blocks(ROOT / "docs/simulation.md")[0], {})
    assert capsys.readouterr().out.startswith("(20, 4000) (20, 4000) ['teff_k'")


def test_first_model_runs(capsys):
    exec(python_blocks(ROOT / "docs/models.md")[0], {})
    assert capsys.readouterr().out == "(100, 4) (100, 4) (100, 256)\n"


def test_first_inspection_runs(capsys):
    namespace = {}
    exec(python_blocks(ROOT / "docs/inspection.md")[0], namespace)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[-4:]] == list(namespace["stars"].labels)
    assert namespace["scorer"].p_latent_.min() == 0.0005
    exec(python_blocks(ROOT / "docs/inspection.md")[1], namespace)
    assert np.isfinite(namespace["search"].cv_results_["mean_test_score"]).all()


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_continuous_integration_runs_what_the_readme_names():
    commands = [
        line
        for line in (ROOT / ".ci/run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["make test"]


def test_streaming_runs(capsys):
    exec(python_blocks(ROOT / "docs/scale.md")[0], {})
    assert capsys.readouterr().out == "(60, 4) (60, 256) (60, 4)\n"
