"""Any fitted estimator with a code, seen as preparation, encoder and decoder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import _num_samples

from .._validation import check_codes
from ..spectra import WavelengthGrid
from ..spectra._grid import check_grid_type


@dataclass(frozen=True)
class CodeModel:
    """The last step of a pipeline, which encodes and decodes, and the steps before it.

    Everything happens by the methods that an estimator has, not by its class: `transform` with
    `inverse_transform` or `decode`, and `intervene` where labels are part of the code.
    """

    steps: Pipeline | None  # fitted steps before the last
    coder: Any

    @classmethod
    def of(cls, estimator: Any) -> "CodeModel":
        """Open a fitted estimator, be it in a pipeline or a FrozenEstimator.

        Raises
        ------
        ValueError
            If it has no code that can be decoded.
        """
        steps, coder = None, _thawed(estimator)
        if isinstance(coder, Pipeline):
            steps = coder[:-1] if len(coder) > 1 else None
            coder = _thawed(coder[-1])
        decodes = hasattr(coder, "inverse_transform") or hasattr(coder, "decode")
        if not (hasattr(coder, "transform") and decodes):
            raise ValueError(
                f"{type(coder).__name__} cannot encode and decode: estimator must have transform "
                "and inverse_transform, or end in such a step; of a pipeline that goes on after "
                "the code give the part up to it, pipeline[:-1]."
            )
        return cls(steps, coder)

    def prepare(self, X: Any) -> Any:
        """Flux as the coder sees it: after the steps before it."""
        flux = X if self.steps is None else self.steps.transform(X)
        return flux if hasattr(flux, "shape") else np.asarray(flux)

    def grid(self, flux: Any, given: WavelengthGrid | None) -> WavelengthGrid | None:
        """Grid of prepared flux: as given, else as the estimator or the flux knows it.

        Raises
        ------
        TypeError
            If `given` is no grid.
        ValueError
            If the number of pixels differs.
        """
        check_grid_type("grid", given)
        known = [given, getattr(self.coder, "grid_", None), getattr(flux, "grid", None)]
        if self.steps is not None:
            known += [getattr(step, "output_grid_", None) for _, step in self.steps.steps[::-1]]
        grid = next((each for each in known if each is not None), None)
        if grid is not None and grid.n_pixels != flux.shape[1]:
            raise ValueError(
                f"{type(self.coder).__name__} works on {flux.shape[1]} pixels, but grid is {grid}; "
                "give the grid of what it sees, and let PixelMasker mark pixels, not drop them."
            )
        return grid

    def required_grid(self, flux: Any, given: WavelengthGrid | None) -> WavelengthGrid:
        """As `grid`, but a grid there must be."""
        grid = self.grid(flux, given)
        if grid is None:
            raise ValueError(
                f"{type(self.coder).__name__} does not know its wavelengths; give grid, a "
                "WavelengthGrid."
            )
        return grid

    def encode(self, flux: Any, conditions: Any = None) -> np.ndarray:
        """Codes of prepared flux, shape (n_spectra, n_latents), all finite."""
        if conditions is None:
            codes = self.coder.transform(flux)
        else:
            self._check_takes_conditions()
            codes = self.coder.transform(flux, conditions=conditions)
        return check_codes(codes, f"codes of {type(self.coder).__name__}")

    def decode(self, codes: np.ndarray, conditions: Any = None) -> np.ndarray:
        """Flux of codes, shape (n_codes, n_pixels)."""
        if hasattr(self.coder, "inverse_transform"):
            return np.asarray(self.coder.inverse_transform(codes))
        return np.asarray(self.coder.decode(codes, conditions))

    def names(self, n_latents: int) -> list[str]:
        """Names of the columns of the code."""
        if hasattr(self.coder, "get_feature_names_out"):
            return [str(name) for name in self.coder.get_feature_names_out()]
        return [f"latent{i}" for i in range(n_latents)]

    def column(self, latent: Any, n_latents: int) -> int:
        """Column of a latent that is given by name or by number.

        Raises
        ------
        ValueError
            If there is none.
        """
        names = self.names(n_latents)
        if isinstance(latent, str) and latent in names:
            return names.index(latent)
        is_number = isinstance(latent, int | np.integer) and not isinstance(latent, bool)
        if is_number and 0 <= latent < n_latents:
            return int(latent)
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise ValueError(
            f"there is no latent {latent!r} in the code of {type(self.coder).__name__}; give a "
            f"number from 0 to {n_latents - 1} or one of the names {shown}."
        )

    def mover(
        self, flux: Any, *, label: Any, latent: Any = None, slope: float | None = None
    ) -> Callable[[Any], np.ndarray]:
        """Return a function from changes of a label, one or one for each spectrum, to flux.

        Without `latent` the estimator's own `intervene` does it. With it, that latent moves by
        `slope` times the change. A change of 0 gives the reconstruction.

        Raises
        ------
        ValueError
            If the estimator cannot do it, or the slope is missing or useless.
        """
        if latent is None:
            if slope is not None:
                raise ValueError("slope goes with latent; give both or neither.")
            if not hasattr(self.coder, "intervene"):
                raise ValueError(
                    f"{type(self.coder).__name__} has no labels in its code, so that {label!r} "
                    "cannot be moved by name; give latent and slope, see "
                    "specvae.inspection.latent_slope and radial_velocity_intervention."
                )
            return lambda delta: np.asarray(self.coder.intervene(flux, label, delta))
        if slope is None or not np.isfinite(slope) or slope == 0:
            raise ValueError(
                f"slope must be a finite number other than 0, latent units for a unit of {label}, "
                f"got {slope!r}; specvae.inspection.latent_slope(codes, labels) fits it."
            )
        codes = self.encode(flux)
        column = self.column(latent, codes.shape[1])

        def decode_moved(delta: Any) -> np.ndarray:
            moved = codes.copy()
            moved[:, column] += np.asarray(delta, dtype=np.float64) * slope
            return self.decode(moved)

        return decode_moved

    def _check_takes_conditions(self) -> None:
        if not hasattr(self.coder, "n_conditions_"):
            raise ValueError(
                f"{type(self.coder).__name__} takes no conditions; leave conditions out."
            )


def check_not_empty(X: Any) -> None:
    """Raise unless there is a spectrum."""
    if not _num_samples(X):
        raise ValueError("X has no spectra; give at least one.")


def _thawed(estimator: Any) -> Any:
    return estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
