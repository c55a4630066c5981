"""Tables of the studies: counts by weight, causes by latent, stars by weighting."""

from typing import Any

import numpy as np
from _evidence import Table, plus_minus
from _informative_latents_data import CAUSES
from _informative_latents_fits import LAMBDAS, READINGS, Coded, Fit
from _informative_latents_rules import concentration, entanglement, jackknife
from _informative_latents_study import MAIN, PUBLISHED_LAMBDA, Sizes, Study, having, pooled_error

from specvae.metrics import compare_models, histogram_mutual_information

__all__ = [
    "KINDS",
    "all_tables",
    "by_seed",
    "independent_information",
    "kind_tests",
    "lead_over_components",
    "paid",
]

KINDS = ["M dwarfs", "dwarfs of 3900 to 6800 K", "hotter stars", "giants"]
_N_PUBLISHED_LABELLED = 4061
_PUBLISHED_BINS = (5, 10, 20, 40, 80, 160)
_MOST_LISTED = 10


def all_tables(studies: list[Study], sizes: Sizes) -> list[Table]:
    return [
        main_table(studies, sizes),
        other_readings(studies, sizes),
        same_price(studies, sizes),
        trainings(studies, sizes),
        causes_table(studies, sizes),
        latents_table(studies, sizes),
        balance_table(studies, sizes),
        null_table(studies, sizes),
    ]


def by_seed(values: list[Any]) -> str:
    return ", ".join(f"{value:.2f}" if isinstance(value, float) else f"{value}" for value in values)


def moving(studies: list[Study], fit: Fit) -> str:
    return by_seed([each.coded[fit].n_moving for each in having(studies, fit)])


def paying(studies: list[Study], fit: Fit) -> str:
    return by_seed([each.coded[fit].n_paid for each in having(studies, fit)])


def knowing(study: Study, name: Any) -> int:
    """Latents that know some cause at the smallest p-value that the permutations can give."""
    scorer = study.scorers[name]
    smallest = 1.0 / (scorer.n_permutations + 1)
    return int((scorer.p_latent_.min(axis=0) <= smallest + 1e-9).sum())


def error_cell(studies: list[Study], of_seed: Any) -> str:
    mean, error = pooled_error(studies, of_seed)
    return plus_minus(1e3 * mean, 1e3 * error)


def main_table(studies: list[Study], sizes: Sizes) -> Table:
    rows = []
    for weight in LAMBDAS:
        for n_latents in (sizes.large, sizes.small):
            fit = sizes.at(MAIN, weight, n_latents)
            pairs = [entanglement(each.coded[fit].codes, each.coded[fit].mads) for each in studies]
            row = [weight, n_latents, fit.kl_weight, moving(studies, fit), paying(studies, fit)]
            row.append(by_seed([knowing(each, fit) for each in studies]))
            row.append(", ".join(f"{found:.2f} ({chance:.2f})" for found, chance in pairs))
            rows.append([*row, error_cell(studies, lambda each, fit=fit: each.coded[fit].error)])
    nothing = ["-"] * 5
    rows += [
        ["PCA", sizes.large, *nothing, error_cell(studies, lambda each: each.components.error)],
        ["PCA", 6, *nothing, error_cell(studies, lambda each: each.few_components.error)],
        ["constant", 0, *nothing, error_cell(studies, lambda each: each.constant_error)],
    ]
    return Table(
        "Informative latents, the divergence averaged over latents",
        [
            "lambda",
            "latents",
            "kl_weight",
            "MAD > 0.02",
            "KL > 0.01 nats",
            "know a cause",
            "largest information of a pair (chance), nats",
            "error of the flux, 1e-3",
        ],
        rows,
        "The reading of the port: kl_weight = lambda / latents. Counts seed by seed. A latent "
        "knows a cause if its information with one is larger than all that permuted stars give to "
        f"any latent; there are {len(CAUSES)} causes, not corrected for. Pairs are those of the up "
        "to 12 latents that move most, in ten bins of equally many stars; chance is the "
        "largest of as many shuffled pairs.",
    )


