import pickle

import numpy as np
import pandas as pd
import pytest
from torch.utils.data import DataLoader

from specvae.simulation import RedrawnSpectra
from specvae.simulation import _dataset as dataset_module
from specvae.simulation._axis import VelocityAxis
from specvae.simulation._base import AbstractSimulator
from specvae.simulation._labels import STELLAR_LABELS, complete_labels
from specvae.simulation._observing._observatory import Observatory
from specvae.spectra import SPEED_OF_LIGHT_KMS, WavelengthGrid, doppler_factor

GRID = WavelengthGrid(5000.0, 0.04, 1500)
LINE_AA = 5030.0
AXIS = VelocityAxis.covering(5000.0 / 1.004, 5060.0 * 1.004, 1.0, "air")


class OneLine(AbstractSimulator):
    """Stars with one line, deeper where they are cooler; it notes the stars it computes."""

    grid = GRID
    unknown = ()

    def __init__(self):
        self._observatory = Observatory(GRID, AXIS, None, atmosphere=False, resolving_power=2e4)
        self.computed = []

    def _complete(self, labels):
        return complete_labels(labels)

    @property
    def _star_labels(self):
        return list(STELLAR_LABELS)

    def _rest_flux(self, labels):
        self.computed.append(labels["teff_k"])
        away_kms = np.arange(AXIS.n_pixels) * AXIS.step_kms - line_centre_kms()
        depth = 3000.0 / labels["teff_k"]
        return (1e3 * (1.0 - depth * np.exp(-0.5 * (away_kms / 15.0) ** 2))).astype(np.float32)

    def _settings(self):
        return {}


def line_centre_kms():
    return np.log(LINE_AA / AXIS.start_aa) * SPEED_OF_LIGHT_KMS


def star_labels(n_rows=6, n_per_star=2, **others):
    star = np.arange(n_rows) // n_per_star
    return pd.DataFrame({"teff_k": 4000.0 + 500.0 * star, "logg_dex": 4.0, "mh_dex": 0.0, **others})


@pytest.fixture
def simulator():
    return OneLine()


@pytest.fixture
def data(simulator):
    return RedrawnSpectra(simulator, star_labels(rv_kms=np.linspace(-50.0, 50.0, 6)), 0)


def assert_same_items(found, expected):
    for (flux, labels), (expected_flux, expected_labels) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(flux, expected_flux)
        np.testing.assert_array_equal(labels, expected_labels)


def velocity_of_line_kms(flux):
    """Velocity of the centre of gravity of what the line takes away."""
    taken = 1.0 - flux / np.median(flux)
    taken[taken < 1e-3] = 0.0
    away = np.average(np.log(GRID.wavelength_aa / LINE_AA), weights=taken)
    # ln of the Doppler factor sqrt((1 + b) / (1 - b)) is artanh b.
    return np.tanh(away) * SPEED_OF_LIGHT_KMS


def test_item_is_flux_and_labels_in_float32(data):
    flux, labels = data[0]
    assert (flux.shape, flux.dtype) == ((1500,), np.float32)
    assert (labels.shape, labels.dtype) == ((4,), np.float32)
    assert data.label_names == ["teff_k", "logg_dex", "mh_dex", "rv_kms"]
    np.testing.assert_array_equal(labels[:3], [4000.0, 4.0, 0.0])
    assert len(data) == 6


def test_visit_of_a_row_is_the_same_in_any_order(data, simulator):
    labels = star_labels(rv_kms=np.linspace(-50.0, 50.0, 6))
    first = [data[row] for row in range(6)]
    second = [data[row] for row in range(6)]
    other = RedrawnSpectra(simulator, labels, 0, n_kept=1)
    order = [5, 2, 2, 0, 4, 5, 1, 3, 1, 0, 3, 4]
    visits = {row: [] for row in range(6)}
    for row in order:
        visits[row].append(other[row])
    assert_same_items([visits[row][0] for row in range(6)], first)
    assert_same_items([visits[row][1] for row in range(6)], second)


def test_another_visit_row_or_seed_is_another_draw(simulator):
    labels = star_labels(2)
    data = RedrawnSpectra(simulator, labels, 0)
    items = [data[0], data[0], data[1], RedrawnSpectra(simulator, labels, 1)[0]]
    velocities = [labels[3] for _, labels in items]
    assert len(set(velocities)) == 4
    # Noise alone: without a velocity all else is the same.
    data = RedrawnSpectra(simulator, labels, 0, max_rv_kms=0.0)
    items = [data[0], data[0], data[1], RedrawnSpectra(simulator, labels, 1, max_rv_kms=0.0)[0]]
    assert {float(labels[3]) for _, labels in items} == {0.0}
    noise = np.array([flux / np.median(flux) for flux, _ in items])[:, :400]
    correlation = np.corrcoef(noise)
    assert np.abs(correlation - np.eye(4)).max() < 0.2  # four times 1 / sqrt(400)


