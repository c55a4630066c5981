"""Lines and windows of stellar spectra that have names."""

from typing import NamedTuple

import numpy as np

from ..spectra import WavelengthGrid, air_to_vacuum


class SpectralLine(NamedTuple):
    """A line of a star at rest."""

    name: str
    wavelength_aa: float  # in air


class Preset(NamedTuple):
    """A window to look at."""

    name: str
    low_aa: float  # in air
    high_aa: float


# Wavelengths in air: NIST Atomic Spectra Database, and Fraunhofer's letters where they are usual.
LINES = (
    SpectralLine("Ca II K", 3933.66),
    SpectralLine("Ca II H", 3968.47),
    SpectralLine("H\u03b4", 4101.73),
    SpectralLine("Ca I", 4226.73),
    SpectralLine("H\u03b3", 4340.46),
    SpectralLine("H\u03b2", 4861.33),
    SpectralLine("Mg b4", 5167.32),
    SpectralLine("Mg b2", 5172.68),
    SpectralLine("Mg b1", 5183.60),
    SpectralLine("Na D2", 5889.95),
    SpectralLine("Na D1", 5895.92),
    SpectralLine("H\u03b1", 6562.80),
    SpectralLine("Li I", 6707.76),
)
PRESETS = (
    Preset("Ca H & K", 3920.0, 3985.0),
    Preset("H\u03b2", 4841.0, 4881.0),
    Preset("Mg b", 5155.0, 5195.0),
    Preset("Na D", 5880.0, 5906.0),
    Preset("H\u03b1", 6542.0, 6582.0),
    # The B band of oxygen in the Earth's atmosphere, of which HARPS sees the head.
    Preset("O\u2082 B (telluric)", 6862.0, 6905.0),
)


def lines_on(grid: WavelengthGrid | None) -> list[SpectralLine]:
    """Return the lines inside a grid, at wavelengths in its medium."""
    if grid is None:
        return []
    found = [SpectralLine(line.name, _on(grid, line.wavelength_aa)) for line in LINES]
    return [line for line in found if grid.start_aa <= line.wavelength_aa <= grid.end_aa]


def presets_on(grid: WavelengthGrid | None) -> list[tuple[Preset, bool]]:
    """Return all presets in the medium of a grid, and whether the middle of each lies inside."""
    if grid is None:
        return [(preset, False) for preset in PRESETS]
    found = [Preset(p.name, _on(grid, p.low_aa), _on(grid, p.high_aa)) for p in PRESETS]
    middle = [(preset.low_aa + preset.high_aa) / 2.0 for preset in found]
    inside = [grid.start_aa <= each <= grid.end_aa for each in middle]
    return list(zip(found, inside, strict=True))


def names_to_show(
    lines: list[SpectralLine], low_aa: float, high_aa: float, *, apart: float = 0.018
) -> list[SpectralLine]:
    """Return the lines in a window whose names do not overlap, `apart` being a share of it."""
    shown: list[SpectralLine] = []
    for line in lines:
        if not low_aa <= line.wavelength_aa <= high_aa:
            continue
        if shown and line.wavelength_aa - shown[-1].wavelength_aa < apart * (high_aa - low_aa):
            continue
        shown.append(line)
    return shown


def _on(grid: WavelengthGrid, air_aa: float) -> float:
    return float(air_to_vacuum(np.array(air_aa))) if grid.medium == "vacuum" else air_aa
