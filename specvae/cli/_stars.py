"""The star of each spectrum of a store, as its metadata tell."""

import numpy as np
import pandas as pd

from ..spectra import group_targets


def star_numbers(meta: pd.DataFrame) -> np.ndarray | None:
    """Return the number of the star of each spectrum; None where nothing is known of any."""
    unknown = pd.Series(np.nan, index=meta.index)
    ra_deg, dec_deg = (meta.get(name, unknown).astype(float) for name in ("ra_deg", "dec_deg"))
    names = meta["object"].fillna("").astype(str) if "object" in meta else None
    if ra_deg.isna().all() and (names is None or (names == "").all()):
        return None
    return group_targets(ra_deg, dec_deg, names)