def other_readings(studies: list[Study], sizes: Sizes) -> Table:
    rows = []
    first = studies[:1]
    for reading in (name for name in READINGS if name != MAIN):
        for fit in sizes.by_reading(reading):
            counts = [moving(first, fit), paying(first, fit)]
            error = error_cell(first, lambda each, fit=fit: each.coded[fit].error)
            weight = READINGS[reading](1.0, fit.n_latents)
            row = [reading, round(fit.kl_weight / weight, 2), fit.n_latents, fit.kl_weight]
            rows.append([*row, *counts, error])
    return Table(
        "The same by the other readings",
        ["divergence", "lambda", "latents", "kl_weight", "MAD > 0.02", "KL > 0.01 nats", _ERROR],
        rows,
        "Summed over latents beside an error averaged over pixels (their equations 5 and 2): "
        "kl_weight = lambda. Beside an error summed over their 327,680 pixels (equation 1): "
        f"kl_weight = lambda / 327,680. Seed {first[0].seed} alone.",
    )


_ERROR = "error of the flux, 1e-3"


def same_price(studies: list[Study], sizes: Sizes) -> Table:
    first = studies[:1]
    rows = []
    for weight, small in sizes.same_price.items():
        large = sizes.at(MAIN, weight, sizes.large)
        row: list[Any] = [large.kl_weight]
        for fit in (large, small):
            row += [moving(first, fit), paying(first, fit)]
            row.append(error_cell(first, lambda each, fit=fit: each.coded[fit].error))
        rows.append(row)
    columns = [
        f"{n_latents} latents: {what}"
        for n_latents in (sizes.large, sizes.small)
        for what in ("MAD > 0.02", "KL > 0.01 nats", _ERROR)
    ]
    return Table(
        "Both sizes at one price a nat",
        ["kl_weight", *columns],
        rows,
        f"The prices that 128 latents have above. Seed {first[0].seed} alone.",
    )


def trainings(studies: list[Study], sizes: Sizes) -> Table:
    first = studies[:1]
    rows = []
    for fit in sorted(
        {sizes.published, *sizes.other_trainings}, key=lambda fit: (fit.network, fit.max_epochs)
    ):
        coded = first[0].coded[fit]
        quiet = np.sort(coded.mads)[::-1][min(8, len(coded.mads) - 1)]
        rows.append(
            [
                fit.network,
                fit.max_epochs,
                coded.n_moving,
                coded.n_paid,
                float(quiet),
                error_cell(first, lambda each, fit=fit: each.coded[fit].error),
                round(coded.seconds),
            ]
        )
    return Table(
        f"Length of training and network, {sizes.large} latents, lambda {PUBLISHED_LAMBDA}",
        ["network", "epochs", "MAD > 0.02", "KL > 0.01 nats", "ninth largest MAD", _ERROR, "s"],
        rows,
        f"Seed {first[0].seed} alone. Half of the epochs raise the price to its value.",
    )


def paid(coded: Coded) -> np.ndarray:
    """Latents with more than 0.01 nats, largest first; the largest where there is none."""
    order = np.argsort(-coded.latent_kl, kind="stable")
    return order[: max(1, coded.n_paid)]


def causes_table(studies: list[Study], sizes: Sizes) -> Table:
    names = [sizes.published, sizes.at(MAIN, PUBLISHED_LAMBDA, sizes.small), "PCA"]
    rows = []
    for number, cause in enumerate(CAUSES):
        row: list[Any] = [cause]
        for name in names:
            row += [_mean_best(studies, name, number), _found(studies, name, number)]
            if name == sizes.published:
                kept = [
                    each.scorers[name].information_[number, paid(each.coded[name])].max()
                    for each in studies
                ]
                row.append(float(np.mean(kept)))
        for name in (names[0], names[2]):
            row.append(by_seed([_half_as_good(each.scorers[name], number) for each in studies]))
        rows.append(row)
    sized = [f"VAE {sizes.large}", f"VAE {sizes.small}", f"PCA {sizes.large}"]
    columns = [
        "cause",
        f"{sized[0]}: nats",
        "found",
        f"{sized[0]}: nats, latents with KL > 0.01",
        f"{sized[1]}: nats",
        "found ",
        f"{sized[2]}: nats",
        "found  ",
        f"{sized[0]}: half as good",
        f"{sized[2]}: half as good",
    ]
    return Table(
        f"Causes that are found, lambda {PUBLISHED_LAMBDA}",
        columns,
        rows,
        "Information of the best latent above permuted stars, mean over seeds, at 5, 10 or 20 "
        "bins. Found: p < 0.01, corrected for latents and bins, on so many seeds. Half as good: "
        "further latents that know at least half as much, seed by seed.",
    )


