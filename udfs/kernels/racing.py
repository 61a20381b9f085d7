"""ZIP-FIT racing: the top K of a mean over targets from a fraction of the (row, target) pairs.

The matrix of similarities is nearly of low rank, so a few landmark targets predict the mean over all of them. Pairs are
those of ZIP-FIT (arXiv 2410.18194) and exact; the race around them is ours. Stages, each one call of `ask`:

1. pilot: the first 300 rows on all targets; 4 landmarks by orthogonal matching pursuit, beside one target of each group
   that the caller names (rows close to a small group are too rare for a pilot); ridge regression of the mean.
2. landmarks: their pairs for every row. Rows below the threshold by more than z sd are dropped.
3. second: 200 of the rows kept, on all targets; the regression is fitted again on these, near the threshold, and
   decides anew which rows are dropped (a fit on 300 random rows errs most among the highest means).
4. refine: 20 more landmarks for the rows kept; rows farther than z sd from the threshold are decided.
5. third: where 2 000 rows are left, 200 of them on all targets and 24 more landmarks for the others, as in 3 and 4.
6. boundary: the rows left get the remaining targets, hence the exact mean.
7. audit: 200 rows that an estimate decided are evaluated exactly; the errors are reported, and then used.

A race is a function of the rows in their order and of the budget. A smaller budget need not be a prefix of a larger
one: it puts the threshold elsewhere and evaluates other rows exactly. Left out: exact pruning by bounds (measured: at
most 1.4x), and everything of Spark (`ask` is the caller's).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arrays import Flags, Floats, Positions
from ..errors import BoundError, RecipeError
from .landmarks import fit, landmarks
from .race_audit import Audit, run_audit
from .race_state import Ask, RaceState

#: Bounds the driver's arrays: at their largest 150 bytes a row for a budget of 1 % of the rows, 270 for 20 %, 430 for
#: half (measured): 3 GB, 5.4 GB, 8.6 GB here.
MOST_ROWS = 20_000_000
#: Below this many targets the landmarks are too large a part of them.
FEWEST_TARGETS = 20
#: Rows near the threshold that are worth two more calls of `ask`.
MANY = 2_000


@dataclass(frozen=True)
class Stages:
    """Sizes of the stages; `more` counts the landmarks after stage 4, at most a third of the targets; twice after 5.

    `groups` are targets that are landmarks of every row, one of each group of targets that are alike.
    """

    z: float = 3.0
    pilot: int = 300
    first: int = 4
    second: int = 200
    more: int = 24
    audit: int = 200
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Race:
    """The top K by (score descending, position ascending) and what it cost.

    `order` (K,) int64 positions; `score` (K,) float64, `sd` (K,) its standard deviation, 0 where `exact` (K,) bool;
    `tau` the least score chosen, NaN if nothing was; `pairs` evaluated by stage, of `pairs_all`; `undefined` rows
    without a score.
    """

    order: Positions
    score: Floats
    sd: Floats
    exact: Flags
    tau: float
    pairs: dict[str, int]
    pairs_all: int
    undefined: int
    audit: Audit


def pays(count_rows: int, count_targets: int, stages: Stages = Stages()) -> bool:
    """Return whether a race can save half of the pairs; otherwise every pair is evaluated.

    Not below 20 targets, and not where pilots, audit and the first landmarks alone cost half of all pairs (HumanEval's
    164 targets: from about 1 500 rows on).

    Examples
    --------
    >>> pays(40_000, 164), pays(1000, 164), pays(40_000, 19)
    (True, False, False)
    """
    rows_on_all_targets = stages.pilot + stages.second + stages.audit
    spent = rows_on_all_targets * count_targets + (stages.first + len(stages.groups)) * count_rows
    return count_targets >= FEWEST_TARGETS and 2 * spent <= count_rows * count_targets


def _race(state: RaceState, budget: int, plan: Stages) -> Positions:
    """Run stages 1 to 6 and return the rows that stage 4 looked at."""
    pilot = np.arange(plan.pilot)
    exact_pairs = state.make_exact("pilot", pilot, [], np.empty((plan.pilot, 0)))
    defined = state.score[pilot] > -np.inf
    exact_pairs, pilot = exact_pairs[defined], pilot[defined]
    if 2 * len(pilot) < plan.pilot:
        others = np.arange(plan.pilot, state.rows)
        state.make_exact_in_blocks("exact", others, [], np.empty((len(others), 0)))
        return others
    groups = list(plan.groups)
    first = groups + landmarks(exact_pairs[:, 2:], state.score[pilot], plan.first, groups) or [0]
    features = state.features("landmarks", first, None)
    model = fit(features[pilot], state.score[pilot], max(60, 2 * plan.pilot * budget // state.rows))
    estimate, sd = model.predict(features), model.sd
    others = np.flatnonzero(~state.exact)
    state.store(others, estimate[others], sd)
    budget = min(budget, int((state.score > -np.inf).sum()))
    tau = state.threshold(budget)

    second = state.estimated_above(tau - plan.z * sd)[: plan.second]
    reach = estimate >= tau - 2 * plan.z * sd
    fitted_on = np.concatenate([second, pilot[reach[pilot]]])
    second_pairs = state.make_exact("second", second, first, features[second, 2:])
    exact_pairs = np.vstack([second_pairs, exact_pairs[reach[pilot]]])
    if len(fitted_on) >= 60:
        model = fit(features[fitted_on], state.score[fitted_on], max(60, len(fitted_on) // 3))
        others = np.flatnonzero(~state.exact & reach)
        state.store(others, model.predict(features[others]), model.sd)
        tau, sd = state.threshold(budget), model.sd
    kept = state.estimated_above(tau - plan.z * sd)
    if len(kept) <= plan.second:
        state.make_exact_in_blocks("boundary", kept, first, features[kept, 2:])
    else:
        _narrow(state, budget, plan, kept, first, features[kept], fitted_on, exact_pairs)
    return kept


def _narrow(
    state: RaceState,
    budget: int,
    plan: Stages,
    rows: Positions,
    known: list[int],
    features: Floats,
    fitted_on: Positions,
    exact_pairs: Floats,
) -> None:
    """Run stages 4 to 6 on `rows`, of which `features` has the pairs with `known`; `exact_pairs` are of `fitted_on`."""
    for step in (1, 2):
        if step == 2:
            if len(rows) < MANY:
                break
            third, similar = rows[: plan.second], features[: plan.second, 2:]
            exact_pairs = np.vstack([exact_pairs, state.make_exact("third", third, known, similar)])
            fitted_on = np.concatenate([fitted_on, third])
            rows, features = rows[plan.second :], features[plan.second :]
        count = min(step * plan.more, step * state.targets // 3) - len(known)
        more = landmarks(exact_pairs[:, 2:], state.score[fitted_on], count, known)
        known = known + more
        if more:  # none where the landmarks before explain everything
            features = np.hstack([features, state.features("refine", more, rows)[:, 2:]])
        model = fit(exact_pairs[:, [0, 1, *(2 + t for t in known)]], state.score[fitted_on])
        state.store(rows, model.predict(features), model.sd)
        edge = np.abs(state.score[rows] - state.threshold(budget)) < plan.z * model.sd
        rows, features = rows[edge], features[edge]
    state.make_exact_in_blocks("boundary", rows, known, features[:, 2:])


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
        without a score is NaN throughout; it is never chosen. Called eight times at most, except that rows made exact
        come in calls of about 30 000 000 pairs.
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
    >>> top = race(3, 2, 2, lambda targets, rows: features[rows][:, [0, 1, *(2 + t for t in targets)]])
    >>> top.order.tolist(), top.score.tolist(), top.exact.tolist()
    ([1, 2], [0.25, 0.2], [True, True])
    """
    if count_rows > MOST_ROWS:
        raise BoundError(
            f"the race is over {count_rows} rows, the bound is {MOST_ROWS}, because the driver keeps about 200 bytes "
            "of each; take fewer with `where:`, or select by the score zipfit itself"
        )
    if budget < 1:
        raise RecipeError(f"budget {budget} chooses nothing; allowed: at least 1 row; raise the budget")
    state = RaceState(count_rows, count_targets, ask)
    audit = Audit()
    if pays(count_rows, count_targets, stages):
        audit = run_audit(state, budget, _race(state, budget, stages), stages.audit)
    else:
        rows = np.arange(count_rows)
        state.make_exact_in_blocks("exact", rows, [], np.empty((count_rows, 0)))
    order = state.best(budget)
    tau = float(state.score[order[-1]]) if len(order) else math.nan
    undefined = int((state.score == -np.inf).sum())
    pairs_all = count_rows * count_targets
    return Race(
        order, state.score[order], state.sd[order], state.exact[order], tau, state.pairs, pairs_all, undefined, audit
    )
