"""Which spectra show the same star."""

import re
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

# The same name further apart than this is another star, or no name: "TEST". The fastest star
# moves by 208 arcsec in 20 years.
_NAME_RADIUS_ARCSEC = 300.0

# Bodies of the solar system shine in sunlight, wherever they stand.
SUNLIT = frozenset(
    "SUN SOL SOLAR MOON LUNA MERCURY VENUS MARS PHOBOS DEIMOS JUPITER IO EUROPA GANYMEDE CALLISTO "
    "SATURN TITAN RHEA TETHYS DIONE ENCELADUS IAPETUS URANUS TITANIA OBERON NEPTUNE TRITON PLUTO "
    "CERES PALLAS JUNO VESTA HEBE IRIS".split()
)

_NO_NAME = frozenset("NONE NAN NA N/A - -- ? UNKNOWN TEST STAR OBJECT TARGET".split())


def group_targets(
    ra_deg: Any, dec_deg: Any, names: Any = None, *, radius_arcsec: float = 30.0
) -> np.ndarray:
    """Give each spectrum the number of its star, from coordinates and names.

    Spectra belong together if they lie within the radius of each other or bear the same name,
    and so do spectra that are linked through others.

    Parameters
    ----------
    ra_deg, dec_deg : array-like of shape (n_spectra,)
        Right ascension and declination, in degrees; NaN where unknown.
    names : array-like of str, shape (n_spectra,), optional
        Names of the objects, as the headers give them; "" or missing where unknown.
    radius_arcsec : float, default=30.0
        Largest distance between linked spectra, in arcsec. Many headers say where the telescope
        pointed, not where the star stands: 12 HARPS exposures of HD 189733 in one night spread
        over 35 arcsec in steps of up to 7. The default covers that, and 20 years of a proper
        motion of 1.5 arcsec a year; faster stars are held together by the observations in between
        and by their names. Survey fibres are further apart, 72 arcsec in APOGEE. With catalogue
        positions of a crowded field choose 1 to 5.

    Returns
    -------
    groups : ndarray of int, shape (n_spectra,)
        Numbers from 0, in the order in which the stars first appear.

    Raises
    ------
    ValueError
        If the lengths differ, a declination lies beyond the poles, a coordinate is infinite, or
        the radius is not positive or above 300 arcsec.

    See Also
    --------
    read_meta : The columns `ra_deg`, `dec_deg` and `object` of a store.

    Notes
    -----
    Two errors are possible, and this function prefers the harmless one: two stars in one group
    cost a little training data, one star in two groups leaks from the training into the test.

    Names are compared in upper case, with ``_`` as a space, without leading zeros of their
    numbers, and without spaces except between two digits: "HD 004", "hd_4" and "HD4" are the
    same, "CD-38 1059" and "CD-3 81059" are not. No catalogue is asked: "GJ 581" and "HO Lib"
    come together by position only.

    - The same name counts only within 300 arcsec, linked through others, since names such as
      "CALIB" return all over the sky. A spectrum without coordinates joins its namesakes if they
      are one star, and otherwise forms one group with those of its kind.
    - "TEST", "STAR", "OBJECT", "TARGET", "UNKNOWN" and the like are no names.
    - "Sun", "Moon", "Ganymede" and other bodies of the solar system are one star, the Sun, at
      any position.
    - A spectrum without name and coordinates is a star of its own.

    Examples
    --------
    >>> ra_deg = [217.4289, 217.4290, 10.0, float("nan")]
    >>> dec_deg = [-62.6795, -62.6795, 20.0, float("nan")]
    >>> group_targets(ra_deg, dec_deg, ["Proxima", "GJ 551", "HD 004", "HD4"])
    array([0, 0, 1, 1])
    """
    if not 0.0 < radius_arcsec <= _NAME_RADIUS_ARCSEC:
        raise ValueError(
            f"radius_arcsec must be > 0 and <= {_NAME_RADIUS_ARCSEC:g}, got {radius_arcsec!r}."
        )
    ra_deg, dec_deg = _check_coordinates(ra_deg, dec_deg)
    n_spectra = len(ra_deg)
    name = _name_codes(names, n_spectra)
    sunlit = name == _SUNLIT_CODE
    placed = np.flatnonzero(~np.isnan(ra_deg) & ~sunlit)
    points = unit_vectors(ra_deg[placed], dec_deg[placed])

    by_position = np.full(n_spectra, -1)
    by_position[placed] = friends_of_friends(points, _chord(radius_arcsec))
    by_name = np.where(sunlit, 0, -1)
    named = name[placed] >= 0
    by_name[placed[named]] = 1 + friends_of_friends(
        points[named], _chord(_NAME_RADIUS_ARCSEC), apart=name[placed[named]]
    )
    _place_by_name(by_name, name, np.isnan(ra_deg) & ~sunlit)
    return _unite(by_position, by_name)


