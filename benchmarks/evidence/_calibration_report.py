"""The tables of calibration, and what they say about what was stated."""

from typing import Any

import numpy as np
from _calibration_models import NETWORKS
from _evidence import Claim, Table, plus_minus

__all__ = ["SHOWN", "claims_of", "near", "tables_of"]

TITLES = ["Teff, K", "log g, dex", "[Fe/H], dex"]
NOMINAL = (0.6827, 0.95)
# In units of the scatter of one star, 0.47 and 0.22, both are a tenth.
TOLERANCES = (0.05, 0.025)
# What docs/models.md says of one standard deviation that 64 stars calibrated.
DOCUMENTED_SHARES = (0.60, 0.76)
# What is shown outside the training range: one interval of each model that states one.
SHOWN = [
    "PCA + Gaussian process, stated",
    "SpectralRegressor, stated",
    "SpectralRegressor, five, stated",
    "SemiSupervisedVAE, stated",
    "SpectralRegressor, one sigma",
]
LIMITS = "here: what Cvrcek et al. 2025 left open"
REMEDIES = "here: common remedies"
DOCUMENTED = "here: docs/models.md"


def near(share: float, error: float, level: int) -> bool:
    """Whether a share is that of the level, within the tolerance or two standard errors."""
    return bool(abs(share - NOMINAL[level]) <= max(TOLERANCES[level], 2.0 * error))


def tables_of(results: dict[str, dict[str, Any]]) -> list[Table]:
    tables = []
    for name, result in results.items():
        tables += [table_of_label(name, result, column) for column in range(len(TITLES))]
        tables.append(table_outside(name, result["outside"]))
        tables.append(table_flagged(name, result["outside"]))
    return tables


def percent(scores: dict[str, Any], level: int, label: int) -> str:
    return plus_minus(100 * scores["coverage"][level, label], 100 * scores["error"][level, label])


def table_of_label(name: str, result: dict[str, Any], label: int) -> Table:
    columns = ["Model", "Interval", "Error", "68 %", "95 %", "Width of 68 %", "Score of 95 %"]
    rows: list[list[Any]] = []
    for key, scores in result["scores"].items():
        row = [
            *key.rsplit(", ", 1),
            f"{scores['mae'][label]:.3g}",
            *(percent(scores, level, label) for level in range(2)),
            f"{scores['width'][0, label]:.3g}",
            finite(scores["interval score"][label]),
        ]
        if name == "MILES":
            row += [percent(result["all stars"][key], level, label) for level in range(2)]
        rows.append(row)
    note = f"{result['stars']} stars. "
    if name == "MILES":
        columns += ["68 %, all stars", "95 %, all stars"]
        note += "The last two columns hold the stars that were developed on as well. "
    note += "Error: mean absolute error. Coverage in %, mean over stars."
    return Table(f"{name}: {TITLES[label]}", columns, rows, note)


