"""What a race (racing.py) knows of every row, and what it asked for: the state, not the decisions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .landmarks import Numbers

Rows = NDArray[np.int64]
#: (targets, rows or None for all, in order) -> (r, 2 + m) float64: log C(x), mean bound, m similarities.
Ask = Callable[[list[int], Rows | None], Numbers]

#: Pairs that one call of `ask` returns at most when rows are finished: 240 MB.
MOST_PAIRS = 30_000_000


class Pool:
    """What is known of every row while the race runs; -inf is no score. Its methods count what they ask for.

    Examples
    --------
    >>> pool = Pool(2, 3, lambda targets, rows: np.array([[6.0, 0.5, 0.25, 0.75]]))
    >>> pool.whole("boundary", np.array([1]), [2], np.array([[0.5]])).tolist()
    [[6.0, 0.5, 0.25, 0.75, 0.5]]
    >>> pool.score.tolist(), pool.exact.tolist(), pool.pairs
    ([-inf, 0.5], [False, True], {'boundary': 2})
    """

    def __init__(self, count_rows: int, count_targets: int, ask: Ask) -> None:
        self.rows, self.targets, self.ask = count_rows, count_targets, ask
        self.score = np.full(count_rows, -np.inf)
        self.sd = np.zeros(count_rows)
        self.exact = np.zeros(count_rows, dtype=np.bool_)
        self.pairs: dict[str, int] = {}

    def features(self, stage: str, targets: list[int], rows: Rows | None) -> Numbers:
        """Ask for pairs and count them."""
        count = self.rows if rows is None else len(rows)
        self.pairs[stage] = self.pairs.get(stage, 0) + count * len(targets)
        return self.ask(targets, rows) if count else np.empty((0, 2 + len(targets)))

    def whole(self, stage: str, rows: Rows, known: list[int], values: Numbers) -> Numbers:
        """Make rows exact, given `values` (rows, known) for some targets; returns features (rows, 2 + all targets)."""
        rest = [target for target in range(self.targets) if target not in known]
        asked = self.features(stage, rest, rows)
        pairs = np.empty((len(rows), 2 + self.targets))
        pairs[:, :2], pairs[:, [2 + t for t in rest]], pairs[:, [2 + t for t in known]] = (
            asked[:, :2],
            asked[:, 2:],
            values,
        )
        # Correctly rounded, so the same as the scorer's, whichever stages the pairs come from.
        means = np.array([math.fsum(row.tolist()) / self.targets for row in pairs[:, 2:]])
        self.guess(rows, means, 0)
        self.exact[rows] = True
        return pairs

    def finish(self, stage: str, rows: Rows, known: list[int], values: Numbers) -> None:
        """Do the same for any number of rows, block by block."""
        step = MOST_PAIRS // self.targets + 1
        for start in range(0, len(rows), step):
            self.whole(stage, rows[start : start + step], known, values[start : start + step])

    def guess(self, rows: Rows, scores: Numbers, sd: float) -> None:
        """Store scores with their sd."""
        self.score[rows] = np.where(np.isnan(scores), -np.inf, scores)
        self.sd[rows] = sd

    def best(self, budget: int) -> Rows:
        """Return the `budget` rows with the highest scores; the lower position wins a tie."""
        return np.argsort(-self.score, kind="stable")[: min(budget, int((self.score > -np.inf).sum()))]

    def threshold(self, budget: int) -> float:
        """Return the least of the `budget` highest scores."""
        return float(np.partition(self.score, -budget)[-budget])

    def above(self, least: float) -> Rows:
        """Return the rows whose estimate reaches `least`."""
        return np.flatnonzero(~self.exact & (self.score >= max(least, -np.finfo(np.float64).max)))
