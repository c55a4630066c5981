"""Make the pages of docs/results from the records: ``python benchmarks/evidence/pages.py``.

Every record benchmarks/results/evidence_*.json becomes one page; index.md begins with a table of
all published claims. Nothing on these pages is written by hand, and a test compares them with the
records.
"""

import json
import re
from pathlib import Path
from typing import Any

from _evidence import RESULTS, ROOT

# Longest text of what was measured in the index; the page has all of it.
LONGEST = 220
LABELS = {
    "teff_k": "Teff",
    "logg_dex": "log g",
    "mh_dex": "[M/H]",
    "feh_dex": "[Fe/H]",
    "rv_kms": "RV",
    "berv_kms": "BERV",
    "vsini_kms": "v sin i",
    "pwv_mm": "water vapour",
}
NAMES = re.compile(rf"\b({'|'.join(LABELS)})\b")
THOUSANDS = re.compile(r"(?<![\w.])\d(\.\d+)?e\+0[345]\b")
WORKS = ("Sedaghat", "Cvrcek", "ESCAPE", "de Mijolla")
PAGES = ROOT / "docs/results"
MADE = "<!-- Made by benchmarks/evidence/pages.py from {}; edit neither. -->"
INTRODUCTION = """
Published tables measured again, and real stars against strong baselines. Each page is made from a
record in `benchmarks/results/`, which one command writes; `make evidence` runs all of them and
makes these pages. Errors are standard errors over stars unless a table says otherwise. Settings
were chosen on other stars than those reported.

"Holds" and "fails" say what was found here: on simulated or a few real spectra, at sizes that fit
an hour of two cores. Where the published data or size decides, the verdict is "cannot be told
here". Each page ends with what it does not show.
"""


def read_records() -> dict[str, dict[str, Any]]:
    """Return the records by the name of their file, in the order of their names."""
    paths = sorted(RESULTS.glob("evidence_*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def page_name(stem: str) -> str:
    return stem.removeprefix("evidence_") + ".md"


def as_text(value: Any) -> str:
    """Return a cell: labels by their usual names, thousands without an exponent."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {as_text(each)}" for name, each in value.items())
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    text = THOUSANDS.sub(lambda found: f"{float(found[0]):.0f}", text)
    text = NAMES.sub(lambda found: LABELS[found[0]], text)
    return text.replace("|", "\\|")


def shortened(text: str) -> str:
    """Return the beginning of what was measured, cut where a part of it ends."""
    if len(text) <= LONGEST:
        return text
    ends = [found.end() for found in re.finditer(r"[.;,] ", text[:LONGEST])]
    return text[: ends[-1] if ends else LONGEST].rstrip(" ,;.") + " ..."


def markdown_table(columns: list[str], rows: list[list[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(as_text(cell) for cell in line) + " |" for line in lines)


def verdicts(record: dict[str, Any]) -> list[list[str]]:
    return [
        [claim["source"], claim["statement"], f"**{claim['verdict']}**", claim["measured"]]
        for claim in record["claims"]
    ]


VERDICT_COLUMNS = ["Published in", "Claim", "Here", "Measured"]


def make_page(stem: str, record: dict[str, Any]) -> str:
    """Return the page of one record."""
    full = " --full" if record["size"] == "full" else ""
    parts = [
        MADE.format(f"benchmarks/results/{stem}.json"),
        f"# {record['title']}",
        record["question"],
        f"`python benchmarks/evidence/{record['name']}.py{full}`",
    ]
    if record["claims"]:
        parts += ["## Claims", markdown_table(VERDICT_COLUMNS, verdicts(record))]
    parts.append("## Measured")
    for table in record["tables"]:
        parts += [f"### {table['title']}", markdown_table(table["columns"], table["rows"])]
        if table["note"]:
            parts.append(table["note"])
    parts += [f"![{figure['caption']}]({figure['file']})" for figure in record["figures"]]
    parts += [
        "## What it does not show",
        "\n".join(f"- {text}" for text in record["does_not_show"]),
        "## How it was run",
        facts(record),
    ]
    return "\n\n".join(parts) + "\n"


def facts(record: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    lines = [
        f"Seeds: {', '.join(map(str, record['seeds'])) or 'none'}.",
        f"Settings were chosen on: {'; '.join(record['chosen_on']) or 'nothing'}.",
        f"Reported on: {'; '.join(record['reported_on'])}.",
        f"Time: {record['minutes']:.0f} minutes, {record['n_jobs']} processes of one thread.",
        f"Machine: {record['machine']}.",
        f"Versions: {versions}; {record['date']}.",
    ]
    lines += [f"{name}: {as_text(value)}." for name, value in record["settings"].items()]
    return "\n".join(f"- {line}" for line in lines)


def make_index(records: dict[str, dict[str, Any]]) -> str:
    """Return the page of all claims and of what there is to read."""
    rows = [
        [*row[:3], shortened(row[3]), f"[{record['title']}]({page_name(stem)})"]
        for stem, record in records.items()
        for row in verdicts(record)
    ]
    # The table of the works comes first, each work's claims together.
    published = sorted((row for row in rows if work_of(row) is not None), key=work_of)
    ours = [row for row in rows if work_of(row) is None]
    columns = [*VERDICT_COLUMNS, "Page"]
    contents = [
        f"- [{record['title']}]({page_name(stem)}): {record['question'].splitlines()[0]}"
        for stem, record in records.items()
    ]
    parts = [
        MADE.format("benchmarks/results/"),
        "# Evidence",
        f"Published claims: {counted(published)}. Further questions: {counted(ours)}, below.",
        markdown_table(columns, published),
        INTRODUCTION.strip(),
        "## Pages",
        "\n".join(contents),
        "## Further questions",
        markdown_table(["Asked of", *columns[1:]], ours),
    ]
    return "\n\n".join(parts) + "\n"


def work_of(row: list[str]) -> int | None:
    """Return which of `WORKS` a claim comes from; None for a question of ours."""
    return next((i for i, work in enumerate(WORKS) if row[0].startswith(work)), None)


def counted(rows: list[list[str]]) -> str:
    found = [row[2].strip("*") for row in rows]
    return ", ".join(
        f"{found.count(verdict)} {words}"
        for verdict, words in (
            ("holds", "hold"),
            ("fails", "fail"),
            ("cannot be told here", "cannot be told here"),
        )
    )


def make_pages() -> dict[Path, str]:
    """Return the text of every page by its path."""
    records = read_records()
    pages = {PAGES / page_name(stem): make_page(stem, record) for stem, record in records.items()}
    return {**pages, PAGES / "index.md": make_index(records)}


def main() -> None:
    PAGES.mkdir(exist_ok=True)
    pages = make_pages()
    for stale in set(PAGES.glob("*.md")) - set(pages):
        stale.unlink()
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    print(f"Wrote {len(pages)} pages to {PAGES.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
