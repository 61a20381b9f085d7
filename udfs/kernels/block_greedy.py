"""Exact greedy on a label graph in blocks: the best rows of a pass compete alone until a row outside might be better.

Gains only fall (Minoux 1978), so a gain of an earlier moment bounds a later one. A pass computes the gains of all rows;
the best of them, the pool, are computed again after each pick, until the best row outside, the bound, might win (ours).
The order is that of a plain greedy that computes all gains for each pick, ties to the lowest position.

Rows that agree in labels, quality and cost compete as one, the next of them in its place when it is picked: among
masses of ties each pick would end its pool otherwise. Left out: what a gain is (label_gains.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Flags, Floats, Ints, Labels, Positions
from .label_gains import ExactGain, taken

#: Labels of rows that a pass looks at together: 15 MB, with exact gains 30 MB for each label that a label reaches.
_LABELS = 1 << 18


class Pool(NamedTuple):
    """Distinct rows: labels[offsets[i]:offsets[i + 1]], quality, cost; positions of all rows like row i, ascending."""

    labels: Labels
    offsets: Ints
    quality: Floats
    cost: Floats
    positions: Sequence[Positions]


class Bound(NamedTuple):
    """Gain per cost and position of the best row outside the pool; the default: every row outside has gain 0."""

    value: float = 0.0
    position: int = -1


class Pick(NamedTuple):
    """Row of the pool, its position in the input, its gain when picked and E after it."""

    row: int
    position: int
    gain: float
    information: float


def pick_until(state: ExactGain, pool: Pool, bound: Bound, count: int) -> list[Pick]:
    """Pick from a pool until `count` rows are picked or a row outside might be better; `state` then has the picks.

    The first pick is always right if values of pool and bound are of the present state; later ones because gains fall.

    Examples
    --------
    >>> from lakesift.udfs.kernels.label_gains import GradientGain, propagation
    >>> state = GradientGain(propagation(2, np.empty(0, int), np.empty(0, int), np.empty(0)))
    >>> rows = Pool(np.array([0, 1]), np.array([0, 1, 2]), np.ones(2), np.ones(2), [np.array([3, 4]), np.array([7])])
    >>> [pick.position for pick in pick_until(state, rows, Bound(), 9)]
    [3, 7, 4]
    """
    gains_of_pool = state.gains_of(pool.labels, pool.offsets)
    quality, taken = pool.quality.copy(), [0] * len(pool.positions)
    position = np.array([alike[0] for alike in pool.positions], np.int64)
    picks: list[Pick] = []
    while len(picks) < count and len(position):
        gains = gains_of_pool(quality)
        values = gains / pool.cost
        tied = np.flatnonzero(values == values.max())
        i = int(tied[position[tied].argmin()])
        if (values[i], -position[i]) <= (bound.value, -bound.position):
            break
        state.add(pool.labels[pool.offsets[i] : pool.offsets[i + 1]], quality[i])
        picks.append(Pick(i, int(position[i]), float(gains[i]), state.information))
        taken[i] += 1
        if taken[i] < len(pool.positions[i]):
            position[i] = pool.positions[i][taken[i]]
        else:
            quality[i] = 0
    return picks


def best_rows(values: Floats, positions: Positions, count: int) -> Ints:
    """Return places of the `count` largest values above 0, largest first, ties to the lowest position.

    Examples
    --------
    >>> best_rows(np.array([1.0, 3, 0, 3, 1]), np.array([9, 8, 1, 4, 6]), 3).tolist()
    [3, 1, 4]
    """
    above = np.flatnonzero(values > 0)
    if len(above) > count:
        least = np.partition(values[above], -count)[-count]
        tied, above = np.flatnonzero(values == least), np.flatnonzero(values > least)
        lowest = np.argpartition(positions[tied], count - len(above) - 1)[: count - len(above)]
        above = np.concatenate([above, tied[lowest]])
    return above[np.lexsort((positions[above], -values[above]))]


class Candidates:
    """Rows that may be picked, as distinct rows, each with the positions of the rows like it that are left."""

    def __init__(self, labels: Labels, offsets: Ints, quality: Floats, cost: Floats, usable: Flags) -> None:
        self.labels, self.offsets, self.quality, self.cost, self.passes = labels, offsets, quality, cost, 0
        rows = np.flatnonzero(usable)
        same = _alike(rows, labels, offsets, quality, cost)
        order = np.argsort(same, kind="stable")
        self.members = rows[order]
        #: Of each distinct row: a row like it; the places in `members` of the next to be picked and past the last.
        self.row, self.next, count = np.unique(same[order], return_index=True, return_counts=True)
        self.end = self.next + count

    def best(self, state: ExactGain, size: int) -> tuple[Pool, Bound] | None:
        """Pass over all rows: return the `size` best distinct rows and the best outside, None if no gain is above 0."""
        self.passes += 1
        left = np.flatnonzero(self.next < self.end)
        rows, positions = self.row[left], self.members[self.next[left]]
        total = np.cumsum(self.offsets[rows + 1] - self.offsets[rows])
        cuts = np.unique(np.searchsorted(total, np.arange(_LABELS, total[-1] if len(total) else 0, _LABELS)))
        parts = np.split(rows, cuts)
        gains = [state.gains_of(*taken(self.labels, self.offsets, part))(self.quality[part]) for part in parts]
        values = np.concatenate(gains) / self.cost[rows]
        chosen = best_rows(values, positions, size + 1)
        if not len(chosen):
            return None
        bound = Bound()
        if len(chosen) > size:
            bound = Bound(float(values[chosen[size]]), int(positions[chosen[size]]))
        self.competing = left[chosen[:size]]
        rows = self.row[self.competing]
        spans = zip(self.next[self.competing].tolist(), self.end[self.competing].tolist(), strict=True)
        alike = [self.members[a:b] for a, b in spans]
        return Pool(*taken(self.labels, self.offsets, rows), self.quality[rows], self.cost[rows], alike), bound

    def take(self, picks: list[Pick]) -> list[Pick]:
        """Strike out picks from the last pool; returns them."""
        np.add.at(self.next, self.competing[[pick.row for pick in picks]], 1)
        return picks


def _alike(rows: Positions, labels: Labels, offsets: Ints, quality: Floats, cost: Floats) -> Positions:
    """Return for each of `rows`, which ascend, the first of them that agrees with it in labels, quality and cost."""
    same, width = np.zeros(len(offsets) - 1, np.int64), np.diff(offsets)

    def split(shared: Positions, values: Floats | Labels) -> Positions:
        """Part groups of alike rows by one more value of each; return the rows that still have others like them."""
        order = np.lexsort((values, same[shared]))
        shared, values = shared[order], values[order]
        starts = np.ones(len(shared), np.bool_)
        starts[1:] = (values[1:] != values[:-1]) | (same[shared[1:]] != same[shared[:-1]])
        first = np.flatnonzero(starts)
        length = np.diff(first, append=len(shared))
        same[shared] = np.repeat(shared[first], length)
        return np.sort(shared[np.repeat(length, length) > 1])

    shared = rows
    for values in (quality, cost, width):
        shared = split(shared, values[shared])
    column = 0
    while len(shared := shared[width[shared] > column]):
        shared = split(shared, labels[offsets[shared] + column])
        column += 1
    return same[rows]
