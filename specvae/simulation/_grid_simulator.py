"""Spectra of stars from a library of computed ones."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from .._validation import check_choice, check_number
from ..spectra import (
    SPEED_OF_LIGHT_KMS,
    WavelengthGrid,
    air_to_vacuum,
    doppler_factor,
    vacuum_to_air,
)
from ._base import AbstractSimulator
from ._label_mesh import LabelMesh, label_mesh
from ._labels import LABELS, STELLAR_LABELS, Label, complete_labels
from ._library import SpectralLibrary, check_library_flux, check_library_wavelength
from ._observing._instrument import Spectrograph, spectrograph
from ._simulator import build_observatory, check_grid, check_unknown
from ._star._broadening import FWHM_PER_SIGMA, broaden, line_spread_sigma_kms

_MARGIN_KMS = 100.0
# A library may be this much coarser than the spectrograph before it is refused.
_SLACK = 1.05
_BROADENING = ("vmac_kms", "vsini_kms")
_ANY_NUMBER = 1e9


class GridSimulator(AbstractSimulator):
    """Spectra interpolated in a library of computed ones, observed like those of the forward model.

    The library may be one of PHOENIX, BOSZ, MARCS or ATLAS: arrays in memory or in a memory map.
    What `StellarSpectrumSimulator` does to a star's light on its way is done here too: rotation and
    macroturbulence, velocity, the atmosphere of the Earth, spectrograph and noise.

    Parameters
    ----------
    wavelength_aa : array-like of shape (n_wavelengths,)
        Increasing wavelengths of the library, in Angstrom.
    flux : ndarray, memmap or sequence, shape (n_models, n_wavelengths)
        Flux per unit of wavelength, not divided by the continuum, in any unit. Only the rows that
        are needed are read.
    labels : DataFrame of shape (n_models, n_labels)
        Labels of the models, among the stellar ones of `specvae.simulation.LABELS` without
        vsini_kms and vmac_kms. `simulate` wants all of these columns and refuses other stellar
        ones.
    grid : WavelengthGrid
        Pixels of the spectra, in the barycentric frame.
    instrument : {"harps", "apogee"} or None, default="harps"
        Spectrograph, with its site. None is a telescope of one square metre that loses nothing.
    medium : {"vacuum", "air"}, default="vacuum"
        Medium of `wavelength_aa`.
    library_resolving_power : float, optional
        Wavelength over the full width at half maximum of the line spread that the library has
        already. By default it has none.
    outside : {"raise", "nearest"}, default="raise"
        What to do with labels outside the library: raise an error, or move them to the nearest
        point of a lattice, the nearest model otherwise. The result's labels are the moved ones.
    atmosphere : bool, default=True
        Whether telluric lines, extinction and, with an instrument, sky light are there.
    resolving_power : float, optional
        Of the spectra. By default that of the instrument; without one, two pixels in the middle of
        the grid.
    unknown : iterable of str, default=()
        Factors that no label tells: "continuum_tilt", "blaze_residual", "line_spread",
        "cosmic_rays".

    Attributes
    ----------
    label_names : list of str
        Labels of the library, in the order of `specvae.simulation.LABELS`.

    Raises
    ------
    GridMismatchError
        If the library or the instrument does not reach the grid, or it goes with an atmosphere
        beyond 3100 to 25,000 Angstrom, where the extinction is not known.
    ValueError
        If shapes disagree, models repeat or are missing labels, the library is coarser than the
        spectra by more than 5 %, or a word or number is out of its range.
    TypeError
        If `grid` or `labels` is of another type.

    See Also
    --------
    StellarSpectrumSimulator : The same from closed-form physics.

    Notes
    -----
    A library with every combination of the values of its labels is interpolated multilinearly; any
    other by barycentric weights in the Delaunay triangulation of the labels scaled to unit range,
    which becomes slow above five labels. Both are linear between models: across wide steps lines
    come out wrong by what their curvature makes.

    Each model is scaled before, so that its mean over 5400 to 5500 Angstrom is the flux of V = 0 at
    5450 Angstrom. Where the library lacks some of that, its median over the recorded part of the
    grid takes this flux; then vmag is the magnitude in no known band, and S/N should be given by
    snr, not by exposure_s.

    The library must reach 100 km/s beyond what the instrument records of the grid. For faster
    stars its spectra go on level beyond their ends. Of the line spread of the instrument only what
    the library lacks is added, in quadrature; the mean width of the interpolation in wavelength
    counts as the library's. Where vmac_kms is not given, it follows from teff_k and logg_dex, or is
    zero if the library has not both.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from specvae.spectra import WavelengthGrid
    >>> wavelength_aa = np.arange(5390.0, 5510.0, 0.02)
    >>> flux = np.stack([np.full(6000, 1.0), np.linspace(1.1, 0.9, 6000)])
    >>> library = pd.DataFrame({"teff_k": [5000.0, 6000.0]})
    >>> grid = WavelengthGrid(5440.0, 0.01, 2000)
    >>> simulator = GridSimulator(wavelength_aa, flux, library, grid)
    >>> simulator.simulate({"teff_k": 5500.0}, random_state=0).flux.shape
    (1, 2000)
    """

    def __init__(
        self,
        wavelength_aa: Any,
        flux: Any,
        labels: pd.DataFrame,
        grid: WavelengthGrid,
        instrument: str | None = "harps",
        *,
        medium: str = "vacuum",
        library_resolving_power: float | None = None,
        outside: str = "raise",
        atmosphere: bool = True,
        resolving_power: float | None = None,
        unknown: Iterable[str] = (),
    ):
        check_choice("medium", medium, ("vacuum", "air"))
        check_choice("outside", outside, ("raise", "nearest"))
        if library_resolving_power is not None:
            check_number(
                "library_resolving_power", library_resolving_power, minimum=0.0, open_below=True
            )
        self.grid = check_grid(grid)
        self.unknown = check_unknown(unknown)
        models = _library_labels(labels)
        self.label_names = list(models.columns)
        self._mesh: LabelMesh = label_mesh(models)
        self._outside = outside
        wavelength_aa = check_library_wavelength(wavelength_aa)
        flux = check_library_flux(flux, len(models), len(wavelength_aa))
        seen_by = spectrograph(instrument)
        self._axis, self._observatory = build_observatory(
            grid, seen_by, atmosphere=atmosphere, resolving_power=resolving_power
        )
        self._library = SpectralLibrary(
            wavelength_aa, flux, medium, self._axis, _needed_aa(grid, seen_by)
        )
        self._sigma_kms = _missing_sigma_kms(
            self._observatory.sigma_kms, self._library, library_resolving_power
        )
        self._identity = {
            "simulator": type(self).__name__,
            "instrument": instrument,
            "medium": medium,
            "library_resolving_power": library_resolving_power,
            "outside": outside,
            "atmosphere": bool(atmosphere),
            "resolving_power": resolving_power,
            "unknown": list(self.unknown),
            "library": [_digest(wavelength_aa), _digest(models.to_numpy()), self._library.digest()],
            "library_labels": self.label_names,
        }

    def __repr__(self) -> str:
        ranges = ", ".join(
            f"{name} {low:g} to {high:g}"
            for name, low, high in zip(
                self.label_names, self._mesh.low, self._mesh.high, strict=True
            )
        )
        return (
            f"{type(self).__name__}({self.grid}, library of {ranges}, "
            f"instrument={self._identity['instrument']!r})"
        )

    def _complete(self, labels: Any) -> pd.DataFrame:
        complete = complete_labels(labels, limits=self._limits())
        for name in self.label_names:
            if name not in labels:
                raise ValueError(
                    f"labels lacks the column {name!r} ({LABELS[name].meaning}), which the library "
                    f"has; it has {', '.join(map(str, labels))}."
                )
        known = (*self._star_labels, *(name for name in LABELS if name not in STELLAR_LABELS))
        for name in labels:
            if name not in known:
                raise ValueError(
                    f"labels has the column {name!r}, which the library has not: leave it out, or "
                    f"give a library with it. Known here: {', '.join(known)}."
                )
        complete = complete[list(known)]
        points = complete[self.label_names].to_numpy()
        self._check_inside(points, complete.index)
        return complete.assign(
            **dict(zip(self.label_names, self._mesh.nearest(points).T, strict=True))
        )

    def _limits(self) -> dict[str, Label]:
        """Limits for `complete_labels`; those of the library's labels are checked afterwards."""
        limits = dict(LABELS)
        for name in STELLAR_LABELS:
            if name in self.label_names:
                # NaN passes, to be refused together with what is outside.
                limits[name] = Label(-_ANY_NUMBER, _ANY_NUMBER, np.nan, LABELS[name].meaning)
            elif name not in _BROADENING:
                limits[name] = LABELS[name]._replace(default=0.0)
        if not {"teff_k", "logg_dex"} <= set(self.label_names):
            limits["vmac_kms"] = limits["vmac_kms"]._replace(default=0.0)
        return limits

    def _check_inside(self, points: np.ndarray, index: pd.Index) -> None:
        """Raise if a label is missing or, unless that is asked for, outside the library."""
        missing, nearest = np.isnan(points), self._outside == "nearest"
        wrong = missing if nearest else ~self._mesh.in_box(points)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            name = self.label_names[column]
            remedy = (
                "give the value or leave these rows out"
                if missing[row, column]
                else "leave these rows out, or set outside='nearest' to move them inside"
            )
            raise ValueError(
                f"label {name!r} ({LABELS[name].meaning}) must lie in the library's range, "
                f"{self._mesh.low[column]:g} to {self._mesh.high[column]:g}; it is "
                f"{points[row, column]:g} in row {index.tolist()[row]!r}, and so in "
                f"{int(wrong[:, column].sum())} of {len(points)} rows: {remedy}."
            )
        beyond = np.zeros(len(points), dtype=bool) if nearest else ~self._mesh.contains(points)
        if beyond.any():
            row = int(np.argmax(beyond))
            values = ", ".join(
                f"{name} = {value:g}"
                for name, value in zip(self.label_names, points[row], strict=True)
            )
            raise ValueError(
                f"labels of row {index.tolist()[row]!r} ({values}) each lie in the library's "
                f"range, but no models surround them together, and so in {int(beyond.sum())} of "
                f"{len(points)} rows: leave these rows out, or set outside='nearest' to take the "
                "nearest model."
            )

    @property
    def _star_labels(self) -> list[str]:
        return [name for name in STELLAR_LABELS if name in (*self.label_names, *_BROADENING)]

    def _rest_flux(self, labels: Mapping[str, float]) -> np.ndarray:
        point = np.array([labels[name] for name in self.label_names])
        return broaden(
            self._library.photon_flux(*self._mesh.weights(point)),
            self._axis.step_kms,
            vsini_kms=labels["vsini_kms"],
            vmac_kms=labels["vmac_kms"],
            sigma_kms=self._sigma_kms,
        )

    def _settings(self) -> dict[str, Any]:
        return self._identity


