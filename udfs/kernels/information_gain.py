"""MIG: picks rows whose labels add most information to that of rows picked before, by exact greedy on a label graph.

arXiv 2504.13835; label_gains.py has its equations, block_greedy.py its loop. A pick is the row of largest gain, or gain
per cost, ties to the lowest position: the order is that of a plain greedy that computes all gains anew for each pick.
The gain is the derivative of E in the row's direction, as in the paper, or exact, another selector.

Left out: where labels, qualities and edges come from; budgets in tokens (cut the result, `cost` being tokens). A run
on Spark has the same parts: `gradient_gains` and `best_rows` where the rows are, `pick_until` on the driver.

Memory: about 150 bytes a row beside the input. Exact gains take about ten times as long.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from ..arrays import Flags, Floats, Ints, Labels, Positions
from ..errors import InputError, RecipeError, nearest
from .block_greedy import Candidates, Pick, pick_until
from .label_gains import ExactGain, GradientGain

GAINS = {"gradient": GradientGain, "exact": ExactGain}


class Selection(NamedTuple):
    """Picks in order, (b,) int64; gain of each when picked and E after it, (b,) float64; passes over all rows."""

    order: Positions
    gains: Floats
    information: Floats
    passes: int


def information_gain(
    labels: Labels,
    offsets: Ints,
    quality: Floats,
    A: sparse.csr_matrix,
    budget: int,
    gain: str = "gradient",
    phi: str = "pow",
    power: float = 0.8,
    cost: Floats | None = None,
    selected: ArrayLike = (),
    pool: int = 8192,
) -> Selection:
    """Pick `budget` rows, all that are left if there are fewer; a smaller budget is a prefix.

    Parameters
    ----------
    labels, offsets : (m,) int, (n + 1,) int64
        Row i has labels[offsets[i]:offsets[i + 1]], ids 0 to K - 1, ascending, each once; rows in the order of ties.
    quality : (n,) float64
        Finite, at least 0; gains would rise otherwise. Rows of gain 0 come last, in order of position.
    A : (K, K) csr_matrix
        Of `propagation`.
    gain : {"gradient", "exact"}
    phi, power : {"pow", "exp"}, float
        As in label_gains.py.
    cost : (n,) float64, optional
        Finite, above 0; rows compete by gain / cost. Gains are returned without it.
    selected : (s,) int, optional
        Positions chosen before, in their order: they count in E and are not picked again.
    pool : int, default 8192
        Distinct rows that compete between two passes; changes the number of passes, never the order.

    Raises
    ------
    InputError
        If rows, quality, cost or selected are not as above.
    RecipeError
        If gain or phi is unknown, or power or pool is not allowed.

    Examples
    --------
    >>> from lakesift.udfs.kernels.label_gains import propagation
    >>> A = propagation(3, np.array([0]), np.array([1]), np.array([0.9]))
    >>> information_gain(np.array([0, 0, 1, 2]), np.arange(5), np.ones(4), A, 4).order.tolist()
    [0, 3, 2, 1]
    """
    costs = np.ones(len(offsets) - 1) if cost is None else cost
    chosen = np.asarray(selected, np.int64)
    _check(labels, offsets, quality, costs, A.shape[0], chosen)
    if gain not in GAINS or pool < 1:
        raise RecipeError(f"gain {gain!r} in pools of {pool!r} rows; at least 1 row, and {nearest(gain, GAINS)}")
    state = GAINS[gain](A, phi, power)
    for i in chosen.tolist():
        state.add(labels[offsets[i] : offsets[i + 1]], quality[i])
    left = np.ones(len(quality), np.bool_)
    left[chosen] = False
    candidates = Candidates(labels, offsets, quality, costs, left & (quality > 0) & (np.diff(offsets) > 0))
    return _greedy(state, candidates, left, max(0, budget), pool)


def _greedy(state: ExactGain, candidates: Candidates, left: Flags, budget: int, pool: int) -> Selection:
    """Pick among the candidates while any has a gain above 0, then the first of all rows that are left."""
    picks: list[Pick] = []
    while len(picks) < budget and (best := candidates.best(state, pool)):
        picks += candidates.take(pick_until(state, *best, budget - len(picks)))
    order = np.array([pick.position for pick in picks], np.int64)
    left[order] = False
    zeros = np.flatnonzero(left)[: budget - len(picks)]
    return Selection(
        np.concatenate([order, zeros]),
        np.concatenate([[pick.gain for pick in picks], np.zeros(len(zeros))]),
        np.concatenate([[pick.information for pick in picks], np.full(len(zeros), state.information)]),
        candidates.passes,
    )


def knee(information: Floats) -> int:
    """Return the number of picks at which the curve of E is farthest above the line from its first to its last point.

    Examples
    --------
    >>> knee(np.array([5.0, 8, 9, 9.5, 10]))
    2
    >>> knee(np.array([]))
    0
    """
    steps = len(information) - 1
    if steps < 0:
        return 0
    rise = information - information[0]
    return int((rise * steps - np.arange(steps + 1) * rise[-1]).argmax()) + 1


def _check(labels: Labels, offsets: Ints, quality: Floats, cost: Floats, count: int, selected: Positions) -> None:
    n = len(offsets) - 1
    for name, values, least in (("quality", quality, "at least 0"), ("cost", cost, "above 0")):
        if values.shape != (n,):
            raise InputError(f"{n} rows need {n} values of {name}, not {len(values)}; pass one a row")
        allowed = np.isfinite(values) & ((values > 0) | ((values == 0) & (name == "quality")))
        if not allowed.all():
            i = int(allowed.argmin())
            raise InputError(f"{name} {values[i]} at position {i} is not finite and {least}; correct or drop the row")
    ascending = np.ones(len(labels), np.bool_)
    ascending[1:] = labels[1:] > labels[:-1]
    ascending[offsets[:-1][offsets[:-1] < len(labels)]] = True
    allowed = ascending & (labels >= 0) & (labels < count)
    if not allowed.all():
        i = int(allowed.argmin())
        row = int(np.searchsorted(offsets, i, side="right")) - 1
        raise InputError(
            f"label {labels[i]} at position {row} is not allowed; labels of a row are ascending, each once, "
            f"from 0 to {count - 1}; sort them and drop repeats"
        )
    if len(np.unique(selected)) < len(selected) or not ((selected >= 0) & (selected < n)).all():
        raise InputError(f"selected rows must be distinct positions from 0 to {n - 1}; drop the others")