def test_velocity_label_is_what_the_line_shows(simulator):
    labels = star_labels(8, rv_kms=np.linspace(-90.0, 120.0, 8), snr=1e5)
    data = RedrawnSpectra(simulator, labels, 3)
    for flux, label in (data[row] for row in range(8)):
        assert velocity_of_line_kms(flux) == pytest.approx(label[3], abs=0.02)


def test_first_visit_is_what_simulate_gives_at_that_velocity(simulator):
    labels = star_labels(4, rv_kms=20.0, snr=50.0)
    data = RedrawnSpectra(simulator, labels, 7)
    items = [data[row] for row in range(4)]
    drawn = [float(label[3]) for _, label in items]
    simulated = simulator.simulate(labels.assign(rv_kms=drawn), 7)
    # The label is rounded to float32, which moves the flux by less than 1e-5 of its noise.
    np.testing.assert_allclose([flux for flux, _ in items], simulated.flux, rtol=1e-4)


def test_velocities_are_uniform_about_those_of_the_rows(simulator):
    n_rows = 2000
    rv_kms = np.repeat([-300.0, 500.0], n_rows // 2)
    labels = star_labels(n_rows, n_rows, rv_kms=rv_kms)
    data = RedrawnSpectra(simulator, labels, 0, max_rv_kms=40.0, label_names=["rv_kms"])
    drawn = np.array([data[row][1][0] for row in range(n_rows)]) - rv_kms
    assert -40.0 <= drawn.min() < -39.0
    assert 39.0 < drawn.max() <= 40.0
    # Four standard errors of the mean and of the variance, 40**2 / 3, of a uniform one.
    assert abs(drawn.mean()) < 4.0 * 40.0 / np.sqrt(3.0 * n_rows)
    assert drawn.var() == pytest.approx(40.0**2 / 3.0, rel=4.0 * np.sqrt(0.8 / n_rows))


def test_velocity_tells_nothing_about_the_noise(simulator):
    n_rows = 400
    data = RedrawnSpectra(simulator, star_labels(n_rows, n_rows), 0)
    items = [data[row] for row in range(n_rows)]
    velocity = [label[3] for _, label in items]
    noise = np.array([flux[:20] for flux, _ in items])
    correlation = np.corrcoef(velocity, noise.T)[0, 1:]
    assert np.abs(correlation).max() < 4.0 / np.sqrt(n_rows)


def test_label_names_choose_and_order_the_labels(simulator):
    labels = star_labels(2, snr=70.0)
    data = RedrawnSpectra(simulator, labels, 0, label_names=("vsini_kms", "snr", "teff_k"))
    assert data.label_names == ["vsini_kms", "snr", "teff_k"]
    np.testing.assert_array_equal(data[1][1], np.float32([2.0, 70.0, 4000.0]))


def test_labels_may_be_a_dictionary(simulator):
    data = RedrawnSpectra(simulator, {"rv_kms": 5.0, "teff_k": 5000, "logg_dex": 4, "mh_dex": 0}, 0)
    assert data.label_names == ["rv_kms", "teff_k", "logg_dex", "mh_dex"]
    assert len(data) == 1


def test_rest_spectrum_is_computed_once_for_each_star(data, simulator):
    for _ in range(3):
        for row in (0, 3, 5, 1, 2, 4):
            data[row]
    assert sorted(simulator.computed) == [4000.0, 4500.0, 5000.0]


def test_few_rest_spectra_are_kept_when_so_wished(simulator):
    data = RedrawnSpectra(simulator, star_labels(), 0, n_kept=1)
    data.__getitems__([0, 5, 2, 1, 4, 3])  # a batch is drawn star by star
    assert simulator.computed == [4000.0, 4500.0, 5000.0]
    data[5], data[0]
    assert simulator.computed[3:] == [4000.0]


def test_a_gigabyte_of_rest_spectra_is_kept(simulator, monkeypatch):
    monkeypatch.setattr(dataset_module, "_KEPT_BYTES", 2 * 4 * AXIS.n_pixels)
    data = RedrawnSpectra(simulator, star_labels(), 0)
    for row in (0, 2, 4, 2, 0):
        data[row]
    assert simulator.computed == [4000.0, 4500.0, 5000.0, 4000.0]


def test_rest_spectra_can_be_computed_beforehand(data, simulator):
    expected = RedrawnSpectra(OneLine(), star_labels(rv_kms=np.linspace(-50.0, 50.0, 6)), 0)[4]
    data.compute_rest_spectra()
    assert simulator.computed == [4000.0, 4500.0, 5000.0]
    assert_same_items([data[4]], [expected])
    assert len(simulator.computed) == 3


def test_no_more_are_computed_beforehand_than_are_kept(simulator):
    RedrawnSpectra(simulator, star_labels(), 0, n_kept=2).compute_rest_spectra()
    assert simulator.computed == [4000.0, 4500.0]


def test_items_of_a_batch_are_those_of_its_rows(data, simulator):
    rows = [4, 1, 4, 0]
    singly = RedrawnSpectra(simulator, star_labels(rv_kms=np.linspace(-50.0, 50.0, 6)), 0)
    assert_same_items(data.__getitems__(rows), [singly[row] for row in rows])


def test_rows_count_from_the_end_too_and_end(data, simulator):
    assert_same_items(
        [data[-1]], [RedrawnSpectra(simulator, star_labels(rv_kms=[0] * 5 + [50.0]), 0)[5]]
    )
    with pytest.raises(IndexError):
        data[6]
    assert len(list(data)) == 6


def test_set_epoch_fixes_the_visit(data, simulator):
    counted = RedrawnSpectra(simulator, star_labels(rv_kms=np.linspace(-50.0, 50.0, 6)), 0)
    visits = [counted[3] for _ in range(3)]
    data[3]
    data.set_epoch(2)
    assert_same_items([data[3], data[3]], [visits[2]] * 2)
    data.set_epoch(np.int64(0))
    assert_same_items([data[3]], [visits[0]])


@pytest.mark.parametrize("epoch", [-1, 0.5, None])
def test_epoch_that_is_none_is_refused(data, epoch):
    with pytest.raises(ValueError, match="epoch must be an integer >= 0"):
        data.set_epoch(epoch)


def test_data_loader_makes_batches_of_tensors(data, simulator):
    expected = RedrawnSpectra(simulator, star_labels(rv_kms=np.linspace(-50.0, 50.0, 6)), 0)
    batches = list(DataLoader(data, batch_size=4))
    assert [tuple(flux.shape) for flux, _ in batches] == [(4, 1500), (2, 1500)]
    assert [tuple(labels.shape) for _, labels in batches] == [(4, 4), (2, 4)]
    found = [
        item for flux, labels in batches for item in zip(flux.numpy(), labels.numpy(), strict=True)
    ]
    assert_same_items(found, [expected[row] for row in range(6)])


def test_worker_processes_give_the_same_epochs(data):
    def epoch(number, n_workers):
        data.set_epoch(number)
        loader = DataLoader(data, batch_size=2, num_workers=n_workers)
        return [(flux.numpy(), labels.numpy()) for flux, labels in loader]

    data.compute_rest_spectra()
    for number in range(2):
        assert_same_items(epoch(number, 2), epoch(number, 0))
    assert not np.array_equal(epoch(0, 0)[0][0], epoch(1, 0)[0][0])


def test_pickled_copy_goes_on_where_the_original_stands(data):
    data[2]
    copied = pickle.loads(pickle.dumps(data))
    assert_same_items([copied[2], copied[2]], [data[2], data[2]])


def test_global_random_state_is_left_alone(data):
    before = np.random.get_state()
    data[0]
    after = np.random.get_state()
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"simulator": "harps"}, TypeError, "simulator must be a StellarSpectrumSimulator .* str"),
        ({"labels": star_labels().drop(columns="mh_dex")}, ValueError, "lacks the column 'mh_dex'"),
        ({"max_rv_kms": -1.0}, ValueError, "max_rv_kms must be a number >= 0"),
        ({"max_rv_kms": 1000.5}, ValueError, r"max_rv_kms=1000\.5 beside .* beyond -1000 to 1000"),
        ({"labels": star_labels(rv_kms=950.0)}, ValueError, "from 850 to 1050 km/s, beyond"),
        ({"n_kept": 0}, ValueError, "n_kept must be an integer >= 1"),
        ({"label_names": "teff_k"}, TypeError, r"got 'teff_k'; give it in \[\]"),
        ({"label_names": ["teff"]}, ValueError, r"names among teff_k, .* got \['teff'\]"),
        ({"label_names": ["teff_k", "teff_k"]}, ValueError, "each once"),
        ({"label_names": []}, ValueError, "one at least"),
    ],
)
def test_bad_argument_is_named(simulator, arguments, error, message):
    with pytest.raises(error, match=message):
        RedrawnSpectra(**{"simulator": simulator, "labels": star_labels()} | arguments)


def test_velocity_of_line_finds_a_shift():
    away_aa = GRID.wavelength_aa - LINE_AA * doppler_factor(-70.0)
    flux = 1.0 - 0.6 * np.exp(-0.5 * (away_aa / 0.25) ** 2)
    assert velocity_of_line_kms(flux) == pytest.approx(-70.0, abs=0.02)


def test_transform_is_applied_to_rows_fetched_together(simulator):
    plain = RedrawnSpectra(simulator, star_labels(), random_state=0)
    halved = RedrawnSpectra(
        simulator, star_labels(), random_state=0, transform=lambda flux: flux / 2.0
    )
    for (one, labels), (half, same) in zip(
        plain.__getitems__([0, 1]), halved.__getitems__([0, 1]), strict=True
    ):
        np.testing.assert_array_equal(half, one / 2.0)
        np.testing.assert_array_equal(labels, same)
        assert half.dtype == np.float32
