"""Quotas against enumeration of every (i - u_j) / w_j, on random groups; no JVM."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakesift.jobs.ranking.quota import allocation, quota
from lakesift.udfs.errors import InputError


def enumerated(capacity: np.ndarray, weight: np.ndarray, offset: np.ndarray) -> list[int]:
    """The groups of all rows in order of their keys; ties to the earlier group."""
    groups = [j for j in range(len(capacity)) if weight[j]]
    return [j for _, j in sorted(((i - offset[j]) / weight[j], j) for j in groups for i in range(1, capacity[j] + 1))]


def test_quota_takes_the_smallest_keys() -> None:
    rng = np.random.default_rng(5)
    for case in range(200):
        groups = int(rng.integers(1, 12))
        capacity = rng.integers(0, 40, groups)
        drawn = rng.exponential(size=groups) ** 6
        weight = [np.ones(groups), capacity.astype(float), drawn, rng.integers(0, 3, groups)][case % 4]
        offset = np.full(groups, 0.5) if case % 3 == 0 else 1 - rng.random(groups)  # equal offsets: masses of ties
        order = enumerated(capacity, weight, offset)
        for budget in {0, 1, *rng.integers(0, len(order) + 2, 12).tolist(), len(order) + 1}:
            expected = np.bincount(order[:budget], minlength=groups)
            np.testing.assert_array_equal(quota(capacity, weight, offset, budget), expected)


#: Capacity, weight and offset of each group.
GROUPS = st.lists(
    st.tuples(st.integers(0, 10**9), st.floats(0, 1e6, width=32), st.floats(2**-20, 1, width=32)),
    min_size=1,
    max_size=40,
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(GROUPS, st.lists(st.integers(0, 2 * 10**9), min_size=2, max_size=5).map(sorted))
def test_exact_sums_capacities_and_prefixes(groups: list[tuple[int, float, float]], budgets: list[int]) -> None:
    """A larger budget takes no row back from any group."""
    capacity, weight, offset = map(np.array, zip(*groups, strict=True))
    made = [quota(capacity, weight, offset, budget) for budget in budgets]
    for share, budget in zip(made, budgets, strict=True):
        assert share.sum() == min(budget, capacity[weight > 0].sum())
        assert (share >= 0).all()
        assert (share <= np.where(weight > 0, capacity, 0)).all()
    assert all((fewer <= more).all() for fewer, more in pairwise(made))


def test_shares_follow_the_weights() -> None:
    """Within one row of the exact share wherever no capacity is reached, at full size, in little time."""
    rng = np.random.default_rng(6)
    size = rng.integers(1, 2000, 100_000)
    share = quota(size, size, 1 - rng.random(len(size)), 1_000_000)
    assert share.sum() == 1_000_000
    assert np.abs(share - size * (1_000_000 / size.sum())).max() < 1.1
    equal = quota([5, 10**9, 10**9], [1, 1, 1], [0.3, 0.2, 0.1], 1005)
    assert equal.tolist() == [5, 500, 500]


def test_weights_that_overflow_are_an_error() -> None:
    with pytest.raises(InputError, match="1e-320"):
        quota([5, 5], [1e-320, 1.0], [0.5, 0.5], 3)


def test_least_rows_come_first_and_the_rest_by_the_same_keys() -> None:
    """Against taking the smallest keys one by one, those of a group's first rows before all others."""
    rng = np.random.default_rng(8)
    for least in (0, 1, 2, 5):
        size = rng.integers(1, 60, 12)
        weight, offset = np.where(rng.random(12) < 0.5, size, 1).astype(float), 1 - rng.random(12)
        for budget in (int(np.minimum(size, least).sum()), 40 + 12 * least, int(size.sum())):
            keys = [
                (-1.0 if i <= least else (i - offset[j]) / weight[j], j)
                for j, rows in enumerate(size)
                for i in range(1, rows + 1)
            ]
            taken = [j for _, j in sorted(keys)[:budget]]
            found = allocation(size, weight, offset, budget, least)
            np.testing.assert_array_equal(found, np.bincount(taken, minlength=12))
    np.testing.assert_array_equal(allocation(size, weight, offset, 70, 0), quota(size, weight, offset, 70))
