"""Deita's filter over more vectors than one driver takes: a walk down the ranks in slices, with the same result.

The driver holds the kept rows and one slice. Executors leave out what is near one of the first kept rows, as many as
travel with a task, so that mostly the others travel; the driver tests these against all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.arrays import Matrix, Positions
from ...udfs.errors import BoundError
from ...udfs.kernels.near_duplicates import deita, first_near
from ...udfs.kernels.nearest_rows import cosines
from .top import rows_of, top
from .vector_tasks import by_batch, merge_rows, shipped_rows
from .vectors import VectorRows, collect_flat

_COLUMNS = ("id", "h", "vector", "key")
_RANK = ["key", "h", "id"]


class Walked(NamedTuple):
    """Kept rows (id, key, h) in order of rank, and their vectors."""

    rows: pd.DataFrame
    matrix: Matrix


def walk_in_slices(held: VectorRows, limit: float, budget: int, seed: int) -> Walked:
    """Keep rows that are near no row kept before, until there are `budget`.

    Parameters
    ----------
    held : VectorRows
        With the column `key` (double) by which rows are ranked, smallest first, then by (h, id).
    limit : float
        A cosine above it keeps a row out.

    Raises
    ------
    BoundError
        If more rows are kept than the driver merges.
    """
    rows, size = held.finite.select(*_COLUMNS), merge_rows(held.width)
    frames, kept, left = list[pd.DataFrame](), np.empty((0, held.width), np.float32), rows
    while len(kept) < budget:
        best = top(left, F.col("key"), size, seed)
        frame, matrix = _far_from(rows_of(left, best), kept, limit)
        order, _ = deita(matrix, np.arange(len(frame)), limit, budget - len(kept))
        frames += [frame.iloc[order][["id", "key", "h"]]] if len(order) else []
        kept = np.concatenate([kept, matrix[order]])
        if len(kept) > size:
            raise BoundError(
                f"deita has kept {len(kept):,} rows with vectors of {held.width} elements, and above the limit for one "
                f"driver it keeps at most {size:,}: lower the budget, or choose from fewer rows with where:"
            )
        if len(best) < size:
            break
        left = rows.where(_after(best.iloc[-1]))
    nothing = pd.DataFrame({"id": pd.Series(dtype=object), "key": np.empty(0), "h": np.empty(0, np.int64)})
    return Walked(pd.concat(frames, ignore_index=True) if len(kept) else nothing, kept)


def near_kept(held: VectorRows, walked: Walked, limit: float) -> DataFrame:
    """Return the rows that a better-ranked kept row keeps out: id, duplicate_of (the first of these), similarity."""
    rows, size = held.finite.select(*_COLUMNS), shipped_rows(held.width)
    names, schema = ("id", "place", "duplicate_of", "similarity"), "id string, place int, duplicate_of string"
    parts = []
    for a in range(0, max(len(walked.matrix), 1), size):
        some = walked.rows.iloc[a : a + size].reset_index(drop=True), walked.matrix[a : a + size]
        parts.append(by_batch(rows, partial(_near, *some, a, limit), names, f"{schema}, similarity double"))
    first = F.min(F.struct("place", "duplicate_of", "similarity")).alias("first")
    found = reduce(DataFrame.unionByName, parts).groupBy("id").agg(first)
    return found.select("id", "first.duplicate_of", "first.similarity")


def _after(last: pd.Series[float]) -> Column:
    """Return whether a row comes after another one in rank."""
    key, h, place = F.col("key"), F.col("h"), F.lit(float(last["key"]))
    same = (h > F.lit(int(last["h"]))) | ((h == F.lit(int(last["h"]))) & (F.col("id") > F.lit(last["id"])))
    return (key > place) | ((key == place) & same)


def _far_from(rows: DataFrame, kept: Matrix, limit: float) -> tuple[pd.DataFrame, Matrix]:
    """Collect the rows that are near none of the kept, in order of rank, with their vectors."""
    width = kept.shape[1]
    if len(kept):
        some = kept[: shipped_rows(width)]
        rows = by_batch(
            rows, partial(_far, some, limit), _COLUMNS, "id string, h bigint, vector array<float>, key double"
        )
    frame, flat = collect_flat(rows)
    order = frame.sort_values(_RANK).index.to_numpy()
    matrix = np.asarray(flat, np.float32).reshape(len(frame), width)[order]
    frame = frame.iloc[order]
    if len(kept) > shipped_rows(width):
        far = np.flatnonzero(first_near(matrix, kept, np.full(len(frame), len(kept)), limit) < 0)
        frame, matrix = frame.iloc[far], matrix[far]
    return frame.reset_index(drop=True), matrix


def _far(kept: Matrix, limit: float, batch: pa.RecordBatch, matrix: Matrix) -> Sequence[pa.Array]:
    far = pa.array(first_near(matrix, kept, np.full(len(matrix), len(kept)), limit) < 0)
    return [batch.column(name).filter(far) for name in _COLUMNS]


def _near(
    kept: pd.DataFrame, vectors: Matrix, first: int, limit: float, batch: pa.RecordBatch, matrix: Matrix
) -> Sequence[pa.Array]:
    rows = batch.select(_RANK).to_pandas()
    by = first_near(matrix, vectors, _kept_before(rows, kept), limit)
    near = np.flatnonzero(by >= 0)
    of = by[near]
    return [
        pa.array(rows["id"].to_numpy(object)[near], pa.string()),
        pa.array((first + of).astype(np.int32)),
        pa.array(kept["id"].to_numpy(object)[of], pa.string()),
        pa.array(cosines(matrix[near], vectors[of])),
    ]


def _kept_before(rows: pd.DataFrame, kept: pd.DataFrame) -> Positions:
    """Return how many of the kept rows come before each row in rank; a kept row is not before itself."""
    both = pd.concat([rows[_RANK], kept[_RANK]], ignore_index=True)
    order = both.sort_values(_RANK).index.to_numpy()
    before = np.empty(len(both), np.int64)
    before[order] = np.cumsum(order >= len(rows))
    return before[: len(rows)]
