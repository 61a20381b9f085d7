"""The mean over a pool of what was measured on an evaluation subset, its standard error, and that of uniform draws.

Stratified random sampling without replacement (Cochran, Sampling Techniques, 3rd edition): of the N_h rows of stratum h
n_h were drawn, each of weight N_h / n_h, so that N_h is the sum of a stratum's weights. The mean is sum N_h y_h / N
(eq. 5.1, unbiased), its variance sum (N_h / N)^2 (1 - n_h / N_h) s_h^2 / n_h (eq. 5.7), the interval Student's with the
degrees of freedom of Satterthwaite (eq. 5.16). What as many uniform draws would have given follows from the same rows
(section 5A.11). Left out: other estimators than means; a sum is N times the mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from ..arrays import Floats
from ..errors import InputError


class StratifiedEstimate(NamedTuple):
    """A mean over `rows` rows from `drawn` ones of `strata` strata.

    `error` is its standard error, `low` and `high` are the ends of the 95 % interval, `uniform_error` is the standard
    error that as many uniform draws would have had. Errors are NaN where they are unknown: a stratum of several rows
    has a single one here.
    """

    mean: float
    error: float
    low: float
    high: float
    uniform_error: float
    rows: int
    drawn: int
    strata: int

    @property
    def saved(self) -> float:
        """How many times as many uniform draws the same error takes, but for the size of the pool; NaN if unknown."""
        return (self.uniform_error / self.error) ** 2 if self.error > 0 else math.nan

    def __str__(self) -> str:
        """Return it in words."""
        half, uniform = (self.high - self.low) / 2, 1.96 * self.uniform_error
        known = "its error is unknown" if math.isnan(self.error) else f"+- {half:.3g} (95 %)"
        said = f"mean {self.mean:.6g}, {known}, over {self.rows:,} rows by {self.drawn:,} of {self.strata:,} strata"
        if math.isnan(self.saved):
            return said
        return f"{said}; as many uniform draws: +- {uniform:.3g}, {self.saved:.3g} times as many for the same error"


def estimate(values: ArrayLike, strata: ArrayLike, weights: ArrayLike) -> StratifiedEstimate:
    """Return the mean of a value over the pool that an evaluation subset was drawn from, with its error.

    Parameters
    ----------
    values : (n,) numbers
        What was measured on every row of the subset: a loss, 0 or 1 for an error, a judge's score.
    strata : (n,)
        The column `stratum` of the subset; any values that can be sorted.
    weights : (n,) numbers
        Its column `weight`.

    Raises
    ------
    InputError
        If there is no row, the three are not of one length, a value is no finite number, or a weight is below 1.

    Examples
    --------
    >>> found = estimate([0, 1, 1, 1], ["a", "a", "b", "b"], [3, 3, 1, 1])
    >>> found.mean, round(found.error, 4), found.rows
    (0.625, 0.3062, 8)
    """
    value, weight = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    names, stratum = np.unique(np.asarray(strata), return_inverse=True)
    _check(value, stratum, weight)
    drawn = np.bincount(stratum)
    rows = np.maximum(np.bincount(stratum, weight), drawn)  # weights of 10 / 3 add up to 10 but for the last bit
    total = float(rows.sum())
    means = np.bincount(stratum, value) / drawn
    mean = float(rows @ means / total)
    squares = np.bincount(stratum, (value - means[stratum]) ** 2)
    left = rows - drawn  # 0: all rows were measured, and there is nothing to know
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = np.where(left > 0, rows * left / drawn * squares / (drawn - 1), 0.0)
    variance = float(terms.sum() / total**2)
    half = _quantile(terms, drawn) * math.sqrt(variance)
    spread = float(np.sum(weight * (value - mean) ** 2) / total) + variance
    uniform = math.sqrt(spread * (total - len(value)) / (len(value) * (total - 1))) if total > 1 else 0.0
    found = mean, math.sqrt(variance), mean - half, mean + half, uniform
    return StratifiedEstimate(*found, round(total), len(value), len(names))


def _quantile(terms: Floats, drawn: np.ndarray) -> float:
    """Return Student's 97.5 % quantile for a sum of variances of so many draws, 0 where nothing varies."""
    if not terms.any():
        return 0.0
    varying = terms > 0
    freedom = terms.sum() ** 2 / np.sum(terms[varying] ** 2 / (drawn[varying] - 1))
    return float(stdtrit(freedom, 0.975))


def _check(value: Floats, stratum: np.ndarray, weight: Floats) -> None:
    """Raise InputError for what no mean follows from."""
    shapes = value.shape, stratum.shape, weight.shape
    if value.ndim != 1 or len(set(shapes)) > 1 or not len(value):
        raise InputError(
            f"values, strata and weights have the shapes {', '.join(map(str, shapes))}; one of each for every row of "
            "the subset is needed, and at least one row"
        )
    bad = np.flatnonzero(~np.isfinite(value))
    if len(bad):
        raise InputError(
            f"the value at place {bad[0]} is {value[bad[0]]}; a finite number for every row of the subset is needed: "
            "measure all rows, those left out would bias the mean"
        )
    bad = np.flatnonzero(~(weight >= 1))
    if len(bad):
        raise InputError(
            f"the weight at place {bad[0]} is {weight[bad[0]]}; a row stands for itself at least: pass the "
            "column weight of the subset"
        )
