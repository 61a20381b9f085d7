"""Laws of the k-means kernels: exact decisions, exact sums, Lloyd against scikit-learn."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sklearn.cluster import KMeans

from lakesift.udfs.errors import BoundError
from lakesift.udfs.kernels.exact_sums import Grid
from lakesift.udfs.kernels.kmeans import lloyd, tally
from lakesift.udfs.kernels.kmeans_start import plus_plus
from lakesift.udfs.kernels.nearest_centroid import Nearest
from lakesift.udfs.kernels.vectors import unit_rows


def blobs(n: int, d: int, centres: int, seed: int = 0, spread: float = 0.4) -> np.ndarray:
    """Return (n, d) float32 rows around random centres."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(centres, d))[draw.integers(0, centres, n)] + spread * draw.normal(size=(n, d))
    return x.astype(np.float32)


def slowly(x: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return cluster and distance_sq one row and one centroid at a time."""
    clusters, distances = [], []
    for row in x:
        all_of_them = [float(((row - c.astype(np.float64)) ** 2).sum()) for c in centroids]
        clusters.append(min(range(len(centroids)), key=lambda j: (all_of_them[j], j)))
        distances.append(all_of_them[clusters[-1]])
    return np.array(clusters, np.int32), np.array(distances)


def odd_cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return rows and centroids between which float32 products cannot decide."""
    draw = np.random.default_rng(8)
    c = draw.normal(size=(40, 24)).astype(np.float32)
    near = np.repeat(c[:8], 5, axis=0)
    near[:, 3] = np.nextafter(near[:, 3], np.float32(9))
    middle = ((c[:20] + c[20:]) / 2).astype(np.float32)
    x = np.concatenate([c, near, middle, draw.normal(size=(50, 24)).astype(np.float32)])
    return {
        "plain": (blobs(300, 24, 9), c),
        "equal centroids": (x, np.repeat(c, 2, axis=0)),
        "almost equal centroids": (x, np.concatenate([c, near])),
        "middles": (middle, c),
        "a common offset": (x + np.float32(3000), c + np.float32(3000)),
        "float64 rows": (x + 1e-9 * draw.normal(size=x.shape), np.concatenate([c, near])),
        "tiny": (x * np.float32(1e-30), np.concatenate([c, near]) * np.float32(1e-30)),
        "subnormal": (x * np.float32(1e-42), c * np.float32(1e-42)),
        "large": (x * np.float32(1e25), np.concatenate([c, near]) * np.float32(1e25)),
        "far rows": (x * 1e12, np.concatenate([c, near])),
        "rows too far for float64": (x * 1e16, np.concatenate([c, near])),
        "integers": (draw.integers(0, 3, (200, 4)).astype(np.float32), draw.integers(0, 3, (30, 4)).astype(np.float32)),
        "one centroid": (x, c[:1]),
        "one value": (x[:, :1], c[:, :1]),
    }


@pytest.mark.parametrize("case", odd_cases())
def test_the_nearest_is_that_of_the_slow_twin(case: str) -> None:
    x, centroids = odd_cases()[case]
    cluster, distance_sq = Nearest(centroids)(x)
    expected = slowly(x, centroids)
    assert (cluster.dtype, distance_sq.dtype) == (np.int32, np.float64)
    np.testing.assert_array_equal(cluster, expected[0])
    assert distance_sq.tobytes() == expected[1].tobytes()


@pytest.mark.parametrize("case", sorted(odd_cases().keys() - {"one centroid"}))
def test_the_second_nearest_is_that_of_the_slow_twin(case: str) -> None:
    x, centroids = odd_cases()[case]
    pairs = [sorted(float(((row - c.astype(np.float64)) ** 2).sum()) for c in centroids)[:2] for row in x]
    np.testing.assert_array_equal(np.stack(Nearest(centroids).two(x), axis=1), pairs)


@pytest.mark.parametrize("case", odd_cases())
def test_bits_do_not_depend_on_batch_order_or_position(case: str) -> None:
    x, centroids = odd_cases()[case]
    nearest, draw = Nearest(centroids), np.random.default_rng(1)
    cluster, distance_sq = nearest(x)
    for size in (1, 2, 7, 64):
        parts = [nearest(x[i : i + size]) for i in range(0, len(x), size)]
        assert np.concatenate([p[0] for p in parts]).tobytes() == cluster.tobytes()
        assert np.concatenate([p[1] for p in parts]).tobytes() == distance_sq.tobytes()
    order = draw.integers(0, len(x), 5000)  # several blocks
    again = nearest(np.asfortranarray(x[order]))
    assert again[0].tobytes() == cluster[order].tobytes()
    assert again[1].tobytes() == distance_sq[order].tobytes()


def test_the_product_alone_would_decide_otherwise() -> None:
    """The cases above can fail: a bare float32 argmin gets some of them wrong."""
    wrong = 0
    for x, c in odd_cases().values():
        with np.errstate(all="ignore"):
            bare = (x.astype(np.float32) @ (-2 * c.T) + (c * c).sum(axis=1)).argmin(axis=1)
        wrong += int((bare != slowly(x, c)[0]).sum())
    assert wrong > 50


def test_rows_that_hold_nan_or_infinity_disturb_no_other() -> None:
    x, centroids = odd_cases()["plain"]
    holed = x.copy()
    holed[5, 2], holed[9] = np.nan, np.inf
    _, distance_sq = Nearest(centroids)(holed)
    assert np.isnan(distance_sq[5])
    assert np.isinf(distance_sq[9])
    others = np.setdiff1d(np.arange(len(x)), [5, 9])
    assert distance_sq[others].tobytes() == Nearest(centroids)(x)[1][others].tobytes()
    assert [len(part) for part in Nearest(centroids)(x[:0])] == [0, 0]


def test_sums_are_the_true_ones_in_any_order() -> None:
    x = np.random.default_rng(0).normal(size=(500, 3)) * 0.1
    centroids = x[:4].astype(np.float32)
    grid = Grid.of(float(np.abs(x).max()), len(x), 3)
    sums, sizes, squares = tally(x, centroids, grid)
    cluster = Nearest(centroids)(x)[0]
    for j in range(4):
        true = [sum(map(Fraction, map(float, column))) for column in x[cluster == j].T]
        assert max(abs(Fraction(s) - t) for s, t in zip(sums[j].tolist(), true, strict=True)) <= 500 * grid.step / 2
    assert squares == pytest.approx(float((x.astype(float) ** 2).sum()), rel=1e-12)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(x))
        parts = [tally(x[p], centroids, grid) for p in np.array_split(order, seed + 2)]
        assert sum(p[0] for p in parts).tobytes() == sums.tobytes()
        assert sum(p[1] for p in parts).tobytes() == sizes.tobytes()
        assert sum(p[2] for p in parts) == squares


