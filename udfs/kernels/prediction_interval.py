"""Where another draw would lie: mean of some draws, and the 95 % interval of a further one.

For n independent draws of a normal figure with mean m and standard deviation s, a further one lies within
m +- t_{n-1, .975} s sqrt(1 + 1/n) with probability 95 % (Student's prediction interval). That answers whether a
figure could be one more draw. Rejected: the interval of the mean, +- t s / sqrt(n). It narrows with every draw: at
n = 10 about half of all selections that are themselves draws would lie outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of (n,) figures and half of the 95 % interval of a further one.

    NaN values are left out. The mean of none is NaN; half of fewer than two is NaN; of equal ones it is 0.

    Examples
    --------
    >>> mean, half = mean_and_half([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    >>> mean, round(half, 4)
    (5.5, 7.1833)
    >>> mean_and_half([0.1, 0.1, 0.1]), mean_and_half([2.0])
    ((0.1, 0.0), (2.0, nan))
    """
    figures = np.asarray([v for v in values if not math.isnan(v)], dtype=np.float64)
    n = figures.size
    if not n:
        return math.nan, math.nan
    if n > 1 and figures.min() == figures.max():
        return float(figures[0]), 0.0
    spread = float(stdtrit(n - 1, 0.975) * figures.std(ddof=1) * math.sqrt(1 + 1 / n)) if n > 1 else math.nan
    return float(figures.mean()), spread
