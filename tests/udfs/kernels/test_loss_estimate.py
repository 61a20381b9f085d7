"""Estimates of a sum of losses: by hand, coverage of their errors, and the error of uniform draws; planted losses."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from lakesift.udfs.kernels.loss_estimate import Estimate, from_draws, from_strata

N, DRAWS = 2_000, 200


def test_by_hand() -> None:
    # l / p of the three draws: 8, 8, 16 (weights 1 / (3 p)): mean 32 / 3, sd sqrt(64 / 3).
    made = from_draws([2.0, 4.0], [4 / 3, 4 / 3], [2, 1], rows=4, paid=3)
    assert (made.total, made.rows, made.paid) == (pytest.approx(32 / 3), 4, 3)
    assert made.error == pytest.approx(math.sqrt(64 / 3 / 3))
    # Shares 2/3 and 1/3: variance 8/9; 3 of 4 rows paid.
    assert made.uniform == pytest.approx(4 * math.sqrt(8 / 9 / 3 / 4))
    strata = from_strata([1.0, 3.0, 5.0], [0, 0, 1], rows=6)
    assert strata.total == 18
    assert strata.error == pytest.approx(6 * math.sqrt(2 / 3 / 2)), "inside: 2 over one degree of freedom"


def test_one_draw_has_no_error_and_all_rows_have_error_0() -> None:
    assert math.isnan(from_draws([2.0], [4.0], [1], rows=4, paid=1).error)
    assert math.isnan(from_strata([2.0], [0], rows=4).error)
    everything = from_strata([1.0, 2.0, 4.0], [0, 0, 0], rows=3)
    assert (everything.total, everything.error, everything.uniform) == (7, 0, 0)


def by_draws(loss: np.ndarray, cluster: np.ndarray, draw: np.random.Generator) -> Estimate:
    p = (1.0 + cluster) / (1.0 + cluster).sum()
    rows, copies = np.unique(draw.choice(N, DRAWS, p=p), return_counts=True)
    return from_draws(loss[rows], 1 / (DRAWS * p[rows]), copies, N, DRAWS)


def by_strata(loss: np.ndarray, cluster: np.ndarray, draw: np.random.Generator) -> Estimate:
    order = np.argsort(cluster + draw.random(N))
    places = np.floor((np.arange(DRAWS) + draw.random()) * N / DRAWS).astype(int)
    rows = order[places]
    return from_strata(loss[rows], cluster[rows], N)


@pytest.mark.parametrize("how", [by_draws, by_strata])
def test_errors_cover_the_truth_and_uniform_is_told_right(how: Callable[..., Estimate]) -> None:
    g = np.random.default_rng(1)
    cluster = g.integers(0, 10, N)
    loss = 1.0 + cluster + g.exponential(1, N)
    made = [how(loss, cluster, np.random.default_rng(seed)) for seed in range(400)]
    error = np.array([m.total - loss.sum() for m in made])
    told = np.array([m.error for m in made])
    assert abs(error.mean()) < 4 * error.std() / 20
    assert 0.9 <= (np.abs(error) <= 1.96 * told).mean() <= 0.985
    assert told.mean() == pytest.approx(error.std(), rel=0.12)
    true_uniform = N * loss.std() / math.sqrt(DRAWS) * math.sqrt(1 - DRAWS / N)
    assert np.mean([m.uniform for m in made]) == pytest.approx(true_uniform, rel=0.05)
    assert error.std() < 0.6 * true_uniform
