"""The published claims, what was measured, and the verdicts by the rules."""

from dataclasses import replace

import numpy as np
from _evidence import Claim, plus_minus
from _informative_latents_data import CAUSES
from _informative_latents_fits import LAMBDAS, READINGS, Fit
from _informative_latents_rules import (
    CANNOT_BE_TOLD,
    entanglement,
    judge_agreement,
    judge_difference,
    judge_fewer,
    judge_number,
    judge_trend,
    stands_out,
    unless_unfinished,
)
from _informative_latents_study import MAIN, PUBLISHED_LAMBDA, Sizes, Study, having
from _informative_latents_tables import (
    by_seed,
    independent_information,
    kind_tests,
    lead_over_components,
)

from specvae.metrics import histogram_mutual_information

__all__ = ["claims_of"]

_MOST_BINS = 160
_SOURCE = "Sedaghat et al. 2021, "
_AT = f"lambda {PUBLISHED_LAMBDA}"


def _errors_by_length(studies: list[Study], sizes: Sizes) -> dict[int, float]:
    """Error of the first seed at the published weight, by the length of its training."""
    fits = [fit for fit in sizes.other_trainings if fit.network == sizes.published.network]
    coded = studies[0].coded
    return {fit.max_epochs: float(coded[fit].error.mean()) for fit in (sizes.published, *fits)}


def claims_of(studies: list[Study], sizes: Sizes) -> list[Claim]:
    of_trained = [
        number_claim(studies, sizes),
        agreement_claim(studies, sizes),
        trend_claim(studies, sizes),
        disentangled_claim(studies, sizes),
        *found_claims(studies, sizes),
        shared_node_claim(studies, sizes),
        components_claim(studies, sizes),
        *visibility_claims(studies, sizes),
    ]
    errors = _errors_by_length(studies, sizes)
    return [
        *(replace(claim, verdict=unless_unfinished(claim.verdict, errors)) for claim in of_trained),
        indicator_claim(studies, sizes),
    ]


def _counts(studies: list[Study], fit: Fit, what: str = "n_moving") -> list[int]:
    return [getattr(each.coded[fit], what) for each in having(studies, fit)]


def number_claim(studies: list[Study], sizes: Sizes) -> Claim:
    fits = {name: sizes.at(name, PUBLISHED_LAMBDA, sizes.large) for name in READINGS}
    counts = {name: _counts(studies, fit) for name, fit in fits.items()}
    others = {name: found for name, found in counts.items() if name != MAIN}
    paying = by_seed(_counts(studies, fits[MAIN], "n_paid"))
    listed = "; ".join(f"divergence {name}: {by_seed(found)}" for name, found in counts.items())
    return Claim(
        _SOURCE + "figure 4, section 6.1",
        f"6 of 128 latents have MAD > 0.02 at {_AT}.",
        f"{listed}. By KL > 0.01 nats, averaged over latents: {paying}.",
        judge_number(counts[MAIN], 6, others),
    )


def agreement_claim(studies: list[Study], sizes: Sizes) -> Claim:
    pairs = {}
    for name in READINGS:
        fits = [
            sizes.at(name, PUBLISHED_LAMBDA, n_latents) for n_latents in (sizes.small, sizes.large)
        ]
        counts = [_counts(studies, fit) for fit in fits]
        pairs[name] = list(zip(*counts, strict=True))
    both = (sizes.same_price[PUBLISHED_LAMBDA], sizes.published)
    same = [
        by_seed(_counts(studies[:1], fit, what)) for what in ("n_moving", "n_paid") for fit in both
    ]
    listed = "; ".join(
        f"{name}: " + ", ".join(f"{small} and {large}" for small, large in found)
        for name, found in pairs.items()
    )
    return Claim(
        _SOURCE + "figure 4, section 6.1",
        f"Codes of 8 and of 128 latents have the same number of informative ones, 6, at {_AT}.",
        f"MAD > 0.02 with {sizes.small} and {sizes.large} latents, by seed. {listed}. At the price "
        f"a nat that {sizes.large} latents have averaged over latents: {same[0]} and {same[1]}; "
        f"KL > 0.01 nats there: {same[2]} and {same[3]}.",
        judge_agreement(pairs),
    )


