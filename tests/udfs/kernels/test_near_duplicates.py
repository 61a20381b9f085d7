"""SemDeDup and Deita's filter against loops over float64 cosines, at random and at the very limit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lakesift.udfs.errors import InputError
from lakesift.udfs.kernels import cosine_limit, near_duplicates
from lakesift.udfs.kernels.near_duplicates import deita, displaced_by_kept, first_near, semdedup

Matrix = NDArray[np.float32]


def over(a: NDArray[np.float32], b: NDArray[np.float32], limit: float) -> bool:
    """The decision, pair by pair."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    return bool((x * y).sum() > limit * (np.sqrt((x * x).sum()) * np.sqrt((y * y).sum())))


def plain_semdedup(X: Matrix, cells: NDArray[np.int64], order: list[int], limit: float) -> list[int]:
    """For every row the best-ranked earlier row of its cell that drops it, or -1."""
    found = [-1] * len(X)
    for place, i in enumerate(order):
        earlier = [j for j in order[:place] if cells[j] == cells[i]]
        found[i] = next((j for j in earlier if over(X[i], X[j], limit)), -1)
    return found


def plain_deita(X: Matrix, order: list[int], limit: float, budget: int) -> tuple[list[int], int]:
    """Walk, compare with all kept."""
    kept: list[int] = []
    for walked, i in enumerate(order):
        if len(kept) == budget:
            return kept, walked
        if not any(over(X[i], X[j], limit) for j in kept):
            kept.append(i)
    return kept, len(order) if budget else 0


def at_the_limit(n: int, d: int, limit: float, draw: np.random.Generator) -> Matrix:
    """Rows whose cosine to row 0, or to each other, is the limit up to a few last bits of float32."""
    axis = np.zeros(d)
    axis[0] = 1
    side = draw.normal(size=(n, d))
    side[:, 0] = 0
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    rows = limit * axis + np.sqrt(1 - limit**2) * side
    rows[0] = axis
    return rows.astype(np.float32)