def _library_labels(labels: Any) -> pd.DataFrame:
    """Return the labels of the models as float columns in the order of all labels."""
    if not isinstance(labels, pd.DataFrame):
        raise TypeError(
            "labels must be a DataFrame with one row for each model and columns such as teff_k, "
            f"logg_dex and mh_dex; got {type(labels).__name__}."
        )
    possible = [name for name in STELLAR_LABELS if name not in _BROADENING]
    for name in labels.columns:
        if name not in possible:
            raise ValueError(
                f"labels of the library has the column {name!r}, of which nothing can be made: it "
                f"may have {', '.join(possible)}; rename or drop the column."
            )
    if labels.columns.has_duplicates or not len(labels.columns):
        raise ValueError(
            f"labels of the library must have one column or more, none twice; got "
            f"{list(labels.columns)!r}."
        )
    ordered = labels[[name for name in possible if name in labels.columns]]
    try:
        return ordered.astype(float).reset_index(drop=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"labels of the library must be numbers: {error}.") from None


def _needed_aa(grid: WavelengthGrid, instrument: Spectrograph | None) -> tuple[float, float]:
    """Rest wavelengths, in the grid's medium, that the library must cover."""
    low_aa, high_aa = grid.start_aa, grid.end_aa
    if instrument is not None:
        ends_aa = np.array([instrument.first_aa, instrument.last_aa])
        if instrument.medium != grid.medium:
            ends_aa = vacuum_to_air(ends_aa) if grid.medium == "air" else air_to_vacuum(ends_aa)
        low_aa, high_aa = max(low_aa, ends_aa[0]), min(high_aa, ends_aa[1])
    beyond = float(doppler_factor(_MARGIN_KMS))
    return float(low_aa / beyond), float(high_aa * beyond)


