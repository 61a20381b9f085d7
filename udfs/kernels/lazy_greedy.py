"""The lazy greedy of a cover: a stored gain is an upper bound, so few rows need a second look (Minoux 1978).

`lazy_greedy` picks by what a row covers now; `dense_greedy` is its form for rows that may all cover each other. What
is covered and why: facility_location.py.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import numpy as np

from ..arrays import Floats, Matrix

#: (position, gain) of picks in order.
Picks = tuple[list[int], list[float]]


def lazy_greedy(
    cover: Floats,
    weight: float,
    extra: Floats,
    budget: int,
    start: Sequence[int],
    now: Callable[[int], float],
    take: Callable[[int], None],
) -> Picks:
    """Pick greedily: a stored gain is an upper bound, so the row on top of the heap is best once its gain is current.

    Parameters
    ----------
    cover : (n,) float64
        What each row covers if it is picked first.
    weight, extra : float, (n,) float64
        A gain is weight x cover + extra.
    start : sequence of int
        Rows chosen before the first pick.
    now : callable
        Row -> what it covers beyond the rows chosen so far.
    take : callable
        Adds a row to the chosen ones.

    Examples
    --------
    Rows 0 and 1 cover the same two things, row 2 one other.

    >>> covers, covered = [{0, 1}, {0, 1}, {2}], set()
    >>> sizes = np.array([2.0, 2.0, 1.0])
    >>> now, take = lambda i: len(covers[i] - covered), lambda i: covered.update(covers[i])
    >>> lazy_greedy(sizes, 1.0, np.zeros(3), 3, [], now, take)
    ([0, 2, 1], [2.0, 1.0, 0.0])
    """
    taken = set(start)
    heap = [(-gain, i) for i, gain in enumerate((weight * cover + extra).tolist()) if i not in taken]
    heapq.heapify(heap)
    for i in start:
        take(i)
    picks_when_computed, bonus = [-1 if start else 0] * len(cover), extra.tolist()
    order: list[int] = []
    gains: list[float] = []
    while len(order) < budget:
        key, i = heap[0]
        if picks_when_computed[i] == len(order):  # the gain is current
            heapq.heappop(heap)
            take(i)
            order.append(i)
            gains.append(-key)
        else:
            picks_when_computed[i] = len(order)
            heapq.heapreplace(heap, (-(weight * now(i) + bonus[i]), i))
    return order, gains


def dense_greedy(Q: Matrix, weight: float, extra: Floats, budget: int, start: Sequence[int]) -> Picks:
    """Pick greedily among rows at fixed point, (n, d), that may all cover each other: 4 n^2 bytes; else as above."""
    S = Q @ Q.T
    np.maximum(S, 0, out=S)
    best, more = np.zeros(len(S), np.float32), np.empty(len(S), np.float32)

    def now(i: int) -> float:
        np.subtract(S[i], best, out=more)
        np.maximum(more, 0, out=more)
        return float(more.sum(dtype=np.float64))

    def take(i: int) -> None:
        np.maximum(best, S[i], out=best)

    return lazy_greedy(S.sum(axis=1, dtype=np.float64), weight, extra, budget, start, now, take)
