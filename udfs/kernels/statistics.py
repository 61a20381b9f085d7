"""Statistics that the report prints: rank correlation, exact order statistics, shares of values.

Left out: interpolated quantiles (a reported bound is a value that some row has) and p-values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LakeSiftError


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1; equal values share the mean of their ranks."""
    _, back, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[back]
    return ranks


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Return Spearman's rank correlation of two columns, -1 to 1, with average ranks for ties.

    Pairs with a NaN on either side are dropped. NaN (undefined) with fewer than two pairs or a constant column.

    Raises
    ------
    LakeSiftError
        If the columns differ in length.

    Examples
    --------
    >>> round(spearman([1, 2, 3, float("nan")], [10, 30, 20, 0]), 6)
    0.5
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.shape != b.shape:
        raise LakeSiftError(f"a rank correlation needs columns of one length, but got {a.size} and {b.size} values")
    both = ~(np.isnan(a) | np.isnan(b))
    if both.sum() < 2:
        return float("nan")
    ranks = np.stack([_average_ranks(a[both]), _average_ranks(b[both])])
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).sum(axis=1).prod())
    return float(np.clip((centred[0] * centred[1]).sum() / scale, -1, 1)) if scale > 0 else float("nan")


def quantile_position(q: float, count: int) -> int:
    """Return the 0-based position, in ascending order, of the lower order statistic: floor(q (count - 1)), exactly.

    `q` is taken as the decimal it is written as: float arithmetic would put q = .29 of 101 values at 28, not 29.

    Raises
    ------
    LakeSiftError
        If `q` is outside 0 to 1 or there is no value.

    Examples
    --------
    >>> quantile_position(0.29, 101)
    29
    """
    if not 0 <= q <= 1 or count < 1:
        raise LakeSiftError(f"the quantile {q} of {count} values is undefined; give a q from 0 to 1 and some values")
    return int(Fraction(repr(float(q))) * (count - 1))


def quantiles(values: ArrayLike, qs: Sequence[float]) -> list[float]:
    """Return lower order statistics: each is one of the values, never between two; NaN values are dropped.

    All NaN (undefined) if no value is left. Equal to numpy's `method="lower"` up to its rounding of q (n - 1).

    Examples
    --------
    >>> quantiles([4, 1, 3, 2], [0, 0.5, 1])
    [1.0, 2.0, 4.0]
    """
    column = np.asarray(values, dtype=np.float64)
    ordered = np.sort(column[~np.isnan(column)])
    if not ordered.size:
        return [float("nan")] * len(qs)
    return [float(ordered[quantile_position(q, ordered.size)]) for q in qs]


def shares(values: Iterable[object]) -> dict[object, float]:
    """Return value -> share of all rows, largest first, ties in order of their text; NaN counts as None (null).

    Empty for no rows.

    Examples
    --------
    >>> shares(["b", "a", "a", None])
    {'a': 0.5, None: 0.25, 'b': 0.25}
    """
    counts = Counter(None if v != v else v for v in values)
    total = counts.total()
    return {v: n / total for v, n in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))}
