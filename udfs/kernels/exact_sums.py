"""Sums of vectors without rounding error, so that neither the order of rows nor a partitioning changes a bit. Ours.

Values are rounded to a power-of-two grid first; float64 then adds whole numbers of steps, which is exact.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_matrix

from ..arrays import Clusters, Floats, Rows
from ..errors import BoundError


class Grid(NamedTuple):
    """Powers of two on which coordinates and squared lengths of rows add in float64 without error.

    `Grid.of(largest, rows, width)` is for `rows` rows of `width` values up to `largest`. Sums stay below 2^51 steps,
    well inside the 2^53 range in which float64 holds every integer. Rounding costs at most half a step a value, 2^-51
    rows largest: nothing for float32 values not tiny beside `largest`.

    Examples
    --------
    >>> Grid.of(1.0, 1000, 4).step == 2.0**-41
    True
    """

    largest: float
    step: float
    step_sq: float

    @staticmethod
    def of(largest: float, rows: int, width: int) -> Grid:
        """Return the grid; BoundError if the sums are too large for float64."""
        steps = []
        for largest_sum in (largest * rows, largest * largest * width * rows):
            if not largest_sum < 2.0**960:  # NaN too
                raise BoundError(f"values up to {largest} have no exact sums in float64; scale the vectors below 1e100")
            steps.append(2.0 ** max(math.frexp(largest_sum)[1] - 51, -1022))  # 2^-1022: the least normal number
        return Grid(largest, *steps)

    def rounded(self, x: Rows, out: Floats) -> Floats:
        """Return rows rounded to the grid, (n, d) float64, in `out`; BoundError for a value above `largest`."""
        if x.size and not max(x.max(), -x.min()) <= self.largest:  # NaN too
            raise BoundError(f"a value is above {self.largest}, the largest that these exact sums allow for; fit again")
        return snap(x, self.step, out[: len(x)])

    def squares(self, points: Floats) -> float:
        """Return the exact sum of the squared lengths of rows on the grid; overwrites the rows."""
        points *= points
        lengths = points.sum(axis=1)
        return float(snap(lengths, self.step_sq, lengths).sum())


def snap(x: Rows, step: float, out: Floats) -> Floats:
    """Return values rounded to whole steps, half to even, in `out`; |x| up to 2^51 steps.

    Examples
    --------
    >>> snap(np.array([0.3, 0.4]), 0.25, np.empty(2)).tolist()
    [0.25, 0.5]
    """
    # Adding 1.5 x 2^52 steps leaves float64 no digits below one step.
    # `out` is reused: a fresh array for each block is new pages each time, which costs several times the arithmetic.
    shift = np.float64(1.5 * 2.0**52 * step)
    np.add(x, shift, out=out)
    out -= shift
    return out


def move_in(sums: Floats, points: Floats, new: Clusters, old: Clusters | None = None) -> None:
    """Add rows on the grid to the sums (k, d) of their new clusters, and subtract them from those of their old ones."""
    n, shape = len(points), (len(sums), len(points))
    if old is None:
        onehot = csc_matrix((np.ones(n), new, np.arange(n + 1, dtype=np.int32)), shape=shape)
    else:
        signs, ends = np.tile((1.0, -1.0), n), np.arange(0, 2 * n + 1, 2, dtype=np.int32)
        onehot = csc_matrix((signs, np.stack((new, old), axis=1).ravel(), ends), shape=shape)
    sums += onehot @ points