@pytest.mark.parametrize("largest", [np.inf, 1e200])
def test_values_without_exact_sums_are_refused(largest: float) -> None:
    with pytest.raises(BoundError, match="no exact sums"):
        Grid.of(largest, 10, 3)
    with pytest.raises(BoundError, match="fit again"):
        tally(np.ones((2, 1)), np.zeros((1, 1), np.float32), Grid.of(0.5, 2, 1))


@pytest.mark.parametrize(("n", "d", "k"), [(3000, 16, 20), (2000, 3, 50), (500, 40, 7)])
def test_lloyd_is_that_of_scikit_learn(n: int, d: int, k: int) -> None:
    x = blobs(n, d, k)
    start = x[plus_plus(x, k, 3)]
    ours = lloyd(x, start, 60, 0.0)
    theirs = KMeans(k, init=start, n_init=1, algorithm="lloyd", max_iter=60, tol=0).fit(x)
    np.testing.assert_allclose(ours.centroids, theirs.cluster_centers_, atol=1e-4)
    assert ours.inertia[-1] == pytest.approx(theirs.inertia_, rel=1e-5)
    assert ours.sizes.tolist() == np.bincount(theirs.labels_, minlength=k).tolist()


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_inertia_is_the_sum_of_distances_and_never_rises(offset: float) -> None:
    x = blobs(2000, 8, 10, spread=2.0) + np.float32(offset)
    found = lloyd(x, x[:60], 40, 0.0)
    assert np.diff(found.inertia).max() <= 1e-9 * found.inertia[0]
    assert len(found.inertia) > 5
    assert found.inertia[-1] == pytest.approx(Nearest(found.centroids)(x)[1].sum(), rel=1e-9)
    assert found.sizes.sum() == len(x)


def test_lloyd_does_not_depend_on_the_order_of_rows() -> None:
    x, order = blobs(1500, 6, 12), np.random.default_rng(0).permutation(1500)
    one, other = (lloyd(rows, x[:20], 15, 0.0) for rows in (x, x[order]))
    assert one.centroids.tobytes() == other.centroids.tobytes()
    assert one.inertia == other.inertia


def test_a_tolerance_stops_early_and_no_moves_only_measure() -> None:
    x = blobs(1500, 6, 12, spread=1.0)
    steps = [len(lloyd(x, x[:20], 50, tol).inertia) for tol in (0.0, 1e-3, 0.5)]
    assert steps[0] > steps[1] > steps[2] == 2
    still = lloyd(x, x[:20], 0)
    assert still.centroids.tobytes() == x[:20].tobytes()
    assert len(still.inertia) == 1


def test_empty_clusters_are_placed_on_the_farthest_rows() -> None:
    x = np.array([[0.0], [1.0], [10.0], [20.0], [20.0]])
    start = np.array([[0.5], [900.0], [901.0]], np.float32)  # two get nothing
    found = lloyd(x, start, 10)
    assert sorted(found.centroids[:, 0].tolist()) == [0.5, 10, 20]
    assert sorted(found.sizes.tolist()) == [1, 2, 2]
    assert np.diff(found.inertia).max() <= 0
    same = lloyd(np.ones((4, 2)), np.array([[1, 1], [5, 5]], np.float32), 10)  # nothing is far
    assert (same.sizes.tolist(), same.inertia[-1]) == ([4, 0], 0)


def test_one_cluster_and_as_many_as_rows() -> None:
    x = blobs(50, 4, 5)
    np.testing.assert_allclose(lloyd(x, x[:1]).centroids[0], x.mean(axis=0, dtype=float), rtol=1e-6)
    all_of_them = lloyd(x, x)
    assert all_of_them.inertia[-1] == pytest.approx(0, abs=1e-9)
    assert all_of_them.centroids.tobytes() == x.tobytes()


def test_spherical_centroids_are_mean_directions() -> None:
    x = unit_rows(blobs(800, 6, 5))
    found = lloyd(x, x[:5], 30, 0.0, spherical=True)
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-6)
    cosine = x @ found.centroids.T
    cluster = cosine.argmax(axis=1)
    for j in range(5):
        mean = x[cluster == j].sum(axis=0)
        np.testing.assert_allclose(found.centroids[j], mean / np.linalg.norm(mean), atol=1e-4)
    assert found.inertia[-1] == pytest.approx(2 * (1 - cosine.max(axis=1).astype(float)).sum(), rel=1e-4)
