"""Spectra whose causes are known: a forward model, its labels, and designs of what to simulate."""

from ._catalogue_design import catalogue_design
from ._dataset import RedrawnSpectra
from ._default_lines import default_line_list
from ._designs import (
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
from ._line_list import LineList
from ._read_lines import read_line_list
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
