import numpy as np
import pytest

from specvae.metrics import gis, rvis
from specvae.metrics._shift import shift_flux
from specvae.simulation import StellarSpectrumSimulator
from specvae.spectra import WavelengthGrid, doppler_factor

GRID = WavelengthGrid(6040.0, 0.02, 11_000)
LOG_GRID = WavelengthGrid(6040.0, 1.5e-6, 11_000, spacing="log")
WINDOW_AA = (6050.0, 6250.0)
VELOCITIES_KMS = np.array([-40.0, -17.3, 4.1, 40.0])
DEPTHS = np.array([0.5, 0.8, 0.3])


def spectra(velocity_kms, grid=GRID, depths=DEPTHS):
    """Three stars of twenty Gaussian lines, exactly at a velocity."""
    centre_aa = np.linspace(6035.0, 6265.0, 20) * doppler_factor(velocity_kms)
    lines = np.exp(-0.5 * ((grid.wavelength_aa[:, None] - centre_aa) / 0.12) ** 2).sum(axis=1)
    return 1.0 - depths[:, None] * lines


def decoded(share, grid=GRID):
    """Decode `share` of the velocity's effect: 1 is exact, 0 ignores it."""
    for velocity_kms in VELOCITIES_KMS:
        yield share * spectra(velocity_kms, grid) + (1.0 - share) * spectra(0.0, grid)


def score(share, grid=GRID, **options):
    return rvis(
        grid, spectra(0.0, grid), decoded(share, grid), VELOCITIES_KMS,
        window_aa=WINDOW_AA, **options,
    )  # fmt: skip


@pytest.mark.parametrize("grid", [GRID, LOG_GRID], ids=["linear", "log"])
def test_exact_decoder_is_below_a_thousandth_of_doing_nothing(grid):
    result = score(1.0, grid)
    assert result.ratio < 1e-3
    assert (result.by_velocity < 1e-3 * result.do_nothing_by_velocity).all()
    # What is left is interpolation, and the floor knows its size.
    assert result.floor / 3 < result.score < 3 * result.floor


def test_decoder_that_ignores_velocity_scores_as_doing_nothing():
    result = score(0.0)
    assert result.ratio == 1.0
    np.testing.assert_array_equal(result.by_velocity, result.do_nothing_by_velocity)
    np.testing.assert_array_equal(result.by_spectrum, result.do_nothing_by_spectrum)


