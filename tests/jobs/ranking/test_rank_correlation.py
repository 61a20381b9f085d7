"""The report's rank correlation against scipy, with ties and missing pairs; its limits."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from lakesift.jobs.ranking.rank_correlation import rank_correlation

NAN = float("nan")


def correlation(x: object, y: object) -> float:
    return rank_correlation(pd.DataFrame({"x": x, "y": y}), "x", "y")


def test_it_equals_scipy_with_ties_and_missing_pairs() -> None:
    rng = np.random.default_rng(0)
    for levels in (2, 5, 1000):
        x, y = rng.integers(0, levels, 300).astype(float), rng.normal(size=300)
        y += 0.5 * x
        x[::7], y[::11] = NAN, NAN
        assert correlation(x, y) == pytest.approx(spearmanr(x, y, nan_policy="omit").statistic, abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_its_laws_and_where_it_is_undefined() -> None:
    x = np.array([3.0, 1, 4, 1, 5, NAN])
    assert correlation(x, x) == pytest.approx(1)
    assert correlation(x, -x) == pytest.approx(-1)
    assert correlation(x, np.exp(x)) == pytest.approx(1)  # of the order alone
    assert correlation([1, 2, np.inf], [1, 2, 3]) == pytest.approx(1)
    for a, b in (([], []), ([1.0], [2.0]), ([1.0, NAN], [2.0, 3.0]), ([1.0, 1.0], [1.0, 2.0]), ([0.1] * 7, range(7))):
        assert math.isnan(correlation(a, b))


def test_scipy_stats_is_not_imported() -> None:
    code = (
        "import sys, pandas as pd; from lakesift.jobs.ranking.rank_correlation import rank_correlation; "
        "rank_correlation(pd.DataFrame({'x': [1, 2], 'y': [2, 1]}), 'x', 'y'); sys.exit('scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