def friends_of_friends(
    points: np.ndarray, radius: float, *, apart: np.ndarray | None = None
) -> np.ndarray:
    """Label the connected components of points linked within `radius`, shape (n_points,).

    Points are sorted into cubes so small that all of one cube are linked. Only links between
    cubes are looked for, so that thousands of points at one place cost no more than one.

    Parameters
    ----------
    points : ndarray of shape (n_points, 3)
    radius : float
    apart : ndarray of int, shape (n_points,), optional
        Points of different value are never linked.
    """
    if not len(points):
        return np.empty(0, dtype=int)
    corner = np.floor(points / (radius / 2.0))
    # A fourth axis, along which neighbours are further apart than any link reaches.
    corner = np.column_stack([corner, np.zeros(len(points)) if apart is None else 10.0 * apart])
    cubes, cube = np.unique(corner, axis=0, return_inverse=True)
    cube = cube.reshape(-1)
    order = np.argsort(cube, kind="stable")
    starts = np.searchsorted(cube[order], np.arange(len(cubes) + 1))
    pairs = cKDTree(cubes).query_pairs(2.5, p=np.inf, output_type="ndarray")

    first = points[order[starts[:-1]]]
    linked = np.linalg.norm(first[pairs[:, 0]] - first[pairs[:, 1]], axis=1) <= radius
    component = _components(len(cubes), pairs[linked])
    is_open = component[pairs[:, 0]] != component[pairs[:, 1]]
    is_open &= (np.diff(starts)[pairs] > 1).any(axis=1)
    links = [pairs[linked]]
    for a, b in pairs[is_open]:
        ours, theirs = (points[order[starts[k] : starts[k + 1]]] for k in (a, b))
        distance, _ = cKDTree(ours).query(theirs, distance_upper_bound=radius * (1 + 1e-12))
        if np.isfinite(distance).any():
            links.append(np.array([[a, b]]))
    return _components(len(cubes), np.concatenate(links))[cube]


def unit_vectors(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Directions on the sphere, shape (n, 3)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def normalise_name(name: str) -> str:
    """Return the form in which names are compared; "" for what is no name."""
    name = " ".join(name.upper().replace("_", " ").split())
    name = re.sub(r"(?<![0-9.])0+(?=[0-9])", "", name)
    name = re.sub(r"(?<![0-9]) | (?![0-9])", "", name)
    return "" if name in _NO_NAME else name


_SUNLIT_CODE = -2


def _name_codes(names: Any, n_spectra: int) -> np.ndarray:
    """Return a number for each name, -1 for none, -2 for sunlight."""
    if names is None:
        return np.full(n_spectra, -1)
    names = pd.Series(np.asarray(names, dtype=object))
    if len(names) != n_spectra:
        raise ValueError(
            f"names has {len(names)} entries, ra_deg has {n_spectra}: give one name for each "
            "spectrum, '' where unknown."
        )
    codes, unique = pd.factorize(names)
    normal = np.array(["", *(normalise_name(str(name)) for name in unique)])[codes + 1]
    codes = pd.factorize(normal)[0]
    codes[normal == ""] = -1
    codes[np.isin(normal, list(SUNLIT))] = _SUNLIT_CODE
    return codes


def _check_coordinates(ra_deg: Any, dec_deg: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both in float64, NaN in both where either is unknown."""
    ra_deg, dec_deg = (np.asarray(values, dtype=np.float64) for values in (ra_deg, dec_deg))
    if ra_deg.ndim != 1 or ra_deg.shape != dec_deg.shape:
        raise ValueError(
            f"ra_deg and dec_deg must be of one length; shapes {ra_deg.shape} and {dec_deg.shape}."
        )
    bad = np.isinf(ra_deg) | (np.abs(dec_deg) > 90.0)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"ra_deg={ra_deg[row]:g}, dec_deg={dec_deg[row]:g} of spectrum {row} is no place on "
            "the sky; give degrees, NaN where unknown."
        )
    unknown = np.isnan(ra_deg) | np.isnan(dec_deg)
    return np.where(unknown, np.nan, ra_deg), np.where(unknown, np.nan, dec_deg)


def _chord(angle_arcsec: float) -> float:
    return 2.0 * float(np.sin(np.radians(angle_arcsec / 3600.0) / 2.0))


def _place_by_name(by_name: np.ndarray, name: np.ndarray, unplaced: np.ndarray) -> None:
    """Give names without coordinates the group of their namesakes, or one of their own."""
    pairs = pd.DataFrame({"name": name, "group": by_name})
    known = pairs[(name >= 0) & (by_name >= 0)].drop_duplicates()
    # Ambiguous names are dropped altogether.
    group_of = known.drop_duplicates("name", keep=False).set_index("name")["group"]
    lost = np.flatnonzero(unplaced & (name >= 0))
    own = by_name.max(initial=0) + 1 + name[lost]
    by_name[lost] = pd.Series(name[lost]).map(group_of).fillna(pd.Series(own)).astype(int)


def _unite(*labels: np.ndarray) -> np.ndarray:
    """Group rows that share any label, numbered by first appearance; -1 is no label."""
    n_rows = len(labels[0])
    n_nodes, links = n_rows, []
    for label in labels:
        rows = np.flatnonzero(label >= 0)
        links.append(np.column_stack([rows, n_nodes + label[rows]]))
        n_nodes += label.max(initial=-1) + 1
    return pd.factorize(_components(n_nodes, np.concatenate(links))[:n_rows])[0]


def _components(n_nodes: int, links: np.ndarray) -> np.ndarray:
    ones = np.ones(len(links), dtype=bool)
    graph = coo_matrix((ones, (links[:, 0], links[:, 1])), shape=(n_nodes, n_nodes))
    return connected_components(graph, directed=False)[1]
