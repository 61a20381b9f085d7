"""Quantiles against numpy's inverted_cdf and exact fractions, with NaN and rounding traps."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from lakesift.udfs.errors import LakeSiftError
from lakesift.udfs.kernels.quantiles import quantile_rank, quantiles

NAN = float("nan")


def test_quantiles_are_numpys_inverted_cdf() -> None:
    values = np.random.default_rng(1).normal(size=500)
    values[::9] = NAN
    qs = [0, 0.013, 0.25, 0.5, 0.77, 1]
    assert quantiles(values, qs) == list(np.quantile(values[~np.isnan(values)], qs, method="inverted_cdf"))
    assert quantiles([7, 7, 1], [0.5]) == [7.0]
    assert quantiles([3, math.inf, -math.inf], [0, 1]) == [-math.inf, math.inf]
    assert all(map(math.isnan, quantiles([NAN], [0, 1])))
    assert quantiles([], [0.5, 0.1, 1]) == pytest.approx([NAN] * 3, nan_ok=True)


@pytest.mark.parametrize("n", [4, 10, 16_112])
def test_the_95_percent_quantile_of_the_report_is_the_bound_of_interval(n: int) -> None:
    """`interval` takes the value at rank `quantile_rank`; the report has `quantiles`, which once was lower by a row."""
    values = np.random.default_rng(n).permutation(n).astype(float)  # the value of rank r is r - 1
    expected = math.ceil(Fraction(95, 100) * n) - 1
    assert quantile_rank(0.95, n) - 1 == expected
    assert quantiles(values, [0.95]) == [expected]
    assert quantiles(values, [0.95]) == [np.quantile(values, 0.95, method="inverted_cdf")]
    assert expected == math.floor(0.95 * (n - 1)) + 1, "the definition of old gave the row before"


def test_ranks_are_exact_where_floats_are_not() -> None:
    assert math.ceil(0.07 * 100) == 8  # the trap
    for percent in range(101):
        assert quantile_rank(percent / 100, 100) == max(1, percent)
        assert quantile_rank(np.float64(percent / 100), 100) == max(1, percent)
    for q, n in ((-0.1, 5), (1.1, 5), (NAN, 5), (0.5, 0)):
        with pytest.raises(LakeSiftError, match="from 0 to 1"):
            quantile_rank(q, n)
