"""Rounds of iterative Diversify-and-Conquer (arXiv 2409.11378): rows per round, rows to score, new weights.

With S the rewards of the scored rows divided by their standard deviation, m their mean, s_j their mean in cluster j
over n_j rows, and k clusters, one round turns the weights w into

    s_j <- m + (s_j - m) n_j / (n_j + shrink)
    exp:   w_j <- w_j exp(step s_j)         eq6 (the paper's equation 6):   w_j <- w_j s_j / sum of s
    w <- w / sum of w         w <- max(w, floor / k)         w <- w / sum of w

Deviations, ours: the division by the standard deviation, because reward models have any scale; the shrinkage and the
floor, because some clusters have few scored rows and weights run away on noise; exp, because means of rewards are often
negative; the division before the floor, because neither rule gives shares; equal rewards leave the weights unchanged.
Sums are correctly rounded (math.fsum), so the order of the rows changes no bit. Left out: choosing rows by weight
(selectors), and where rewards come from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Hashes, Ints, Labels, Positions
from ..constraints import AtLeast, Between
from ..errors import InputError, RecipeError, nearest
from .hashing import fractions, splitmix64
from .sensitivity import non_negative

RULES = ("exp", "eq6")
#: A mean over fewer scored rows than this is mostly noise, even shrunk.
ENOUGH_SCORED = 5
#: Rewards whose range is at most this share of the largest magnitude differ by rounding only. Divided by their standard
#: deviation they would move the weights as much as real differences do.
ROUNDING = 1e-12


class RoundWeights(NamedTuple):
    """One round: its weights, the rewards by cluster in their own unit, and the weights of the next round.

    `weight`, `weight_next`: (k,), sum 1. `scored`: (k,) scored rows. `reward_mean`: (k,), NaN without scored rows.
    `reward_shrunk`: (k,), shrunk to `overall`, the mean over all scored rows. `deviation`: the standard deviation over
    all scored rows (divisor n), 0 if their rewards are equal; s_j of the formula is reward_shrunk / deviation. `few`:
    clusters with fewer than ENOUGH_SCORED scored rows, ascending.
    """

    weight: Floats
    scored: Ints
    reward_mean: Floats
    reward_shrunk: Floats
    weight_next: Floats
    overall: float
    deviation: float
    few: Positions


def rows_by_round(budget: int, rounds: int) -> Ints:
    """Return how many rows each round adds, (rounds,): budget // rounds, and one more in the first budget % rounds.

    Raises
    ------
    RecipeError
        If there are no rounds, or fewer rows than rounds.

    Examples
    --------
    >>> rows_by_round(11, 3).tolist()
    [4, 4, 3]
    """
    if not 1 <= rounds <= budget:
        raise RecipeError(
            f"rounds is {rounds} for a budget of {budget} rows; allowed: 1 up to the budget; 3 rounds are usual"
        )
    return budget // rounds + (np.arange(rounds) < budget % rounds)


def rows_to_score(cluster: Labels, key: Hashes | Ints, scored: int) -> Positions:
    """Return the rows to score in a round: a hash sample of the rows chosen so far, stratified by cluster.

    The i-th row of a cluster of n_j rows, in order of `key`, has the turn (i - u_j) / n_j, with u_j in (0, 1] hashed
    from the keys of the cluster; the `scored` first turns are taken (the quota key of the selectors). A cluster's
    expected share is its share of the rows, and a small cluster has none in some rounds.

    Parameters
    ----------
    cluster : (n,) integers
        Of the rows chosen so far.
    key : (n,) uint64 or int64
        Hash of (seed, round, id), all different; int64 counts as the uint64 of the same bits.
    scored : int
        Rows wanted, 1 or more.

    Returns
    -------
    (min(scored, n),) int64
        Positions in order of turn, so fewer rows are the first of more. The choice depends neither on the order of the
        input nor on the numbering of the clusters.

    Raises
    ------
    RecipeError
        If `scored` is below 1.
    InputError
        If two rows have the same key.

    Examples
    --------
    >>> cluster = np.array([0] * 8 + [1] * 4)
    >>> cluster[rows_to_score(cluster, splitmix64(np.arange(12, dtype=np.uint64)), 6)].tolist()
    [1, 0, 0, 1, 0, 0]
    """
    if scored < 1:
        raise RecipeError(f"scored is {scored}; allowed: 1 or more rows a round; 120 is usual")
    h = np.asarray(key).view(np.uint64)
    by_key = np.argsort(h, kind="stable")
    for i in np.flatnonzero(h[by_key[1:]] == h[by_key[:-1]])[:1]:
        raise InputError(
            f"the rows {by_key[i]} and {by_key[i + 1]} have the same key {key[by_key[i]]}; keys must differ, or the"
            " order of the rows would decide; hash seed, round and id"
        )
    _, code, size = np.unique(cluster, return_inverse=True, return_counts=True)
    order = np.lexsort((h, code))
    start = np.cumsum(size) - size
    offset = 1.0 - fractions(np.bitwise_xor.reduceat(splitmix64(h[order]), start))
    place = np.arange(1, h.size + 1) - np.repeat(start, size)
    turn = (place - np.repeat(offset, size)) / np.repeat(size, size)
    return np.asarray(order[np.lexsort((h[order], turn))[:scored]])


def next_weights(
    weights: ArrayLike,
    cluster: Labels,
    reward: ArrayLike,
    *,
    rule: str = "exp",
    step: float = 1.0,
    floor: float = 0.2,
    shrink: float = 5.0,
    ids: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> RoundWeights:
    """Return the weights after a round by the formula above, with everything they follow from.

    Parameters
    ----------
    weights : (k,), 0 or more, some above 0
        Of the round; divided by their sum. Only the floor lifts a weight of 0.
    cluster, reward : (n,), n at least 1
        Of the scored rows: a cluster from 0 to k - 1, and a finite reward of any scale.
    rule : {"exp", "eq6"}
    step, floor, shrink : float, 0 or more; floor at most 1
        step: of exp, per standard deviation of the rewards. floor: least weight before the last division by the sum, as
        a share of 1 / k. shrink: rows of the overall mean added to each cluster; one without scored rows gets it.
    ids, names : (n,) and (k,), optional
        What messages call the rows and the clusters, instead of their positions.

    Returns
    -------
    RoundWeights
        If all rewards are equal, `weight_next` is `weight`: the floor is not applied either.

    Raises
    ------
    RecipeError
        If `rule`, `step`, `floor` or `shrink` is not allowed.
    InputError
        If a weight is negative or not finite, all are 0, there is no reward, a reward is not finite, a cluster is
        outside 0 to k - 1, or the rule is eq6 and a shrunk mean is 0 or less.

    Examples
    --------
    >>> found = next_weights([0.25, 0.75], np.array([0, 0, 1, 1]), [2.0, 4.0, 0.5, 1.5], rule="eq6", shrink=0)
    >>> found.reward_mean.tolist(), found.weight_next.tolist(), found.few.tolist()
    ([3.0, 1.0], [0.5, 0.5], [0, 1])
    """
    _check_rule(rule, step, floor, shrink)
    weight = non_negative(weights, "weight of cluster", 1e300, names)  # the sum of larger ones may overflow
    if not weight.any():
        raise InputError(f"all {weight.size} cluster weights are 0; at least one must be above 0; use start: uniform")
    weight = weight / weight.sum()
    scored, mean, shrunk, overall, deviation = _by_cluster(cluster, reward, weight.size, shrink, ids)
    worst = int(shrunk.argmin())
    if rule == "eq6" and shrunk[worst] <= 0:
        raise InputError(
            f"the mean reward of cluster {worst if names is None else names[worst]} is {shrunk[worst]:.6g}"
            " after shrinkage; rule: eq6 needs means above 0; use rule: exp, which takes any sign"
        )
    after = _moved(weight, shrunk / deviation, rule, step, floor) if deviation else weight
    return RoundWeights(weight, scored, mean, shrunk, after, overall, deviation, np.flatnonzero(scored < ENOUGH_SCORED))


def _check_rule(rule: str, step: float, floor: float, shrink: float) -> None:
    if rule not in RULES:
        raise RecipeError(f"the rule is {rule!r}; {nearest(rule, RULES)}; exp is usual")
    for name, value, allowed, usual in (
        ("step", step, AtLeast(0), 1),
        ("floor", floor, Between(0, 1), 0.2),
        ("shrink", shrink, AtLeast(0), 5),
    ):
        if value not in allowed:
            raise RecipeError(f"{name} is {value}; allowed: a number {allowed}; {usual} is usual")


def _by_cluster(
    cluster: Labels, reward: ArrayLike, k: int, shrink: float, ids: Sequence[str] | None
) -> tuple[Ints, Floats, Floats, float, float]:
    """Return scored, reward_mean, reward_shrunk, overall and deviation, as in `RoundWeights`."""
    reward, cluster = np.asarray(reward, dtype=np.float64), np.asarray(cluster)
    if not reward.size:
        raise InputError("the round has no rewards, so its weights cannot be updated; score at least one row")
    for what, values, wrong, allowed in (
        ("reward", reward, ~np.isfinite(reward), "finite numbers; fix it or leave the row out"),
        ("cluster", cluster, (cluster < 0) | (cluster >= k), f"0 to {k - 1}; give each cluster a weight"),
    ):
        for i in np.flatnonzero(wrong)[:1]:
            raise InputError(f"the {what} of row {i if ids is None else ids[i]} is {values[i]}; allowed: {allowed}")
    # A power of two changes no digit and keeps sums and squares of any rewards from overflowing.
    exponent = math.frexp(float(np.abs(reward).max()))[1]
    scaled = np.ldexp(reward, -exponent)
    members: list[list[float]] = [[] for _ in range(k)]
    for j, value in zip(cluster.tolist(), scaled.tolist(), strict=True):
        members[j].append(value)
    scored = np.array([len(rows) for rows in members])
    overall = math.fsum(scaled) / scaled.size
    sums = np.array([math.fsum(rows) for rows in members])
    mean = np.where(scored > 0, sums / np.maximum(scored, 1), math.nan)
    # m + (s_j - m) n_j / (n_j + shrink), as a mean of rows so that means above 0 stay above 0. A cluster without scored
    # rows gets m from any number of pseudo-rows; 1 avoids 0 / 0 if shrink is 0.
    pseudo = np.where(scored > 0, shrink, 1.0)
    shrunk = (sums + pseudo * overall) / (scored + pseudo)
    equal = np.ptp(scaled) <= ROUNDING * np.abs(scaled).max()
    deviation = 0.0 if equal else math.sqrt(math.fsum((scaled - overall) ** 2) / scaled.size)
    mean, shrunk = np.ldexp(mean, exponent), np.ldexp(shrunk, exponent)
    return scored, mean, shrunk, math.ldexp(overall, exponent), math.ldexp(deviation, exponent)


def _moved(weight: Floats, standardised: Floats, rule: str, step: float, floor: float) -> Floats:
    # Relative to the best cluster that has weight: exp does not overflow, and some weight stays above 0.
    best = standardised[weight > 0].max()
    with np.errstate(over="ignore", under="ignore"):
        factor = standardised / best if rule == "eq6" else np.exp(step * (standardised - best))
        moved: Floats = weight * np.minimum(factor, 1.0)
    moved = np.maximum(moved / moved.sum(), floor / moved.size)
    return np.asarray(moved / moved.sum())
