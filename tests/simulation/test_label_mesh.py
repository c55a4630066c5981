import itertools

import numpy as np
import pandas as pd
import pytest

from specvae.simulation._label_mesh import Lattice, Triangulation, label_mesh

NODES = ([4000.0, 5000.0, 7000.0], [3.0, 5.0], [-1.0, -0.5, 0.5])


def models(nodes=NODES, seed=0):
    points = np.array(list(itertools.product(*nodes)))
    points = np.random.default_rng(seed).permutation(points)
    return pd.DataFrame(points, columns=["teff_k", "logg_dex", "mh_dex"][: len(nodes)])


def value_at(mesh, values, point):
    rows, weights = mesh.weights(np.asarray(point, dtype=float))
    assert weights.sum() == pytest.approx(1.0)
    assert (weights > 0).all()
    return weights @ values[rows]


def test_weights_of_a_lattice_by_hand():
    table = pd.DataFrame({"teff_k": [4000.0, 4000, 5000, 5000], "logg_dex": [3.0, 5, 3, 5]})
    mesh = label_mesh(table)
    assert isinstance(mesh, Lattice)
    rows, weights = mesh.weights(np.array([4250.0, 4.5]))
    # A quarter of the way in temperature, three quarters in gravity.
    assert dict(zip(rows.tolist(), weights, strict=True)) == pytest.approx(
        {0: 0.75 * 0.25, 1: 0.75 * 0.75, 2: 0.25 * 0.25, 3: 0.25 * 0.75}
    )


def test_a_lattice_reproduces_what_is_linear_in_each_label():
    table = models()
    mesh = label_mesh(table)
    teff, logg, mh = table.to_numpy().T
    values = teff * 1e-3 * logg + 2.0 * mh
    for point in ([4100.0, 3.5, -0.7], [6999.0, 4.9, 0.49], [5000.0, 3.0, 0.0]):
        wanted = point[0] * 1e-3 * point[1] + 2.0 * point[2]
        assert value_at(mesh, values, point) == pytest.approx(wanted)


def test_on_a_model_only_that_model_counts():
    table = models()
    mesh = label_mesh(table)
    for row in range(len(table)):
        rows, weights = mesh.weights(table.to_numpy()[row])
        assert rows.tolist() == [row] and weights.tolist() == [1.0]


@pytest.mark.parametrize("left_out", [0, 7, 11])
def test_a_triangulation_reproduces_what_is_linear(left_out):
    table = models().drop(index=left_out)
    mesh = label_mesh(table)
    assert isinstance(mesh, Triangulation)
    slope = np.array([1e-3, 2.0, -3.0])
    values = table.to_numpy() @ slope
    low, high = [4300, 3.2, -0.9], [6000, 4.5, 0.3]
    points = np.random.default_rng(1).uniform(low, high, size=(100, 3))
    points = points[mesh.contains(points)]
    assert len(points) > 80
    for point in points:
        assert value_at(mesh, values, point) == pytest.approx(point @ slope, abs=1e-9)


def test_scattered_models_reproduce_what_is_linear():
    scattered = np.random.default_rng(2).uniform(size=(60, 2)) * [4000.0, 5.0] + [4000.0, 0.0]
    mesh = label_mesh(pd.DataFrame(scattered, columns=["teff_k", "logg_dex"]))
    slope = np.array([1e-3, -1.0])
    assert value_at(mesh, scattered @ slope, [6000.0, 2.5]) == pytest.approx(6.0 - 2.5)


def test_one_label_is_linear_between_neighbours():
    mesh = label_mesh(pd.DataFrame({"teff_k": [6000.0, 4000.0, 5000.0]}))
    rows, weights = mesh.weights(np.array([5200.0]))
    assert dict(zip(rows.tolist(), weights, strict=True)) == pytest.approx({2: 0.8, 0: 0.2})


@pytest.mark.parametrize("n_dropped", [0, 1])
def test_a_label_without_range_must_be_met(n_dropped):
    table = models(NODES[:2]).assign(mh_dex=0.0).iloc[n_dropped:]
    mesh = label_mesh(table)
    inside = mesh.contains(np.array([[5000.0, 4.0, 0.0], [5000.0, 4.0, 0.1]]))
    assert inside.tolist() == [True, False]
    np.testing.assert_array_equal(mesh.in_box(np.array([[5000.0, 6.0, 0.1]]))[0], [1, 0, 0])


def test_edges_belong_to_it_in_single_precision_too():
    for table in (models(), models().iloc[1:]):
        points = table.to_numpy()
        assert label_mesh(table.astype(np.float32)).contains(points).all()
        assert label_mesh(table).contains(points.astype(np.float32)).all()


def test_nearest_point_of_a_lattice():
    moved = label_mesh(models()).nearest(np.array([[9000.0, 4.2, -3.0], [4500.0, 4.0, 0.0]]))
    np.testing.assert_array_equal(moved, [[7000.0, 4.2, -1.0], [4500.0, 4.0, 0.0]])


def test_nearest_model_of_scattered_ones_in_unit_range():
    table = pd.DataFrame({"teff_k": [4000.0, 6000, 4000], "logg_dex": [1.0, 1, 5]})
    mesh = label_mesh(table)
    # Beyond the slanted side; 0.9 and 0.6 of the ranges from the left lower corner.
    moved = mesh.nearest(np.array([[5800.0, 3.4], [4400.0, 2.0]]))
    np.testing.assert_array_equal(moved, [[6000.0, 1.0], [4400.0, 2.0]])


@pytest.mark.parametrize(
    "table, message",
    [
        ({"teff_k": [5000.0]}, "labels has 1 models"),
        ({"teff_k": [5000.0, np.nan]}, "label 'teff_k' of model 1 is nan"),
        ({"teff_k": [5000.0, 6000, 5000]}, r"models 0 and 2 have the same labels \(teff_k = 5000"),
        ({"teff_k": [4e3, 5e3, 6e3], "logg_dex": [4.0, 4.5, 5.0]}, "3 models cannot be triang"),
        ({"teff_k": [4e3, 5e3], "logg_dex": [4.0, 4.5]}, "2 models cannot be triangulated"),
    ],
)
def test_models_that_span_nothing(table, message):
    with pytest.raises(ValueError, match=message):
        label_mesh(pd.DataFrame(table))
