"""Deals rows with vectors out to tasks on executors, where more of them than one driver takes are compared.

A task gets its rows in order of (h, id) with h = xxhash64(id, seed), whatever the partitioning, and their vectors as
one matrix, of at most TASK_BYTES or so; it takes some three times as much while it runs. Left out: Spark's own memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.arrays import Matrix
from ...udfs.worker_errors import MARK, marked
from .vectors import order_of, vector_bytes

#: Bytes of vectors and ids of one task, of those that the driver merges at a time, and of those that every task gets.
TASK_BYTES, MERGE_BYTES, SHIPPED_BYTES = 400_000_000, 1_000_000_000, 8_000_000

#: Rows in order of (h, id) without their vectors, and these: what a task works with.
OnTask = Callable[[pd.DataFrame, Matrix], pd.DataFrame]


def task_rows(width: int) -> int:
    """Return how many rows with vectors of so many numbers one task takes.

    Examples
    --------
    >>> task_rows(256)
    326797
    """
    return max(1, TASK_BYTES // vector_bytes(1, width))


def merge_rows(width: int) -> int:
    """Return how many rows with vectors of so many numbers the driver merges at a time.

    Examples
    --------
    >>> merge_rows(256)
    816993
    """
    return max(1, MERGE_BYTES // vector_bytes(1, width))


def shipped_rows(width: int) -> int:
    """Return how many vectors of so many numbers travel with a task."""
    return max(1, SHIPPED_BYTES // (4 * max(width, 1)))


def by_task(frame: DataFrame, function: OnTask, schema: str) -> DataFrame:
    """Return what a function makes of the rows of every task.

    Parameters
    ----------
    frame : DataFrame
        id, h, vector (array<float>), `task`: what rows of a task have in common; more columns.
    function : callable
        Of the rows of a task; pickled, with what it is bound to.
    schema : str
        Of the frames that it returns.
    """
    mark = MARK  # the driver's: what a closure holds travels with it

    def on_task(rows: pd.DataFrame) -> pd.DataFrame:
        placed = rows.iloc[order_of(rows)].reset_index(drop=True)
        matrix = np.concatenate(placed["vector"].tolist()).astype(np.float32, copy=False).reshape(len(placed), -1)
        return next(marked(mark, _made(function, placed.drop(columns="vector"), matrix)))

    return frame.groupBy("task").applyInPandas(on_task, schema)


def _made(function: OnTask, rows: pd.DataFrame, matrix: Matrix) -> Iterator[pd.DataFrame]:
    yield function(rows, matrix)


def by_batch(
    frame: DataFrame,
    function: Callable[[pa.RecordBatch, Matrix], Sequence[pa.Array]],
    names: Sequence[str],
    schema: str,
) -> DataFrame:
    """Return the columns that a function makes of every batch of rows and their vectors, whatever rows it holds."""
    mark = MARK

    def on_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return marked(mark, _batches(function, names, batches))

    return frame.mapInArrow(on_batches, schema)


def _batches(function: Any, names: Sequence[str], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if batch.num_rows:
            flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
            matrix = flat.astype(np.float32, copy=False).reshape(batch.num_rows, -1)
            yield pa.RecordBatch.from_arrays(list(function(batch, matrix)), names=list(names))


def with_start(frame: DataFrame, start: Sequence[str]) -> DataFrame:
    """Return the rows with `started`: whether they were chosen earlier."""
    if not start:
        return frame.withColumn("started", F.lit(False))
    ids = frame.sparkSession.createDataFrame(pd.DataFrame({"id": [*start]}), "id string")
    known = frame.join(F.broadcast(ids.withColumn("before", F.lit(True))), "id", "left")
    return known.withColumn("started", F.coalesce("before", F.lit(False))).drop("before")
