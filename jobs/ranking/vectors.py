"""Collects vectors to the driver, for selectors that compare all rows and for the fit of a model; both are bounded.

For selectors rows come in slices of the id hash, so that neither Spark's result size nor a second copy of the matrix
counts; they are in order of (h, id) with h = xxhash64(id, seed), which is what "lowest index" means. For a fit, an
estimator's folds run on the driver when its vectors fit in memory: reading 200 MB once takes as long as one pass of
Spark over them, and a fit makes ten. Results are bit-identical to the Spark path, because a fold gives the same bits
however its rows are split.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from ...udfs.arrow import fold_batches
from ...udfs.errors import BoundError, InputError
from ...udfs.scorer import Fold
from .sort_keys import column_of, hashed

Matrix = np.ndarray[Any, np.dtype[np.float32]]

#: Bytes of vectors that the driver holds, and of one slice on its way.
VECTOR_BYTES, SLICE_BYTES = 2_000_000_000, 200_000_000
#: What the driver needs for every row beside its vector.
ROW_BYTES = 200
#: Bytes of vectors and hashes up to which the folds of a fit run on the driver.
FIT_BYTES = 512_000_000


def collect_vectors(rows: DataFrame, vector: str, seed: int, **columns: Column) -> tuple[pd.DataFrame, Matrix]:
    """Return ids with more `columns`, and their vectors as float32 (n, d), both in order of (h, id).

    Rows without a vector, with an element that is not finite, or without one of the columns are left out.

    Raises
    ------
    BoundError
        If ids and vectors take more than VECTOR_BYTES.
    InputError
        If vectors differ in length.
    """
    value = column_of(vector).cast("array<float>").alias("vector")
    shaped = rows.select("id", hashed(seed).alias("h"), value, *(c.alias(n) for n, c in columns.items()))
    shaped = shaped.dropna(subset=["vector", *columns])
    size = shaped.agg(F.count("id").alias("n"), F.min(F.size("vector")).alias("a"), F.max(F.size("vector")).alias("b"))
    n, least, most = size.collect()[0]
    if not n:
        return pd.DataFrame({"id": [], **{name: [] for name in columns}}), np.empty((0, 0), np.float32)
    if least != most:
        raise InputError(f"vectors of {vector!r} have {least} to {most} elements; all need the same number")
    if vector_bytes(n, most) > VECTOR_BYTES:
        raise BoundError(
            f"{n:,} vectors of {most} elements are more than the {VECTOR_BYTES:,} bytes the driver takes: select from "
            "fewer rows with where:, or use a selector of the k-means family"
        )
    slices = math.ceil(n * 4 * most / SLICE_BYTES)
    frames, matrix, end = [], np.empty((n, most), np.float32), 0
    for number in range(slices):
        part = shaped.where(F.pmod("h", F.lit(slices)) == number) if slices > 1 else shaped
        frame, flat = collect_flat(part)
        matrix[end : end + len(frame)] = flat.reshape(len(frame), most)
        frames.append(frame)
        end += len(frame)
    ids = pd.concat(frames, ignore_index=True)
    order = np.lexsort([ids["h"].to_numpy()]) if ids["h"].is_unique else ids.sort_values(["h", "id"]).index.to_numpy()
    finite = np.isfinite(matrix.sum(axis=1))
    order = order[finite[order]]
    _permute(matrix, order)
    return ids.iloc[order].drop(columns="h").reset_index(drop=True), matrix[: len(order)]


def vector_bytes(rows: int, width: int) -> int:
    """Return the bytes that the driver needs for rows with vectors of so many numbers.

    Examples
    --------
    >>> vector_bytes(1_000_000, 256)
    1224000000
    """
    return rows * (4 * width + ROW_BYTES)


def collect_flat(frame: DataFrame) -> tuple[pd.DataFrame, Any]:
    """Collect a frame to the driver: all columns but `vector`, and the elements of the vectors in one flat array."""
    table = collect_arrow(frame)
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table.column("vector").chunks]
    return table.drop_columns(["vector"]).to_pandas(), np.concatenate(parts) if parts else np.empty(0, np.float32)


def collect_arrow(frame: DataFrame) -> pa.Table:
    """Collect a frame to the driver as Arrow; Spark 3.5 has no toArrow, and goes through pandas."""
    if hasattr(frame, "toArrow"):
        return frame.toArrow()
    return pa.Table.from_pandas(frame.toPandas(), to_arrow_schema(frame.schema), preserve_index=False)


def fits_on_driver(rows: int, width: int) -> bool:
    """Return whether so many vectors of 4-byte numbers, with their hashes, are at most FIT_BYTES."""
    return rows * (4 * width + 8) <= FIT_BYTES


def fold_on_driver(table: pa.Table, fold: Fold[Any], columns: tuple[str, ...]) -> Any:
    """Return the state of a fold over columns of a table that was collected, one part of the rows for every core."""
    threads = os.cpu_count() or 1
    rows = -(-table.num_rows // threads)
    parts = table.select(list(columns)).to_batches(max_chunksize=max(rows, 1))
    with ThreadPoolExecutor(threads) as pool:
        states = list(pool.map(lambda part: fold_batches(fold, [part]), parts))
    return reduce(fold.merge, (s for s in states if s is not None), fold.zero())


def _permute(matrix: Matrix, order: Any) -> None:
    """Put the rows `order` first, in this order, a few columns at a time: no second copy of the matrix."""
    for a in range(0, matrix.shape[1], 16):
        matrix[: len(order), a : a + 16] = matrix[order, a : a + 16]