def test_between_them_the_score_is_in_proportion():
    ratios = [score(share).ratio for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    np.testing.assert_allclose(ratios, [1.0, 0.75, 0.5, 0.25, 0.0], atol=1e-3)


def test_wrong_direction_is_worse_than_doing_nothing():
    mirrored = (spectra(-velocity) for velocity in VELOCITIES_KMS)
    result = rvis(GRID, spectra(0.0), mirrored, VELOCITIES_KMS, window_aa=WINDOW_AA)
    assert result.ratio > 1.0


def test_by_hand_on_a_step_of_whole_pixels():
    # On this axis 10 km/s is one pixel: the spectrum moves by one and four pixels compare.
    step = np.log10(doppler_factor(10.0))
    grid = WavelengthGrid(5000.0, float(step), 10, spacing="log")
    flux = np.array([[0.0, 0, 0, 0, 4, 8, 0, 0, 0, 0], [1.0] * 10])
    window_aa = tuple(grid.wavelength_aa[[3, 6]])
    # Shifted, pixels 3 to 6 hold 0, 0, 4, 8; as it is 0, 4, 8, 0; intervened 0, 2, 4, 8.
    intervened = np.array([[9.0, 9, 9, 0, 2, 4, 8, 9, 9, 9], [1.0] * 10])
    result = rvis(grid, flux, intervened[None], [10.0], window_aa=window_aa, groups=[7, 8])
    np.testing.assert_allclose(result.by_spectrum, [2.0 / 4.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(result.do_nothing_by_spectrum, [16.0 / 4.0, 0.0], atol=1e-9)
    assert result.score == pytest.approx(0.25) and result.do_nothing == pytest.approx(2.0)
    assert result.ratio == pytest.approx(1.0 / 8.0)
    assert result.standard_error == pytest.approx(0.25) and result.n_stars == 2
    np.testing.assert_allclose(result.by_velocity, [0.25])
    np.testing.assert_allclose(result.velocities_kms, [10.0])


def test_spectra_of_one_star_count_as_one():
    often = [0, 0, 0, 1, 2]
    groups = np.array(["a", "b", "c"])[often]
    many = rvis(
        GRID, spectra(0.0)[often], (each[often] for each in decoded(0.5)), VELOCITIES_KMS,
        window_aa=WINDOW_AA, groups=groups,
    )  # fmt: skip
    once = score(0.5)
    assert many.n_stars == once.n_stars == 3
    assert many.score == pytest.approx(once.score)
    assert many.standard_error == pytest.approx(once.standard_error)
    np.testing.assert_allclose(many.by_velocity, once.by_velocity)
    assert many.by_spectrum.shape == (5,)


def test_one_star_has_no_error_bar():
    result = score(0.5, groups=["Sun"] * 3)
    assert result.n_stars == 1 and np.isnan(result.standard_error) and result.score > 0


def test_missing_pixels_are_left_out_and_edges_too():
    # Garbage beside the missing pixels, and a window to the very edge of the grid.
    unmoved, bad = spectra(0.0), (4000, 4300)
    unmoved[:, slice(*bad)] = np.nan
    moved = [each for each in decoded(1.0)]
    result = rvis(GRID, unmoved, moved, VELOCITIES_KMS, window_aa=(6000.0, 6300.0))
    assert result.ratio < 1e-3
    moved[0][1] = np.nan  # one spectrum at one velocity
    one_less = rvis(GRID, unmoved, moved, VELOCITIES_KMS, window_aa=(6000.0, 6300.0))
    assert np.isfinite(one_less.by_spectrum).all() and one_less.ratio < 1e-3


def test_spectrum_without_pixels_is_left_out():
    unmoved = spectra(0.0)
    unmoved[2] = np.nan
    result = rvis(GRID, unmoved, decoded(0.5), VELOCITIES_KMS, window_aa=WINDOW_AA)
    assert np.isnan(result.by_spectrum[2]) and result.n_stars == 2
    assert result.score == pytest.approx(score(0.5).by_spectrum[:2].mean())
    unmoved[:] = np.nan
    with pytest.raises(ValueError, match=r"no pixel of window_aa=.* can be compared"):
        rvis(GRID, unmoved, decoded(0.5), VELOCITIES_KMS, window_aa=WINDOW_AA)


def test_masked_pixels_are_missing():
    unmoved = spectra(0.0)
    unmoved[:, 4000:4300] = np.nan
    masked = np.ma.masked_invalid(unmoved)
    masked.data[masked.mask] = 1e6
    expected = rvis(GRID, unmoved, decoded(0.5), VELOCITIES_KMS, window_aa=WINDOW_AA)
    result = rvis(GRID, masked, decoded(0.5), VELOCITIES_KMS, window_aa=WINDOW_AA)
    assert result.score == expected.score

    rows = np.ma.array(ROWS.copy(), mask=np.broadcast_to(np.arange(50) < 25, ROWS.shape))
    rows.data[rows.mask] = 1e6
    result = gis(rows, ROWS[[0]], core_rows=[0], variant_rows=[1], truth=rows)
    assert result.score == pytest.approx(0.2 * LINE[25:].mean())
    assert result.reconstruction_against_truth == 0.0


def test_blank_model_has_a_small_score_and_no_ratio():
    blank = np.ones((2, GRID.n_pixels))
    result = rvis(GRID, blank, [blank], [20.0])
    assert result.score == result.do_nothing == 0.0 and np.isnan(result.ratio)


def test_truth_of_the_simulation_is_at_the_floor():
    grid = WavelengthGrid(6095.0, 0.02, 1500)
    simulator = StellarSpectrumSimulator(grid, atmosphere=False)
    sun = {"teff_k": 5772.0, "logg_dex": 4.44, "mh_dex": 0.0, "exposure_s": 100.0}
    true = [
        simulator.simulate({**sun, "rv_kms": v}, random_state=0).noiseless_flux
        for v in (0.0, -20.0, 15.0)
    ]
    result = rvis(grid, true[0], true[1:], [-20.0, 15.0], window_aa=(6100.0, 6120.0))
    assert result.ratio < 0.01
    # A shift with the wrong sign, or of one pixel less, would be far off.
    wrong = rvis(grid, true[0], true[1:], [-19.0, 14.0], window_aa=(6100.0, 6120.0))
    assert wrong.ratio > 0.05


def test_shift_is_that_of_a_line():
    shifted = shift_flux(GRID, spectra(0.0), 25.0, slice(500, 10_000))
    np.testing.assert_allclose(shifted, spectra(25.0)[:, 500:10_000], atol=2e-4)
    np.testing.assert_allclose(
        shift_flux(GRID, spectra(0.0), 0.0, slice(1, 9)), spectra(0.0)[:, 1:9], atol=1e-12
    )


def test_arrays_and_generators_agree_and_inputs_stay():
    unmoved, moved = spectra(0.0).astype(np.float32), np.stack(list(decoded(0.3)))
    copies = unmoved.copy(), moved.copy()
    result = rvis(GRID, unmoved, moved, VELOCITIES_KMS, window_aa=WINDOW_AA)
    np.testing.assert_array_equal(unmoved, copies[0])
    np.testing.assert_array_equal(moved, copies[1])
    assert result.score == pytest.approx(score(0.3).score, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window_aa": (7000.0, 7100.0)}, r"window_aa=.* holds no pixel of a grid \(11000"),
        ({"window_aa": (6200.0, 6100.0)}, r"window_aa must be \(low, high\)"),
        ({"velocities_kms": []}, "velocities_kms must be a list of finite numbers"),
        ({"velocities_kms": [np.nan]}, "velocities_kms must be a list of finite numbers"),
        ({"velocities_kms": [3e5]}, "must be finite and below"),
        ({"velocities_kms": [10.0, 20.0]}, "intervened has 1 sets of spectra, velocities_kms 2"),
        ({"intervened": [spectra(0.0)] * 2}, "intervened has more sets of spectra"),
        ({"intervened": [spectra(0.0)[:2]]}, r"intervened\[0\] has shape \(2, 11000\); wanted"),
        ({"reconstructions": spectra(0.0)[:, :5]}, r"reconstructions has shape \(3, 5\)"),
        ({"reconstructions": spectra(0.0)[:0]}, "reconstructions is empty"),
        ({"reconstructions": spectra(0.0) + np.inf}, "reconstructions contains infinity, first in"),
        ({"groups": []}, "groups is empty"),
        ({"groups": [1, 2]}, "3 spectra, 2 groups"),
    ],
)
def test_what_rvis_cannot_use_is_refused(change, message):
    arguments = {
        "reconstructions": spectra(0.0), "intervened": [spectra(10.0)], "velocities_kms": [10.0],
    }  # fmt: skip
    arguments |= change
    first = [arguments.pop(name) for name in ("reconstructions", "intervened", "velocities_kms")]
    with pytest.raises(ValueError, match=message):
        rvis(GRID, *first, **arguments)


def test_grid_must_be_a_grid():
    with pytest.raises(TypeError, match="grid must be a WavelengthGrid"):
        rvis(GRID.wavelength_aa, spectra(0.0), [spectra(10.0)], [10.0])


# Two cores in rows 0 and 3, each with two variants whose lines are deeper.
LINE = np.exp(-0.5 * ((np.arange(50) - 25) / 3.0) ** 2)
STRENGTH = np.array([0.2, 0.4, 0.6, 0.1, 0.5, 0.3])
ROWS = 1.0 - STRENGTH[:, None] * LINE
CORE, VARIANT = [0, 0, 3, 3], [1, 2, 4, 5]


def gis_of(share, **options):
    intervened = share * ROWS[VARIANT] + (1.0 - share) * ROWS[CORE]
    return gis(ROWS, intervened, core_rows=CORE, variant_rows=VARIANT, **options)


def test_gis_of_exact_blind_and_middling_decoders():
    assert gis_of(1.0).ratio < 1e-12 and gis_of(0.0).ratio == 1.0
    ratios = [gis_of(share).ratio for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    np.testing.assert_allclose(ratios, [1.0, 0.75, 0.5, 0.25, 0.0], atol=1e-12)


def test_gis_by_hand():
    # Changes of strength 0.2, 0.4 of the first core, 0.4, 0.2 of the second; half is missed.
    result = gis_of(0.5)
    area = LINE.mean()
    np.testing.assert_allclose(result.by_intervention, np.array([0.1, 0.2, 0.2, 0.1]) * area)
    np.testing.assert_allclose(result.do_nothing_by_intervention, 2 * result.by_intervention)
    assert result.score == pytest.approx(0.15 * area) and result.do_nothing == pytest.approx(
        0.3 * area
    )
    assert result.n_stars == 2 and result.standard_error == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(result.against_truth)


def test_gis_counts_cores_not_interventions():
    result = gis(ROWS, ROWS[[1, 2, 3]], core_rows=[0, 0, 3], variant_rows=[1, 2, 4])
    # 0 of the first core; 0.4 of the second, whose variant was not drawn at all.
    assert result.n_stars == 2
    assert result.score == pytest.approx(0.2 * LINE.mean())
    assert result.standard_error == pytest.approx(0.2 * LINE.mean())
    as_one = gis(
        ROWS, ROWS[[1, 2, 3]], core_rows=[0, 0, 3], variant_rows=[1, 2, 4], groups=["Sun"] * 6
    )
    assert as_one.n_stars == 1 and np.isnan(as_one.standard_error)
    assert as_one.score == pytest.approx(0.4 / 3 * LINE.mean())


def test_gis_against_the_truth():
    truth = ROWS - 0.01
    result = gis_of(1.0, truth=truth)
    assert result.score == pytest.approx(0.0, abs=1e-12)
    assert result.against_truth == pytest.approx(0.01)
    assert result.reconstruction_against_truth == pytest.approx(0.01)


def test_gis_leaves_missing_pixels_out():
    rows = ROWS.copy()
    rows[1, :25], rows[0, 40:] = np.nan, np.nan
    result = gis(rows, ROWS[[0]], core_rows=[0], variant_rows=[1])
    assert result.score == pytest.approx(0.2 * LINE[25:40].mean())
    assert result.ratio == pytest.approx(1.0)
    rows[0] = np.nan
    with pytest.raises(ValueError, match="no pixel in common"):
        gis(rows, ROWS[[0]], core_rows=[0], variant_rows=[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"core_rows": []}, "core_rows must be a list of row numbers"),
        ({"core_rows": [0.0]}, "core_rows must be a list of row numbers"),
        ({"variant_rows": [6]}, "variant_rows must lie in 0 to 5"),
        ({"variant_rows": [0]}, "row 0 is core and variant"),
        ({"variant_rows": [1, 2]}, "core_rows has 1 rows, variant_rows 2"),
        ({"groups": ["a", None, "c", "d", "e", "f"]}, "groups has no star for 1"),
        ({"groups": ["a"]}, "6 spectra, 1 groups"),
        ({"truth": ROWS[:2]}, "truth has shape"),
    ],
)
def test_what_gis_cannot_use_is_refused(change, message):
    arguments = {"core_rows": [0], "variant_rows": [1]} | change
    with pytest.raises(ValueError, match=message):
        gis(ROWS, ROWS[:1], **arguments)


def test_gis_wants_one_spectrum_for_each_intervention():
    with pytest.raises(ValueError, match=r"intervened has shape \(1, 50\); wanted .* \(2, 50\)"):
        gis(ROWS, ROWS[:1], core_rows=[0, 0], variant_rows=[1, 2])
