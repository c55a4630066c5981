"""Spectra whose causes are known: a forward model, its labels, and designs of what to simulate."""

from ._dataset import RedrawnSpectra
from ._designs._catalogue_design import catalogue_design
from ._designs._random_designs import (
    TWIN_GRID,
    Design,
    GenerativeDesign,
    TwinDesign,
    generative_design,
    mixed_design,
    twin_design,
)
from ._grid_simulator import GridSimulator
from ._labels import LABELS
from ._lines._default_lines import default_line_list
from ._lines._line_list import LineList
from ._lines._read_lines import read_line_list
from ._result import SimulatedSpectra
from ._short import simulate_spectra
from ._simulator import StellarSpectrumSimulator

__all__ = [
    "LABELS",
    "TWIN_GRID",
    "Design",
    "GenerativeDesign",
    "GridSimulator",
    "LineList",
    "RedrawnSpectra",
    "SimulatedSpectra",
    "StellarSpectrumSimulator",
    "TwinDesign",
    "catalogue_design",
    "default_line_list",
    "generative_design",
    "mixed_design",
    "read_line_list",
    "simulate_spectra",
    "twin_design",
]