def _mean_best(studies: list[Study], name: Any, number: int) -> float:
    best = [each.scorers[name].information_[number].max() for each in studies]
    return max(0.0, float(np.mean(best)))


def _found(studies: list[Study], name: Any, number: int) -> str:
    found = [each.scorers[name].p_latent_[number].min() < 0.01 for each in studies]
    return f"{sum(found)} of {len(found)}"


def _half_as_good(scorer: Any, number: int) -> int:
    information = scorer.information_[number]
    return int((information >= max(information.max(), 1e-9) / 2).sum()) - 1


def latents_table(studies: list[Study], sizes: Sizes) -> Table:
    rows = []
    for each in studies:
        coded, scorer = each.coded[sizes.published], each.scorers[sizes.published]
        for latent in paid(coded)[:_MOST_LISTED]:
            information = scorer.information_[:, latent]
            order = np.argsort(-information)
            known = [
                f"{CAUSES[number]} {information[number]:.2f} "
                f"(chance {scorer.null_best_[number]:.2f})"
                for number in order
                if scorer.p_latent_[number, latent] < 0.01
            ]
            best = (known + ["nothing"] * 3)[:3] if known else ["nothing", "-", "-"]
            row = [each.seed, int(latent), float(coded.latent_kl[latent])]
            rows.append([*row, float(coded.mads[latent]), *best])
    return Table(
        f"What each informative latent knows, {sizes.large} latents, lambda {PUBLISHED_LAMBDA}",
        ["seed", "latent", "KL, nats", "MAD", "knows best", "then", "then "],
        rows,
        f"Latents with KL > 0.01 nats, the {_MOST_LISTED} largest of each seed. Nats above "
        "permuted stars, where p < 0.01; chance is what the best latent knows of a cause when "
        "stars are permuted.",
    )


def kind_of(study: Study) -> np.ndarray:
    causes = study.archive.tested
    teff_k, logg_dex = causes["teff_k"].to_numpy(), causes["logg_dex"].to_numpy()
    return np.select([logg_dex < 3.5, teff_k < 3900.0, teff_k > 6800.0], [3, 0, 2], 1)


def kind_tests(studies: list[Study], sizes: Sizes) -> dict[str, dict[str, float]]:
    """Errors of both weightings by kind of star, and the paired test, not corrected for kinds."""
    kind = np.concatenate([kind_of(each) for each in studies])
    star = np.concatenate([each.star for each in studies])
    fits = {"balanced": sizes.published, "unbalanced": sizes.unbalanced}
    errors = {
        name: np.concatenate([each.coded[fit].error for each in studies])
        for name, fit in fits.items()
    }
    found = {}
    for number, name in enumerate(KINDS):
        of_kind = kind == number
        if of_kind.sum() < 2:
            continue
        of_model = {model: error[of_kind] for model, error in errors.items()}
        table = compare_models(of_model, star[of_kind], n_permutations=999)
        found[name] = table.iloc[0].drop(["model", "other"]).astype(float).to_dict()
    return found


