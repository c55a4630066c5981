"""Which models of a library surround a point in the labels, and with what weights."""

from abc import ABC, abstractmethod

import numpy as np
import pandas as pd
from scipy.spatial import Delaunay, QhullError, cKDTree

# Points this far outside, in units of the range of a label, are on the edge: float32 labels.
_TOLERANCE = 1e-6


class LabelMesh(ABC):
    """Points in label space between which values are interpolated."""

    def __init__(self, points: np.ndarray):
        self.low = points.min(axis=0)  # (n_labels,)
        self.high = points.max(axis=0)  # (n_labels,)
        self._range = self.high - self.low
        # A label in which all models agree has no range: it must be met as it is.
        self._unit = np.where(self._range > 0, self._range, np.maximum(np.abs(self.low), 1.0))

    def in_box(self, points: np.ndarray) -> np.ndarray:
        """Whether each label of points lies in its range, (n_points, n_labels)."""
        slack = _TOLERANCE * self._unit
        return np.asarray((points >= self.low - slack) & (points <= self.high + slack))

    @abstractmethod
    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether points lie between the models, (n_points,)."""

    @abstractmethod
    def nearest(self, points: np.ndarray) -> np.ndarray:
        """Return points with those outside moved inside."""

    @abstractmethod
    def weights(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the models around a point inside and their weights, which sum to 1."""


class Lattice(LabelMesh):
    """Every combination of some values of each label: multilinear interpolation.

    Parameters
    ----------
    points : ndarray of shape (n_models, n_labels)
    """

    def __init__(self, points: np.ndarray):
        super().__init__(points)
        columns = [np.unique(column, return_inverse=True) for column in points.T]
        self._nodes = [nodes for nodes, _ in columns]
        self._row_at = np.empty([len(nodes) for nodes in self._nodes], dtype=np.intp)
        self._row_at[tuple(place.reshape(-1) for _, place in columns)] = np.arange(len(points))

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether points lie in the box."""
        return np.asarray(self.in_box(points).all(axis=1))

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """Points moved to the nearest ones of the box."""
        return np.clip(points, self.low, self.high)

    def weights(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Up to 2**n_labels corners; those without weight are left out."""
        corner, weight = np.zeros((1, 0), dtype=np.intp), np.ones(1)
        for nodes, value in zip(self._nodes, np.clip(point, self.low, self.high), strict=True):
            last = max(len(nodes) - 2, 0)
            left = int(np.clip(np.searchsorted(nodes, value, side="right") - 1, 0, last))
            right = min(left + 1, len(nodes) - 1)
            part = 0.0 if right == left else (value - nodes[left]) / (nodes[right] - nodes[left])
            corner = np.concatenate([_appended(corner, left), _appended(corner, right)])
            weight = np.concatenate([weight * (1.0 - part), weight * part])
        has_weight = weight > 0
        return self._row_at[tuple(corner[has_weight].T)], weight[has_weight]


class Triangulation(LabelMesh):
    """Any points: barycentric weights in their Delaunay triangulation.

    Labels are scaled to unit range before. Time and memory grow steeply with the number of labels:
    above five of them a lattice is the better library.

    Parameters
    ----------
    points : ndarray of shape (n_models, n_labels)

    Raises
    ------
    ValueError
        If the points lie in a space of fewer dimensions.
    """

    def __init__(self, points: np.ndarray):
        super().__init__(points)
        self._varies = self._range > 0
        self._points = points
        scaled = self._scaled(points)
        try:
            self._triangles = Delaunay(scaled)
        except QhullError as error:
            raise ValueError(
                f"{len(points)} models cannot be triangulated in {scaled.shape[1]} labels: they "
                "are too few, or one label follows from the others; give more models or leave a "
                "label out."
            ) from error
        self._tree = cKDTree(scaled)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether points lie in the convex hull."""
        found = self._triangles.find_simplex(self._scaled(points), tol=_TOLERANCE)
        return (found >= 0) & self.in_box(points).all(axis=1)

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """Points with those outside moved to the nearest models, by labels in unit range."""
        inside = self.contains(points)[:, np.newaxis]
        model = self._tree.query(self._scaled(points))[1]
        return np.where(inside, points, self._points[model])

    def weights(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Corners of one simplex; those without weight are left out."""
        scaled = self._scaled(point[np.newaxis])
        simplex = int(self._triangles.find_simplex(scaled)[0])
        if simplex < 0:
            # Only on the edge: elsewhere a wide tolerance finds a neighbour of the right simplex.
            simplex = int(self._triangles.find_simplex(scaled, tol=_TOLERANCE)[0])
        transform = self._triangles.transform[simplex]  # (n_labels + 1, n_labels)
        weight = transform[:-1] @ (scaled[0] - transform[-1])
        weight = np.clip(np.append(weight, 1.0 - weight.sum()), 0.0, None)
        has_weight = weight > 0
        weight = weight[has_weight] / weight.sum()
        return self._triangles.simplices[simplex][has_weight], weight

    def _scaled(self, points: np.ndarray) -> np.ndarray:
        return ((points - self.low) / self._unit)[:, self._varies]


def label_mesh(labels: pd.DataFrame) -> LabelMesh:
    """Return a lattice if the models fill one, else a triangulation.

    Raises
    ------
    ValueError
        If a label is missing or infinite, two models agree in all labels, there is only one, or
        they lie in a space of fewer dimensions.
    """
    points = labels.to_numpy(dtype=float)
    if len(points) < 2:
        raise ValueError(
            f"labels has {len(points)} models: there is nothing to interpolate; give two or more."
        )
    wrong = ~np.isfinite(points)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"label {labels.columns[column]!r} of model {row} is {points[row, column]}, and "
            f"{int(wrong.any(axis=1).sum())} of {len(points)} models have such labels: leave these "
            "models out."
        )
    repeated = labels.duplicated().to_numpy()
    if repeated.any():
        second = int(np.argmax(repeated))
        first = int(np.argmax((points == points[second]).all(axis=1)))
        raise ValueError(
            f"models {first} and {second} have the same labels ({_listed(labels.iloc[second])}), "
            f"and so in {int(repeated.sum())} pairs: leave one of each out, or give the label in "
            "which they differ."
        )
    # No model occurs twice: as many as there are combinations are all of them.
    if len(points) == np.prod([len(np.unique(column)) for column in points.T], dtype=float):
        return Lattice(points)
    return Triangulation(points)


def _appended(corner: np.ndarray, index: int) -> np.ndarray:
    return np.column_stack([corner, np.full(len(corner), index, dtype=np.intp)])


def _listed(values: pd.Series) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in values.items())
