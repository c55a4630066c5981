"""Spectra of stars from closed-form physics."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from .._validation import check_number
from ..exceptions import GridMismatchError
from ..spectra import SPEED_OF_LIGHT_KMS, WavelengthGrid, doppler_factor
from ._axis import VelocityAxis
from ._base import AbstractSimulator
from ._labels import STELLAR_LABELS, complete_labels
from ._lines._default_lines import default_line_list
from ._lines._line_list import LineList
from ._observing._instrument import Spectrograph, spectrograph
from ._observing._observatory import UNKNOWN_FACTORS, Observatory
from ._observing._sky import EXTINCTION_AA
from ._star._broadening import broaden
from ._star._model import StarModel

# Stars may move so fast, by their label, the Earth and what a data set adds.
_LARGEST_VELOCITY_KMS = 1200.0
_LARGEST_STEP_KMS, _SMALLEST_STEP_KMS, _STEPS_PER_FWHM = 1.0, 0.3, 5.0


class StellarSpectrumSimulator(AbstractSimulator):
    """Forward model of stellar spectra: labels are causes, and each does what physics says.

    A star is a photosphere in hydrostatic equilibrium with one relation of temperature to depth;
    its continuum and lines are in local thermodynamic equilibrium, seen where the optical depth is
    2/3. Rotation and macroturbulence broaden them, the velocity shifts them; the atmosphere of the
    Earth absorbs, the spectrograph disperses, and photons, sky and detector make the noise.

    Parameters
    ----------
    grid : WavelengthGrid
        Pixels of the spectra, in the barycentric frame.
    line_list : LineList, optional
        Lines of the star. The default, `default_line_list`, has about 5,000, of which the weak
        ones are invented; see `read_line_list` for real ones.
    instrument : {"harps", "apogee"} or None, default="harps"
        Spectrograph, with its site. None is a telescope of one square metre that loses nothing.
    atmosphere : bool, default=True
        Whether telluric lines, extinction and, with an instrument, sky light are there.
    resolving_power : float, optional
        Wavelength over the full width at half maximum of the line spread. By default that of the
        instrument; without one, two pixels in the middle of the grid.
    unknown : iterable of str, default=()
        Factors that no label tells: "continuum_tilt", "blaze_residual", "line_spread",
        "cosmic_rays". They are drawn for each spectrum and returned beside the labels.

    Attributes
    ----------
    n_lines : int
        Lines of the list that can reach the grid; those of hydrogen come on top.

    Raises
    ------
    GridMismatchError
        If the instrument or the line list does not reach the grid, or it goes with an atmosphere
        beyond 3100 to 25,000 Angstrom, where the extinction is not known.
    ValueError
        If a word is unknown or a number out of its range.
    TypeError
        If `grid` or `line_list` is of another type.

    See Also
    --------
    GridSimulator : The same from a library of computed spectra.
    mixed_design, catalogue_design : Labels to simulate.

    Notes
    -----
    `specvae.simulation.LABELS` lists the labels with units, limits and defaults. Sources of the
    formulas stand in the private modules, one for each piece of physics. Left out: departures from
    local thermodynamic equilibrium, convection, chromospheres, magnetic fields, dust,
    isotopes and hyperfine structure, and what lines do to the temperature. Equivalent widths of
    known solar lines come out 0.95 to 1.5 times as measured. M dwarfs are the least like real ones.

    Examples
    --------
    >>> from specvae.spectra import WavelengthGrid
    >>> grid = WavelengthGrid(5160.0, 0.01, 3000)
    >>> simulator = StellarSpectrumSimulator(grid)
    >>> sun = {"teff_k": 5772.0, "logg_dex": 4.44, "mh_dex": 0.0, "snr": 50.0}
    >>> simulated = simulator.simulate(sun, random_state=0)
    >>> simulated.flux.shape
    (1, 3000)
    """

    def __init__(
        self,
        grid: WavelengthGrid,
        line_list: LineList | None = None,
        instrument: str | None = "harps",
        *,
        atmosphere: bool = True,
        resolving_power: float | None = None,
        unknown: Iterable[str] = (),
    ):
        if line_list is None:
            line_list = default_line_list()
        elif not isinstance(line_list, LineList):
            raise TypeError(
                f"line_list must be a LineList, got {type(line_list).__name__}: make one with "
                "LineList.from_table(table) or read_line_list(path)."
            )
        self.grid = check_grid(grid)
        self.unknown = check_unknown(unknown)
        self._axis, self._observatory = build_observatory(
            grid, spectrograph(instrument), atmosphere=atmosphere, resolving_power=resolving_power
        )
        lines = line_list.to_medium(grid.medium)
        self._star = StarModel(self._axis, lines)
        self.n_lines = self._star.n_lines
        if not self.n_lines:
            raise GridMismatchError(
                f"no line of line_list reaches {grid}: its {len(line_list)} lines lie between "
                f"{lines.wavelength_aa.min():.1f} and {lines.wavelength_aa.max():.1f} Angstrom; "
                "give a list for these wavelengths."
            )
        self._identity = {
            "simulator": type(self).__name__,
            "instrument": instrument,
            "atmosphere": bool(atmosphere),
            "resolving_power": resolving_power,
            "unknown": list(self.unknown),
            "lines": _digest(lines),
        }

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.grid}, {self.n_lines} lines, "
            f"instrument={self._identity['instrument']!r})"
        )

    def _complete(self, labels: Any) -> pd.DataFrame:
        return complete_labels(labels)

    @property
    def _star_labels(self) -> list[str]:
        return list(STELLAR_LABELS)

    def _rest_flux(self, labels: Mapping[str, float]) -> np.ndarray:
        return broaden(
            self._star.photon_flux(labels),
            self._axis.step_kms,
            vsini_kms=labels["vsini_kms"],
            vmac_kms=labels["vmac_kms"],
            sigma_kms=self._observatory.sigma_kms,
        )

    def _settings(self) -> dict[str, Any]:
        return self._identity


def build_observatory(
    grid: WavelengthGrid,
    instrument: Spectrograph | None,
    *,
    atmosphere: bool,
    resolving_power: float | None,
) -> tuple[VelocityAxis, Observatory]:
    """Return the axis of rest spectra for a grid, and what observes them.

    Raises
    ------
    GridMismatchError
        If the instrument sees no pixel of the grid, or one where the extinction is not known.
    ValueError
        If the resolving power is not positive.
    """
    if resolving_power is not None:
        check_number("resolving_power", resolving_power, minimum=0.0, open_below=True)
    elif instrument is not None:
        resolving_power = instrument.resolving_power
    else:
        edges_aa = grid.edges_aa
        middle = grid.n_pixels // 2
        width_aa = edges_aa[middle + 1] - edges_aa[middle]
        resolving_power = 0.5 * (edges_aa[middle] + edges_aa[middle + 1]) / (2.0 * width_aa)
    fwhm_kms = SPEED_OF_LIGHT_KMS / resolving_power
    step_kms = float(np.clip(fwhm_kms / _STEPS_PER_FWHM, _SMALLEST_STEP_KMS, _LARGEST_STEP_KMS))
    beyond = float(doppler_factor(_LARGEST_VELOCITY_KMS))
    axis = VelocityAxis.covering(
        grid.start_aa / beyond, grid.end_aa * beyond, step_kms, grid.medium
    )
    observatory = Observatory(
        grid, axis, instrument, atmosphere=atmosphere, resolving_power=resolving_power
    )
    if observatory.recorded_aa is None:
        seen = observatory.instrument
        raise GridMismatchError(
            f"instrument {seen.name} records {seen.first_aa:g} to {seen.last_aa:g} Angstrom "
            f"({seen.medium}), nothing of {grid}: choose another instrument, instrument=None, or "
            "a grid that it covers."
        )
    first_aa, last_aa = observatory.recorded_aa
    if atmosphere and not (EXTINCTION_AA[0] <= first_aa and last_aa <= EXTINCTION_AA[1]):
        raise GridMismatchError(
            f"the extinction of the atmosphere is known from {EXTINCTION_AA[0]:g} to "
            f"{EXTINCTION_AA[1]:g} Angstrom, and {grid} is recorded from {first_aa:g} to "
            f"{last_aa:g}: choose a smaller grid or atmosphere=False."
        )
    return axis, observatory


def check_grid(grid: Any) -> WavelengthGrid:
    """Return the grid if it is one."""
    if isinstance(grid, WavelengthGrid):
        return grid
    raise TypeError(
        f"grid must be a WavelengthGrid, got {type(grid).__name__}: give one of specvae.spectra, "
        "such as HARPS_GRID, or make one with WavelengthGrid(start_aa, step, n_pixels)."
    )


def check_unknown(unknown: Iterable[str]) -> tuple[str, ...]:
    """Return the factors in their fixed order if all are known.

    Raises
    ------
    ValueError
        Naming the first that is not.
    """
    given = (unknown,) if isinstance(unknown, str) else tuple(unknown)
    for name in given:
        if name not in UNKNOWN_FACTORS:
            raise ValueError(
                f"unknown must hold names among {', '.join(UNKNOWN_FACTORS)}; got {name!r}."
            )
    return tuple(name for name in UNKNOWN_FACTORS if name in given)


def _digest(lines: LineList) -> str:
    """Return a short name for the content of a list."""
    digest = hashlib.sha256("\n".join(lines.species).encode())
    for column in (lines.wavelength_aa, lines.excitation_ev, lines.log_gf, lines.damping):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:16]
