"""Tables and claims of small_codes."""

from typing import Any

import numpy as np
from _evidence import Claim, Table, Verdict
from _evidence import plus_minus as with_error
from _small_codes_fits import AE, ARCHIVE, CONV, DENSE, FACTORS, SEVERAL, SMOOTHINGS_AA, VAE
from _small_codes_measures import Measured, average, judge

__all__ = ["claims_of", "combined", "mean_of_seeds", "plain", "tables_of"]

PREPARED = ("level subtracted", "median", "continuum")
# The notes subtract the "DC level"; of spectra of unequal exposures this keeps their brightness.
PUBLISHED = PREPARED[:2]
CAUSES = ("tilt and ripple", "all of the continuum")
SOURCE = "ESCAPE notes 2020, section {}"


def plus_minus(value: float, error: float) -> str:
    """Return ``mean ± error``; three digits behind the point where the error has more zeros."""
    return f"{value:.3f}" if 0.0 <= error < 0.0005 else with_error(value, error)


def mean_of_seeds(results: list[Any]) -> Any:
    """Average what all seeds have, at any depth: each seed has stars of its own."""
    first = results[0]
    if isinstance(first, Measured):
        return average(results)
    if isinstance(first, dict):
        return {key: mean_of_seeds([each[key] for each in results]) for key in first}
    if isinstance(first, tuple):
        return tuple(mean_of_seeds(list(each)) for each in zip(*results, strict=True))
    return float(np.mean(results))


def plain(result: Any) -> Any:
    """Return what JSON can hold: names for keys, None for what is not known."""
    if isinstance(result, dict):
        names = {key: key if isinstance(key, str) else " ".join(map(str, key)) for key in result}
        return {names[key]: plain(each) for key, each in result.items()}
    if isinstance(result, list | tuple):
        return [plain(each) for each in result]
    return None if isinstance(result, float) and not np.isfinite(result) else result


def combined(verdicts: list[Verdict]) -> Verdict:
    """Return what a claim of several parts comes to: it fails if one of them does."""
    if "fails" in verdicts:
        return "fails"
    return "holds" if set(verdicts) == {"holds"} else "cannot be told here"


def tables_of(codes: dict[str, Any], lines: dict[str, Any]) -> list[Table]:
    """Return the four tables."""
    return [repeats_table(codes), causes_table(codes), shape_table(codes), telluric_table(lines)]


def repeats_table(codes: dict[str, Any]) -> Table:
    rows = [
        [
            prepared,
            name,
            plus_minus(*result["distance"]),
            plus_minus(*result["own nearest"]),
            *(plus_minus(*result["R2"][factor]) for factor in FACTORS),
        ]
        for prepared, of_input in codes.items()
        for name, result in of_input.items()
    ]
    chance = next(iter(next(iter(codes.values())).values()))["chance"]
    return Table(
        "Do repeats fall together, and what does the code tell?",
        [
            "flux",
            "code",
            "distance of repeats / of stars",
            "nearest is own star",
            *(f"R2 of {factor}" for factor in FACTORS),
        ],
        rows,
        "Test stars. Distances in the whitened code; a ratio of 1 is no star in the code. Own "
        f"star is nearest by chance in {chance:.3f}; the share falls with the number of stars. R2 "
        "by ten nearest neighbours among other stars: below 0 is worse than the mean. Tilt "
        "and ripple of the continuum are told by no label.",
    )


def causes_table(codes: dict[str, Any]) -> Table:
    rows = [
        [prepared, name, *(plus_minus(*result["caused"][cause]) for cause in CAUSES)]
        for prepared, of_input in codes.items()
        for name, result in of_input.items()
    ]
    return Table(
        "Share of the code's scatter within stars that the continuum causes",
        ["flux", "code", *CAUSES],
        rows,
        "The same spectra with the same noise were simulated without the two factors that no "
        "label tells, and with airmass, seeing and exposure of the star's first spectrum as well; "
        "the share of the squared scatter that is gone. Below 0: the code scatters more without. "
        "Where the level is subtracted, the brightness of the exposure stays and is most of it.",
    )


