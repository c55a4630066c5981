"""What the unsupervised probe says about the published table: claims, and rules of the verdicts."""

from typing import Any

from _evidence import Claim, Verdict
from _unsupervised_probe_report import NETWORKS, NOTHING, RIGHT, WRONG, Key, Results, compared

from specvae.metrics import mean_by_star

__all__ = ["RULES", "claims_of", "informed", "mixing_worsens", "similar"]

Tests = dict[tuple[str, tuple[Key, Key]], dict[str, Any]]

PAPER = "Cvrcek et al. 2025, table 6"
LINEAR = "Linear regression on unsupervised codes misses"
MAX_P = 0.01
INFORMED, UNINFORMED = 0.75, 0.95  # of the error of the median
SIMILAR = 1.1  # largest error over smallest; 1.04 for the published Teff
RULES = (
    f"errors near 1000 K, and the like, fail where both networks err below {INFORMED} of the "
    f"median's error with p < {MAX_P}, and hold where both reach {UNINFORMED} of it, as if the "
    f"codes told nothing; alike is within a factor of {SIMILAR}; mixing "
    f"worsens where an error rises with p < {MAX_P} and none falls; p as in the table of tests"
)


def informed(ratios: list[float], p_values: list[float]) -> Verdict:
    """Whether "codes are as good as no spectrum" holds: ratios to the error of the median."""
    if all(r < INFORMED and p < MAX_P for r, p in zip(ratios, p_values, strict=True)):
        return "fails"
    if all(r >= UNINFORMED for r in ratios):
        return "holds"
    return "cannot be told here"


def similar(errors: list[float], smallest_p: float) -> Verdict:
    """Whether models err alike; `smallest_p` is that of all pairs."""
    if max(errors) / min(errors) <= SIMILAR:
        return "holds"
    return "fails" if smallest_p < MAX_P else "cannot be told here"


def mixing_worsens(changes: list[float], p_values: list[float]) -> Verdict:
    """Judge "simulated spectra worsen the codes" by relative changes of the error."""
    pairs = list(zip(changes, p_values, strict=True))
    worse, better = (
        any(sign * change > 0 and p < MAX_P for change, p in pairs) for sign in (1, -1)
    )
    return "cannot be told here" if worse == better else "holds" if worse else "fails"


def error(results: Results, key: Key, label: int = 0) -> float:
    """Mean absolute error over stars; of Teff in K by default."""
    measured = results.all
    return float(mean_by_star(measured.errors[key][:, label], measured.groups).mean[0])


def kelvin(results: Results, reader: str) -> list[float]:
    return [error(results, (name, reader)) for name in NETWORKS]


def claims_of(results: Results) -> list[Claim]:
    """Judge the published claims by the rules above."""
    tests = {(row["quantity"], row["pair"]): row for row in compared(results.all)}
    return [
        *uninformed_claims(results, tests),
        similar_claim(results, tests),
        mixing_claim(tests),
    ]


def uninformed_claims(results: Results, tests: Tests) -> list[Claim]:
    """Judge errors of the size that no spectrum at all gives."""
    kinds = NETWORKS[:2]
    right, wrong = (
        ", ".join(f"{each:.0f}" for each in kelvin(results, reader)[:2])
        for reader in (RIGHT, WRONG)
    )
    of_teff = (
        f"Teff of {' and '.join(kinds)}: by position {right} K, wrong join {wrong} K, median "
        f"without any spectrum {error(results, NOTHING):.0f} K. "
    )
    claims = []
    for quantity, statement, text in (
        (
            "teff_k",
            f'{LINEAR} Teff by 978 to 1017 K ("~ 1000"), 2.4 to 2.5 MAD of their catalogue.',
            of_teff,
        ),
        ("rv_kms", f"{LINEAR} velocity by 31.1 to 32.2 km/s, 2.0 to 2.1 MAD.", ""),
        ("intrinsic", f"{LINEAR} Teff, [M/H] and log g together by 1.548 to 1.590 MAD.", ""),
        ("extrinsic", f"{LINEAR} velocity, BERV and airmass together by 1.575 to 1.606 MAD.", ""),
    ):
        rows = [tests[quantity, ((kind, RIGHT), NOTHING)] for kind in kinds]
        parts = [
            f"{k} {row['ratio']:.2f} (p {row['p']:.2g})" for k, row in zip(kinds, rows, strict=True)
        ]
        joined = tests[quantity, ((kinds[0], WRONG), NOTHING)]["ratio"]
        measured = (
            f"{text}Error over that of the median, by position: {', '.join(parts)}; "
            f"{kinds[0]} with the wrong join {joined:.2f}."
        )
        verdict = informed([row["ratio"] for row in rows], [row["p"] for row in rows])
        claims.append(Claim(PAPER, statement, measured, verdict))
    return claims


def similar_claim(results: Results, tests: Tests) -> Claim:
    keys = [(name, RIGHT) for name in NETWORKS]
    smallest = min(
        tests["teff_k", (one, other)]["p"] for i, one in enumerate(keys) for other in keys[i + 1 :]
    )
    right, wrong = kelvin(results, RIGHT), kelvin(results, WRONG)
    texts = [", ".join(f"{each:.0f}" for each in values) for values in (right, wrong)]
    return Claim(
        "Cvrcek et al. 2025, section 5 and table 6",
        '"Label prediction performance remained similar across various unsupervised models": Teff '
        "errors of 978 to 1017 K, within 4 %.",
        f"{', '.join(NETWORKS)}: by position {texts[0]} K, largest over smallest "
        f"{max(right) / min(right):.2f}, smallest p of a pair {smallest:.2g}; with the wrong join "
        f"{texts[1]} K, largest over smallest {max(wrong) / min(wrong):.2f}.",
        similar(right, smallest),
    )


def mixing_claim(tests: Tests) -> Claim:
    rows = [tests["teff_k", ((name, RIGHT), (f"{name} (mixed)", RIGHT))] for name in NETWORKS[:2]]
    changes = [1.0 / row["ratio"] - 1.0 for row in rows]
    parts = [
        f"{name} {100 * change:+.0f} % (p {row['p']:.2g})"
        for name, change, row in zip(NETWORKS, changes, rows, strict=False)
    ]
    return Claim(
        PAPER,
        "Simulated spectra in the training seem to worsen unsupervised codes: Teff 986 to 1017 K "
        "(beta-VAE), 999 to 990 K (InfoVAE).",
        f"Change of the Teff error by position: {', '.join(parts)}.",
        mixing_worsens(changes, [row["p"] for row in rows]),
    )