def samples(draw: np.random.Generator) -> dict[str, Matrix]:
    """Small matrices: near pairs, duplicates, exact ties, cosines at the limit, lengths of all sorts, zeros."""
    n, d = int(draw.integers(1, 120)), int(draw.integers(2, 40))
    base = draw.normal(size=(n, d))
    near = base[draw.integers(0, n // 3 + 1, n)] + draw.normal(size=(n, d)) * draw.uniform(0, 0.8, (n, 1))
    made = {
        "near": near,
        "duplicates": base[draw.integers(0, n // 3 + 1, n)],
        "signs": draw.choice([-1.0, 1.0], (n, 10)),  # cosines in steps of .2
        "limit": at_the_limit(n, d, 0.8, draw),
        "lengths": near * 10.0 ** draw.integers(-3, 4, (n, 1)),
        "ends of float32": near * 10.0 ** draw.integers(-18, 17, (n, 1)),
        "zeros": near * draw.integers(0, 2, (n, 1)),
    }
    return {name: X.astype(np.float32) for name, X in made.items()}


@pytest.fixture(params=[False, True], ids=["blocks as they are", "small blocks"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        for name, size in (("_ROWS", 5), ("_AGAINST", 7)):
            monkeypatch.setattr(near_duplicates, name, size)
        monkeypatch.setattr(cosine_limit, "PAIRS", 3)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("seed", range(6))
def test_both_equal_the_plain_loops(seed: int) -> None:
    draw = np.random.default_rng(seed)
    for name, X in samples(draw).items():
        order, cells = draw.permutation(len(X)), draw.integers(-1, 3, len(X))
        for limit in (0.0, 0.8):
            keep, by = semdedup(X, cells, order, limit)
            assert by.tolist() == plain_semdedup(X, cells, order.tolist(), limit), name
            assert keep.tolist() == [j < 0 for j in by]
            for budget in (None, 0, 1, len(X) // 4 + 1):
                part = order[: len(X) // 2 + 1]
                kept, walked = deita(X, part, limit, budget)
                expected = plain_deita(X, part.tolist(), limit, len(X) if budget is None else budget)
                assert (kept.tolist(), walked) == expected, name


@pytest.mark.usefixtures("_blocks")
def test_the_first_near_row_is_the_one_that_keeps_a_row_out() -> None:
    draw = np.random.default_rng(8)
    for name, X in samples(draw).items():
        order = draw.permutation(len(X))
        kept, _ = deita(X, order, 0.8)
        place = np.argsort(order)
        before = np.searchsorted(place[kept], place)  # the kept are in rank order
        by = first_near(X, X[kept], before, 0.8)
        assert np.where(by < 0, -1, kept[by]).tolist() == displaced_by_kept(X, order, kept, 0.8).tolist(), name
        assert (first_near(X, X[:0], np.zeros(len(X), np.int64), 0.8) == -1).all()


def test_the_limit_itself_is_near_in_float32() -> None:
    """The sample must hold pairs that a float32 product decides wrongly, or it tests nothing."""
    X = at_the_limit(2000, 32, 0.8, np.random.default_rng(0))
    _, by = semdedup(X, np.zeros(2000, np.int64), np.arange(2000), 0.8)
    exact = [False, *(over(X[i], X[0], 0.8) for i in range(1, 2000))]
    assert (by == 0).tolist() == exact
    length = np.sqrt((X * X).sum(axis=1))
    careless = (X @ X[0]) / length > np.float32(0.8)
    assert careless[1:].tolist() != exact[1:]


def test_by_hand() -> None:
    angles = np.deg2rad([0, 10, 20, 30, 90])  # neighbours: cosine .985; two apart: .940; three apart: .866
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    ranks, one = np.arange(5), np.zeros(5, np.int32)
    # a chain: each is near the one before, dropped or not
    assert semdedup(X, one, ranks, 0.95)[1].tolist() == [-1, 0, 1, 2, -1]
    assert semdedup(X, one, ranks, 0.90)[1].tolist() == [-1, 0, 0, 1, -1]
    assert semdedup(X, np.array([0, 1, 0, 1, 0]), ranks, 0.95)[0].all()
    # Deita compares with the kept alone
    assert deita(X, ranks, 0.95)[0].tolist() == [0, 2, 4]
    assert deita(X, ranks[::-1], 0.95)[0].tolist() == [4, 3, 1]
    assert deita(X, ranks, 0.95, budget=2) == (pytest.approx([0, 2]), 3)
    assert deita(X[:1], ranks[:1], budget=9)[0].tolist() == [0]
    assert deita(X, ranks[:0])[0].tolist() == []
    assert semdedup(X[:0], one[:0], ranks[:0])[1].tolist() == []


def test_duplicates_leave_the_best_ranked() -> None:
    draw = np.random.default_rng(3)
    X = np.repeat(draw.normal(size=(300, 24)), 10, axis=0).astype(np.float32)
    order = draw.permutation(3000)
    best = [int(i) for k, i in enumerate(order) if i // 10 not in set((order[:k] // 10).tolist())]
    keep, by = semdedup(X, np.zeros(3000, np.int64), order, 0.999)
    assert np.flatnonzero(keep).tolist() == sorted(best)
    assert (by[~keep] // 10 == np.flatnonzero(~keep) // 10).all()
    assert deita(X, order, 0.999)[0].tolist() == best
    assert deita(X, order, 0.999, 100)[0].tolist() == best[:100]


def test_what_is_refused_and_nothing_is_changed() -> None:
    X = np.random.default_rng(4).normal(size=(6, 3)).astype(np.float32)
    before, ranks, one = X.copy(), np.arange(6), np.zeros(6, np.int64)
    semdedup(X, one, ranks)
    deita(X, ranks)
    np.testing.assert_array_equal(X, before)
    for limit in (1.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="below 1"):
            semdedup(X, one, ranks, limit)
    for order in ([0, 1, 1], [0, 6], [-1, 0]):
        with pytest.raises(InputError, match="none of them twice"):
            deita(X, np.array(order))
    with pytest.raises(InputError, match="one a row"):
        semdedup(X, one, ranks[:3])
    X[2, 2] = np.nan
    with pytest.raises(InputError, match="finite"):
        deita(X, ranks)