def shape_table(codes: dict[str, Any]) -> Table:
    rows = [
        [
            prepared,
            name,
            plus_minus(*result["drawn"][0]) if "drawn" in result else "-",
            plus_minus(*result["drawn"][1]) if "drawn" in result else "-",
            f"{result['to PCA']:.3g}",
        ]
        for prepared, of_input in codes.items()
        for name, result in of_input.items()
    ]
    return Table(
        "What is drawn of a spectrum, and the time of training",
        ["flux", "code", "broad shape", "narrow lines", "training time / PCA's"],
        rows,
        "Shares of the variance of noiseless test spectra about the mean training spectrum: "
        "smoothed by a Gaussian of 50 channels (14 Angstrom), and what the smoothing takes away. "
        "Time over that of PCA with 2 components in the same run, on one thread.",
    )


def telluric_table(lines: dict[str, Any]) -> Table:
    rows = []
    for frame, of_frame in lines.items():
        for (kind, n_latents), result in of_frame.items():
            row = [frame, kind, n_latents, plus_minus(*result["error"])]
            for name in SMOOTHINGS_AA:
                for part in ("telluric", "stellar", "rejection"):
                    row.append(plus_minus(*result[name][part]))
            rows.append(row)
    return Table(
        "Telluric and stellar lines of the same depth",
        [
            "frame",
            "model",
            "code",
            "mean absolute error",
            *(
                f"{part}, {name}"
                for name in SMOOTHINGS_AA
                for part in ("telluric drawn", "stellar drawn", "rejection")
            ),
        ],
        rows,
        "Drawn over true depth, by star, after smoothing by 0.125 Angstrom (narrow) and 0.5 "
        "(wide), the same for all models. Rejection is the mean over stars of 1 - telluric / "
        "stellar: 1 leaves telluric lines out, 0 draws both alike, below 0 draws telluric lines "
        "better. The constant spectrum draws the mean of what moves: only after wide smoothing "
        "does that look like lines. In the archive's frame stars move by 30 km/s, the atmosphere "
        "with the Earth's velocity; the other frames are controls in which one of them is at rest.",
    )


def claims_of(codes: dict[str, Any], lines: dict[str, Any], *, on_gpu: bool) -> list[Claim]:
    """Return the claims of the notes and what becomes of them."""
    of_hits = SOURCE.format("3 (HITS network)")
    of_eso = SOURCE.format("4 (ESO network)")
    dense = {prepared: codes[prepared][DENSE] for prepared in PREPARED}
    nearest = [dense[prepared]["own nearest"] for prepared in PUBLISHED]
    shape = dense[PUBLISHED[0]]["caused"][CAUSES[0]]
    caused = [dense[prepared]["caused"][CAUSES[1]] for prepared in PUBLISHED]
    broad, narrow = ([dense[prepared]["drawn"][k] for prepared in PUBLISHED] for k in (0, 1))
    archive = lines[ARCHIVE]
    stellar = {name: [archive[AE, n][name]["stellar"] for n in SEVERAL] for name in SMOOTHINGS_AA}
    return [
        Claim(
            of_hits,
            "Repeated observations of the same object do not generally fall close to each other "
            "in the 2-D latent space (no figure given).",
            _each("nearest neighbour of the own star", PUBLISHED, nearest)
            + f" With the continuum divided out {_show(dense['continuum']['own nearest'])}, in 8 "
            f"numbers by a convolutional autoencoder (median) "
            f"{_show(codes['median'][CONV]['own nearest'])}. Rule: below a half for both.",
            judge(nearest, 0.5, above=False),
        ),
        Claim(
            of_hits,
            "Extrinsic effects on the shape of the continuum seem to play an important role in "
            "the similarity (no figure given).",
            _each("of the squared scatter within stars caused by them", PUBLISHED, caused)
            + f" Of tilt and ripple alone, level subtracted: {_show(shape)}; the rest is "
            "brightness, set by the exposure. Rule: more than half for flux over its median.",
            judge(caused[1:], 0.5, above=True),
        ),
        Claim(
            of_hits,
            "The overall shape of the continuum is well reproduced by the 2-D autoencoder, the "
            "narrow lines are not (no figure given).",
            _each("of the variance of the broad shape drawn", PUBLISHED, broad)
            + " "
            + _each("of the narrow lines", PUBLISHED, narrow)
            + f" PCA of 2: {_show(codes['median']['PCA, 2']['drawn'][1])} of the narrow lines "
            "(median). Rule: more than half of the one, less than half of the other.",
            combined([judge(broad, 0.5, above=True), judge(narrow, 0.5, above=False)]),
        ),
        Claim(
            of_hits,
            "The training takes few seconds on the unique target catalog (about 7,000 spectra, on "
            "a P40 GPU).",
            f"{dense['median']['to PCA']:.0f} times PCA's time, {dense['median']['seconds']:.0f} s "
            + ("on a GPU." if on_gpu else "on one shared CPU core for fewer spectra; no GPU here."),
            ("holds" if dense["median"]["seconds"] < 10.0 else "fails")
            if on_gpu
            else "cannot be told here",
        ),
        Claim(
            of_eso,
            "Networks with 8 latents or above reconstruct the large majority of spectral features, "
            "large and small (no figure given).",
            _each(
                "of the depth of stellar lines drawn, after narrow smoothing",
                SEVERAL,
                stellar["narrow"],
            )
            + " "
            + _each("after wide smoothing", SEVERAL, stellar["wide"])
            + f" PCA of 8 and 32, narrow: {_show(archive['PCA', 8]['narrow']['stellar'])} and "
            f"{_show(archive['PCA', 32]['narrow']['stellar'])}. Rule: more than half at both; less "
            "cannot refute networks that were trained on 275,000 spectra for a week.",
            _not_refuted(judge([*stellar["narrow"], *stellar["wide"]], 0.5, above=True)),
        ),
        _telluric_claim(of_eso, archive, lines),
    ]


