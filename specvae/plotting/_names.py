"""Names of labels as a reader wants them on an axis."""

# The end of a label's name says its unit.
_UNITS = {
    "k": "K",
    "dex": "dex",
    "kms": "km/s",
    "aa": "Angstrom",
    "mm": "mm",
    "arcsec": "arcsec",
    "deg": "deg",
    "pc": "pc",
    "mag": "mag",
    "gyr": "Gyr",
    "s": "s",
}
_WORDS = {
    "teff": "Teff",
    "logg": "log g",
    "mh": "[M/H]",
    "feh": "[Fe/H]",
    "vmic": "microturbulence",
    "vmac": "macroturbulence",
    "vsini": "v sin i",
    "rv": "radial velocity",
    "berv": "barycentric velocity",
    "pwv": "water vapour",
    "snr": "S/N",
    "moon_illumination": "Moon illumination",
}
_WHOLE = {"vmag": ("V", "mag")}


def name_and_unit(label: str) -> tuple[str, str]:
    """Split "teff_k" into "Teff" and "K"; a name that says no unit stays as it is."""
    if label in _WHOLE:
        return _WHOLE[label]
    if label in _WORDS:
        return _WORDS[label], ""
    stem, _, ending = label.rpartition("_")
    if not stem or ending not in _UNITS:
        return label, ""
    return _WORDS.get(stem) or _abundance(stem) or stem.replace("_", " "), _UNITS[ending]


def with_unit(label: str) -> str:
    """Turn "teff_k" into "Teff (K)"."""
    name, unit = name_and_unit(label)
    return f"{name} ({unit})" if unit else name


def _abundance(stem: str) -> str:
    """Return "[Mg/Fe]" of "mg_fe", and nothing of what is no abundance."""
    elements, _, reference = stem.rpartition("_")
    if not elements or reference not in ("fe", "h"):
        return ""
    elements = elements.title() if len(elements) <= 2 else elements.replace("_", " ")
    return f"[{elements}/{reference.title()}]"
