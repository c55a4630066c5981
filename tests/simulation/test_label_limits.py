import numpy as np
import pandas as pd
import pytest

from specvae.simulation._labels import (
    LABELS,
    STELLAR_LABELS,
    complete_labels,
    macroturbulence_kms,
    microturbulence_kms,
)

SUN = {"teff_k": 5772.0, "logg_dex": 4.44, "mh_dex": 0.0}


def test_defaults_are_filled_in_and_order_is_fixed():
    complete = complete_labels(pd.DataFrame([SUN, SUN], index=["a", "b"]))
    assert list(complete) == list(LABELS) and list(complete.index) == ["a", "b"]
    assert (complete["airmass"] == 1.0).all() and (complete["snr"] == 100.0).all()
    assert complete["exposure_s"].isna().all()
    assert complete.notna().drop(columns="exposure_s").all(axis=None)


def test_one_star_may_be_a_dictionary_and_columns_may_be_lists():
    assert len(complete_labels(SUN)) == 1
    assert len(complete_labels({name: [value] * 3 for name, value in SUN.items()})) == 3


def test_stellar_labels_are_those_before_the_velocity():
    assert STELLAR_LABELS[0] == "teff_k" and STELLAR_LABELS[-1] == "vsini_kms"


def test_turbulence_of_the_sun():
    # Dutra-Ferreira et al. 2016 and Doyle et al. 2014 at the Sun's labels.
    assert microturbulence_kms(np.array(5772.0), np.array(4.44)) == pytest.approx(0.97, abs=0.01)
    assert macroturbulence_kms(np.array(5777.0), np.array(4.44)) == pytest.approx(3.21)
    complete = complete_labels({**SUN, "vmic_kms": [2.0], "vmac_kms": [np.nan]})
    assert complete["vmic_kms"].item() == 2.0
    assert complete["vmac_kms"].item() == pytest.approx(3.198, abs=1e-3)


def test_exposure_replaces_the_default_snr():
    complete = complete_labels({**SUN, "exposure_s": [60.0, np.nan], "snr": [np.nan, 20.0]})
    assert complete["snr"].tolist()[1] == 20.0 and np.isnan(complete["snr"][0])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"teff_k": 5772.0, "logg_dex": 4.4}, "lacks the column 'mh_dex'"),
        ({**SUN, "feh_dex": 0.0}, r"unknown column 'feh_dex'; did you mean 'mh_dex'|Known: teff_k"),
        ({**SUN, "teff_k": 2500.0}, "'teff_k' .* must lie in 3000 to 11000; it is 2500 in row 0"),
        ({**SUN, "logg_dex": [4.0, 9.0]}, "it is 9 in row 1, and outside in 1 of 2 rows"),
        ({**SUN, "mh_dex": np.nan}, "'mh_dex' .* it is nan"),
        ({**SUN, "airmass": 0.5}, "'airmass'"),
        ({**SUN, "airmass": np.nan}, "'airmass'"),
        ({**SUN, "snr": 10.0, "exposure_s": 3.0}, "exposure_s and snr in 1 of 1 rows"),
        ({**SUN, "teff_k": "hot"}, "'teff_k' must be numbers"),
        (pd.DataFrame(columns=list(SUN), dtype=float), "no rows"),
    ],
)
def test_bad_labels_are_named(labels, message):
    with pytest.raises(ValueError, match=message):
        complete_labels(labels)


def test_a_column_given_twice_is_refused():
    frame = pd.DataFrame([[5772.0, 4.4, 0.0, 1.0, 2.0]], columns=[*SUN, "airmass", "airmass"])
    with pytest.raises(ValueError, match="'airmass' twice"):
        complete_labels(frame)


def test_an_array_without_names_is_refused():
    with pytest.raises(TypeError, match="does not say what its numbers mean"):
        complete_labels(np.zeros((2, 3)))


def test_the_usual_word_for_metallicity_is_known():
    with pytest.raises(ValueError, match="unknown column 'feh_dex'; did you mean 'mh_dex'"):
        complete_labels({"teff_k": 5000.0, "logg_dex": 4.0, "feh_dex": 0.0})
