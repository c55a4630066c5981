import os

import numpy as np
import pytest

pytest.importorskip("dask.distributed")

from archive_helpers import KillsItself, add_line, lines_of
from distributed.comm import tcp
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from specvae.distributed import search_backend
from specvae.estimators import SpectralRegressor
from specvae.model_selection import StarGroupKFold
from specvae.preprocessing import MedianNormalizer
from specvae.spectra import NpyStore, SpectraArray

# Row numbers and labels of so many are more than joblib sends along with each task.
N_SPECTRA, N_PIXELS = 1500, 1000


class WatchedStore(NpyStore):
    """Notes which process reads it, and how many rows."""

    def _read_into(self, flux, row):
        add_line(f"{self.path}.log", f"{os.getpid()} {len(flux)}")
        super()._read_into(flux, row)


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """A store of 6 MB, labels and stars."""
    rng = np.random.default_rng(3)
    flux = rng.normal(1.0, 0.1, (N_SPECTRA, N_PIXELS)).astype(np.float32)
    path = tmp_path_factory.mktemp("survey") / "flux.npy"
    np.save(path, flux)
    return SpectraArray(WatchedStore(path)), flux[:, 0] - flux[:, 1], np.arange(N_SPECTRA) // 3


@pytest.fixture(scope="module")
def search_for(survey):
    """Search by star, and give what was found."""
    spectra, labels, stars = survey

    def call(marker=None):
        model = SpectralRegressor(
            encoder="dense", max_epochs=1, batch_size=250, random_state=0, n_threads=1
        )
        pipeline = make_pipeline(KillsItself(marker), MedianNormalizer(), model)
        search = GridSearchCV(
            pipeline,
            {"spectralregressor__learning_rate": [1e-2, 1e-4]},
            cv=StarGroupKFold(2, random_state=0),
            refit=False,
            error_score="raise",
        )
        return search.fit(spectra, labels, groups=stars)

    return call


@pytest.fixture(scope="module")
def scores(search_for, survey):
    """Parameters and scores without a cluster."""
    found = summary(search_for())
    os.unlink(f"{survey[0]._store.path}.log")
    return found


def summary(search):
    results = search.cv_results_
    splits = [results[f"split{split}_test_score"].tolist() for split in range(2)]
    return search.best_params_, splits


def test_ships_paths_and_row_numbers_and_not_the_spectra(
    monkeypatch, both_workers, search_for, survey, scores
):
    # The scheduler runs in this process too, so that all that goes to workers passes here.
    sent, write = [], tcp.TCP.write

    async def counted(comm, *arguments, **options):
        n_bytes = await write(comm, *arguments, **options)
        sent.append(n_bytes)
        return n_bytes

    monkeypatch.setattr(tcp.TCP, "write", counted)
    with search_backend(both_workers):
        found = summary(search_for())
    assert found == scores
    flux_bytes = 4 * N_SPECTRA * N_PIXELS
    assert 10_000 < sum(sent) < 0.1 * flux_bytes
    readers = [line.split() for line in lines_of(f"{survey[0]._store.path}.log")]
    assert len({process for process, _ in readers}) == 2
    assert str(os.getpid()) not in {process for process, _ in readers}
    # Each of four fits reads all rows: those that train more than once, those that test once.
    assert sum(int(n_rows) for _, n_rows in readers) >= 4 * N_SPECTRA


def test_fits_of_a_killed_worker_are_repeated(both_workers, search_for, scores, tmp_path):
    marker = os.fspath(tmp_path / "killed")
    with search_backend(both_workers):
        found = summary(search_for(marker))
    assert os.path.exists(marker)
    assert found == scores


def test_what_is_large_travels_once_and_what_is_small_with_each_task(here, survey):
    from dask.sizeof import sizeof

    spectra = survey[0]
    with search_backend(here):
        assert sizeof(spectra) == 8 * N_SPECTRA
        assert sizeof(spectra[:3]) == 24
        scaled = NpyStore(spectra._store.path, scale=np.ones(N_SPECTRA, np.float32))
        assert sizeof(SpectraArray(scaled)) == 12 * N_SPECTRA
        assert sizeof(SpectraArray(np.ones((4, 100), np.float32))) == 1632


def test_other_clients_are_refused():
    with pytest.raises(TypeError, match=r"client must be a distributed.Client .* got None"):
        with search_backend(None):
            pass
