"""Intervals of scores as subsets of rows: where a row enters a growing interval, splits of rows, paired t-intervals.

An interval of width w at place t holds the quantiles (1 - w) t to (1 - w) t + w of every score; t is 0 at the low end
and 1 at the high end. As w grows these intervals are nested, so a row enters at one width, and "the share s of the rows
that enter first" is the interval of one score that holds this share, or the intersection of several that does.
The definitions are ours (docs/methods.md, EUDS).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from ..arrays import Floats, Hashes, Ints
from .hashing import fractions, seeded_hash

#: Methods that are no single score: random draws, every row, intervals of length, and of all scores together.
RANDOM, ALL, LENGTH, COMBINED = METHODS = ("random", "all", "length", "combined")
#: Parts of the rows: training and validation are redrawn for every seed, test never.
TRAINING, VALIDATION, TEST = 0, 1, 2
#: Of all rows, and of those that are not test rows.
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.25
_TEST, _DRAW = 0x7E57, 0xD4A3


def parts(hashes: Ints, seed: int) -> Ints:
    """Return the part of each row, (n,): about 60 % TRAINING, 20 % VALIDATION, 20 % TEST.

    Parameters
    ----------
    hashes : (n,) int64
        Hashes of the rows' ids.

    Examples
    --------
    >>> first, second = (parts(np.arange(1000), seed) for seed in (1, 2))
    >>> np.bincount(first).tolist(), bool(((first == TEST) == (second == TEST)).all()), bool((first == second).all())
    ([604, 179, 217], True, False)
    """
    test = fractions(seeded_hash(hashes, _TEST)) < TEST_SHARE
    validation = fractions(seeded_hash(hashes, seed)) < VALIDATION_SHARE
    return np.where(test, TEST, np.where(validation, VALIDATION, TRAINING))


def quantile_ranks(values: Floats, groups: Ints | None = None) -> Floats:
    """Return (rank - .5) / n of each value, (n,) in (0, 1), ties sharing their mean rank; within groups if given.

    Examples
    --------
    >>> quantile_ranks(np.array([3.0, 1.0, 1.0, 9.0])).tolist()
    [0.625, 0.25, 0.25, 0.875]
    >>> quantile_ranks(np.array([3.0, 1.0, 1.0, 9.0]), np.array([0, 0, 1, 1])).tolist()
    [0.75, 0.25, 0.25, 0.75]
    """
    ranks = np.empty(len(values))
    labels = np.zeros(len(values), dtype=np.int64) if groups is None else groups
    for group in np.unique(labels):
        rows = np.flatnonzero(labels == group)
        ordered = np.sort(values[rows])
        below, up_to = (np.searchsorted(ordered, values[rows], side) for side in ("left", "right"))
        ranks[rows] = (below + up_to) / (2 * len(rows))
    return ranks


def entry_widths(ranks: Floats, place: float) -> Floats:
    """Return the least width, (n,), at which a row lies inside the interval at `place` for every score.

    Parameters
    ----------
    ranks : (n, k)
        Quantile ranks of k scores.
    place : float
        0 for intervals that begin at the low end, 1 for those that end at the high end.

    Examples
    --------
    >>> entry_widths(np.array([[0.1], [0.5], [0.9]]), 0.0).tolist()
    [0.1, 0.5, 0.9]
    >>> entry_widths(np.array([[0.1], [0.5], [0.75]]), 0.5).tolist()
    [0.8, 0.0, 0.5]
    """
    after_low = 1 - ranks / place if place > 0 else np.zeros_like(ranks)
    before_high = (ranks - place) / (1 - place) if place < 1 else np.zeros_like(ranks)
    widths: Floats = np.maximum(np.maximum(after_low, before_high).max(axis=1), 0.0)
    return widths


def first_rows(keys: Floats | Hashes, share: float, hashes: Ints) -> Ints:
    """Return the indices of round(share n) rows, at least one, of least key, in ascending order; ties by hash.

    Examples
    --------
    >>> first_rows(np.array([0.1, 0.3, 0.2, 0.9]), 0.5, np.arange(4)).tolist()
    [0, 2]
    """
    wanted = max(1, math.floor(share * len(keys) + 0.5))
    order: Ints = np.lexsort([seeded_hash(hashes, _DRAW), keys])[:wanted]
    return np.sort(order)


def drawn_rows(hashes: Ints, draw: int, share: float) -> Ints:
    """Return the indices of round(share n) rows at random, in ascending order: a draw is a number."""
    return first_rows(seeded_hash(hashes, (_DRAW << 32) + draw), share, hashes)


def paired_interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Return the mean of a - b and the half width of its 95 % t-interval; infinite below two pairs.

    Examples
    --------
    >>> mean, half = paired_interval([0.7, 0.8, 0.9], [0.6, 0.6, 0.6])
    >>> round(mean, 6), round(half, 6)
    (0.2, 0.248414)
    """
    differences = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    n = len(differences)
    if n < 2:
        return float(differences.mean()), math.inf
    return float(differences.mean()), float(stdtrit(n - 1, 0.975) * differences.std(ddof=1) / math.sqrt(n))


@dataclass(frozen=True)
class Candidate:
    """A subset of the training rows: the interval of some scores that holds a share of them, or a random draw.

    `position` is 0 to positions - 1; the method "random" has draws instead of places, "all" is every row.
    """

    method: str
    share: float
    position: int


@dataclass(frozen=True)
class Candidates:
    """Every subset that a search compares, over n rows.

    Parameters
    ----------
    hashes : (n,) int64
        Hashes of the rows' ids.
    values : mapping of str to (n, k)
        Scores by method: one column, or several whose intervals are intersected.
    shares : sequence of float
    positions : int, from 2
        Places of an interval, evenly from the low to the high end; as many random draws stand beside them.
    groups : (n,) int64, optional
        Strata: quantiles are taken within each.
    """

    hashes: Ints
    values: Mapping[str, Floats]
    shares: Sequence[float]
    positions: int
    groups: Ints | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, random draws last."""
        return (*self.values, RANDOM)

    def all(self) -> list[Candidate]:
        """Return the candidates of all methods: the same number for each."""
        places = range(self.positions)
        return [Candidate(m, s, p) for s in self.shares for m in self.methods for p in places]

    def rows(self, candidate: Candidate, among: Ints) -> Ints:
        """Return the rows of `among` (indices) that a candidate keeps: round(share n) of them, in ascending order."""
        hashes, share = self.hashes[among], candidate.share
        if candidate.method == ALL:
            return among
        if candidate.method == RANDOM:
            return among[drawn_rows(hashes, candidate.position, share)]
        return among[first_rows(self._widths(candidate, among), share, hashes)]

    def quantiles(self, candidate: Candidate) -> tuple[float, float]:
        """Return the quantiles between which a candidate's scores lie, if it is taken of all rows."""
        every, place = np.arange(len(self.hashes)), self._place(candidate)
        kept = self.rows(candidate, every)
        width = min(1.0, float(self._widths(candidate, every)[kept].max()))
        return (1 - width) * place, (1 - width) * place + width

    def _place(self, candidate: Candidate) -> float:
        return candidate.position / (self.positions - 1)

    def _widths(self, candidate: Candidate, among: Ints) -> Floats:
        groups = None if self.groups is None else self.groups[among]
        columns = self.values[candidate.method][among].T
        return entry_widths(np.stack([quantile_ranks(c, groups) for c in columns], axis=1), self._place(candidate))
