"""From FITS files to a pipeline that is cross-validated by star, end to end."""

import numpy as np
import pytest
from astropy.io import fits
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline

from specvae import demo
from specvae.estimators import PartialLabelRegressor, SpectralAutoencoder
from specvae.exceptions import GridMismatchError, SpectrumError
from specvae.model_selection import StarGroupKFold, nan_r2
from specvae.preprocessing import MedianNormalizer, PixelMasker, SpectraLoader
from specvae.simulation import simulate_spectra
from specvae.spectra import SpectraArray, WavelengthGrid, group_targets, pack_spectra, read_meta

GRID = WavelengthGrid(5150.0, 0.25, 200)
GAP_AA = [(5170.0, 5172.0)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Forty FITS files of ten stars, and their labels, 40 % of them unknown."""
    folder = tmp_path_factory.mktemp("fits")
    simulated = simulate_spectra(40, GRID, random_state=0, spectra_per_star=4)
    paths = []
    for row, (flux, star) in enumerate(zip(simulated.flux, simulated.groups, strict=True)):
        hdu = fits.PrimaryHDU(flux)
        hdu.header.update(
            CRVAL1=GRID.start_aa,
            CDELT1=GRID.step,
            OBJECT=f"HD {100 + star}",
            RA=10.0 * star,
            DEC=5.0,
        )
        paths.append(folder / f"{row:02d}.fits")
        hdu.writeto(paths[-1])
    known = np.random.default_rng(0).random(simulated.labels.shape) >= 0.4
    return paths, simulated.labels.where(known), simulated.groups


@pytest.fixture(scope="module")
def packed(files, tmp_path_factory):
    paths, labels, _ = files
    store = tmp_path_factory.mktemp("store") / "stars.npy"
    pack_spectra(paths, store, GRID)
    meta = read_meta(store)
    return (
        SpectraArray.open(store),
        labels,
        group_targets(meta["ra_deg"], meta["dec_deg"], meta["object"]),
    )


def make_pipeline(code, *between):
    return Pipeline(
        [
            ("mask", PixelMasker(GAP_AA)),
            ("median", MedianNormalizer()),
            *between,
            ("code", code),
            ("labels", PartialLabelRegressor(LinearRegression())),
        ]
    )


def make_autoencoder():
    return SpectralAutoencoder(
        2, encoder="dense", decoder="dense", max_epochs=2, random_state=0, device="cpu"
    )


def test_targets_are_found_from_the_files(files, packed):
    np.testing.assert_array_equal(packed[2], files[2])


@pytest.mark.parametrize("kind", ["lazy", "array"])
def test_search_over_autoencoder_and_pca(packed, kind):
    spectra, labels, groups = packed
    X = spectra if kind == "lazy" else spectra.to_numpy()
    folds = StarGroupKFold(2, random_state=0)
    mask = PixelMasker(GAP_AA, grid=GRID)
    ours = GridSearchCV(
        make_pipeline(make_autoencoder()).set_params(mask=mask),
        {"code__latent_dim": [1, 3]},
        scoring=nan_r2,
        cv=folds,
        error_score="raise",
    ).fit(X, labels, groups=groups)
    between = ("load", SpectraLoader()), ("fill", SimpleImputer(keep_empty_features=True))
    control = GridSearchCV(
        make_pipeline(PCA(random_state=0), *between).set_params(mask=mask),
        {"code__n_components": [1, 3]},
        scoring=nan_r2,
        cv=folds,
        error_score="raise",
        return_train_score=True,
    ).fit(X, labels, groups=groups)
    for search in (ours, control):
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert search.predict(X).shape == labels.shape
    # Three components explain what one does and more, of the spectra that they were fitted to.
    scores = control.cv_results_["mean_train_score"]
    assert scores[1] > scores[0]


def test_lazy_and_eager_pipelines_agree(packed):
    spectra, labels, groups = packed
    predictions = [
        cross_val_predict(
            make_pipeline(make_autoencoder()).set_params(mask__grid=GRID),
            X,
            labels,
            groups=groups,
            cv=StarGroupKFold(2, random_state=0),
        )
        for X in (spectra, spectra.to_numpy())
    ]
    np.testing.assert_array_equal(*predictions)


def test_pca_refuses_to_read_a_lazy_matrix_unasked(packed):
    spectra, labels, _ = packed
    with pytest.raises(TypeError, match="SpectraLoader"):
        make_pipeline(PCA(2)).fit(spectra, labels)


def test_errors_name_the_spectrum_and_the_grid(packed):
    spectra, labels, _ = packed
    flux = spectra.to_numpy()
    flux[7] = -flux[7]
    with pytest.raises(SpectrumError, match=r"spectrum 7 has a median flux of -"):
        make_pipeline(make_autoencoder()).fit(SpectraArray(flux, grid=GRID), labels)
    fitted = make_pipeline(make_autoencoder()).fit(spectra, labels)
    other = WavelengthGrid(6000.0, 0.25, 200, name="red")
    with pytest.raises(GridMismatchError, match="the red grid"):
        fitted.predict(SpectraArray(flux, grid=other))


def test_demo_prints_its_table_and_draws(tmp_path, capsys):
    demo.main(
        ["--n-stars", "8", "--max-epochs", "1", "--jobs", "1", "--output", str(tmp_path / "out")]
    )
    printed = capsys.readouterr().out
    for row in ("constant", "PCA(8)", "autoencoder(8)", "teff_k", "rv_kms"):
        assert row in printed
    out = tmp_path / "out"
    pictures = ["learning_curve.png", "predictions.png", "reconstruction.png"]
    saved = ["labels.csv", "stars.json", "stars.npy", "stars.specvae"]
    assert sorted(path.name for path in out.iterdir()) == sorted([*pictures, *saved])
    assert all((out / name).stat().st_size > 5000 for name in pictures)
    line = next(line for line in printed.splitlines()[::-1] if line.strip())
    assert line.split()[1:] == f"explore {out}/stars.specvae {out}/stars.npy --labels " \
        f"{out}/labels.csv".split()  # fmt: skip
