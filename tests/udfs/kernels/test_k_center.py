"""k-center against a plain float64 farthest-first loop: same order and bits, on random rows, ties, duplicates."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lakesift.udfs.errors import InputError
from lakesift.udfs.kernels.k_center import k_center

Matrix = NDArray[np.float32]


def plain(X: Matrix, budget: int) -> tuple[list[int], list[float]]:
    """Farthest-first as one would write it: every distance in float64, one pass a pick."""
    rows = X.astype(np.float64)
    nearest = np.full(len(X), np.inf)
    order: list[int] = []
    distances: list[float] = []
    while len(order) < min(budget, len(X)):
        pick = int(nearest.argmax())
        order.append(pick)
        distances.append(float(nearest[pick]))
        nearest = np.minimum(nearest, ((rows - rows[pick]) ** 2).sum(axis=1))
        nearest[pick] = -1
    return order, distances


def unit(n: int, d: int, seed: int) -> Matrix:
    """Rows of length 1 around a few directions."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, d)) + 2 * draw.normal(size=(20, d))[draw.integers(0, 20, n)]
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def kinds(draw: np.random.Generator) -> dict[str, Matrix]:
    """Small matrices: random, on a grid (exact ties), far from the origin (cancellation), duplicates, tiny numbers."""
    n, d = int(draw.integers(1, 250)), int(draw.integers(1, 10))
    normal = draw.normal(size=(n, d))
    made = {
        "random": normal,
        "grid": draw.integers(0, 3, (n, d)),
        "tenths": draw.integers(0, 2, (n, d)) * 0.1,
        "far": normal + 1000,
        "duplicates": np.repeat(normal[: n // 5 + 1], 5, axis=0),
        "one point": np.ones((n, d)),
        "tiny": normal * 1e-22,
        "uneven": normal * 10.0 ** draw.integers(-6, 6, (n, 1)),
    }
    return {name: X.astype(np.float32) for name, X in made.items()}


@pytest.mark.parametrize("seed", range(12))
def test_order_and_distances_equal_the_plain_loop(seed: int) -> None:
    draw = np.random.default_rng(seed)
    for name, X in kinds(draw).items():
        for _ in range(2):
            X = draw.permutation(X)  # another row is the first
            budget, candidates = int(draw.integers(1, len(X) + 4)), int(draw.integers(1, 60))
            got = k_center(X, budget, candidates=candidates)
            assert (got.order.tolist(), got.distance_sq.tolist()) == plain(X, budget), name


def test_many_rows_few_passes() -> None:
    X = unit(8000, 64, 0)
    got = k_center(X, 300)
    assert (got.order.tolist(), got.distance_sq.tolist()) == plain(X, 300)
    assert got.passes <= 12
    assert got.distance_sq[0] == np.inf
    assert (np.diff(got.distance_sq[1:]) <= 0).all()


def test_near_ties_are_decided_in_float64() -> None:
    """Pairs of rows that differ in the last bit of one value: a float32 loop picks others."""
    X = np.repeat(unit(400, 128, 1), 2, axis=0)
    X[1::2, 0] = np.nextafter(X[1::2, 0], np.float32(9))
    budget = 150
    assert k_center(X, budget).order.tolist() == plain(X, budget)[0]
    square = np.einsum("ij,ij->i", X, X)
    nearest, careless = np.full(len(X), np.inf, np.float32), [0]
    while len(careless) < budget:
        np.minimum(nearest, square + square[careless[-1]] - 2 * (X @ X[careless[-1]]), out=nearest)
        careless.append(int(nearest.argmax()))
    assert careless != plain(X, budget)[0]


def test_ties_of_thousands_of_rows() -> None:
    X = np.zeros((5000, 8), np.float32)
    X[np.arange(5000), np.arange(5000) % 8] = 1  # eight places, 625 copies of each
    got = k_center(X, 30)
    assert got.order.tolist() == list(range(30))
    assert got.distance_sq[1:].tolist() == [2.0] * 7 + [0.0] * 22


@pytest.mark.parametrize("seed", range(3))
def test_a_tie_with_a_row_outside_the_candidates(seed: int) -> None:
    """Few candidates on a small grid: one that has come down to the distance of a lower position must wait."""
    draw = np.random.default_rng(seed)
    X = draw.permutation(np.stack(np.meshgrid(range(9), range(9), range(9)), axis=-1).reshape(-1, 3))
    X = X.astype(np.float32) + 4096  # so far out that float32 brackets are wide and all rows are known exactly
    for candidates in (2, 5, 20, 60):
        got = k_center(X, 300, candidates=candidates)
        assert (got.order.tolist(), got.distance_sq.tolist()) == plain(X, 300)


def test_by_hand() -> None:
    X = np.array([[0, 0], [3, 4], [0, 1], [6, 8], [0, 0]], np.float32)
    got = k_center(X, 99)
    assert got.order.tolist() == [0, 3, 1, 2, 4]
    assert got.distance_sq.tolist() == [np.inf, 100, 25, 1, 0]
    assert k_center(X, 0).order.tolist() == []
    assert k_center(X[:1], 5).order.tolist() == [0]
    assert k_center(X[:0], 5).order.tolist() == []


def test_a_smaller_budget_is_a_prefix_and_nothing_is_changed() -> None:
    X = unit(600, 16, 2)
    before = X.copy()
    longest = k_center(X, 400).order.tolist()
    for budget in (1, 2, 50, 399):
        assert k_center(X, budget, candidates=budget).order.tolist() == longest[:budget]
    np.testing.assert_array_equal(X, before)


def test_what_is_refused() -> None:
    X = unit(5, 3, 0)
    for value in (np.nan, np.inf, 1e30):
        X[2, 1] = value
        with pytest.raises(InputError, match="finite"):
            k_center(X, 2)


@pytest.mark.long
def test_the_size_of_the_bar() -> None:
    X = unit(100_000, 256, 3)
    got = k_center(X, 200)
    assert got.order.tolist() == plain(X, 200)[0]
    assert k_center(X, 1000).passes <= 20
