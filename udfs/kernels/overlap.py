"""What two choices share by chance: the hypergeometric law of the overlap of two independent draws.

Of N rows one draw takes a and another b, both without replacement and each set of rows as likely as any other. They
share k rows with probability C(a, k) C(N - a, b - k) / C(N, b): mean a b / N. The weights are summed over all k that
carry mass, from logarithms (gammaln), so that a, b and N may be millions. Deviation from scipy.stats.hypergeom: its
quantiles step through the law one by one.
Left out: draws with unequal probabilities, and draws with replacement.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln

#: Standard deviations around the mean outside of which the law has no mass that a float shows.
REACH = 40.0


def chance_overlap(rows: int, first: int, second: int, share: float = 0.95) -> tuple[float, int, int]:
    """Return the mean of the overlap of two random draws, and the ends of the interval that holds `share` of it.

    Parameters
    ----------
    rows : int
        N, the rows that both draw from.
    first, second : int
        Rows of each draw, from 0 to N.
    share : float
        Of the probability: at most (1 - share) / 2 lies below the interval, as much above it.

    Returns
    -------
    mean : float
    low, high : int
        Both are part of the interval; equal where the overlap is no matter of chance.

    Raises
    ------
    ValueError
        If a draw is of more rows than there are.

    Examples
    --------
    >>> chance_overlap(100, 20, 30)
    (6.0, 3, 10)
    >>> chance_overlap(10, 10, 4), chance_overlap(0, 0, 0)
    ((4.0, 4, 4), (0.0, 0, 0))
    """
    if not (0 <= first <= rows and 0 <= second <= rows):
        raise ValueError(f"draws of {first} and {second} rows from {rows}")
    least, most = max(0, first + second - rows), min(first, second)
    if least == most:
        return float(most), most, most
    mean = first * second / rows
    spread = math.sqrt(mean * (rows - first) / rows * (rows - second) / max(1, rows - 1))
    low, high = max(least, math.floor(mean - REACH * spread) - 50), min(most, math.ceil(mean + REACH * spread) + 50)
    k = np.arange(low, high + 1, dtype=np.float64)
    # What does not depend on k cancels out when the weights are divided by their sum.
    logs = -gammaln(k + 1) - gammaln(first - k + 1) - gammaln(second - k + 1) - gammaln(rows - first - second + k + 1)
    weights = np.exp(logs - logs.max())
    below = np.cumsum(weights) / weights.sum()
    tail = (1 - share) / 2
    ends = np.searchsorted(below, [tail * (1 + 1e-9), 1 - tail])
    return mean, int(k[ends[0]]), int(k[min(ends[1], k.size - 1)])
