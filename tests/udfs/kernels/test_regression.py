"""Regression: fits by hand and against rivals, invariances, and what sampling by each score leaves of the fit.

`python -m tests.udfs.kernels.test_regression` gives the table of all comparisons, whichever way they fall.
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LinearRegression
from sklearn.metrics import pairwise_distances_argmin

from lakesift.udfs.errors import InputError
from lakesift.udfs.kernels.least_squares import weighted_least_squares
from tests.udfs.kernels import twins_sensitivity as twin
from tests.udfs.kernels.twins_regression import leverage_scores, regression_scores

N, D, K, DRAWS, REPEATS, SEEDS = 4000, 8, 40, 150, 12, 10
CASES = ("heavy tails", "heavy tails, noise grows", "clumps, equal noise")
Table = dict[str, Any]


def planted(case: str, seed: int) -> tuple[Any, Any]:
    """Return rows and labels: far rows carry what there is to learn, or (clumps) distances say nothing."""
    draw = np.random.default_rng(seed)
    x, noise = draw.normal(size=D), 0.5 * draw.normal(size=N)
    if case == "clumps, equal noise":
        clump = draw.normal(size=(60, D)) * draw.lognormal(0, 0.7, 60)[:, None]
        rows = clump[draw.integers(0, 60, N)] + 0.1 * draw.normal(size=(N, D))
        return rows, rows @ x + noise
    rows = draw.normal(size=(N, D)) * draw.lognormal(0, 1.2, N)[:, None]
    return rows, rows @ x + (noise * np.linalg.norm(rows, axis=1) / 3 if case.endswith("grows") else noise)


def excess(rows: Any, labels: Any, p: Any, s: int, seed: int) -> float:
    """Return by how much the full squared loss of the sample's fit is above the least, as a share, mean of repeats."""
    least = ((rows @ weighted_least_squares(rows, labels, np.ones(N)) - labels) ** 2).sum()
    found = []
    for repeat in range(REPEATS):
        copies = twin.sample(p, 1000 * seed + repeat, s)
        weights = np.where(copies > 0, copies / np.where(copies > 0, s * p, 1), 0)
        x = weighted_least_squares(rows, np.where(copies > 0, labels, np.nan), weights)
        found.append(((rows @ x - labels) ** 2).sum() / least - 1)
    return float(np.mean(found))


@lru_cache
def compared(case: str) -> Table:
    """Return excess losses (SEEDS,) by way of drawing. Uniform also with as many labels as sensitivity sampling."""
    table: Table = {"sensitivity": [], "leverage": [], "uniform": [], "uniform, equal labels": []}
    for seed in range(SEEDS):
        rows, labels = planted(case, seed)
        means = MiniBatchKMeans(K, n_init=1, max_iter=10, random_state=0).fit(rows).cluster_centers_
        centres = np.unique(pairwise_distances_argmin(means, rows))
        cluster = pairwise_distances_argmin(rows, rows[centres])
        distance_sq = ((rows - rows[centres][cluster]) ** 2).sum(axis=1)
        q = regression_scores(rows[centres], labels[centres], np.bincount(cluster), cluster, distance_sq)
        p = {"sensitivity": q, "leverage": leverage_scores(rows), "uniform": np.ones(N)}
        for name, scores in p.items():
            mixing = 0.0 if name == "uniform" else 0.1
            table[name].append(excess(rows, labels, twin.probabilities(scores, mixing), DRAWS, seed))
        more = DRAWS + len(centres)
        table["uniform, equal labels"].append(excess(rows, labels, np.full(N, 1 / N), more, seed))
    return {name: np.array(values) for name, values in table.items()}


def interval(differences: Any) -> tuple[float, float]:
    """Return the 95 % t-interval of a mean."""
    half = student.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / math.sqrt(len(differences))
    return differences.mean() - half, differences.mean() + half


def report() -> str:
    """Return every comparison as text."""
    lines = [f"excess of the full loss, mean of {SEEDS} seeds; rival - sensitivity with its 95 % interval"]
    for case in CASES:
        table = compared(case)
        for name, values in table.items():
            low, high = interval(values - table["sensitivity"])
            lines.append(f"{case:26} {name:22} {values.mean():8.4f}   {low:8.4f} {high:8.4f}")
    return "\n".join(lines)


