"""Quantiles: the q-quantile of n values is the max(1, ceil(q n))-th smallest, so always one of the values.

The one definition of LakeSift, for values in memory and on Spark. It is numpy's method "inverted_cdf" but for rounding:
q is read as the decimal it is written as, so that 0.07 of 100 values is the 7th and not the 8th. Left out:
interpolation (a bound that is reported is a value that some row has).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from ..errors import LakeSiftError


def quantile_rank(q: float, n: int) -> int:
    """Return max(1, ceil(q n)): the rank, from 1, of the q-quantile among n values in ascending order.

    Raises
    ------
    LakeSiftError
        If `q` is outside 0 to 1 or there is no value.

    Examples
    --------
    >>> quantile_rank(0.07, 100), quantile_rank(0.0, 5), quantile_rank(1.0, 5), quantile_rank(0.5, 5)
    (7, 1, 5, 3)
    """
    if not 0 <= q <= 1 or n < 1:
        raise LakeSiftError(f"the quantile {q} of {n} values is undefined; give a q from 0 to 1 and some values")
    return max(1, math.ceil(Fraction(str(q)) * n))


def quantiles(values: ArrayLike, qs: Sequence[float]) -> list[float]:
    """Return the quantiles of (n,) numbers; NaN values are left out, and all are NaN if no other value is left.

    Examples
    --------
    >>> quantiles([4, 1, float("nan"), 3, 2], [0, 0.5, 0.51, 1])
    [1.0, 2.0, 3.0, 4.0]
    """
    column = np.asarray(values, dtype=np.float64)
    ordered = np.sort(column[~np.isnan(column)])
    if not ordered.size:
        return [math.nan] * len(qs)
    return [float(ordered[quantile_rank(q, ordered.size) - 1]) for q in qs]