def finite(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "-"


def table_outside(name: str, places: dict[str, Any]) -> Table:
    columns = ["Model", "Teff", "Stars", "Error of Teff, K", "Stated, K"]
    columns += ["68 %", "95 %", "68 %, log g", "68 %, [Fe/H]"]
    rows = []
    for key in SHOWN:
        for place, of_place in places.items():
            scores = of_place["scores"][key]
            cells = [percent(scores, level, 0) for level in range(2)]
            cells += [percent(scores, 0, label) for label in (1, 2)]
            error, stated = scores["mae"][0], scores["width"][0, 0]
            rows.append([key, place, of_place["stars"], f"{error:.3g}", f"{stated:.3g}", *cells])
    note = "Trained on stars from 4500 to 6500 K; 'outside' are all others together."
    return Table(f"{name}: outside the training range", columns, rows, note)


def table_flagged(name: str, places: dict[str, Any]) -> Table:
    rows = [
        [place, of_place["stars"], flagged_share(of_place)] for place, of_place in places.items()
    ]
    note = "5 % are expected inside. No label and no network has a part in it."
    return Table(f"{name}: flagged as unlike the training", ["Teff", "Stars", "%"], rows, note)


def flagged_share(of_place: dict[str, Any]) -> str:
    flagged = of_place["flagged"]
    return plus_minus(100 * flagged.mean[0], 100 * flagged.standard_error[0])


def claim(source: str, statement: str, measured: str, holds: bool) -> Claim:
    return Claim(source, statement, measured, "holds" if holds else "fails")


def found(scores: dict[str, Any], key: str, level: int) -> str:
    shares = ", ".join(percent(scores[key], level, label) for label in range(len(TITLES)))
    return f"{key}: {shares} %"


def all_near(scores: dict[str, Any], key: str, level: int) -> bool:
    one = scores[key]
    pairs = zip(one["coverage"][level], one["error"][level], strict=True)
    return all(near(share, error, level) for share, error in pairs)


def claims_of(results: dict[str, dict[str, Any]]) -> list[Claim]:
    """Judge by the rule that ends each call; where labels are many, all must agree."""
    claims = []
    for name, result in results.items():
        scores, of_labels = result["scores"], f"Teff, log g and [Fe/H] of {result['stars']} stars"
        raw = "SemiSupervisedVAE, raw"
        claims.append(
            claim(
                LIMITS,
                "The standard deviation of a label-aware VAE, as it is, holds 68 % of the labels "
                f"({name}).",
                f"{found(scores, raw, 0)}, of {of_labels}; holds if all "
                "are within 5 points or two standard errors of 68 %.",
                all_near(scores, raw, 0),
            )
        )
        stated = [f"{network}, stated" for network in NETWORKS]
        shares = np.array([scores[key]["coverage"][0] for key in stated])
        low, high = DOCUMENTED_SHARES
        claims += [
            claim(
                DOCUMENTED,
                f"Calibrated on 64 stars, one standard deviation holds 60 to 76 % ({name}).",
                f"{'; '.join(found(scores, key, 0) for key in stated)}, of {of_labels}.",
                bool(((shares >= low) & (shares <= high)).all()),
            ),
            claim(
                "here: Gaussian errors",
                f"1.96 of the stated standard deviations hold 95 % ({name}).",
                f"{'; '.join(found(scores, key, 1) for key in stated)}, of {of_labels}; holds if "
                "all are within 2.5 points or two standard errors.",
                all(all_near(scores, key, 1) for key in stated),
            ),
        ]
        conformal = [f"{network}, conformal" for network in NETWORKS]
        claims.append(
            claim(
                REMEDIES,
                f"A factor of its own for 95 %, from stars kept aside, holds 95 % ({name}).",
                f"{'; '.join(found(scores, key, 1) for key in conformal)}, of {of_labels}; the "
                "same rule.",
                all(all_near(scores, key, 1) for key in conformal),
            )
        )
        claims += claims_outside(name, result["outside"])
    return claims


def claims_outside(name: str, places: dict[str, Any]) -> list[Claim]:
    """Judge: it warns if the stated uncertainty grows by half the factor of the error or more."""

    def grown(key: str, field: str) -> float:
        inside, outside = (places[place]["scores"][key][field] for place in ("inside", "outside"))
        return float((outside / inside).ravel()[0])

    def warns(key: str) -> bool:
        return grown(key, "width") >= 0.5 * grown(key, "mae")

    def measured(key: str) -> str:
        share = percent(places["outside"]["scores"][key], 0, 0)
        return (
            f"{key}: the error of Teff grows {grown(key, 'mae'):.1f} times, the stated one "
            f"{grown(key, 'width'):.1f} times; {share} % lie within."
        )

    single = [f"{network}, stated" for network in NETWORKS]
    others = ["SpectralRegressor, five, stated", "PCA + Gaussian process, stated"]
    flagged = [flagged_share(places[place]) for place in ("outside", "inside")]
    return [
        claim(
            DOCUMENTED,
            "Uncertainties hold for stars like those of the training; a spectrum of another kind "
            f"gets no warning ({name}, Teff outside the training range).",
            f"{' '.join(map(measured, single))} Holds if the stated one grows by less than half "
            "the factor of the error.",
            not any(map(warns, single)),
        ),
        *(
            claim(
                REMEDIES,
                f"{kind} outside the training range ({name}).",
                f"{measured(key)} The same rule. Distance from the training in components: "
                f"{flagged[0]} % outside are flagged, {flagged[1]} % inside.",
                warns(key),
            )
            for kind, key in zip(
                ("Five networks warn", "A Gaussian process warns"), others, strict=True
            )
        ),
    ]
