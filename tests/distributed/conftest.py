import os

import numpy as np
import pytest

from specvae.spectra import NpyStore, SpectraArray

N_SPECTRA, N_PIXELS = 110, 30


@pytest.fixture(scope="session")
def cluster():
    """A client of two worker processes, which a nanny starts again when they are killed."""
    distributed = pytest.importorskip("dask.distributed")
    dask = pytest.importorskip("dask")
    with (
        # The nanny would write OMP_NUM_THREADS into the environment of this process, for good, and
        # the processes of later tests would round otherwise than it does.
        dask.config.set({"distributed.nanny.pre-spawn-environ": {}}),
        distributed.LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, dashboard_address=":0"
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


@pytest.fixture
def both_workers(cluster):
    """The same client, when both workers are there."""
    cluster.wait_for_workers(2, timeout=60)
    return cluster


@pytest.fixture(scope="session")
def here():
    """A client of one worker with four threads in this very process."""
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, processes=False, threads_per_worker=4, dashboard_address=":0"
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


@pytest.fixture
def flux():
    rng = np.random.default_rng(0)
    return rng.normal(1.0, 0.1, (N_SPECTRA, N_PIXELS)).astype(np.float32)


@pytest.fixture
def spectra(tmp_path, flux):
    np.save(tmp_path / "flux.npy", flux)
    store = NpyStore(tmp_path / "flux.npy")
    yield SpectraArray(store)
    # Now, and not when the traceback of an error that was expected lets go of it.
    store.__del__()


@pytest.fixture
def log(tmp_path):
    """Name of a file to which workers add a line for each call; it does not exist yet."""
    return os.fspath(tmp_path / "log.txt")
