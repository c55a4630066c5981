"""What one measurement found: printed as tables, kept as JSON, from which its page is made."""

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import sklearn
import torch

from specvae import __version__

__all__ = [
    "DATA",
    "RESULTS",
    "Claim",
    "Evidence",
    "Figure",
    "Options",
    "Table",
    "parse_options",
    "plus_minus",
    "star_seed",
]

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
DATA = ROOT.parent / "shared/data"

Purpose = Literal["choose", "report"]
Size = Literal["test", "cpu", "full"]
Verdict = Literal["holds", "fails", "cannot be told here"]
PURPOSES: tuple[Purpose, ...] = ("choose", "report")


@dataclass(frozen=True)
class Options:
    """What the command line says: the size of a run, and whose stars it may see."""

    size: Size = "cpu"
    purpose: Purpose = "report"
    n_jobs: int = 2
    started: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers under named columns; a note says what they are."""

    title: str
    columns: list[str]
    rows: list[list[Any]]
    note: str = ""

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=self.columns)


@dataclass(frozen=True)
class Claim:
    """A published claim, what was measured here, and whether it holds here."""

    source: str
    statement: str
    measured: str
    verdict: Verdict


@dataclass(frozen=True)
class Figure:
    """A picture in docs/results, drawn from the record."""

    file: str
    caption: str


@dataclass
class Evidence:
    """The record of one script.

    `chosen_on` names the stars that settings were chosen on, `reported_on` those of the tables,
    both as one id for each set of stars; a set in both is refused.
    """

    name: str
    title: str
    question: str
    seeds: list[int]
    chosen_on: list[str]
    reported_on: list[str]
    does_not_show: list[str]
    settings: dict[str, Any] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        both = sorted(set(self.chosen_on) & set(self.reported_on))
        if both:
            raise ValueError(
                f"chosen_on and reported_on of {self.name!r} share {both}; nothing that is "
                "reported may have been chosen on."
            )
        if not self.does_not_show:
            raise ValueError(f"does_not_show of {self.name!r} is empty; say what it leaves open.")

    def show(self) -> None:
        """Print the tables and the claims."""
        for table in self.tables:
            print(f"\n{table.title}\n{table.frame().to_string(index=False)}")
            if table.note:
                print(table.note)
        for claim in self.claims:
            print(f"\n[{claim.verdict}] {claim.source}: {claim.statement}\n  {claim.measured}")

    def write(self, options: Options) -> Path | None:
        """Print, and write the record; a run on stars to choose on leaves none."""
        self.show()
        minutes = (time.perf_counter() - options.started) / 60.0
        print(f"\n{minutes:.1f} minutes, size {options.size}")
        if options.purpose != "report" or options.size == "test":
            print(f"No record: purpose {options.purpose}, size {options.size}.")
            return None
        suffix = "" if options.size == "cpu" else f"_{options.size}"
        path = RESULTS / f"evidence_{self.name}{suffix}.json"
        record = {
            **asdict(self),
            "size": options.size,
            "minutes": round(minutes, 2),
            "n_jobs": options.n_jobs,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "versions": {
                "specvae": __version__,
                "torch": torch.__version__,
                "scikit-learn": sklearn.__version__,
                "numpy": np.__version__,
            },
        }
        text = json.dumps(record, indent=1, default=_as_json, allow_nan=False) + "\n"
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
        print(f"Wrote {path.relative_to(ROOT)}; `python benchmarks/evidence/pages.py` makes pages.")
        return path


def parse_options(description: str | None) -> Options:
    """Read ``--full``, ``--choose``, ``--jobs`` and let torch use one thread for each job."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--full", action="store_true", help="published sizes; a GPU is needed within a day"
    )
    parser.add_argument(
        "--choose",
        action="store_true",
        help="other stars, to choose settings on; leaves no record",
    )
    parser.add_argument("--test", action="store_true", help="a size for tests; leaves no record")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    given = parser.parse_args()
    torch.set_num_threads(1)
    size: Size = "full" if given.full else "test" if given.test else "cpu"
    return Options(size, "choose" if given.choose else "report", given.jobs)


def star_seed(purpose: Purpose, seed: int) -> int:
    """Return a seed for a design: stars to choose settings on are never stars that are reported."""
    sequence = np.random.SeedSequence([PURPOSES.index(purpose), seed])
    return int(sequence.generate_state(1)[0] % 2**31)


def plus_minus(mean: float, error: float) -> str:
    """Return ``mean ± error`` with two digits of the error."""
    if not (np.isfinite(mean) and np.isfinite(error)):
        return "-"
    if error <= 0.0:
        return f"{mean:.3g}"
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


def machine() -> str:
    """Return processor and cores, without the name of the host."""
    processor = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        processor = names[0] if names else processor
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{processor}, {os.cpu_count()} cores, {device}"


def _as_json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: {value!r}")