def trend_claim(studies: list[Study], sizes: Sizes) -> Claim:
    fits = [sizes.at(MAIN, weight, sizes.large) for weight in LAMBDAS]
    counts = [[each.coded[fit].n_moving for fit in fits] for each in studies]
    paying = [[each.coded[fit].n_paid for fit in fits] for each in studies]
    errors = [[float(each.coded[fit].error.mean()) for fit in fits] for each in studies]
    return Claim(
        _SOURCE + "figures 4 and 6",
        "From lambda 0.03 to 1 the latents with MAD > 0.02 become fewer and the reconstruction "
        "worse.",
        "By seed, lambda 0.03, 0.1, 0.3, 1: "
        + "; ".join(
            f"{by_seed(count)} latents (KL > 0.01 nats: {by_seed(paid)}), error "
            f"{', '.join(f'{1e3 * one:.1f}' for one in error)}e-3"
            for count, paid, error in zip(counts, paying, errors, strict=True)
        )
        + ".",
        judge_trend(counts, errors),
    )


def disentangled_claim(studies: list[Study], sizes: Sizes) -> Claim:
    coded = [each.coded[sizes.published] for each in studies]
    pairs = [entanglement(each.codes, each.mads) for each in coded]
    return Claim(
        _SOURCE + "section 6.1, figure 5",
        f"At {_AT} no two informative latents show significant correlation.",
        "Largest information between two of the up to 12 informative latents that move most, by "
        "seed: "
        + ", ".join(f"{found:.2f} nats (chance {chance:.2f})" for found, chance in pairs)
        + ".",
        # Chance is the mean of the largest pair; twice that is never reached by shuffling.
        "holds" if all(found <= 2.0 * max(chance, 0.01) for found, chance in pairs) else "fails",
    )


def _stand_out(studies: list[Study], sizes: Sizes, causes: list[str]) -> dict[str, list[bool]]:
    return {
        cause: [
            stands_out(
                each.scorers[sizes.published].information_[CAUSES.index(cause)],
                each.scorers[sizes.published].p_latent_[CAUSES.index(cause)],
            )
            for each in studies
        ]
        for cause in causes
    }


def _best(studies: list[Study], sizes: Sizes, cause: str) -> str:
    number = CAUSES.index(cause)
    ordered = [
        np.sort(each.scorers[sizes.published].information_[number])[::-1] for each in studies
    ]
    return f"{cause} " + ", ".join(f"{one[0]:.2f} and {one[1]:.2f}" for one in ordered)


def found_claims(studies: list[Study], sizes: Sizes) -> list[Claim]:
    found = ["rv_kms", "teff_k", "logg_dex"]
    not_found = ["mh_dex", "airmass", "snr"]
    stand, hidden = (_stand_out(studies, sizes, causes) for causes in (found, not_found))
    source = _SOURCE + "figure 7, section 6.2"
    rule = "Information in nats of the best latent and of the next, by seed: "
    return [
        Claim(
            source,
            f"At {_AT} single nodes stand out for radial velocity, Teff and log g.",
            rule + "; ".join(_best(studies, sizes, cause) for cause in found) + ".",
            _judge_all(stand),
        ),
        Claim(
            source,
            "No node stands out for [M/H], airmass and S/N.",
            rule + "; ".join(_best(studies, sizes, cause) for cause in not_found) + ".",
            _judge_all({name: [not one for one in seeds] for name, seeds in hidden.items()}),
        ),
    ]


def _judge_all(found: dict[str, list[bool]]) -> str:
    """Hold where all causes do on all seeds, fail where some cause does on none."""
    if all(all(seeds) for seeds in found.values()):
        return "holds"
    return CANNOT_BE_TOLD if all(any(seeds) for seeds in found.values()) else "fails"


def shared_node_claim(studies: list[Study], sizes: Sizes) -> Claim:
    best = {
        cause: [
            int(each.scorers[sizes.published].best_latent_[CAUSES.index(cause)]) for each in studies
        ]
        for cause in ("teff_k", "logg_dex", "rv_kms")
    }
    shared = [teff == logg != velocity for teff, logg, velocity in zip(*best.values(), strict=True)]
    return Claim(
        _SOURCE + "section 6.2.1",
        "The node of Teff is that of log g too, and velocity has another.",
        "Best latent by seed: "
        + "; ".join(f"{cause} {by_seed(latents)}" for cause, latents in best.items())
        + ".",
        "holds" if all(shared) else CANNOT_BE_TOLD if any(shared) else "fails",
    )


