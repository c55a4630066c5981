import numpy as np
import pandas as pd
import pytest

from specvae.cli import main
from specvae.simulation import simulate_spectra
from specvae.spectra import WavelengthGrid, write_spectra

GRID = WavelengthGrid(5160.0, 0.5, 48)
N_STARS, PER_STAR = 12, 3


@pytest.fixture(scope="session")
def simulated():
    return simulate_spectra(N_STARS * PER_STAR, GRID, random_state=0, spectra_per_star=PER_STAR)


@pytest.fixture
def folder(tmp_path, simulated):
    """A store of simulated stars with names, and a table of their labels; the last has none."""
    meta = pd.DataFrame(
        {
            "path": [f"/archive/night/{row}.fits" for row in range(len(simulated.flux))],
            "object": [f"HD{star + 1}" for star in simulated.groups],
        }
    )
    write_spectra(lambda row: simulated.flux[row], tmp_path / "stars.npy", GRID, meta=meta)
    labels = simulated.labels.groupby(simulated.groups).first().iloc[:-1]
    labels.insert(0, "name", [f"HD {star + 1:03d}" for star in labels.index])
    labels.assign(note="text").iloc[::-1].to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


@pytest.fixture
def specvae(folder, monkeypatch, capsys):
    """Run a command in the folder; return its exit code, stdout and stderr."""
    monkeypatch.chdir(folder)

    def run(line, *more):
        code = main([*line.split(), *more])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def model(specvae):
    code, _, err = specvae(
        "fit stars.npy --to m.specvae --labels labels.csv --by object=name --target teff_k "
        "--target logg_dex --network dense --model regressor --epochs 2"
    )
    assert code == 0, err
    return "m.specvae"


@pytest.fixture
def expected(simulated):
    """Labels of each spectrum as the table has them."""
    labels = simulated.labels.groupby(simulated.groups).transform("first")
    labels[simulated.groups == N_STARS - 1] = np.nan
    return labels
