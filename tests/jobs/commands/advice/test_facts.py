"""Facts of a sample against hand-computed cases, and as laws: nothing of Spark."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lakesift.jobs.commands.advice import facts

NAN = math.nan


def unit(rows: list[list[float]]) -> np.ndarray:
    x = np.array(rows, np.float32)
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def test_near_shares_count_both_rows_of_a_pair_and_no_row_without_a_vector() -> None:
    rows = np.vstack([unit([[1, 0], [1, 0.1], [0, 1], [-1, 0]]), [[NAN, NAN]]]).astype(np.float32)
    assert facts.near_shares(rows) == [0.4, 0.4]
    assert facts.near_shares(rows, (0.999,)) == [0.0]
    assert facts.near_shares(rows[:1]) == [0.0, 0.0]
    assert facts.near_shares(rows[4:]) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("values", "clusters", "lift"),
    [
        ([1, 3], [0, 0], 0.25),  # CV^2: variance 1, mean 2
        ([1, 3, 10, 10], [0, 0, 1, 1], 2 * 0.5 / 24),  # differences between clusters lift nothing: quotas stay
        ([0, 0, 1, 3], [0, 0, 1, 1], 2 * 0.5 / 4),  # a cluster of zeros has no weights
        ([1, 3, NAN], [0, 0, 0], 0.25),
        ([1, 3, 99], [0, 0, -1], 0.25),
    ],
)
def test_lift_of_linear_weights(values: list[float], clusters: list[int], lift: float) -> None:
    found = facts.variation(np.array(values, float), np.array(clusters))
    assert found == pytest.approx((math.sqrt(lift), lift))


@pytest.mark.parametrize("values", [[-1.0, 2.0], [0.0, 0.0], [NAN, NAN], []])
def test_no_lift_without_weights(values: list[float]) -> None:
    assert facts.variation(np.array(values), np.zeros(len(values), int)) is None


def test_lift_is_what_draws_by_weight_give() -> None:
    draw = np.random.default_rng(0)
    q, c = draw.gamma(2.0, size=20_000), draw.integers(0, 5, 20_000)
    q += c
    found = facts.variation(q, c)
    assert found is not None
    sizes = np.bincount(c)
    mean = sum((q[c == j] ** 2).sum() / q[c == j].sum() * sizes[j] for j in range(5)) / len(q)
    assert mean / q.mean() - 1 == pytest.approx(found[1])


def test_explained_is_corrected_for_the_number_of_clusters() -> None:
    draw = np.random.default_rng(1)
    c = np.repeat(np.arange(50), 20)
    assert facts.explained(np.arange(50.0)[c], c) == 1.0
    by_chance = [facts.explained(draw.normal(size=1000), c) or 0.0 for _ in range(20)]
    assert np.mean(by_chance) < 0.02
    half = facts.explained(draw.normal(size=50)[c] + draw.normal(size=1000), c)
    assert half == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [1.0, 2.0, NAN], []])
def test_nothing_is_explained_where_nothing_varies_or_every_row_is_a_cluster(values: list[float]) -> None:
    assert facts.explained(np.array(values), np.arange(len(values)) % 2) is None


def test_typical_and_reach_by_hand() -> None:
    target = unit([[1, 0], [1, 1], [0, 1]])
    # Each target row to its two nearest others: (c + 0) / 2 of the ends, c of the middle one, with c = cos 45 degrees.
    c = math.sqrt(0.5)
    base = (c / 2 + c + c / 2) / 3
    rows = np.vstack([unit([[1, 0], [-1, 0]]), [[NAN, NAN]]]).astype(np.float32)
    found = facts.likeness("t", rows, np.vstack([target, target]))
    assert found.texts == 3, "equal texts count once"
    assert found.typical == pytest.approx(((1 + c) / 2 + (0 - c) / 2) / 2 / base, abs=1e-6)
    assert found.reach == pytest.approx((1 + c) / 2 / base, abs=1e-6)


@pytest.mark.parametrize("texts", [0, 1])
def test_a_target_of_one_text_is_not_measured(texts: int) -> None:
    found = facts.likeness("t", unit([[1, 0]]), unit([[1, 0]])[:texts])
    assert (found.texts, found.typical, found.reach) == (texts, None, None)


def test_the_pool_of_the_target_itself_is_typical() -> None:
    draw = np.random.default_rng(2)
    rows = unit((draw.normal(size=(600, 8)) + 2).tolist())
    found = facts.likeness("t", rows[:500], rows[500:])
    assert found.typical == pytest.approx(1.0, abs=0.02)
    assert found.reach is not None
    assert found.reach > 1


def test_cells_are_few_and_leave_out_rows_without_a_vector() -> None:
    rows = np.vstack([unit([[1, 0], [0, 1]])[np.arange(80) % 2], [[NAN, NAN]]]).astype(np.float32)
    found = facts.cells(rows, 50)
    assert found[80] == -1
    assert len(set(found[:80])) == 2
    assert facts.cells(rows[:30], 50).tolist() == [0] * 30, "one cluster for every 20 rows"
    assert facts.cells(rows[80:], 50).tolist() == [-1]


def test_lengths_are_told_of_scores_that_vary_over_30_rows() -> None:
    n = np.arange(40.0)
    numbers = {"tokens": n, "falls": -(n**3), "same": np.ones(40), "few": np.where(n < 29, n, NAN)}
    assert facts.with_length(numbers, "tokens") == {"falls": -1.0}
