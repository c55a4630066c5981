"""What all visitors of an explorer see: computed once, changed by none."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ._archive import Archive, open_archive
from ._sliders import Slider, make_sliders
from ._state import Choices

DENSITY = "density"


@dataclass(frozen=True, eq=False)
class Exhibit:
    """An archive and the sliders for it."""

    archive: Archive
    sliders: tuple[Slider, ...]

    @cached_property
    def choices(self) -> Choices:
        """What a link may ask for."""
        archive = self.archive
        first = [slider.name for slider in self.sliders]
        axes = [*first, *(name for name in archive.axes if name not in first)]
        return Choices(
            axes=tuple(axes),
            colours=(DENSITY, *map(str, archive.labels.columns)),
            names=tuple(map(str, archive.names)),
            sliders={slider.name: (slider.low, slider.high) for slider in self.sliders},
            span=(float(archive.axis[0]), float(archive.axis[-1])),
        )

    @cached_property
    def positions(self) -> dict[str, np.ndarray]:
        """Where each spectrum is on each slider."""
        return {slider.name: self.archive.coordinate(slider.name) for slider in self.sliders}

    @property
    def title(self) -> str:
        """What it is about, in plain text."""
        coder = type(self.archive.model.coder).__name__
        return f"{len(self.archive):,} spectra in the code of a {coder}"


def make_exhibit(
    estimator: Any,
    X: Any,
    labels: Any = None,
    *,
    n_sliders: int = 8,
    random_state: int | None = 0,
    **known: Any,
) -> Exhibit:
    """Encode an archive and find out what its sliders are; the rest is for `open_archive`."""
    archive = open_archive(estimator, X, labels, **known)
    return Exhibit(archive, make_sliders(archive, n_sliders=n_sliders, random_state=random_state))
