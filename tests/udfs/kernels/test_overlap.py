"""The overlap of two random draws: counted one by one, beside scipy's own law, and where chance has no say."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
from scipy.stats import hypergeom

from lakesift.udfs.kernels.overlap import chance_overlap


@pytest.mark.parametrize(("rows", "first", "second"), [(7, 3, 4), (8, 5, 6), (6, 2, 2), (5, 1, 4)])
def test_all_draws_one_by_one(rows: int, first: int, second: int) -> None:
    mine = set(range(first))
    shared = [len(mine & set(other)) for other in combinations(range(rows), second)]
    mean, low, high = chance_overlap(rows, first, second)
    assert mean == pytest.approx(sum(shared) / comb(rows, second))
    outside = [sum(s < low for s in shared), sum(s > high for s in shared)]
    assert max(outside) <= 0.025 * len(shared), "no more than the tails lies outside"
    assert sum(s <= low for s in shared) >= 0.025 * len(shared), "and the interval could not be shorter below,"
    assert sum(s >= high for s in shared) > 0.025 * len(shared), "nor above"


def test_beside_scipy_at_all_sizes() -> None:
    for rows, first, second in [
        (100, 20, 30), (2500, 60, 2400), (13_392, 500, 500), (10_000, 1, 1), (3000, 3000, 70), (900, 899, 899),
        (5_000_000, 2_000_000, 1_000_000),
    ]:  # fmt: skip
        law = hypergeom(rows, first, second)
        mean, low, high = chance_overlap(rows, first, second)
        assert mean == pytest.approx(law.mean())
        assert law.cdf(low - 1) <= 0.025 <= law.cdf(low) + 1e-9
        assert law.cdf(high - 1) < 0.975 <= law.cdf(high) + 1e-9


def test_no_matter_of_chance() -> None:
    assert chance_overlap(0, 0, 0) == (0.0, 0, 0)
    assert chance_overlap(9, 0, 5) == (0.0, 0, 0)
    assert chance_overlap(9, 9, 5) == (5.0, 5, 5)
    assert chance_overlap(9, 9, 9) == (9.0, 9, 9)
    for draw in [(5, 6, 1), (5, 1, -1)]:
        with pytest.raises(ValueError, match="draws of"):
            chance_overlap(*draw)


def test_the_order_of_the_draws_does_not_matter() -> None:
    assert chance_overlap(1000, 30, 400)[1:] == chance_overlap(1000, 400, 30)[1:]