def components_claim(studies: list[Study], sizes: Sizes) -> Claim:
    lead = lead_over_components(studies, sizes)
    difference = float(np.mean(lead["difference"]))
    error = float(np.sqrt(np.square(lead["error"]).sum()) / len(studies))
    return Claim(
        _SOURCE + "appendix C, figure C1",
        "In 128 principal components each parameter is spread over many, in the latents it is not.",
        "Lead of the best over the second as a share of a cause's entropy, mean of the causes that "
        f"both know ({by_seed(lead['causes'])}): latents {np.mean(lead['vae']):.3f}, components "
        f"{np.mean(lead['pca']):.3f}, difference {plus_minus(difference, error)} (jackknife by "
        "star).",
        judge_difference(difference, error),
    )


def indicator_claim(studies: list[Study], sizes: Sizes) -> Claim:
    """Compare what is counted of S/N with what is counted of shuffled S/N, in the same stars."""
    independent = float(independent_information()["plug-in"][-1])
    pairs = []
    for each in studies:
        codes, snr = each.coded[sizes.published].codes, each.archive.tested["snr"].to_numpy()
        shuffled = np.random.default_rng(each.seed).permutation(snr)
        pairs.append([_most_counted(codes, label) for label in (snr, shuffled)])
    return Claim(
        "Our question to figure 7 of Sedaghat et al. 2021",
        "Information counted in 160 bins tells, without a null, what a latent knows.",
        f"4,061 independent rows give {independent:.2f} nats. The latent that seems to know most "
        "of S/N, and the same with S/N shuffled, by seed: "
        + ", ".join(f"{real:.2f} and {null:.2f}" for real, null in pairs)
        + ". Fails where shuffling leaves four fifths.",
        "fails" if all(null >= 0.8 * real for real, null in pairs) else CANNOT_BE_TOLD,
    )


def _most_counted(codes: np.ndarray, label: np.ndarray) -> float:
    return float(histogram_mutual_information(codes, label, _MOST_BINS).max())


def visibility_claims(studies: list[Study], sizes: Sizes) -> list[Claim]:
    fits = {"balanced": sizes.published, "unbalanced": sizes.unbalanced}
    counts = {name: _counts(studies, fit) for name, fit in fits.items()}
    paying = {name: _counts(studies, fit, "n_paid") for name, fit in fits.items()}
    found = {
        cause: [
            float(each.scorers[sizes.unbalanced].p_latent_[CAUSES.index(cause)].min())
            for each in studies
        ]
        for cause in ("teff_k", "rv_kms")
    }
    of_kind = kind_tests(studies, sizes)
    coolest = of_kind.get("M dwarfs")
    claims = [
        Claim(
            _SOURCE + "section 6.4",
            "Without balanced visibility there are 5 informative latents instead of 6.",
            f"MAD > 0.02, unbalanced and balanced, by seed: {by_seed(counts['unbalanced'])} and "
            f"{by_seed(counts['balanced'])}; KL > 0.01 nats: {by_seed(paying['unbalanced'])} and "
            f"{by_seed(paying['balanced'])}.",
            judge_fewer(counts["unbalanced"], counts["balanced"]),
        ),
        Claim(
            _SOURCE + "section 6.4",
            "Teff and radial velocity are found without balanced visibility too.",
            "p of the best latent, by seed: "
            + "; ".join(
                f"{cause} " + ", ".join(f"{p:.3f}" for p in of_seed)
                for cause, of_seed in found.items()
            )
            + ".",
            _judge_all({name: [p < 0.01 for p in seeds] for name, seeds in found.items()}),
        ),
    ]
    if coolest is not None:
        difference, error = -1e3 * coolest["difference"], 1e3 * coolest["standard_error"]
        claims.append(
            Claim(
                _SOURCE + "section 6.4",
                "What is learned of the coolest stars alone is lost without balanced visibility.",
                f"Error of {int(coolest['n_stars'])} M dwarfs, unbalanced less balanced: "
                f"{plus_minus(difference, error)} e-3, p = {coolest['p_value']:.3f}.",
                judge_difference(difference, error),
            )
        )
    return claims