def _telluric_claim(source: str, archive: dict[Any, Any], lines: dict[str, Any]) -> Claim:
    networks = [archive[kind, n] for kind in (AE, VAE) for n in SEVERAL]
    rejections = [result[name]["rejection"] for result in networks for name in SMOOTHINGS_AA]
    stellar = [result[name]["stellar"] for result in networks for name in SMOOTHINGS_AA]
    draws_stars = judge(stellar, 0.5, above=True) == "holds"
    rest, earth = lines["stars at rest"], lines["Earth at rest"][AE, 8]["narrow"]
    text = "; ".join(
        f"{kind} of {n}: {_show(archive[kind, n]['narrow']['rejection'])} and "
        f"{_show(archive[kind, n]['wide']['rejection'])}"
        for kind in (AE, VAE, "PCA")
        for n in SEVERAL
    )
    return Claim(
        source,
        "In addition to rejecting noise, the network naturally rejects telluric lines, while "
        "reconstructing stellar ones (no figure given).",
        f"Rejection after narrow and wide smoothing: {text}. With the stars at rest, autoencoder "
        f"and PCA of 8: {_show(rest[AE, 8]['narrow']['rejection'])} and "
        f"{_show(rest['PCA', 8]['narrow']['rejection'])} narrow, "
        f"{_show(rest[AE, 8]['wide']['rejection'])} and "
        f"{_show(rest['PCA', 8]['wide']['rejection'])} wide. With the Earth at rest the "
        f"autoencoder draws {_show(earth['telluric'])} of the telluric and "
        f"{_show(earth['stellar'])} of the stellar depth (narrow). Rule: all networks above a half "
        "at both smoothings; not judged unless all draw more than half of the stellar depth at "
        "both.",
        judge(rejections, 0.5, above=True) if draws_stars else "cannot be told here",
    )


def _not_refuted(verdict: Verdict) -> Verdict:
    return verdict if verdict == "holds" else "cannot be told here"


def _show(value: Measured) -> str:
    return plus_minus(*value)


def _each(what: str, names: Any, values: list[Measured]) -> str:
    shown = ", ".join(f"{_show(value)} ({name})" for name, value in zip(names, values, strict=True))
    return f"{what[0].upper()}{what[1:]}: {shown}."
