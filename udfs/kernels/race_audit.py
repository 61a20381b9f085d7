"""The audit of a race (racing.py): rows that an estimate decided are evaluated exactly, and their errors counted."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from ..arrays import Positions
from .race_state import RaceState

#: Probability with which `most_wrong` holds.
SURE = 0.95


class Audit(NamedTuple):
    """Errors of `rows` estimated rows that were evaluated exactly at the end, a third of them chosen ones if possible.

    `mean_error`, `max_error`: of |estimate - exact|; `crossed`: share on the other side of the threshold than decided;
    `expected_wrong`: how many of all rows that share amounts to, each kind of decision weighted by its size;
    `most_wrong`: an upper bound of it at 95 %, by the bound of Clopper and Pearson for each kind: no hit among 66 rows
    still allows 6 % of 60 000.
    """

    rows: int = 0
    mean_error: float = 0.0
    max_error: float = 0.0
    crossed: float = 0.0
    expected_wrong: float = 0.0
    most_wrong: int = 0


def run_audit(state: RaceState, budget: int, kept: Positions, size: int) -> Audit:
    """Make `size` estimated rows exact, a third of each kind: dropped, kept and not chosen, chosen; return the errors.

    The sd of chosen estimates rises to the error found among them: rows far above the threshold are the hardest.

    Examples
    --------
    >>> exact = np.array([0.125, 0.25, 0.375, 0.5])
    >>> state = RaceState(4, 1, lambda targets, rows: np.column_stack([exact, exact, exact])[rows])
    >>> state.store(np.arange(4), np.array([0.125, 0.25, 0.375, 0.75]), 0.01)
    >>> audit = run_audit(state, 2, np.arange(4), 3)
    >>> audit.rows, audit.max_error, audit.crossed
    (3, 0.25, 0.0)
    """
    chosen, late = np.zeros((2, state.rows), dtype=np.bool_)
    best = state.best(budget)
    chosen[best], late[kept] = True, True
    estimated = ~state.exact & (state.score > -np.inf)
    kinds = [np.flatnonzero(estimated & kind) for kind in (~chosen & ~late, ~chosen & late, chosen)]
    parts: list[Positions] = []
    for i, kind in enumerate(sorted(kinds, key=len)):  # what a small kind leaves of its third goes to the others
        parts.append(kind[: (size - sum(map(len, parts))) // (3 - i)])
    rows = np.concatenate(parts)
    if not len(rows):
        return Audit()
    before, tau = state.score[rows], state.score[best[-1]]
    state.make_exact("audit", rows, [], np.empty((len(rows), 0)))
    error, crossed = np.abs(state.score[rows] - before), (state.score[rows] >= tau) != chosen[rows]
    if chosen[rows].any():
        unaudited = chosen & estimated & ~state.exact
        state.sd[unaudited] = np.maximum(state.sd[unaudited], math.sqrt((error[chosen[rows]] ** 2).mean()))
    ends = np.cumsum([len(part) for part in parts])[:-1]
    by_kind = [
        (c, len(kind)) for c, kind in zip(np.split(crossed, ends), sorted(kinds, key=len), strict=True) if len(kind)
    ]
    expected = math.fsum(float(part.mean()) * of for part, of in by_kind if len(part))
    most = sum(most_crossed(int(part.sum()), len(part), of, (1 - SURE) / len(by_kind)) for part, of in by_kind)
    return Audit(len(rows), float(error.mean()), float(error.max()), float(crossed.mean()), expected, most)


def most_crossed(crossed: int, audited: int, rows: int, risk: float) -> int:
    """Return how many of `rows` lie on the other side at most, but for a `risk`, if `crossed` of the audited ones do.

    Examples
    --------
    >>> most_crossed(0, 66, 60_000, 0.05), most_crossed(3, 10, 10, 0.05), most_crossed(0, 0, 7, 0.05)
    (2663, 3, 7)
    """
    if audited == rows or crossed == audited:
        return crossed if audited == rows else rows
    return math.ceil(rows * float(betaincinv(crossed + 1, audited - crossed, 1 - risk)))
