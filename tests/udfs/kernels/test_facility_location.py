"""Facility location against a plain greedy over integers; modes against dense; neighbours and cells by oracle."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from lakesift.udfs.errors import BoundError, InputError, RecipeError
from lakesift.udfs.kernels.facility_location import DENSE_ROWS, facility_location
from lakesift.udfs.kernels.neighbours import cell_members, fixed_point, make_cells, nearest, scale
from tests.udfs.kernels.twins_facility_location import objective

Matrix = NDArray[np.float32]


def unit(X: NDArray[np.floating]) -> Matrix:
    """Rows divided by their length."""
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def cloud(n: int, d: int, seed: int, groups: int = 40) -> Matrix:
    """Rows around directions of unequal weight, with spectra that fall off as those of embeddings."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(groups, d)) * 0.6
    member = draw.choice(groups, n, p=draw.dirichlet(np.full(groups, 2.0)))
    return unit((centres[member] + draw.normal(size=(n, d))) * np.exp(-np.arange(d) / 60))


def plain(covers: NDArray[np.int64], budget: int, weight: float, extra: NDArray[np.float64]) -> tuple[list, list]:
    """Greedy as one would write it; covers[i, j] is how well j covers i, integers."""
    n = len(covers)
    best, order, gains = np.zeros(n, np.int64), [], []
    while len(order) < min(budget, n):
        gain = weight * np.maximum(covers - best[:, None], 0).sum(axis=0) + extra
        gain[order] = -np.inf
        pick = int(gain.argmax())
        order.append(pick)
        gains.append(float(gain[pick]))
        best = np.maximum(best, covers[:, pick])
    return order, gains


def rounded(X: Matrix) -> NDArray[np.int64]:
    """The rows at fixed point."""
    return np.rint(X * np.float32(scale(X.shape[1]))).astype(np.int64)


def integers(X: Matrix) -> NDArray[np.int64]:
    """Similarities at fixed point, by integer arithmetic, negative ones as 0."""
    return np.maximum(rounded(X) @ rounded(X).T, 0)


def samples() -> dict[str, Matrix]:
    """Small matrices: random, duplicates, exact ties, one row."""
    draw = np.random.default_rng(5)
    return {
        "cloud": cloud(150, 16, 1),
        "duplicates": np.repeat(cloud(30, 8, 2), 4, axis=0),
        "ties": unit(draw.choice([-1.0, 1.0], (90, 4))),
        "axes": np.tile(np.eye(5, dtype=np.float32), (7, 1)),
        "one row": cloud(1, 8, 3),
    }


