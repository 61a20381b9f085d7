"""Quotas: how many rows each group gives, from the group sizes alone.

The i-th row of group j has the key (i - u_j) / w_j, and the b smallest keys are taken (a divisor method of
apportionment with a random offset per group): sums are exact, capacities hold, and a smaller budget is a prefix of a
larger one. `allocation` gives every group its least number of rows first: the same keys from there on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...udfs.errors import InputError


def quota(capacity: npt.ArrayLike, weight: npt.ArrayLike, offset: npt.ArrayLike, budget: int) -> npt.NDArray[np.int64]:
    """Return how many rows each group gives: the `budget` smallest keys (i - offset) / weight, 1 <= i <= capacity.

    Parameters
    ----------
    capacity, weight, offset : array_like, shape (groups,)
        Rows that the group can give; share (>= 0, weight 0 gives none); u_j <= 1. Equal keys: earlier group first.
    budget : int
        Rows wanted; the sum is min(budget, total capacity of groups with weight).

    Raises
    ------
    InputError
        If a positive weight is so small that a key overflows.

    Examples
    --------
    >>> quota([100, 100, 2], [2.0, 1.0, 1.0], [0.5, 0.5, 0.5], 12).tolist()
    [7, 3, 2]
    """
    w, u = np.asarray(weight, float), np.asarray(offset, float)
    most = np.where(w > 0, np.asarray(capacity, np.int64), 0)
    if most.sum() <= budget:
        return most
    w = np.where(w > 0, w, 1.0)

    def upto(bound: float) -> npt.NDArray[np.int64]:
        i: npt.NDArray[np.int64] = np.clip(np.floor(bound * w + u), 0, most).astype(np.int64)
        i += (i < most) & ((i + 1 - u) / w <= bound)  # rounding puts the floor off by one at most
        i -= (i > 0) & ((i - u) / w > bound)
        return i

    with np.errstate(over="ignore"):
        high = float(((most - u) / w).max())
    if not np.isfinite(high):
        raise InputError(f"the quota's smallest weight is {w.min()}: give weights that are 0 or above 1e-250")
    low = -1.0
    while low < (middle := low + (high - low) / 2) < high:
        fits = int(upto(middle).sum()) <= budget
        low, high = (middle, high) if fits else (low, middle)
    share = upto(low)
    tied = (share < most) & ((share + 1 - u) / w <= high)
    share[np.flatnonzero(tied)[: budget - int(share.sum())]] += 1
    return share


def allocation(
    size: npt.ArrayLike, weight: npt.ArrayLike, offset: npt.ArrayLike, budget: int, least: int
) -> npt.NDArray[np.int64]:
    """Return how many rows each group gives: `least` or all that it has, the rest of the budget by the keys of quota.

    Parameters
    ----------
    size, weight, offset : array_like, shape (groups,)
        Rows of the group; share (> 0); u_j in (0, 1].
    budget : int
        At least what all groups together are given first.

    Examples
    --------
    >>> allocation([90, 9, 1], [90.0, 9.0, 1.0], [0.5, 0.5, 0.5], 20, least=2).tolist()
    [17, 2, 1]
    """
    sizes = np.asarray(size, np.int64)
    first = np.minimum(sizes, least)
    return first + quota(sizes - first, weight, np.asarray(offset, float) - first, budget - int(first.sum()))
