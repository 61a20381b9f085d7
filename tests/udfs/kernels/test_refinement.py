"""Rounds of refinement: weights by hand and by a plain twin, budgets, and the properties of the rows to score."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lakesift.udfs.errors import InputError, LakeSiftError, RecipeError
from lakesift.udfs.kernels.hashing import seeded_hash, splitmix64
from lakesift.udfs.kernels.refinement import RoundWeights, next_weights, rows_by_round, rows_to_score

NAN, E = math.nan, math.e
#: Two clusters with means 1 and -1: overall mean 0, standard deviation 1.
PAIR, SIGNS = np.array([0, 0, 1, 1]), [1.0, 1.0, -1.0, -1.0]


def plain(weights: Any, cluster: Any, reward: Any, rule: str, step: float, floor: float, shrink: float) -> list[float]:
    """Return the next weights by the formula as it is written, one cluster at a time."""
    n, k, total = len(reward), len(weights), sum(weights)
    m = sum(reward) / n
    sd = math.sqrt(sum((x - m) ** 2 for x in reward) / n)
    moved = []
    for j, w in enumerate(weights):
        members = [x / sd for x, c in zip(reward, cluster, strict=True) if c == j]
        s = m / sd
        if members:
            s += (sum(members) / len(members) - m / sd) * len(members) / (len(members) + shrink)
        moved.append(w / total * (s if rule == "eq6" else math.exp(step * s)))
    lifted = [max(w / sum(moved), floor / k) for w in moved]
    return [w / sum(lifted) for w in lifted]


def same(a: RoundWeights, b: RoundWeights) -> bool:
    """Tell whether two rounds are equal to the last bit."""
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


# Weights by hand


def test_exp_by_hand() -> None:
    found = next_weights([0.5, 0.5], PAIR, SIGNS, floor=0, shrink=0)
    assert found.weight_next == pytest.approx([E / (E + 1 / E), 1 / E / (E + 1 / E)], rel=1e-15)
    assert found.scored.tolist() == [2, 2]
    assert found.reward_mean.tolist() == found.reward_shrunk.tolist() == [1, -1]
    assert (found.overall, found.deviation) == (0, 1)
    assert found.weight.tolist() == [0.5, 0.5]
    # The odds are multiplied by exp(2 step): 3 : 1 for step log(3) / 2, on top of present odds of 1 : 4.
    found = next_weights([2, 8], PAIR, SIGNS, step=math.log(3) / 2, floor=0, shrink=0)
    assert found.weight_next == pytest.approx([3 / 7, 4 / 7], rel=1e-14)
    assert found.weight.tolist() == [0.2, 0.8]
    assert next_weights([2, 8], PAIR, SIGNS, step=0, floor=0).weight_next.tolist() == [0.2, 0.8]


def test_eq6_by_hand() -> None:
    rewards = [2.0, 4.0, 0.5, 1.5]  # means 3 and 1
    found = next_weights([0.5, 0.5], PAIR, rewards, rule="eq6", floor=0, shrink=0)
    assert found.weight_next == pytest.approx([0.75, 0.25], rel=1e-15)
    assert next_weights([0.25, 0.75], PAIR, rewards, rule="eq6", floor=0, shrink=0).weight_next.tolist() == [0.5, 0.5]
    # The deviation falls out of eq6, so neither a factor nor the step changes anything.
    for factor, step in ((1.0, 9.0), (1e-9, 1.0), (1e9, 1.0)):
        scaled = next_weights([0.5, 0.5], PAIR, np.multiply(rewards, factor), rule="eq6", step=step, floor=0, shrink=0)
        assert scaled.weight_next == pytest.approx([0.75, 0.25], rel=1e-14)


def test_shrinkage_by_hand() -> None:
    # n_j / (n_j + 2) is 1/2: means 3 and 1 around 2 become 2.5 and 1.5.
    found = next_weights([0.25, 0.75], PAIR, [2.0, 4.0, 0.5, 1.5], rule="eq6", floor=0, shrink=2)
    assert (found.overall, found.reward_mean.tolist()) == (2, [3, 1])
    assert found.reward_shrunk.tolist() == [2.5, 1.5]
    assert found.weight_next == pytest.approx([0.625 / 1.75, 1.125 / 1.75], rel=1e-15)
    exp = next_weights([0.5, 0.5], PAIR, SIGNS, floor=0, shrink=2)
    assert exp.weight_next == pytest.approx([E / (E + 1), 1 / (E + 1)], rel=1e-15)
    # Three rows and one, shrink 1: 3/4 and 1/2 of the way from the overall mean 1.5 to the means 1 and 3.
    uneven = next_weights([0.5, 0.5], np.array([0, 0, 0, 1]), [0.0, 1.0, 2.0, 3.0], shrink=1)
    assert uneven.reward_shrunk.tolist() == [1.5 - 0.375, 1.5 + 0.75]
    # The default is five rows.
    assert next_weights([0.5, 0.5], PAIR, SIGNS).reward_shrunk == pytest.approx([2 / 7, -2 / 7], rel=1e-15)


def test_floor_by_hand() -> None:
    # exp(20) : 1 is floored at 0.2 / 2 and divided by the new sum.
    found = next_weights([0.5, 0.5], PAIR, SIGNS, step=10, shrink=0)
    assert found.weight_next == pytest.approx([1 / 1.1, 0.1 / 1.1], rel=1e-8)
    # Shares 3/4 and 1/4 are above 0.1, so the floor does nothing; 0.8 / 2 lifts the second to 0.4; 1 / 2 to 0.5.
    for floor, expected in ((0.2, [0.75, 0.25]), (0.8, [0.75 / 1.15, 0.4 / 1.15]), (1, [0.6, 0.4])):
        round_ = next_weights([0.5, 0.5], PAIR, [2.0, 4.0, 0.5, 1.5], rule="eq6", floor=floor, shrink=0)
        assert round_.weight_next == pytest.approx(expected, rel=1e-15)
    # The floor is a share of 1 / k, also where eq6 as printed gives small numbers: 4 clusters, shares .4 .3 .2 .1.
    four = next_weights([0.25] * 4, np.arange(4), [4.0, 3.0, 2.0, 1.0], rule="eq6", floor=0.6, shrink=0)
    assert four.weight_next == pytest.approx(np.array([0.4, 0.3, 0.2, 0.15]) / 1.05, rel=1e-14)


def test_a_cluster_without_scored_rows_gets_the_overall_mean() -> None:
    for shrink in (0, 5):
        exp = next_weights([0.2, 0.2, 0.6], PAIR, SIGNS, floor=0, shrink=shrink)
        assert exp.scored.tolist() == [2, 2, 0]
        assert math.isnan(exp.reward_mean[2])
        assert exp.reward_shrunk[2] == exp.overall == 0
        s = 2 / (2 + shrink)
        total = 0.2 * math.exp(s) + 0.2 * math.exp(-s) + 0.6
        assert exp.weight_next[2] == pytest.approx(0.6 / total, rel=1e-14)
    eq6 = next_weights([0.5, 0.25, 0.25], np.array([0, 0, 2, 2]), [2.0, 4.0, 0.5, 1.5], rule="eq6", floor=0, shrink=0)
    assert eq6.reward_shrunk.tolist() == [3, 2, 1]
    assert eq6.weight_next == pytest.approx([1.5 / 2.25, 0.5 / 2.25, 0.25 / 2.25], rel=1e-15)


@pytest.mark.parametrize("rule", ["exp", "eq6"])
@pytest.mark.parametrize("value", [0.1, 1e-300, 3.7e200])
def test_equal_rewards_leave_the_weights(rule: str, value: float) -> None:
    weights = [0.5, 0.375, 0.125, 0.0]  # the third is at half of the floor, the last below it
    found = next_weights(weights, np.array([0, 0, 0, 1, 1, 2]), [value] * 6, rule=rule, floor=1)
    assert found.weight_next.tolist() == weights
    assert found.deviation == 0
    assert found.reward_shrunk == pytest.approx([value] * 4, rel=1e-15)
    alone = next_weights(weights, np.array([1]), [value], rule=rule)
    assert alone.weight_next.tolist() == weights, "one scored row says nothing about clusters"


def test_rewards_that_differ_by_rounding_are_equal() -> None:
    almost = [0.1 + 0.2, 0.1 + 0.2, 0.3, 0.3]
    assert almost[0] != almost[2]
    assert next_weights([0.5, 0.5], PAIR, almost).weight_next.tolist() == [0.5, 0.5]
    assert next_weights([0.5, 0.5], PAIR, [0.3 + 1e-9, 0.3 + 1e-9, 0.3, 0.3]).weight_next[0] > 0.6
    assert next_weights([0.5, 0.5], PAIR, [0.0, 0.0, 0.0, 0.0]).weight_next.tolist() == [0.5, 0.5]
    assert next_weights([0.5, 0.5], PAIR, [-2.0] * 4).weight_next.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("rule", ["exp", "eq6"])
def test_one_cluster_keeps_all_weight(rule: str) -> None:
    found = next_weights([3.0], np.zeros(4, int), [1.0, 2.0, 3.0, 9.0], rule=rule)
    assert found.weight.tolist() == found.weight_next.tolist() == [1]
    assert found.reward_shrunk.tolist() == found.reward_mean.tolist() == [3.75]


@pytest.mark.parametrize("rule", ["exp", "eq6"])
def test_only_the_floor_lifts_a_weight_of_0(rule: str) -> None:
    rewards = [9.0, 9.0, 1.0, 1.0]  # the cluster without weight has by far the best rewards
    assert next_weights([0, 1], PAIR, rewards, rule=rule, step=1e4, floor=0).weight_next.tolist() == [0, 1]
    lifted = next_weights([0, 1], PAIR, rewards, rule=rule, floor=0.2)
    assert lifted.weight_next == pytest.approx([0.1 / 1.1, 1 / 1.1], rel=1e-15)


def test_clusters_with_few_scored_rows() -> None:
    cluster = np.repeat([0, 1, 2], [5, 4, 6])
    assert next_weights([1] * 4, cluster, np.arange(15.0)).few.tolist() == [1, 3]
    assert next_weights([1] * 3, np.repeat([0, 1, 2], 5), np.arange(15.0)).few.tolist() == []


# Weights: laws


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rule", ["exp", "eq6"])
def test_weights_equal_the_plain_twin(rule: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    k, n = int(draw.integers(2, 9)), int(draw.integers(2, 120))
    cluster, weights = draw.integers(0, k, n), draw.random(k) * (draw.random(k) < 0.8) + 1e-3
    reward = draw.normal(3.0 if rule == "eq6" else -0.2, 0.5, n)
    step, floor, shrink = draw.uniform(0, 3), draw.uniform(0, 1), draw.uniform(0, 9)
    found = next_weights(weights, cluster, reward, rule=rule, step=step, floor=floor, shrink=shrink)
    expected = plain(weights.tolist(), cluster.tolist(), reward.tolist(), rule, step, floor, shrink)
    np.testing.assert_allclose(found.weight_next, expected, rtol=1e-12)
    assert found.weight_next.sum() == pytest.approx(1, rel=1e-15)
    assert found.weight_next.min() >= floor / k / (1 + floor) * (1 - 1e-12)


@pytest.mark.parametrize("rule", ["exp", "eq6"])
def test_the_order_of_rows_changes_no_bit(rule: str) -> None:
    draw = np.random.default_rng(3)
    cluster, reward = draw.integers(0, 7, 500), draw.lognormal(0, 3, 500)
    weights = draw.random(8)
    found = next_weights(weights, cluster, reward, rule=rule)
    for _ in range(20):
        order = draw.permutation(500)
        assert same(next_weights(weights, cluster[order], reward[order], rule=rule), found)
    relabelled = next_weights(weights[::-1], 7 - cluster, reward, rule=rule)
    np.testing.assert_allclose(relabelled.weight_next[::-1], found.weight_next, rtol=1e-14)


def test_exp_ignores_scale_and_shift_of_rewards() -> None:
    draw = np.random.default_rng(4)
    cluster, reward, weights = draw.integers(0, 5, 90), draw.normal(0, 1, 90), draw.random(5)
    found = next_weights(weights, cluster, reward, step=2).weight_next
    for scale, shift in ((1000.0, 0.0), (1e-6, 0.0), (1.0, -50.0), (1e300, 0.0), (1e-290, 0.0)):
        other = next_weights(weights, cluster, reward * scale + shift, step=2).weight_next
        np.testing.assert_allclose(other, found, rtol=1e-11)
    assert abs(next_weights(weights, cluster, -reward, step=2).weight_next - found).max() > 0.05


@pytest.mark.filterwarnings("error")
def test_extreme_numbers_give_weights() -> None:
    huge = next_weights([1, 1], PAIR, [1.7e308, 1.7e308, -1.7e308, -1.7e308], step=1e300, shrink=0)
    assert huge.weight_next == pytest.approx([1 / 1.1, 0.1 / 1.1])
    assert huge.reward_mean.tolist() == [1.7e308, -1.7e308]
    far = [1e-50, 1e-50, 1e200, 1e200]
    for weights, expected in (([1, 1], [0, 1]), ([1, 0], [1, 0])):
        round_ = next_weights(weights, PAIR, far, rule="eq6", floor=0, shrink=0)
        assert round_.weight_next == pytest.approx(expected, abs=1e-200)
        assert round_.reward_shrunk == pytest.approx([1e-50, 1e200], rel=1e-15), "above 0, however far from the mean"


def test_nothing_given_is_changed() -> None:
    weights, cluster, reward = np.array([2.0, 8.0]), PAIR.copy(), np.array(SIGNS)
    next_weights(weights, cluster, reward)
    key = splitmix64(np.arange(4, dtype=np.uint64))
    rows_to_score(cluster, key, 2)
    assert weights.tolist() == [2, 8]
    assert cluster.tolist() == PAIR.tolist()
    assert reward.tolist() == SIGNS
    assert key.tolist() == splitmix64(np.arange(4, dtype=np.uint64)).tolist()


# Errors


def rejects(kind: type[LakeSiftError], sentence: str, call: Any) -> None:
    with pytest.raises(kind, match=f"^{re.escape(sentence)}$"):
        call()


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_bad_rewards_name_the_row(bad: float) -> None:
    rewards = [1.0, 2.0, bad, bad]
    allowed = "allowed: finite numbers; fix it or leave the row out"
    rejects(InputError, f"the reward of row 2 is {bad}; {allowed}", lambda: next_weights([1, 1], PAIR, rewards))
    rejects(
        InputError,
        f"the reward of row doc-c is {bad}; {allowed}",
        lambda: next_weights([1, 1], PAIR, rewards, ids=["doc-a", "doc-b", "doc-c", "doc-d"]),
    )


@pytest.mark.parametrize("bad", [NAN, math.inf, -0.5])
def test_bad_weights_name_the_cluster(bad: float) -> None:
    sentence = f"the weight of cluster %s is {bad}; allowed: 0 or more and below 1e+300; fix or filter it"
    rejects(InputError, sentence % 1, lambda: next_weights([1, bad], PAIR, SIGNS))
    rejects(InputError, sentence % "prose", lambda: next_weights([1, bad], PAIR, SIGNS, names=["code", "prose"]))


def test_bad_inputs() -> None:
    rejects(
        InputError,
        "all 2 cluster weights are 0; at least one must be above 0; use start: uniform",
        lambda: next_weights([0, 0], PAIR, SIGNS),
    )
    rejects(
        InputError,
        "the round has no rewards, so its weights cannot be updated; score at least one row",
        lambda: next_weights([1, 1], np.array([], int), []),
    )
    for code in (2, -1):
        rejects(
            InputError,
            f"the cluster of row 1 is {code}; allowed: 0 to 1; give each cluster a weight",
            lambda code=code: next_weights([1, 1], np.array([0, code]), [1, 2]),
        )
    with pytest.raises(ValueError, match="is longer than argument"):
        next_weights([1, 1], PAIR[:3], [1.0, 2.0, 3.0, 4.0])


def test_eq6_needs_means_above_0() -> None:
    def sentence(cluster: Any, value: str) -> str:
        return (
            f"the mean reward of cluster {cluster} is {value} after shrinkage; rule: eq6 needs means above 0;"
            " use rule: exp, which takes any sign"
        )

    rewards = [3.0, 3.0, -0.25, -0.25]
    rejects(InputError, sentence(1, "-0.25"), lambda: next_weights([1, 1], PAIR, rewards, rule="eq6", shrink=0))
    named = lambda: next_weights([1, 1], PAIR, rewards, rule="eq6", shrink=0, names=["code", "prose"])  # noqa: E731
    rejects(InputError, sentence("prose", "-0.25"), named)
    # Shrunk by five rows of mean 1.375 it is above 0.
    assert next_weights([1, 1], PAIR, rewards, rule="eq6").reward_shrunk[1] > 0
    rejects(InputError, sentence(1, "0"), lambda: next_weights([1, 1], PAIR, [1, 1, 0, 0], rule="eq6", shrink=0))
    # The worst is named; a cluster without scored rows has the overall mean; equal rewards below 0 are no exception.
    three = np.array([0, 1, 2])
    rejects(InputError, sentence(1, "-9"), lambda: next_weights([1] * 3, three, [-1, -9, 5], rule="eq6", shrink=0))
    rejects(InputError, sentence(0, "-2"), lambda: next_weights([1, 1], np.array([1, 1]), [-2, -2], rule="eq6"))


def test_bad_rules() -> None:
    sentence = "the rule is 'exp6'; did you mean 'exp'? allowed: eq6, exp; exp is usual"
    rejects(RecipeError, sentence, lambda: next_weights([1, 1], PAIR, SIGNS, rule="exp6"))
    for name, allowed, usual, values in (
        ("step", "from 0", 1, (-1.0, NAN, math.inf)),
        ("floor", "from 0 to 1", 0.2, (-0.1, 1.1, NAN)),
        ("shrink", "from 0", 5, (-1.0, NAN, math.inf)),
    ):
        for value in values:
            sentence = f"{name} is {value}; allowed: a number {allowed}; {usual} is usual"
            options: Any = {name: value}
            rejects(RecipeError, sentence, lambda options=options: next_weights([1, 1], PAIR, SIGNS, **options))


# Rows by round


def test_budgets_add_up() -> None:
    assert rows_by_round(10, 1).tolist() == [10]
    assert rows_by_round(150, 3).tolist() == [50, 50, 50]
    assert rows_by_round(100, 3).tolist() == [34, 33, 33]
    assert rows_by_round(101, 3).tolist() == [34, 34, 33]
    assert rows_by_round(33, 7).tolist() == [5, 5, 5, 5, 5, 4, 4]
    assert rows_by_round(7, 7).tolist() == [1] * 7
    for rounds in (1, 3, 7):
        for budget in range(rounds, 60):
            rows = rows_by_round(budget, rounds)
            assert rows.shape == (rounds,)
            assert rows.sum() == budget
            assert sorted(rows, reverse=True) == rows.tolist()
            assert np.ptp(rows) <= 1


@pytest.mark.parametrize(("budget", "rounds"), [(2, 3), (10, 0), (10, -1), (0, 1)])
def test_more_rounds_than_rows(budget: int, rounds: int) -> None:
    sentence = f"rounds is {rounds} for a budget of {budget} rows; allowed: 1 up to the budget; 3 rounds are usual"
    rejects(RecipeError, sentence, lambda: rows_by_round(budget, rounds))


# Rows to score


def keys(n: int, seed: int) -> Any:
    return seeded_hash(np.arange(n), seed)


def turns(cluster: Any, key: Any) -> list[int]:
    """Return all rows in order of (i - u_j) / n_j, in exact fractions: the plain twin."""
    turn = {}
    for j in set(cluster.tolist()):
        members = sorted((int(key[i]), i) for i in np.flatnonzero(cluster == j).tolist())
        mixed = 0
        for h, _ in members:
            mixed ^= int(splitmix64(np.array([h], np.uint64))[0])
        offset = 1 - Fraction(mixed >> 11, 2**53)
        turn.update({i: (Fraction(p) - offset) / len(members) for p, (_, i) in enumerate(members, start=1)})
    return sorted(turn, key=lambda i: (turn[i], int(key[i])))


@pytest.mark.parametrize("seed", range(5))
def test_rows_to_score_equal_the_plain_twin(seed: int) -> None:
    draw = np.random.default_rng(seed)
    cluster, key = draw.integers(-3, 12, 200) ** 2, keys(200, seed)
    assert rows_to_score(cluster, key, 200).tolist() == turns(cluster, key)


def test_sizes_and_prefixes() -> None:
    draw = np.random.default_rng(1)
    cluster, key = draw.integers(0, 6, 150), keys(150, 1)
    everything = rows_to_score(cluster, key, 10_000)
    assert everything.dtype == np.int64
    assert sorted(everything) == list(range(150))
    for scored in (1, 5, 120, 149, 150, 151):
        assert rows_to_score(cluster, key, scored).tolist() == everything[:scored].tolist()
    assert rows_to_score(np.array([], int), keys(0, 1), 5).tolist() == []


def test_the_sample_depends_on_neither_order_nor_numbering() -> None:
    draw = np.random.default_rng(2)
    cluster, key = draw.integers(0, 6, 150), keys(150, 2)
    found = key[rows_to_score(cluster, key, 40)].tolist()
    for _ in range(10):
        order = draw.permutation(150)
        assert key[order][rows_to_score(cluster[order], key[order], 40)].tolist() == found
    renamed = draw.permutation(6)[cluster]
    assert key[rows_to_score(renamed, key, 40)].tolist() == found
    assert rows_to_score(cluster, key.view(np.int64), 40).tolist() == rows_to_score(cluster, key, 40).tolist()
    assert key[rows_to_score(cluster, keys(150, 3), 40)].tolist() != found, "another round scores other rows"


def test_the_sample_is_stratified_in_proportion() -> None:
    size = np.array([1, 4, 20, 75, 300])
    cluster = np.repeat(np.arange(5), size)
    n, scored = int(size.sum()), 40
    counts = []
    taken = np.zeros(n)
    for seed in range(600):
        rows = rows_to_score(cluster, keys(n, seed), scored)
        counts.append(np.bincount(cluster[rows], minlength=5))
        taken[rows] += 1
    share = scored * size / n
    # By the quota key no cluster is further from its share than a row of its own and its part of what others round.
    assert (abs(np.array(counts) - share) <= 1 + size * 5 / n).all()
    assert np.mean(counts, axis=0) == pytest.approx(share, abs=0.05), "small clusters have their turn in some rounds"
    # Each row of a cluster has the same chance, about 0.1: five standard errors.
    assert abs(taken / 600 - scored / n).max() < 5 * math.sqrt(0.1 * 0.9 / 600)
    # A draw without strata scatters by sqrt(40 * .75 * .25 * .9) = 2.6 rows.
    assert np.std(np.array(counts)[:, 4]) < 0.9


def test_rows_to_score_errors() -> None:
    for scored in (0, -1):
        sentence = f"scored is {scored}; allowed: 1 or more rows a round; 120 is usual"
        rejects(RecipeError, sentence, lambda scored=scored: rows_to_score(PAIR, keys(4, 0), scored))
    rejects(
        InputError,
        "the rows 1 and 3 have the same key 7; keys must differ, or the order of the rows would decide; hash seed,"
        " round and id",
        lambda: rows_to_score(PAIR, np.array([5, 7, 9, 7]), 2),
    )