def balance_table(studies: list[Study], sizes: Sizes) -> Table:
    balanced, unbalanced = sizes.published, sizes.unbalanced
    rows = [
        ["MAD > 0.02", moving(studies, balanced), moving(studies, unbalanced), "-"],
        ["KL > 0.01 nats", paying(studies, balanced), paying(studies, unbalanced), "-"],
    ]
    for cause in ("teff_k", "rv_kms"):
        number = CAUSES.index(cause)
        cells = [
            by_seed([float(each.scorers[fit].information_[number].max()) for each in studies])
            for fit in (balanced, unbalanced)
        ]
        rows.append([f"best latent for {cause}, nats", *cells, "-"])
    for kind, test in kind_tests(studies, sizes).items():
        rows.append(
            [
                f"error of {int(test['n_stars'])} {kind}, 1e-3",
                1e3 * test["mean"],
                1e3 * test["other_mean"],
                f"{plus_minus(1e3 * test['difference'], 1e3 * test['standard_error'])}, "
                f"p = {test['p_value']:.3f}",
            ]
        )
    share = [_largest_share(each) for each in studies]
    return Table(
        f"Visibility, {sizes.large} latents, lambda {PUBLISHED_LAMBDA}",
        ["", "every star alike", "every spectrum alike", "difference, paired by star"],
        rows,
        "Most often observed star among the training spectra, their share: "
        f"{by_seed(share)}. P-values are not corrected for the kinds.",
    )


def _largest_share(study: Study) -> float:
    counts = np.unique(study.archive.groups[~study.archive.is_test], return_counts=True)[1]
    return float(counts.max() / counts.sum())


def lead_over_components(studies: list[Study], sizes: Sizes) -> dict[str, list[float]]:
    """Lead of the best latent, VAE less PCA, over the causes that both know; with its error."""
    found: dict[str, list[float]] = {"causes": [], "vae": [], "pca": [], "difference": []}
    found["error"] = []
    for each in studies:
        coded = each.coded[sizes.published]
        p_best = [each.scorers[name].p_latent_.min(axis=1) for name in (sizes.published, "PCA")]
        known = (p_best[0] < 0.01) & (p_best[1] < 0.01)
        if not known.any():
            known[:] = True
        causes = each.archive.tested.to_numpy()[:, known]
        codes = coded.codes[:, paid(coded)]

        def leads(codes: np.ndarray, components: np.ndarray, causes: np.ndarray) -> np.ndarray:
            of_both = [concentration(some, causes).mean() for some in (codes, components)]
            return np.array([*of_both, of_both[0] - of_both[1]])

        value, error = jackknife(leads, codes, each.components.codes, causes)
        found["causes"].append(int(known.sum()))
        for name, one in zip(("vae", "pca", "difference"), value, strict=True):
            found[name].append(float(one))
        found["error"].append(float(error[2]))
    return found


def independent_information() -> dict[str, np.ndarray]:
    """Information counted between two columns that have none, by both estimates."""
    rng = np.random.default_rng(0)
    code, label = rng.normal(size=(2, _N_PUBLISHED_LABELLED))
    return {
        estimate: histogram_mutual_information(
            code[:, None], label, _PUBLISHED_BINS, estimate=estimate
        )[0, :, 0]
        for estimate in ("plug-in", "grassberger")
    }


def null_table(studies: list[Study], sizes: Sizes) -> Table:
    independent = independent_information()
    first = studies[0]
    codes = first.coded[sizes.published].codes
    row_of = {}
    for cause in ("rv_kms", "snr"):
        best = first.scorers[sizes.published].information_[CAUSES.index(cause)].argmax()
        row_of[cause] = histogram_mutual_information(
            codes[:, [best]], first.archive.tested[cause], _PUBLISHED_BINS
        )[0, :, 0]
    rows = [
        [n_bins, *(float(values[at]) for values in (*independent.values(), *row_of.values()))]
        for at, n_bins in enumerate(_PUBLISHED_BINS)
    ]
    return Table(
        "Counted information without a null, nats",
        [
            "bins",
            f"{_N_PUBLISHED_LABELLED} independent rows, plug-in",
            "the same, Grassberger",
            f"{len(codes)} test stars: velocity and its best latent, plug-in",
            "S/N and its best latent, plug-in",
        ],
        rows,
        "4,061 spectra of the released table have a velocity. Plug-in is what the published "
        "indicator counts; each row of it is then divided by its largest value.",
    )
