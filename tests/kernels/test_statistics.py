"""Rank correlation and quantiles against scipy and numpy, with ties, NaN and rounding traps; shares by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from lakesift.udfs.errors import LakeSiftError
from lakesift.udfs.kernels.statistics import quantile_position, quantiles, shares, spearman

NAN = float("nan")


def test_spearman_equals_scipy_with_ties_and_missing_pairs() -> None:
    rng = np.random.default_rng(0)
    for levels in (2, 5, 1000):
        x, y = rng.integers(0, levels, 300).astype(float), rng.normal(size=300)
        y += 0.5 * x
        x[::7], y[::11] = NAN, NAN
        assert spearman(x, y) == pytest.approx(spearmanr(x, y, nan_policy="omit").statistic, abs=1e-12)


def test_spearman_laws() -> None:
    x = np.array([3.0, 1, 4, 1, 5, NAN])
    assert spearman(x, x) == pytest.approx(1)
    assert spearman(x, -x) == pytest.approx(-1)
    assert spearman(x, np.exp(x)) == pytest.approx(1)  # of the order alone
    assert spearman(np.array([1, 2, np.inf]), np.array([1, 2, 3])) == pytest.approx(1)
    for a, b in (([], []), ([1.0], [2.0]), ([1.0, NAN], [2.0, 3.0]), ([1.0, 1.0], [1.0, 2.0])):
        assert math.isnan(spearman(a, b))
    with pytest.raises(LakeSiftError, match="3 and 2 values"):
        spearman([1, 2, 3], [1, 2])


def test_quantiles_are_values_at_the_lower_position() -> None:
    values = np.random.default_rng(1).normal(size=500)
    values[::9] = NAN
    qs = [0, 0.013, 0.25, 0.5, 0.77, 1]
    assert quantiles(values, qs) == list(np.quantile(values[~np.isnan(values)], qs, method="lower"))
    assert quantiles([7, 7, 1], [0.5]) == [7.0]
    assert all(map(math.isnan, quantiles([NAN], [0, 1])))


def test_quantile_position_is_exact_where_floats_are_not() -> None:
    for percent in range(101):
        assert quantile_position(percent / 100, 101) == percent
    assert int(0.29 * 100) == 28  # the trap
    for q, count in ((-0.1, 5), (1.1, 5), (NAN, 5), (0.5, 0)):
        with pytest.raises(LakeSiftError, match="from 0 to 1"):
            quantile_position(q, count)


def test_shares() -> None:
    assert shares([]) == {}
    got = shares(["x", NAN, None, "x", "a", True, float("nan"), "x"])
    assert got == {"x": 3 / 8, None: 3 / 8, "a": 1 / 8, True: 1 / 8}
    assert list(got) == [None, "x", True, "a"]
    assert sum(shares(range(7)).values()) == pytest.approx(1)