def _missing_sigma_kms(
    wanted_kms: float, library: SpectralLibrary, library_resolving_power: float | None
) -> float:
    """Return the standard deviation of what is to be added to the library's line spread.

    Raises
    ------
    ValueError
        If the library is coarser than the spectra by more than 5 %.
    """
    wanted_power = SPEED_OF_LIGHT_KMS / (wanted_kms * FWHM_PER_SIGMA)
    # Two pixels for a full width at half maximum: with fewer a line is not described.
    sampled_power = SPEED_OF_LIGHT_KMS / (2.0 * library.coarsest_kms)
    if sampled_power * _SLACK < wanted_power:
        raise ValueError(
            f"wavelength_aa of the library has steps of up to {library.coarsest_kms:.3g} km/s, "
            f"too wide for a resolving power above {sampled_power:.0f}; the spectra have "
            f"{wanted_power:.0f}: give a finer library, or resolving_power of that or less."
        )
    sigma_library = 0.0
    if library_resolving_power is not None:
        if library_resolving_power * _SLACK < wanted_power:
            raise ValueError(
                f"library_resolving_power={library_resolving_power:g} is lower than that of the "
                f"spectra, {wanted_power:.0f}, by more than 5 %: give a sharper library, or "
                "resolving_power of that or less."
            )
        sigma_library = line_spread_sigma_kms(library_resolving_power, SPEED_OF_LIGHT_KMS)
    missing = wanted_kms**2 - sigma_library**2 - library.blur_kms**2
    return float(np.sqrt(max(missing, 0.0)))


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
