"""SemDeDup over more vectors than one driver takes: every cluster is a task on executors, with the same result.

Whether a row is dropped depends on pairs of its cluster alone. So a cluster larger than a task is dealt into parts by
hash, every two parts meet in a task, and of all rows that drop a row the best-ranked one counts. The driver learns the
size of each cluster, and what is asked of the dropped rows.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.arrays import Matrix
from ...udfs.errors import BoundError
from ...udfs.kernels.near_duplicates import semdedup
from ...udfs.kernels.nearest_rows import cosines
from .top import DRIVER_ROWS, GROUPS, collect_pandas, rows_of, top
from .vector_tasks import by_task, task_rows
from .vectors import VectorRows

_FOUND = "id string, by_key double, by_h bigint, duplicate_of string, similarity double"


def duplicates_by_task(held: VectorRows, threshold: float) -> DataFrame:
    """Return rows that are near an earlier-ranked row of their cell: id, duplicate_of, similarity.

    Parameters
    ----------
    held : VectorRows
        With the columns `cell`, and `key` (double) by which rows are ranked, smallest first, then by (h, id).
    threshold : float
        A cosine above it drops the later row.

    Raises
    ------
    BoundError
        If there are more than GROUPS cells.
    """
    found = by_task(_tasks(held), partial(_dropped, threshold), _FOUND)
    first = F.min(F.struct("by_key", "by_h", "duplicate_of", "similarity")).alias("first")
    return found.groupBy("id").agg(first).select("id", "first.duplicate_of", "first.similarity")


def kept_by_task(held: VectorRows, threshold: float, budget: int, seed: int) -> pd.DataFrame:
    """Return the first rows of those that are not dropped: id, key, in order."""
    dropped = duplicates_by_task(held, threshold).select("id")
    known = collect_pandas(dropped.limit(DRIVER_ROWS + 1))
    rows = held.finite
    # More than the driver takes are compared again by each job of the ranking.
    many = len(known) > DRIVER_ROWS
    kept = rows.join(dropped, "id", "left_anti") if many else rows_of(rows, known, "left_anti")
    return top(kept, F.col("key"), budget, seed)


def _tasks(held: VectorRows) -> DataFrame:
    """Return id, h, vector, key of the rows, once for every task that they are part of."""
    most, rows = task_rows(held.width), held.finite
    sizes = collect_pandas(held.frame.groupBy("cell").agg(F.count("id").alias("rows")).limit(GROUPS + 1))
    if len(sizes) > GROUPS:
        raise BoundError(f"the rows have more than {GROUPS:,} clusters; use a score of kind kmeans with fewer")
    large = sizes[sizes["rows"] > most]
    pair = F.lit("0")
    if len(large):
        parts = large.assign(parts=-(-2 * large["rows"] // most))[["cell", "parts"]]
        cell = held.frame.schema["cell"].dataType.simpleString()
        table = rows.sparkSession.createDataFrame(parts, f"cell {cell}, parts bigint")
        rows = rows.join(F.broadcast(table), "cell", "left").withColumn("part", F.expr("pmod(h, parts)"))
        others = "filter(sequence(0L, parts - 1), x -> x <> part)"
        pairs = f"transform({others}, x -> concat_ws('-', least(x, part), greatest(x, part)))"
        pair = F.explode(F.expr(f"IF(parts IS NULL, array('0'), {pairs})"))
    placed = rows.select("id", "h", "vector", "key", "cell", pair.alias("pair"))
    task = F.concat_ws(" ", F.col("cell").cast("string"), "pair").alias("task")
    return placed.select("id", "h", "vector", "key", task)


def _dropped(threshold: float, rows: pd.DataFrame, matrix: Matrix) -> pd.DataFrame:
    """Return the rows of a task that are near an earlier-ranked one, with the best-ranked of these."""
    ranked = np.argsort(rows["key"].to_numpy(), kind="stable")
    _, by = semdedup(matrix, np.zeros(len(rows), np.int64), ranked, threshold)
    dropped = np.flatnonzero(by >= 0)
    of = rows.iloc[by[dropped]]
    return pd.DataFrame(
        {
            "id": rows["id"].to_numpy(object)[dropped],
            "by_key": of["key"].to_numpy(float),
            "by_h": of["h"].to_numpy(np.int64),
            "duplicate_of": of["id"].to_numpy(object),
            "similarity": cosines(matrix[dropped], matrix[by[dropped]]),
        }
    )