@pytest.mark.parametrize("name", samples())
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_dense_equals_the_plain_greedy(name: str, alpha: float) -> None:
    X = samples()[name]
    quality = np.random.default_rng(0).normal(size=len(X)).round(1) * 5
    weight = (1 - alpha) / scale(X.shape[1]) ** 2
    for budget in (1, len(X) // 3, len(X) + 5):
        got = facility_location(X, budget, quality, alpha)
        assert got.mode == "dense"
        assert (got.order.tolist(), got.gains.tolist()) == plain(integers(X), budget, weight, alpha * quality)
        assert (np.diff(got.gains) <= 0).all()


@pytest.mark.parametrize("name", samples())
def test_neighbours_equals_the_plain_greedy_on_its_lists(name: str) -> None:
    X = samples()[name]
    similar = integers(X)
    for k in (1, 5, 1000):
        covers = np.zeros_like(similar)
        for i, row in enumerate(rounded(X) @ rounded(X).T):
            listed = np.lexsort((np.arange(len(X)), -row))[:k]
            covers[i, listed] = similar[i, listed]
        got = facility_location(X, len(X) // 2 + 1, mode="neighbours", neighbours=k)
        expected = plain(covers, len(X) // 2 + 1, 1 / scale(X.shape[1]) ** 2, np.zeros(len(X)))
        assert (got.order.tolist(), got.gains.tolist()) == expected
        assert (np.diff(got.gains) <= 0).all()


@pytest.mark.parametrize("name", samples())
@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_cells_equals_the_plain_greedy_that_sees_own_cells_only(name: str, alpha: float) -> None:
    X = samples()[name]
    draw = np.random.default_rng(1)
    quality = draw.uniform(size=len(X)).round(1)
    for cells in (draw.integers(-2, 5, len(X)), np.arange(len(X)), np.minimum(draw.integers(0, 30, len(X)), 6)):
        covers = np.where(cells[:, None] == cells, integers(X), 0)
        for budget in (1, len(X) // 4 + 1, len(X)):
            got = facility_location(X, budget, quality, alpha, cells=cells)
            assert got.mode == "cells"
            weight = (1 - alpha) / scale(X.shape[1]) ** 2
            assert (got.order.tolist(), got.gains.tolist()) == plain(covers, budget, weight, alpha * quality)


def test_a_cell_may_take_far_more_than_its_share() -> None:
    """One cell of copies, which one pick covers, and a small one of rows far apart."""
    X = np.concatenate([np.tile(np.eye(40, dtype=np.float32)[:1], (300, 1)), np.eye(40, dtype=np.float32)])
    got = facility_location(X, 35, cells=np.repeat([0, 1], [300, 40]))
    assert got.order.tolist() == [0, *range(300, 334)]
    X = np.eye(200, dtype=np.float32)  # all gains are equal: the lowest positions, which are all in the small cell
    assert facility_location(X, 20, cells=np.repeat([0, 1], [20, 180])).order.tolist() == list(range(20))


@pytest.mark.parametrize("mode", ["dense", "neighbours", "cells"])
def test_laws(mode: str) -> None:
    X = cloud(700, 32, 4)
    before = X.copy()
    longest = facility_location(X, 300, mode=mode)
    assert len(set(longest.order.tolist())) == 300
    assert (np.diff(longest.gains) <= 0).all()
    for budget in (0, 1, 7, 299):
        part = facility_location(X, budget, mode=mode)
        assert part.order.tolist() == longest.order[:budget].tolist()
    assert sorted(facility_location(X, 10_000, mode=mode).order) == list(range(700))
    assert facility_location(X[:0], 5, mode=mode).order.tolist() == []
    np.testing.assert_array_equal(X, before)


def test_by_hand() -> None:
    axes = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 1, 2, 3]]
    got = facility_location(axes, 5)
    assert got.order.tolist() == [0, 3, 5, 6, 1]
    assert got.gains.round(2).tolist() == [3, 2, 1, 1, 0]
    assert objective(axes, got.order[:2]) == pytest.approx(5, abs=0.01)
    assert objective(axes, []) == 0
    # QDIT: half the cover, half the quality: row 6 has 0.5 + 2, row 0 has 1.5, row 3 has 1
    got = facility_location(axes, 3, [0, 0, 0, 0, 0, 0, 4], 0.5)
    assert got.order.tolist() == [6, 0, 3]
    assert got.gains.round(2).tolist() == [2.5, 1.5, 1]


def test_the_objective_is_the_sum_of_dense_gains_and_close_to_cosines() -> None:
    X = cloud(900, 48, 6)
    got = facility_location(X, 40)
    assert objective(X, got.order) == pytest.approx(got.gains.sum(), rel=1e-12)
    cosines = X.astype(np.float64) @ X[got.order].astype(np.float64).T
    assert objective(X, got.order) == pytest.approx(np.maximum(cosines.max(axis=1), 0).sum(), rel=2e-4)


def ratios(n: int, budget: int, dims: int = 256) -> dict[str, float]:
    """The objective of every mode and of a random draw, as shares of dense."""
    X = cloud(n, dims, 0, 500)
    best = objective(X, facility_location(X, budget, mode="dense").order)
    found = {m: objective(X, facility_location(X, budget, mode=m).order) / best for m in ("neighbours", "cells")}
    return {**found, "random": objective(X, np.random.default_rng(5).choice(n, budget, replace=False)) / best}


def test_fixed_point_greedy_covers_as_much_as_one_in_float64() -> None:
    X = cloud(500, 64, 8)
    cosines = np.maximum(X.astype(np.float64) @ X.astype(np.float64).T, 0)
    best, picks = np.zeros(500), []
    for _ in range(40):
        picks.append(int(np.maximum(cosines - best[:, None], 0).sum(axis=0).argmax()))
        best = np.maximum(best, cosines[:, picks[-1]])
    ours = cosines[:, facility_location(X, 40).order].max(axis=1).sum()
    assert ours >= 0.999 * best.sum()


def test_neighbours_cover_as_much_as_dense() -> None:
    found = ratios(2000, 100, 64)
    assert found["neighbours"] >= 0.99
    assert found["random"] < found["cells"] < 1.001


@pytest.mark.long
def test_neighbours_cover_as_much_as_dense_at_ten_thousand_rows(capsys: pytest.CaptureFixture[str]) -> None:
    found = ratios(10_000, 500)
    with capsys.disabled():
        kept = {m: (r - found["random"]) / (1 - found["random"]) for m, r in found.items()}
        sys.stdout.write(f"\nshares of dense {found}, of its gain over random {kept}\n")
    assert found["neighbours"] >= 0.99
    assert found["cells"] >= 0.97


def test_similarities_are_the_same_bits_in_any_block() -> None:
    X = cloud(600, 300, 9)
    Q = fixed_point(X)
    exact = Q.astype(np.int64) @ Q.astype(np.int64).T
    np.testing.assert_array_equal(Q @ Q.T, exact)
    np.testing.assert_array_equal(np.concatenate([Q[a : a + 7] @ Q[::-1].T for a in range(0, 600, 7)])[:, ::-1], exact)
    assert np.diag(exact).max() <= 2**24
    error = exact / scale(300) ** 2 - X.astype(np.float64) @ X.astype(np.float64).T
    assert error.std() < 2e-4
    assert np.abs(error).max() < math.sqrt(300) / 4000


def test_neighbours_are_those_of_an_exact_search() -> None:
    X = cloud(1500, 32, 10)
    got = nearest(X, 20).indices.reshape(-1, 20)
    oracle = NearestNeighbors(n_neighbors=20, algorithm="brute").fit(X).kneighbors(X, return_distance=False)
    assert np.mean([len(set(a) & set(b)) / 20 for a, b in zip(got, oracle, strict=True)]) > 0.99


def test_cells_are_made_and_giant_ones_split() -> None:
    X = cloud(6000, 32, 11)
    cells = make_cells(X, 6)
    assert set(cells.tolist()) == set(range(6))
    centres = [X[cells == c].mean(axis=0) for c in range(6)]
    random_pairs = (X[:3000] * X[3000:]).sum(axis=1).mean()
    own = np.mean([(X[cells == c] @ m / np.linalg.norm(m)).mean() for c, m in enumerate(centres)])
    assert own > random_pairs + 0.1
    for giant in (X, np.tile(X[:1], (9000, 1))):  # the second cannot be split by what is in it
        members = cell_members(giant, np.zeros(len(giant), np.int32))
        assert max(map(len, members)) <= 4096
        assert sorted(np.concatenate(members).tolist()) == list(range(len(giant)))
        assert all((np.diff(m) > 0).all() for m in members)
    assert make_cells(X, 3, np.array([5, 9, 7, 8])).tolist() == make_cells(X[[5, 9, 7, 8]], 3).tolist()


def test_what_is_refused() -> None:
    X = cloud(20, 8, 12)
    for row in (np.zeros(8), np.full(8, np.nan), 2 * X[0]):
        odd = X.copy()
        odd[3] = row
        with pytest.raises(InputError, match="length"):
            facility_location(odd, 2)
    with pytest.raises(InputError, match="20 finite values"):
        facility_location(X, 2, [1.0] * 19, 0.5)
    with pytest.raises(InputError, match="20 finite values"):
        facility_location(X, 2, [1.0] * 19 + [np.nan], 0.5)
    with pytest.raises(InputError, match="each of 20 rows"):
        facility_location(X, 2, cells=np.zeros(3, np.int32))
    with pytest.raises(RecipeError, match="did you mean 'dense'"):
        facility_location(X, 2, mode="dens")
    for alpha, quality, k in ((1.5, [1.0] * 20, 64), (0.5, None, 64), (0.0, None, 0)):
        with pytest.raises(RecipeError, match="alpha is 0 to 1"):
            facility_location(X, 2, quality, alpha, neighbours=k)
    with pytest.raises(BoundError, match="mode auto"):
        facility_location(np.zeros((DENSE_ROWS + 1, 2), np.float32), 2, mode="dense")
    with pytest.raises(BoundError, match="use cells"):
        nearest(np.zeros((200_001, 1), np.float32), 2)
