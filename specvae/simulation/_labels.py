"""The causes of a spectrum: their names, units, defaults and physical limits."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class Label(NamedTuple):
    """One cause; `default` is None where it must be given and NaN where a relation gives it."""

    low: float
    high: float
    default: float | None
    meaning: str


def _abundance(elements: str) -> Label:
    return Label(-2.0, 2.0, 0.0, f"[{elements}/Fe], dex")


LABELS: Mapping[str, Label] = MappingProxyType(
    {
        "teff_k": Label(3000.0, 11_000.0, None, "effective temperature, K"),
        "logg_dex": Label(0.0, 5.5, None, "log10 of the surface gravity in cm/s2"),
        "mh_dex": Label(-2.5, 0.5, None, "metallicity [M/H], which [Fe/H] follows, dex"),
        "c_fe_dex": _abundance("C"),
        "n_fe_dex": _abundance("N"),
        "o_fe_dex": _abundance("O"),
        "na_fe_dex": _abundance("Na"),
        "mg_fe_dex": _abundance("Mg"),
        "al_fe_dex": _abundance("Al"),
        "si_fe_dex": _abundance("Si"),
        "ca_fe_dex": _abundance("Ca"),
        "ti_fe_dex": _abundance("Ti"),
        "cr_fe_dex": _abundance("Cr"),
        "iron_peak_fe_dex": _abundance("Sc, V, Mn, Co, Cu, Zn"),
        "ni_fe_dex": _abundance("Ni"),
        "ba_fe_dex": _abundance("Ba and the other neutron-capture elements"),
        "vmic_kms": Label(0.0, 10.0, np.nan, "microturbulence, km/s"),
        "vmac_kms": Label(0.0, 50.0, np.nan, "radial-tangential macroturbulence, km/s"),
        "vsini_kms": Label(0.0, 400.0, 2.0, "projected rotation, km/s"),
        "rv_kms": Label(-1000.0, 1000.0, 0.0, "velocity against the barycentre, km/s"),
        "berv_kms": Label(-40.0, 40.0, 0.0, "barycentric Earth radial velocity, km/s"),
        "airmass": Label(1.0, 3.5, 1.0, "airmass"),
        "pwv_mm": Label(0.0, 50.0, 2.5, "precipitable water vapour at zenith, mm"),
        "moon_illumination": Label(0.0, 1.0, 0.0, "illuminated fraction of the Moon"),
        "seeing_arcsec": Label(0.2, 5.0, 0.8, "seeing at zenith and 5000 Angstrom, arcsec"),
        "vmag": Label(-2.0, 25.0, 8.0, "apparent V magnitude, outside the atmosphere"),
        "exposure_s": Label(0.1, 1e6, np.nan, "exposure time, s; excludes snr"),
        "snr": Label(0.5, 1e5, np.nan, "median signal to noise per pixel; excludes exposure_s"),
    }
)
"""Every label of the forward model by name, in the order of the result's columns."""

STELLAR_LABELS = tuple(LABELS)[: tuple(LABELS).index("rv_kms")]
"""The labels that decide the spectrum at rest: stars that agree in them are one to the model."""

ABUNDANCE_LABELS = tuple(name for name in LABELS if name.endswith("_fe_dex"))

DEFAULT_SNR = 100.0

# What spelling alone would take for an abundance of an element.
_OTHER_WORDS = dict.fromkeys(("feh_dex", "feh", "fe_h", "fe_h_dex", "m_h"), "mh_dex")


def complete_labels(labels: Any, *, limits: Mapping[str, Label] = LABELS) -> pd.DataFrame:
    """Return all labels of the model as float64 columns, defaults filled in; check the limits.

    Microturbulence and macroturbulence that are not given come from their relations with the
    temperature and the gravity. Of `exposure_s` and `snr` one is finite in each row.

    Raises
    ------
    ValueError
        Naming the label, the row and the remedy.
    TypeError
        If `labels` has no column names.
    """
    given = _named_columns(labels)
    _check_names(given.columns, limits)
    if not len(given):
        raise ValueError("labels has no rows: give one row for each spectrum wanted.")
    columns = {}
    for name, label in limits.items():
        if name in given:
            columns[name] = _check_column(name, given[name], label, index=given.index)
        elif label.default is None:
            raise ValueError(
                f"labels lacks the column {name!r} ({label.meaning}); it has "
                f"{', '.join(map(str, given.columns)) or 'none'}."
            )
        else:
            columns[name] = np.full(len(given), label.default)
    _fill_exposure(columns)
    for name, relation in (("vmic_kms", microturbulence_kms), ("vmac_kms", macroturbulence_kms)):
        missing = np.isnan(columns[name])
        columns[name] = np.where(
            missing, relation(columns["teff_k"], columns["logg_dex"]), columns[name]
        )
    return pd.DataFrame(columns, index=given.index)