@pytest.mark.parametrize("case", CASES[:2])
@pytest.mark.parametrize("rival", ["uniform", "uniform, equal labels"])
def test_it_beats_uniform_where_far_rows_carry_the_fit(case: str, rival: str) -> None:
    table = compared(case)
    low, _ = interval(table[rival] - table["sensitivity"])
    assert low > 0, f"the excess loss is no lower than that of {rival}:\n{report()}"


def test_where_distances_say_nothing_it_does_not_help() -> None:
    table = compared(CASES[2])
    assert table["sensitivity"].mean() > table["uniform"].mean(), f"take the warning out of the docs:\n{report()}"


def test_the_report_holds_every_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    text = report()
    assert all(case in text for case in CASES)
    assert text.count("leverage") == len(CASES)
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


# Least squares


def test_weighted_fit_equals_scikit_learn_and_repetition() -> None:
    draw = np.random.default_rng(0)
    rows, labels, weights = draw.normal(size=(50, 4)), draw.normal(size=50), draw.integers(0, 4, 50)
    found = weighted_least_squares(rows, labels, weights)
    rival = LinearRegression(fit_intercept=False).fit(rows, labels, sample_weight=weights).coef_
    np.testing.assert_allclose(found, rival, rtol=1e-9)
    repeated = np.repeat(np.arange(50), weights)
    np.testing.assert_allclose(
        weighted_least_squares(rows[repeated], labels[repeated], np.ones(len(repeated))), found, rtol=1e-9
    )
    np.testing.assert_allclose(weighted_least_squares(rows, labels, weights * 1e200), found, rtol=1e-9)


def test_a_singular_fit_is_the_shortest() -> None:
    assert weighted_least_squares([[1.0, 1.0]], [4.0], [3.0]) == pytest.approx([2, 2])
    assert weighted_least_squares([[1.0, 0.0], [1.0, 0.0]], [4.0, 2.0], [1.0, 1.0]) == pytest.approx([3, 0])


@pytest.mark.parametrize(
    ("rows", "labels", "weights"),
    [
        ([[math.nan]], [1.0], [1.0]),
        ([1.0], [1.0], [1.0]),
        ([[1.0]], [math.nan], [1.0]),
        ([[1.0]], [1.0], [0.0]),
        ([[1.0]], [1.0], [-1.0]),
        ([[1.0]], [1.0], [math.inf]),
    ],
)
def test_bad_input(rows: Any, labels: Any, weights: Any) -> None:
    with pytest.raises(InputError):
        weighted_least_squares(rows, labels, weights)


# Scores


def test_leverage_is_the_diagonal_of_the_projection() -> None:
    draw = np.random.default_rng(1)
    rows = draw.normal(size=(30, 5)) * [1, 10, 1e3, 1, 1]
    hat = rows @ np.linalg.inv(rows.T @ rows) @ rows.T
    np.testing.assert_allclose(leverage_scores(rows), np.diag(hat), atol=1e-9)
    mixed = rows @ draw.normal(size=(5, 5))
    np.testing.assert_allclose(leverage_scores(mixed), np.diag(hat), atol=1e-7)


def test_leverage_of_dependent_columns_and_duplicates() -> None:
    draw = np.random.default_rng(2)
    rows = draw.normal(size=(20, 3))
    double = np.hstack([rows, rows[:, :1] + rows[:, 1:2]])
    np.testing.assert_allclose(leverage_scores(double), leverage_scores(rows), atol=1e-12)
    assert leverage_scores(double).sum() == pytest.approx(3)
    assert leverage_scores(np.ones((8, 2))) == pytest.approx(np.full(8, 1 / 8))
    assert leverage_scores(np.zeros((3, 2))).tolist() == [0, 0, 0]


def test_regression_scores_by_hand() -> None:
    centres, labels, sizes = [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]], [2.0, 1.0, 5.0], [1, 3, 1]
    # The third and second centre differ in label alone: x0 = (2, 0), residuals 0, 1 and -3, ||x0||^2 = 4.
    cluster, distance_sq = [0, 1, 2, 2], [1.0, 0.0, 0.0, 0.5]
    assert regression_scores(centres, labels, sizes, cluster, distance_sq) == pytest.approx([4, 1, 9, 11])
    assert regression_scores(centres, labels, sizes, cluster, distance_sq, 0.0) == pytest.approx([0, 1, 9, 9])
    with pytest.raises(InputError):
        regression_scores(centres, [1.0, math.nan, 1.0], sizes, cluster, distance_sq)


if __name__ == "__main__":
    sys.stdout.write(f"{report()}\n")
