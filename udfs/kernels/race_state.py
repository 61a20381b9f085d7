"""State of a race (racing.py): scores of all rows, and pairs evaluated so far.

What to evaluate is decided in racing.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..arrays import Floats, Positions

#: (targets, rows or None for all, in order) -> (r, 2 + m) float64: log C(x), mean bound, m similarities.
Ask = Callable[[list[int], Positions | None], Floats]

#: Pairs that one call of `ask` returns at most when rows are made exact: 240 MB.
MOST_PAIRS = 30_000_000


class RaceState:
    """Scores of all rows while the race runs, -inf for none, and how many pairs each stage has asked for.

    Examples
    --------
    >>> state = RaceState(2, 3, lambda targets, rows: np.array([[6.0, 0.5, 0.25, 0.75]]))
    >>> state.make_exact("boundary", np.array([1]), [2], np.array([[0.5]])).tolist()
    [[6.0, 0.5, 0.25, 0.75, 0.5]]
    >>> state.score.tolist(), state.exact.tolist(), state.pairs
    ([-inf, 0.5], [False, True], {'boundary': 2})
    """

    def __init__(self, count_rows: int, count_targets: int, ask: Ask) -> None:
        self.rows, self.targets, self.ask = count_rows, count_targets, ask
        self.score = np.full(count_rows, -np.inf)
        self.sd = np.zeros(count_rows)
        self.exact = np.zeros(count_rows, dtype=np.bool_)
        self.pairs: dict[str, int] = {}

    def features(self, stage: str, targets: list[int], rows: Positions | None) -> Floats:
        """Ask for the pairs of some rows with some targets, and count them."""
        count = self.rows if rows is None else len(rows)
        self.pairs[stage] = self.pairs.get(stage, 0) + count * len(targets)
        return self.ask(targets, rows) if count else np.empty((0, 2 + len(targets)))

    def make_exact(self, stage: str, rows: Positions, known: list[int], values: Floats) -> Floats:
        """Ask for the targets that are not `known` and store the exact means of some rows.

        Parameters
        ----------
        stage : str
        rows : (r,) int64
        known : list of int
            Targets whose similarities are in `values`, (r, len(known)).

        Returns
        -------
        (r, 2 + all targets) float64
        """
        missing = [target for target in range(self.targets) if target not in known]
        features = self.features(stage, missing, rows)
        pairs = np.empty((len(rows), 2 + self.targets))
        pairs[:, :2] = features[:, :2]
        pairs[:, [2 + t for t in missing]] = features[:, 2:]
        pairs[:, [2 + t for t in known]] = values
        # Correctly rounded, so equal to the scorer's, whichever stages the pairs come from.
        means = np.array([math.fsum(row.tolist()) / self.targets for row in pairs[:, 2:]])
        self.store(rows, means, 0)
        self.exact[rows] = True
        return pairs

    def make_exact_in_blocks(self, stage: str, rows: Positions, known: list[int], values: Floats) -> None:
        """Make any number of rows exact, at most about MOST_PAIRS pairs at a time."""
        step = MOST_PAIRS // self.targets + 1
        for start in range(0, len(rows), step):
            self.make_exact(stage, rows[start : start + step], known, values[start : start + step])

    def store(self, rows: Positions, scores: Floats, sd: float) -> None:
        """Store scores with their sd; NaN is no score."""
        self.score[rows] = np.where(np.isnan(scores), -np.inf, scores)
        self.sd[rows] = sd

    def best(self, budget: int) -> Positions:
        """Return the `budget` rows with the highest scores; the lower position wins a tie."""
        return np.argsort(-self.score, kind="stable")[: min(budget, int((self.score > -np.inf).sum()))]

    def threshold(self, budget: int) -> float:
        """Return the least of the `budget` highest scores."""
        return float(np.partition(self.score, -budget)[-budget])

    def estimated_above(self, least: float) -> Positions:
        """Return the rows that are not exact and whose estimate is `least` or more."""
        return np.flatnonzero(~self.exact & (self.score >= max(least, -np.finfo(np.float64).max)))
