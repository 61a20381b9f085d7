"""Laws of what k-means starts from and of how its k is chosen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.cluster import kmeans_plusplus

from lakesift.udfs.kernels import silhouette
from lakesift.udfs.kernels.kmeans_start import plus_plus
from lakesift.udfs.kernels.nearest_centroid import Nearest
from tests.udfs.kernels.test_kmeans import blobs


def test_the_start_is_as_good_as_that_of_scikit_learn() -> None:
    x = blobs(3000, 10, 30, spread=0.2)

    def potential(start: np.ndarray) -> float:
        return float(Nearest(start)(x)[1].sum())

    ours = np.mean([potential(x[plus_plus(x, 30, seed)]) for seed in range(8)])
    theirs = np.mean([potential(kmeans_plusplus(x, 30, random_state=seed)[0]) for seed in range(8)])
    assert ours < 1.1 * theirs
    assert ours < 0.5 * np.mean([potential(x[seed * 30 : seed * 30 + 30]) for seed in range(8)])


def test_the_start_takes_different_rows_and_follows_the_seed() -> None:
    x = np.repeat(blobs(40, 4, 8), 5, axis=0)
    picks = [plus_plus(x, 40, seed) for seed in range(4)]
    for picked in picks:
        assert len({row.tobytes() for row in x[picked]}) == 40
    assert picks[0].tolist() == plus_plus(x, 40, 0).tolist()
    assert len({p.tobytes() for p in picks}) == 4
    assert len(set(plus_plus(np.ones((6, 2)), 4, 0).tolist())) == 4


@pytest.mark.parametrize("shift", [lambda x: x + 1e6, lambda x: x * 1e-20, np.asfortranarray])
def test_the_start_does_not_depend_on_offset_scale_or_layout(shift: Callable[[np.ndarray], np.ndarray]) -> None:
    x = np.random.default_rng(0).integers(-9, 9, (300, 5)).astype(np.float64)
    assert plus_plus(shift(x), 12, 0).tolist() == plus_plus(x, 12, 0).tolist()


def test_the_simplified_silhouette_by_hand_and_by_brute_force() -> None:
    assert silhouette.simplified(np.array([[1.0], [2.5]]), np.array([[0], [5]], np.float32)).tolist() == [0.75, 0]
    same = np.zeros((2, 1), np.float32)
    assert silhouette.simplified(np.zeros((1, 1)), same).tolist() == [0]
    x, c = blobs(200, 5, 6), blobs(9, 5, 6, seed=4)
    a, b = np.sort(np.linalg.norm(x[:, None] - c[None].astype(float), axis=2), axis=1)[:, :2].T
    np.testing.assert_allclose(silhouette.simplified(x, c), (b - a) / b, atol=1e-12)
    order = np.random.default_rng(0).permutation(200)
    assert silhouette.simplified(x[order], c).tobytes() == silhouette.simplified(x, c)[order].tobytes()
    assert np.isnan(silhouette.mean(x, c[:1]))
    holed = x.copy()
    holed[0, 0] = np.nan
    assert np.isnan(silhouette.simplified(holed, c)).tolist() == [True] + [False] * 199
