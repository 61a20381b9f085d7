"""The interval of a further draw: against scipy, and by how often further draws lie inside."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from lakesift.udfs.kernels.prediction_interval import mean_and_half


@pytest.mark.parametrize("n", [2, 3, 10, 100])
def test_the_formula(n: int) -> None:
    figures = np.random.default_rng(n).normal(3, 2, n)
    mean, half = mean_and_half(figures.tolist())
    deviation = math.sqrt(sum((x - figures.sum() / n) ** 2 for x in figures) / (n - 1))
    assert mean == pytest.approx(figures.sum() / n)
    assert half == pytest.approx(student.ppf(0.975, n - 1) * deviation * math.sqrt(1 + 1 / n))
    assert mean_and_half([*figures.tolist(), math.nan]) == (mean, half)


def test_a_selection_that_is_a_draw_lies_outside_in_one_of_twenty() -> None:
    rng = np.random.default_rng(0)
    outside, outside_of_the_mean = 0, 0
    for _ in range(4_000):
        *draws, selection = rng.normal(0.3, 0.02, 11).tolist()
        mean, half = mean_and_half(draws)
        outside += abs(selection - mean) > half
        outside_of_the_mean += abs(selection - mean) > half / math.sqrt(11)
    assert 0.04 < outside / 4_000 < 0.06
    assert outside_of_the_mean / 4_000 > 0.4, "why it is not the interval of the mean"
