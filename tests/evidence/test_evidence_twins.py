from types import SimpleNamespace

import numpy as np
import pytest
from _twins_models import SNRS, Stars, noise_of, principal_components, with_noise
from _twins_report import claims_of, difference
from twins import recovered, twin_figures

from specvae.metrics import swap_error


def made_up(own, swap, nearest, r2=0.0):
    """Results of a method whose twins are the nearest for given shares of 100 pairs at each S/N."""
    twins = {}
    for snr, share in zip(SNRS, nearest, strict=True):
        ranks = np.where(np.arange(200) < 200 * share, 0, 5)
        twins[snr] = {"ranks": ranks, "share": [share, share, share]}
    swap = SimpleNamespace(own_code=own, score=swap)
    return {"twins": twins, "swap": swap, "r2": {"linear": [0.0, 0.0], "network": [0.0, r2]}}


def verdicts(**changed):
    results = {
        "adversary alone": made_up(6e-6, 4e-6, (0.95, 0.9, 0.7, 0.3)),
        "adversary and price": made_up(6e-6, 4e-6, (0.95, 0.9, 0.7, 0.3)),
        "price alone": made_up(1e-6, 4e-5, (0.4, 0.3, 0.2, 0.1)),
        "neither": made_up(1e-6, 1e-4, (0.1, 0.1, 0.1, 0.1)),
        "degree 4 and PCA": made_up(1e-6, 4e-5, (0.5, 0.4, 0.3, 0.1)),
    }
    results |= {name.replace("_", " "): result for name, result in changed.items()}
    return [claim.verdict == "holds" for claim in claims_of(results)]


def test_all_claims_hold_where_all_is_as_published():
    assert all(verdicts())


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({"adversary_alone": made_up(6e-6, 4e-6, (0.6, 0.5, 0.4, 0.2))}, [0, 1]),
        ({"price_alone": made_up(1e-6, 4e-5, (0.96, 0.9, 0.7, 0.3))}, [2]),
        ({"neither": made_up(1e-6, 3e-5, (0.1, 0.1, 0.1, 0.1))}, [3]),
        ({"neither": made_up(3e-6, 1e-4, (0.1, 0.1, 0.1, 0.1))}, [4]),
        ({"adversary_alone": made_up(6e-6, 4e-6, (0.95, 0.9, 0.7, 0.3), 0.2)}, [5]),
        ({"adversary_alone": made_up(6e-6, 4e-6, (0.95, 0.9, 0.7, 0.5))}, [6]),
        ({"degree_4_and_PCA": made_up(1e-6, 4e-5, (0.5, 0.4, 0.3, 0.35))}, [7]),
    ],
)
def test_a_claim_fails_where_its_rule_is_broken(changed, failing):
    found = [place for place, holds in enumerate(verdicts(**changed)) if not holds]
    assert set(failing) <= set(found) and len(found) <= len(failing) + 1


def test_difference_counts_pairs():
    results = {"a": made_up(1, 1, (0.5,) * 4), "b": made_up(1, 1, (0.25,) * 4)}
    gain = difference(results, "a", "b", None)
    assert gain.mean == pytest.approx(25.0)
    # 25 of 100 pairs differ: the standard error of a share of 0.25 with n - 1.
    assert gain.error == pytest.approx(100.0 * np.sqrt(0.25 * 0.75 / 99.0))


def test_averaged_pixels_have_less_noise():
    stars = Stars(np.ones((2, 50_000), dtype=np.float32), np.zeros((2, 2)), 4)
    assert with_noise(stars, None, 0) is stars.flux
    assert with_noise(stars, 50, 0).std() == pytest.approx(0.01, rel=0.02)
    assert noise_of(50, 4) == pytest.approx(0.01)


def test_polynomial_and_components_make_twins_of_pairs_without_cross_terms():
    rng = np.random.default_rng(0)
    known = rng.normal(size=(20_000, 2))
    chemistry = np.repeat(rng.normal(size=(10_000, 3)), 2, axis=0)
    flux = chemistry @ rng.normal(size=(3, 20)) + (known**2) @ rng.normal(size=(2, 20))
    method = principal_components(flux, known, 3, 2, scaled=True)
    plain = principal_components(flux, known, 3, 0, scaled=True)
    flux, known = flux[:200], known[:200]
    codes = method.encode(flux, known)
    twin = np.arange(200) ^ 1
    assert twin_figures(codes, twin, scaled=True)["share"][0] > 0.95
    swapped = swap_error(method.decode(codes[twin], known), flux, twin)
    assert swapped.score < 1e-3 * swapped.constant
    assert twin_figures(plain.encode(flux, known), twin, scaled=True)["share"][0] < 0.5


def test_what_a_code_holds_is_read_from_it():
    rng = np.random.default_rng(0)
    known = rng.normal(size=(400, 2))
    codes = np.column_stack([known[:, 0], rng.normal(size=400)])
    found = recovered(codes, known)
    assert found["linear"][0] > 0.99 and found["neighbours"][0] > 0.7
    assert max(one[1] for one in found.values()) < 0.2
