"""k-center over more vectors than one driver takes: parts of the rows on executors, then the first rows of each part.

Parts are dealt by the hash of the id, so that they are the same for any partitioning; each sends the beginning of its
own farthest-first order, and the driver goes on among these (kernels/k_center_merge.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from ...udfs.arrays import Matrix
from ...udfs.errors import BoundError
from ...udfs.kernels.k_center import KCenter, k_center
from ...udfs.kernels.k_center_merge import depth_of, k_center_merge
from .vector_tasks import by_task, merge_rows, task_rows, with_start
from .vectors import VectorRows, collect_flat, order_of

#: Rows of every part that the first picks are among, if the driver merges so many.
FIRST_ROWS = 4096

_FOUND = "id string, h bigint, vector array<float>, place int"


def parts_of(rows: int, width: int) -> int:
    """Return in how many parts rows with vectors of so many numbers are dealt.

    Examples
    --------
    >>> parts_of(10_000_000, 256)
    31
    """
    return max(1, -(-rows // task_rows(width)))


def deepest(rows: int, width: int) -> int:
    """Return how many rows of every part the driver merges at most: FIRST_ROWS, times or over a power of two.

    Examples
    --------
    >>> deepest(10_000_000, 256), deepest(10_000_000, 4096)
    (16384, 128)
    """
    parts, most, depth = parts_of(rows, width), merge_rows(width), FIRST_ROWS
    while 2 * depth * parts <= most:
        depth *= 2
    while depth > 1 and depth * parts > most:
        depth //= 2
    return depth


def centres_by_task(held: VectorRows, budget: int, start: Sequence[str]) -> tuple[pd.Series[str], KCenter]:
    """Return the ids of the rows at hand, and the picks as positions among them.

    Raises
    ------
    BoundError
        If the budget is more rows than the driver merges.
    """
    parts, most = parts_of(held.count, held.width), deepest(held.count, held.width)
    if min(budget, held.count - len(start)) > parts * most:
        raise BoundError(
            f"k_center of {budget:,} rows is more than the {parts * most:,} vectors of {held.width} elements that the "
            "driver merges: lower the budget, or choose from fewer rows with where:"
        )
    first = min(FIRST_ROWS, most)
    depth = depth_of(budget, first, most)
    rows = with_start(held.finite, start).withColumn("task", F.expr(f"pmod(h, {parts}L)"))
    frame, flat = collect_flat(by_task(rows, partial(_first_rows, depth), _FOUND))
    order = order_of(frame)
    frame = frame.iloc[order].reset_index(drop=True)
    matrix = np.asarray(flat, np.float32).reshape(len(frame), held.width)[order]
    place = frame["place"].to_numpy(np.int64)
    before = np.flatnonzero(place < 0).tolist()
    return frame["id"], k_center_merge(matrix, place, budget, first, most, before)


def _first_rows(depth: int, rows: pd.DataFrame, matrix: Matrix) -> pd.DataFrame:
    """Return the rows of a part that were chosen before, with place -1, and the first of its own order."""
    before = np.flatnonzero(rows["started"].to_numpy(bool))
    order = k_center(matrix, depth, start=before.tolist()).order
    here = np.concatenate([before, order])
    place = np.concatenate([np.full(len(before), -1), np.arange(len(order))]).astype(np.int32)
    found = rows[["id", "h"]].iloc[here].reset_index(drop=True)
    return found.assign(vector=list(matrix[here]), place=place)
