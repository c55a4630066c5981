import pandas as pd
import pytest
from explorer_world import GRID, HOSTILE, N_SPECTRA, PER_STAR
from sklearn.pipeline import make_pipeline

from specvae.estimators import SemiSupervisedVAE
from specvae.explorer._exhibit import make_exhibit
from specvae.preprocessing import MedianNormalizer
from specvae.simulation import simulate_spectra


@pytest.fixture(scope="session")
def stars():
    return simulate_spectra(N_SPECTRA, GRID, random_state=0, spectra_per_star=PER_STAR)


@pytest.fixture(scope="session")
def meta(stars):
    names = [f"HD {100 + star}" for star in stars.groups]
    names[-PER_STAR:] = [HOSTILE] * PER_STAR
    return pd.DataFrame({"object": names})


@pytest.fixture(scope="session")
def model(stars):
    network = SemiSupervisedVAE(
        2, encoder="dense", decoder="dense", grid=GRID, max_epochs=4, kl_weight=0.0, random_state=0
    )
    pipeline = make_pipeline(MedianNormalizer(), network)
    return pipeline.fit(stars.flux, stars.labels, semisupervisedvae__groups=stars.groups)


@pytest.fixture(scope="session")
def exhibit(model, stars, meta):
    return make_exhibit(model, stars.flux, stars.labels, meta=meta, groups=stars.groups)


@pytest.fixture(scope="session")
def archive(exhibit):
    return exhibit.archive


@pytest.fixture(scope="session")
def serve(exhibit):
    """Start a server on a thread; give the address of its page."""
    pytest.importorskip("panel")
    from specvae.explorer._serve import serve_on_thread

    running = []

    def start(**options):
        address, stop = serve_on_thread(exhibit, **options)
        running.append(stop)
        return address

    yield start
    for stop in running:
        stop()


@pytest.fixture(scope="session")
def address(serve):
    return serve()
