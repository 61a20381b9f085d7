"""The sum of a loss over all rows from weighted draws, with a standard error, and what uniform draws would have given.

Draws with replacement (sensitivity sampling): T = mean over draws of l / p, its error the sd of l / p over sqrt(s)
(Hansen and Hurwitz 1943). Strata by quota, without replacement: T = n times the mean, its error from the variance
inside the strata (Cochran, Sampling Techniques, section 5.6); strata with one drawn row count as one stratum together,
which rather overstates it. Errors are as exact as such errors from a sample: for rare large losses too small.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats


class Estimate(NamedTuple):
    """A sum over `rows` rows, its standard error, and the error of the mean of `paid` uniform draws times the rows.

    Errors are NaN where there are too few draws.
    """

    total: float
    error: float
    uniform: float
    rows: int
    paid: int


def _uniform_error(loss: Floats, share: Floats, rows: int, paid: int) -> float:
    """Return the error of a sum from `paid` uniform draws without replacement, by the weighted variance of the loss."""
    mean = math.fsum(share * loss)
    variance = math.fsum(share * (loss - mean) ** 2)
    return rows * math.sqrt(variance / paid * max(1 - paid / rows, 0)) if len(loss) > 1 else math.nan


def from_draws(losses: ArrayLike, weights: ArrayLike, copies: ArrayLike, rows: int, paid: int) -> Estimate:
    """Return the estimate from draws with replacement.

    Parameters
    ----------
    losses, weights, copies : (d,)
        Of the distinct drawn rows; a weight is 1 / (s p), copies add up to s.
    rows : int
        Rows that the sum is over.
    paid : int
        Losses that were computed, for centres and probes too.

    Examples
    --------
    >>> from_draws([1.0, 3.0], [2.0, 2.0], [1, 1], rows=4, paid=2)._replace(uniform=0)
    Estimate(total=8.0, error=4.0, uniform=0, rows=4, paid=2)
    """
    loss, weight, count = (np.asarray(part, dtype=np.float64) for part in (losses, weights, copies))
    s = count.sum()
    total = math.fsum(count * weight * loss)
    spread = math.fsum(count * (s * weight * loss - total) ** 2)
    error = math.sqrt(spread / (s * (s - 1))) if s > 1 else math.nan
    return Estimate(total, error, _uniform_error(loss, count * weight / (count * weight).sum(), rows, paid), rows, paid)


def from_strata(losses: ArrayLike, strata: ArrayLike, rows: int) -> Estimate:
    """Return the estimate from rows drawn in proportion to strata, without replacement.

    Parameters
    ----------
    losses, strata : (d,)
        Of the drawn rows; the numbers of their strata, from 0.
    rows : int
        Rows that the sum is over.

    Examples
    --------
    >>> from_strata([1.0, 1.0, 3.0, 3.0], [0, 0, 1, 1], rows=8)._replace(uniform=0)
    Estimate(total=16.0, error=0.0, uniform=0, rows=8, paid=4)
    """
    loss, stratum = np.asarray(losses, dtype=np.float64), np.asarray(strata, dtype=np.int64)
    drawn = len(loss)
    sizes = np.bincount(stratum)
    stratum = np.where(sizes[stratum] == 1, len(sizes), stratum)
    sizes = np.bincount(stratum)
    mean = np.bincount(stratum, loss)[stratum] / sizes[stratum]
    free = drawn - np.count_nonzero(sizes)
    within = math.fsum((loss - mean) ** 2) / free if free > 0 else math.nan
    left = max(1 - drawn / rows, 0)
    share = np.full(drawn, 1 / drawn)
    total = rows / drawn * math.fsum(loss)
    return Estimate(
        total, rows * math.sqrt(within / drawn * left), _uniform_error(loss, share, rows, drawn), rows, drawn
    )
