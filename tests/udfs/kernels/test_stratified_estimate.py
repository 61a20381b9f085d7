"""Means from evaluation subsets: every possible draw of a tiny pool, the textbook's formulas, coverage, bad input."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import stdtr

from lakesift.udfs.errors import InputError
from lakesift.udfs.kernels.stratified_estimate import StratifiedEstimate, estimate

#: Strata of a tiny pool by values: one with 1 row, and one that is drawn whole.
POOL = [[1.0, 2.0, 6.0], [5.0, 5.5, 7.0, 11.0], [40.0], [0.0, 3.0]]


def every_draw(numbers: Sequence[int]) -> list[StratifiedEstimate]:
    """Estimate from every choice of so many rows of each stratum; all choices are equally likely."""
    strata = np.repeat(np.arange(len(POOL)), numbers)
    weights = np.repeat([len(rows) / n for rows, n in zip(POOL, numbers, strict=True)], numbers)
    choices = (itertools.combinations(rows, n) for rows, n in zip(POOL, numbers, strict=True))
    return [estimate([*itertools.chain(*choice)], strata, weights) for choice in itertools.product(*choices)]


@pytest.mark.parametrize("numbers", [(2, 2, 1, 2), (2, 3, 1, 2), (3, 2, 1, 2)])
def test_mean_and_errors_are_right_on_average_over_every_draw(numbers: Sequence[int]) -> None:
    values = np.concatenate(POOL)
    n, pool = sum(numbers), len(values)
    found = every_draw(numbers)
    means = np.array([e.mean for e in found])
    assert means.mean() == pytest.approx(values.mean(), rel=1e-13)
    assert np.mean([e.error**2 for e in found]) == pytest.approx(means.var(), rel=1e-12)
    uniform = values.var(ddof=1) / n * (1 - n / pool)
    assert np.mean([e.uniform_error**2 for e in found]) == pytest.approx(uniform, rel=1e-12)
    assert {(e.rows, e.drawn, e.strata) for e in found} == {(pool, n, 4)}


def test_errors_by_the_textbook() -> None:
    rng = np.random.default_rng(0)
    sizes, numbers = np.array([100, 40, 7]), np.array([20, 9, 2])
    values = [rng.normal(j, 1 + j, n) for j, n in enumerate(numbers)]
    found = estimate(np.concatenate(values), np.repeat(list("abc"), numbers), np.repeat(sizes / numbers, numbers))
    shares = sizes / sizes.sum()
    variances = np.array([v.var(ddof=1) for v in values])
    terms = shares**2 * (1 - numbers / sizes) * variances / numbers
    assert found.error == pytest.approx(math.sqrt(terms.sum()), rel=1e-12)
    assert found.mean == pytest.approx(sum(w * v.mean() for w, v in zip(shares, values, strict=True)), rel=1e-12)
    freedom = terms.sum() ** 2 / (terms**2 / (numbers - 1)).sum()
    assert stdtr(freedom, (found.high - found.mean) / found.error) == pytest.approx(0.975, abs=1e-9)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    shuffled = rng.permutation(numbers.sum())
    again = estimate(
        np.concatenate(values)[shuffled],
        np.repeat([9, 1, 4], numbers)[shuffled],  # other names
        np.repeat(sizes / numbers, numbers)[shuffled],
    )
    assert again == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("rare", [False, True])
def test_intervals_cover_the_mean_and_strata_save_rows(rare: bool) -> None:
    """Clusters of 400 to 10 rows, a loss of which they explain most, or a failure that is common in two of them."""
    rng = np.random.default_rng(1)
    sizes = np.array([400, 300, 200, 100, 50, 30, 10])
    cluster = np.repeat(np.arange(7), sizes)
    loss = (
        (rng.random(len(cluster)) < np.isin(cluster, [3, 4]) * 0.5).astype(float)
        if rare
        else cluster + rng.normal(size=len(cluster))
    )
    numbers = np.maximum(2, np.round(sizes * 120 / sizes.sum())).astype(int)
    starts = np.cumsum(sizes) - sizes
    strata, weights = np.repeat(np.arange(7), numbers), np.repeat(sizes / numbers, numbers)
    found = []
    for _ in range(800):
        rows = np.concatenate([s + rng.permutation(n)[:k] for s, n, k in zip(starts, sizes, numbers, strict=True)])
        found.append(estimate(loss[rows], strata, weights))
    means, errors = np.array([e.mean for e in found]), np.array([e.error for e in found])
    assert abs(means.mean() - loss.mean()) < 4 * means.std() / math.sqrt(len(found))
    covered = np.mean([e.low <= loss.mean() <= e.high for e in found])
    assert 0.925 <= covered <= 0.975
    assert errors.mean() == pytest.approx(means.std(), rel=0.08)
    drawn = len(strata)
    uniform = loss.std(ddof=1) * math.sqrt((1 - drawn / len(loss)) / drawn)
    assert np.mean([e.uniform_error for e in found]) == pytest.approx(uniform, rel=0.05)
    assert np.median([e.saved for e in found]) == pytest.approx((uniform / means.std()) ** 2, rel=0.15)


def test_all_rows_leave_nothing_to_know_and_one_row_of_several_says_nothing() -> None:
    whole = estimate([1, 2, 4], ["a", "a", "b"], [1, 1, 1])
    assert whole[:5] == (7 / 3, 0, 7 / 3, 7 / 3, 0)
    assert math.isnan(whole.saved)
    thirds = estimate(np.arange(3), ["a"] * 3, [10 / 3] * 3)
    assert (thirds.rows, thirds.drawn) == (10, 3)
    single = estimate([1, 2, 4], ["a", "a", "b"], [3, 3, 2])
    assert single.mean == pytest.approx((6 * 1.5 + 2 * 4) / 8)
    assert all(math.isnan(x) for x in (single.error, single.low, single.high, single.uniform_error, single.saved))
    assert "its error is unknown" in str(single)
    alone = estimate([2.5], ["a"], [1])
    assert alone[:5] == (2.5, 0, 2.5, 2.5, 0)
    constant = estimate([3, 3, 3, 3], [1, 1, 2, 2], [5, 5, 2, 2])
    assert constant[:5] == (3, 0, 3, 3, 0)


def test_it_says_itself() -> None:
    """Inside the strata s^2 = 1/3: variance 2 x .25 x .9 / 12 = .0375, t of 6 degrees; about the mean 1.25 + .0375."""
    said = str(estimate([0, 1, 1, 0, 3, 2, 3, 2], ["a"] * 4 + ["b"] * 4, [10] * 8))
    assert said == (
        "mean 1.5, +- 0.474 (95 %), over 80 rows by 8 of 2 strata; as many uniform draws: +- 0.751, 3.91 times as many "
        "for the same error"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([], [], []), "at least one row"),
        (([1, 2], ["a"], [1, 1]), r"the shapes \(2,\), \(1,\), \(2,\); one of each"),
        (([[1, 2]], [["a", "a"]], [[1, 1]]), "one of each for every row"),
        (([1, np.nan], ["a", "a"], [1, 1]), "the value at place 1 is nan; a finite number"),
        (([1, np.inf], ["a", "a"], [1, 1]), "is inf"),
        (([1, 2], ["a", "a"], [1, 0.5]), "the weight at place 1 is 0.5; a row stands for itself at least"),
        (([1, 2], ["a", "a"], [1, np.nan]), "the weight at place 1 is nan"),
    ],
)
def test_what_it_refuses(arguments: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        estimate(*arguments)
