"""Greedy orders of cells, computed apart to a first depth and then down to a gain, merge to that of all at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lakesift.udfs.kernels.cells_greedy import CellGreedy, cells_greedy, first_depth

from .test_k_center import unit

Matrix = NDArray[np.float32]


def merged(X: Matrix, cells: NDArray[np.int64], extra: NDArray[np.float64], budget: int, start: list[int]) -> list[int]:
    """Two rounds: each cell to its first depth, those that may hold more of the budget down to the least gain."""
    members = [np.flatnonzero(cells == c) for c in np.unique(cells)]
    greedy = [CellGreedy(X[m], 1e-7, extra[m], np.flatnonzero(np.isin(m, start)).tolist()) for m in members]
    total = len(X) - len(start)
    found = [
        (m[g.to(d)[0]], g.to(d)[1]) for m, g in zip(members, greedy, strict=True) for d in [depth(g, budget, total)]
    ]
    gains = np.concatenate([g for _, g in found])
    least = np.sort(gains)[max(0, len(gains) - budget)] if len(gains) >= budget else -np.inf
    for c, (m, g) in enumerate(zip(members, greedy, strict=True)):
        if len(found[c][1]) and found[c][1][-1] >= least and len(found[c][1]) < g.rows:
            order, more = g.down_to(least, len(found[c][1]), budget)
            assert (more >= least).all()
            found[c] = m[order], more
    places, gains = np.concatenate([p for p, _ in found]), np.concatenate([g for _, g in found])
    order = np.lexsort((places, -gains))[:budget]
    result: list[int] = places[order].tolist()
    return result


def depth(greedy: CellGreedy, budget: int, total: int) -> int:
    return first_depth(greedy.rows, budget, total)


@pytest.mark.parametrize("budget", [1, 7, 60, 300])
@pytest.mark.parametrize("alike", [False, True])
def test_two_rounds_are_the_greedy_of_all_cells(budget: int, alike: bool) -> None:
    draw = np.random.default_rng(budget)
    X = unit(300, 6, 1)
    if alike:  # all gains are ties
        X[:] = X[0]
    cells = draw.choice(7, 300, p=[0.7, 0.1, 0.1, 0.05, 0.03, 0.01, 0.01])
    extra = np.zeros(300) if alike else draw.normal(size=300).round(1)
    extra[cells == 3] += 5.0 * (not alike)  # one cell takes far more than its share
    members = [np.flatnonzero(cells == c) for c in np.unique(cells)]
    for start in ([], [4, 11, 200]):
        size = min(budget, 300 - len(start))
        assert merged(X, cells, extra, size, start) == cells_greedy(X, members, 1e-7, extra, size, start)[0]
