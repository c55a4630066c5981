from pathlib import Path

import numpy as np
import pandas as pd
import pytest

DATA = Path(__file__).parents[3] / "shared/data/harps"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the real HARPS files are not here")

# SWEET-Cat 2024, rows of these names; IAU 2015 for the Sun, seen by the light of Ganymede.
CATALOGUE = """\
star,teff_k,logg_dex
Sun,5772,4.44
HD 189733,4969,4.31
Gl 581,3248,4.96
GJ3470,3600,4.7
"""


def test_from_fits_files_to_a_table_of_labels(specvae, folder):
    files = sorted(map(str, DATA.glob("*.fits.gz")))
    broken = sorted(map(str, (DATA / "broken").glob("*")))
    pack = "pack --to real.npy --grid 5000:0.05:4000 --half --skip-unreadable"
    code, out, err = specvae(pack, *files, *broken)
    assert code == 0 and out == "real.npy: 19 spectra of 4000 pixels, 1 files left out.\n"
    assert Path(broken[0]).name in err
    Path("catalogue.csv").write_text(CATALOGUE)
    code, out, err = specvae(
        "fit real.npy --to real.specvae --labels catalogue.csv --by object=star --folds 4 "
        "--model pca --latents 4"
    )
    assert code == 0, err
    # 12 exposures of HD189733, one each of the others.
    assert "labels teff_k, logg_dex for 15 of 19 spectra" in out and "labelled stars" in out
    code, _, err = specvae("predict real.specvae real.npy --to real.csv")
    assert code == 0, err
    table = pd.read_csv("real.csv")
    assert table["file"].tolist() == [Path(path).name for path in files]
    assert np.isfinite(table[["teff_k", "logg_dex"]]).all(axis=None)
    exposures = table.loc[table["object"] == "HD189733", "teff_k"]
    assert len(exposures) == 12 and (exposures - 4969).abs().max() < 100.0
