"""k-center in parts: against its bound, a smaller budget is a prefix, and one part is the plain order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lakesift.udfs.kernels.k_center import k_center
from lakesift.udfs.kernels.k_center_merge import depth_of, k_center_merge

from .test_k_center import kinds, unit

Matrix = NDArray[np.float32]


def in_parts(X: Matrix, parts: int, budget: int, first: int, most: int = 1 << 20) -> list[int]:
    """Pick in two rounds, the parts dealt by position."""
    place = np.full(len(X), len(X))
    for part in range(parts):
        rows = np.arange(part, len(X), parts)
        order = k_center(X[rows], depth_of(budget, first, most)).order
        place[rows[order]] = np.arange(len(order))
    here = np.flatnonzero(place < len(X))
    found: list[int] = here[k_center_merge(X[here], place[here], budget, first, most).order].tolist()
    return found


def radius(X: Matrix, chosen: list[int]) -> float:
    rows = X.astype(np.float64)
    return float(np.sqrt(((rows[:, None] - rows[chosen][None]) ** 2).sum(axis=2).min(axis=1).max()))


@pytest.mark.parametrize("seed", range(2))
def test_laws(seed: int) -> None:
    for name, X in kinds(np.random.default_rng(seed)).items():
        n = len(X)
        every = in_parts(X, 3, n + 5, 4)
        assert sorted(every) == list(range(n)), name
        for budget in (0, 1, 3, 4, 5, 9, 17):
            assert in_parts(X, 3, budget, 4) == every[:budget], f"{name}: a smaller budget is a prefix"
        assert in_parts(X, 1, min(n, 9), 16) == k_center(X, 9).order.tolist(), f"{name}: one part is the plain order"


def test_beyond_the_most_rows_of_a_part_picks_go_on_among_these() -> None:
    X = unit(300, 6, 4)
    every = in_parts(X, 5, 300, 4, 16)
    assert len(every) == len(set(every)) == 5 * 16
    for budget in (3, 16, 17, 50):
        assert in_parts(X, 5, budget, 4, 16) == every[:budget]
    assert in_parts(X, 5, 16, 4, 16) == in_parts(X, 5, 16, 4)


def test_the_radius_is_near_that_of_the_plain_order() -> None:
    X = unit(400, 12, 0)
    for budget in (20, 64, 100):
        plain = radius(X, k_center(X, budget).order.tolist())
        assert radius(X, in_parts(X, 5, budget, 64)) <= 1.15 * plain


def test_rows_chosen_before_stay_chosen() -> None:
    X, place = np.array([[0], [9], [1], [4]], np.float32), np.array([-1, 0, 0, 1])
    found = k_center_merge(X, place, 9, 1, 1 << 9, start=[0])
    assert found.order.tolist() == [1, 3, 2]
    assert found.distance_sq.tolist() == [81, 16, 1]
