"""The line list that is used unless another is given."""

from functools import cache
from importlib import resources

import pandas as pd

from ._line_list import LineList
from ._molecular_bands import molecular_lines
from ._weak_lines import draw_weak_lines


@cache
def default_line_list() -> LineList:
    """Return about 5,800 lines for cool and warm stars, optical and H band, wavelengths in air.

    They are of three kinds. The famous atomic lines are real, each at its place. Lines of molecules
    are computed from molecular constants, so that bands are real and single lines roughly so. The
    1,300 weak atomic lines are invented: species, excitation and strength are drawn once, with a
    fixed seed, from distributions like those of the Sun, and no wavelength in them means anything.

    Returns
    -------
    lines : LineList
        The same object at each call, its arrays read-only.

    Notes
    -----
    For work on single lines take a list of real ones, see `read_line_list`.
    """
    famous = LineList.from_table(read_famous_lines())
    weak = LineList.from_table(draw_weak_lines(famous.wavelength_aa))
    return LineList.concatenate([famous, LineList.from_table(molecular_lines()), weak])


def read_famous_lines() -> pd.DataFrame:
    """Read data/famous_lines.csv, whose head says where the numbers come from."""
    with (
        resources.files(__package__)
        .joinpath("data/famous_lines.csv")
        .open(encoding="utf-8") as file
    ):
        return pd.read_csv(file, comment="#")
