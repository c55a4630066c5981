"""The star of each spectrum of a store, as its metadata tell."""

import numpy as np
import pandas as pd

from ..spectra import group_targets


def star_numbers(meta: pd.DataFrame) -> np.ndarray | None:
    """Return the number of the star of each spectrum; None where nothing is known of any."""
    ra_deg, dec_deg, names = _known(meta)
    if ra_deg.isna().all() and (names == "").all():
        return None
    return group_targets(ra_deg, dec_deg, names)


def n_unnamed(meta: pd.DataFrame) -> int:
    """Count the spectra that have neither a name nor both coordinates."""
    ra_deg, dec_deg, names = _known(meta)
    return int(((names == "") & (ra_deg.isna() | dec_deg.isna())).sum())


def _known(meta: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return right ascension and declination in degrees, NaN where unknown, and names."""
    unknown = pd.Series(np.nan, index=meta.index)
    ra_deg, dec_deg = (meta.get(name, unknown).astype(float) for name in ("ra_deg", "dec_deg"))
    names = meta.get("object", pd.Series("", index=meta.index)).fillna("").astype(str)
    return ra_deg, dec_deg, names.str.strip()