def microturbulence_kms(teff_k: np.ndarray, logg_dex: np.ndarray) -> np.ndarray:
    """Microturbulence of equation 1 of Dutra-Ferreira et al. 2016 (A&A 585, A75), in km/s.

    Calibrated on 3D models of 4,500 to 6,500 K; beyond that the temperature of the edge is used,
    and the result is kept between 0.5 and 3 km/s.
    """
    hotter = np.clip(teff_k, 4500.0, 6500.0) - 5500.0
    denser = logg_dex - 4.0
    relation = 0.998 + 3.16e-4 * hotter - 0.253 * denser
    return np.clip(relation - 2.86e-4 * hotter * denser + 0.165 * denser**2, 0.5, 3.0)


def macroturbulence_kms(teff_k: np.ndarray, logg_dex: np.ndarray) -> np.ndarray:
    """Macroturbulence of equation 8 of Doyle et al. 2014 (MNRAS 444, 3592), in km/s.

    Calibrated on main-sequence stars of 5,200 to 6,400 K; the result is kept between 1 and 8 km/s.
    """
    hotter = np.clip(teff_k, 5000.0, 6500.0) - 5777.0
    relation = 3.21 + 2.33e-3 * hotter + 2.0e-6 * hotter**2 - 2.0 * (logg_dex - 4.44)
    return np.clip(relation, 1.0, 8.0)


def _named_columns(labels: Any) -> pd.DataFrame:
    if isinstance(labels, pd.DataFrame):
        return labels
    if isinstance(labels, Mapping):
        # One star may be given as a dictionary of numbers.
        scalar = all(np.ndim(value) == 0 for value in labels.values())
        return pd.DataFrame(labels, index=[0] if scalar else None)
    raise TypeError(
        "labels must be a DataFrame with columns such as teff_k, logg_dex and mh_dex, or a "
        f"dictionary of them; got {type(labels).__name__}, which does not say what its numbers "
        "mean."
    )


def _check_names(names: Any, limits: Mapping[str, Label]) -> None:
    for name in names:
        if name not in limits:
            close = [_OTHER_WORDS.get(str(name).lower(), "")]
            if close[0] not in limits:
                close = difflib.get_close_matches(str(name), limits, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            raise ValueError(
                f"labels has the unknown column {name!r}{hint} Known: {', '.join(limits)}."
            )


def _check_column(name: str, column: Any, label: Label, *, index: Any) -> np.ndarray:
    try:
        values = np.asarray(column, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"label {name!r} must be numbers ({label.meaning}): {error}.") from None
    if values.ndim != 1:
        raise ValueError(f"labels has the column {name!r} twice.")
    # Where a relation or a partner gives the value, NaN asks for it.
    optional = label.default is not None and np.isnan(label.default)
    with np.errstate(invalid="ignore"):
        wrong = ~((values >= label.low) & (values <= label.high))
    if optional:
        wrong &= ~np.isnan(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"label {name!r} ({label.meaning}) must lie in {label.low:g} to {label.high:g}; it is "
            f"{values[row]:g} in row {index[row]}, and outside in {int(wrong.sum())} of "
            f"{len(values)} rows: the model has no physics there; leave these rows out."
        )
    return values


def _fill_exposure(columns: dict[str, np.ndarray]) -> None:
    exposure_s, snr = columns["exposure_s"], columns["snr"]
    both = np.isfinite(exposure_s) & np.isfinite(snr)
    if both.any():
        raise ValueError(
            f"labels gives exposure_s and snr in {int(both.sum())} of {len(both)} rows: one "
            "follows from the other; give one of them, NaN for the other."
        )
    columns["snr"] = np.where(np.isnan(exposure_s) & np.isnan(snr), DEFAULT_SNR, snr)
