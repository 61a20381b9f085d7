"""ZIP-FIT racing: the top K of a mean over targets from a fraction of the (row, target) pairs.

The matrix of similarities is nearly of low rank, so a few landmark targets tell the mean over all of them: the kernel
of ZIP-FIT (arXiv 2410.18194) is exact, the race around it is ours. Stages, each one call of `ask`:

1. pilot: the first 300 rows on all targets; 4 landmarks by orthogonal matching pursuit; ridge regression of the mean.
2. landmarks: 4 pairs for every row. Rows below the threshold by more than z sd are dropped.
3. second: 200 rows of those kept, on all targets; the regression is fitted again on these, near the threshold, and
   decides anew what is dropped (the top of a pool is where a fit on 300 random rows errs).
4. refine: 20 more landmarks for the rows kept; what lies farther than z sd from the threshold is decided.
5. third: where 2 000 rows are left, 200 of them on all targets and 24 more landmarks for the others, as in 3 and 4.
6. boundary: the rows left get the targets that remain, hence the exact mean.
7. audit: 200 rows that an estimate decided are evaluated exactly; what was found is reported, and then used.

Leaves out exact pruning by bounds (measured: at most 1.4x) and everything of Spark: `ask` is the caller's. A race is a
function of the rows in their order and of the budget. The ranking is not nested: a smaller budget draws the threshold
elsewhere and evaluates other rows exactly, so it need not be a prefix of a larger one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BoundError, RecipeError
from .landmarks import Numbers, fit, landmarks
from .race_pool import Ask, Pool, Rows

#: Bounds the driver's arrays: at their largest 150 bytes a row for a budget of 1 % of the rows, 270 for 20 %, 430 for
#: half (measured): 3 GB, 5.4 GB, 8.6 GB here.
MOST_ROWS = 20_000_000
#: Below this many targets the landmarks are too large a part of them.
FEWEST_TARGETS = 20
#: Rows near the threshold that are worth two more calls of `ask`.
MANY = 2_000


@dataclass(frozen=True)
class Stages:
    """Sizes of the stages; `more` counts the landmarks after stage 4, at most a third of the targets; twice after 5."""

    z: float = 3.0
    pilot: int = 300
    first: int = 4
    second: int = 200
    more: int = 24
    audit: int = 200


@dataclass(frozen=True)
class Audit:
    """What the exact evaluation of `rows` rows decided by an estimate found: a third of them chosen, if there were.

    `mean_error`, `max_error`: of |estimate - exact|; `crossed`: share on the other side of the threshold than decided;
    `expected_wrong`: rows of the pool that this share stands for, each kind of decision counted by its size.
    """

    rows: int = 0
    mean_error: float = 0.0
    max_error: float = 0.0
    crossed: float = 0.0
    expected_wrong: float = 0.0


@dataclass(frozen=True, eq=False)
class Race:
    """The top K by (score descending, position ascending) and what it cost.

    `order` (K,) int64 positions; `score` (K,) float64, `sd` (K,) its standard deviation, 0 where `exact` (K,) bool;
    `tau` the least score chosen, NaN if nothing was; `pairs` evaluated by stage, of `pairs_all`; `undefined` rows
    without a score.
    """

    order: Rows
    score: Numbers
    sd: Numbers
    exact: NDArray[np.bool_]
    tau: float
    pairs: dict[str, int]
    pairs_all: int
    undefined: int
    audit: Audit


def pays(count_rows: int, count_targets: int, stages: Stages = Stages()) -> bool:
    """Say whether a race can save half of the pairs; else every pair is evaluated.

    Not below 20 targets, and not where pilots, audit and the first landmarks alone cost half of all pairs (HumanEval's
    164 targets: from about 1 500 rows on).

    Examples
    --------
    >>> pays(40_000, 164), pays(1000, 164), pays(40_000, 19)
    (True, False, False)
    """
    whole = stages.pilot + stages.second + stages.audit
    spent = whole * count_targets + stages.first * count_rows
    return count_targets >= FEWEST_TARGETS and 2 * spent <= count_rows * count_targets


def _race(pool: Pool, budget: int, plan: Stages) -> Rows:
    """Run stages 1 to 6 and return the rows that stage 4 looked at."""
    pilot = np.arange(plan.pilot)
    seen = pool.whole("pilot", pilot, [], np.empty((plan.pilot, 0)))
    defined = pool.score[pilot] > -np.inf
    seen, pilot = seen[defined], pilot[defined]
    if 2 * len(pilot) < plan.pilot:
        rows = np.arange(plan.pilot, pool.rows)
        pool.finish("exact", rows, [], np.empty((len(rows), 0)))
        return rows
    first = landmarks(seen[:, 2:], pool.score[pilot], plan.first) or [0]
    every = pool.features("landmarks", first, None)
    model = fit(every[pilot], pool.score[pilot], max(60, 2 * plan.pilot * budget // pool.rows))
    estimate, sd = model.predict(every), model.sd
    others = np.flatnonzero(~pool.exact)
    pool.guess(others, estimate[others], sd)
    budget = min(budget, int((pool.score > -np.inf).sum()))
    tau = pool.threshold(budget)

    second = pool.above(tau - plan.z * sd)[: plan.second]
    reach = estimate >= tau - 2 * plan.z * sd
    near = np.concatenate([second, pilot[reach[pilot]]])
    seen = np.vstack([pool.whole("second", second, first, every[second, 2:]), seen[reach[pilot]]])
    if len(near) >= 60:
        model = fit(every[near], pool.score[near], max(60, len(near) // 3))
        others = np.flatnonzero(~pool.exact & reach)
        pool.guess(others, model.predict(every[others]), model.sd)
        tau, sd = pool.threshold(budget), model.sd
    kept = pool.above(tau - plan.z * sd)
    if len(kept) <= plan.second:
        pool.finish("boundary", kept, first, every[kept, 2:])
    else:
        _narrow(pool, budget, plan, kept, first, every[kept], near, seen)
    return kept


def _narrow(
    pool: Pool, budget: int, plan: Stages, rows: Rows, known: list[int], values: Numbers, near: Rows, seen: Numbers
) -> None:
    """Run stages 4 to 6 on `rows`, of which `values` are the features for `known`; `seen` are all of `near`, exact."""
    for step in (1, 2):
        if step == 2:
            if len(rows) < MANY:
                break
            third, rest = rows[: plan.second], values[: plan.second, 2:]
            seen = np.vstack([seen, pool.whole("third", third, known, rest)])
            near, rows, values = np.concatenate([near, third]), rows[plan.second :], values[plan.second :]
        count = min(step * plan.more, step * pool.targets // 3) - len(known)
        more = landmarks(seen[:, 2:], pool.score[near], count, known)
        known = known + more
        if more:  # none where those before tell everything
            values = np.hstack([values, pool.features("refine", more, rows)[:, 2:]])
        model = fit(seen[:, [0, 1, *(2 + t for t in known)]], pool.score[near])
        pool.guess(rows, model.predict(values), model.sd)
        edge = np.abs(pool.score[rows] - pool.threshold(budget)) < plan.z * model.sd
        rows, values = rows[edge], values[edge]
    pool.finish("boundary", rows, known, values[:, 2:])


def _audit(pool: Pool, budget: int, plan: Stages, kept: Rows) -> Audit:
    """Evaluate some rows that an estimate decided, a third of each kind: dropped, kept and not chosen, chosen.

    The sd of chosen estimates rises to the error found among them: rows far above the threshold are hardest to guess.
    """
    chosen, late = np.zeros((2, pool.rows), dtype=np.bool_)
    best = pool.best(budget)
    chosen[best], late[kept] = True, True
    guessed = ~pool.exact & (pool.score > -np.inf)
    kinds = [np.flatnonzero(guessed & of) for of in (~chosen & ~late, ~chosen & late, chosen)]
    parts: list[Rows] = []
    for i, kind in enumerate(sorted(kinds, key=len)):
        parts.append(kind[: (plan.audit - sum(map(len, parts))) // (3 - i)])
    rows = np.concatenate(parts)
    if not len(rows):
        return Audit()
    before, tau = pool.score[rows], pool.score[best[-1]]
    pool.whole("audit", rows, [], np.empty((len(rows), 0)))
    error, crossed = np.abs(pool.score[rows] - before), (pool.score[rows] >= tau) != chosen[rows]
    if chosen[rows].any():
        left = chosen & guessed & ~pool.exact
        pool.sd[left] = np.maximum(pool.sd[left], math.sqrt((error[chosen[rows]] ** 2).mean()))
    ends = np.cumsum([len(part) for part in parts])[:-1]
    wrong = zip(np.split(crossed, ends), sorted(kinds, key=len), strict=True)
    expected = math.fsum(float(part.mean()) * len(kind) for part, kind in wrong if len(part))
    return Audit(len(rows), float(error.mean()), float(error.max()), float(crossed.mean()), expected)


def race(count_rows: int, count_targets: int, budget: int, ask: Ask, stages: Stages = Stages()) -> Race:
    """Return the top `budget` rows by their mean similarity to all targets.

    Parameters
    ----------
    count_rows : int
        At most 20 000 000. Positions 0 .. n - 1 are the rows in order of their hash: the first ones are the samples.
    count_targets : int
    budget : int, at least 1
    ask : callable
        `ask(targets, rows)` returns (r, 2 + m) float64 for positions `rows`, None for all of them, in that order: log
        C(x), the mean over *all* targets of min(C)/max(C), and the similarities to `targets` (see zipfit_pairs). A row
        without a score is NaN throughout; it is never chosen. Called eight times at most, but for finished rows of
        more than 30 000 000 pairs.
    stages : Stages

    Returns
    -------
    Race
        All rows are exact where `pays` says no, and where fewer than half of the pilot have a score.

    Raises
    ------
    BoundError
        For more rows than the bound.
    RecipeError
        For a budget below 1.

    Examples
    --------
    >>> features = np.array([[3.0, 0.5, 0.1, 0.2], [3.0, 0.5, 0.3, 0.2], [3.0, 0.5, 0.2, 0.2]])
    >>> found = race(3, 2, 2, lambda targets, rows: features[rows][:, [0, 1, *(2 + t for t in targets)]])
    >>> found.order.tolist(), found.score.tolist(), found.exact.tolist()
    ([1, 2], [0.25, 0.2], [True, True])
    """
    if count_rows > MOST_ROWS:
        raise BoundError(
            f"the race is over {count_rows} rows, the bound is {MOST_ROWS}, because the driver keeps some 200 bytes of "
            "each; take fewer with `where:`, or select by the score zipfit itself"
        )
    if budget < 1:
        raise RecipeError(f"budget {budget} chooses nothing; allowed: at least 1 row; raise the budget")
    pool = Pool(count_rows, count_targets, ask)
    audit = Audit()
    if pays(count_rows, count_targets, stages):
        audit = _audit(pool, budget, stages, _race(pool, budget, stages))
    else:
        rows = np.arange(count_rows)
        pool.finish("exact", rows, [], np.empty((count_rows, 0)))
    order = pool.best(budget)
    tau = float(pool.score[order[-1]]) if len(order) else math.nan
    found = pool.score[order], pool.sd[order], pool.exact[order]
    undefined = int((pool.score == -np.inf).sum())
    return Race(order, *found, tau, pool.pairs, count_rows * count_targets, undefined, audit)
