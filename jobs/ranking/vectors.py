"""Collects vectors to the driver, for selectors that compare all rows and for the fit of a model; both are bounded.

Selectors whose vectors are more than the bound go on in tasks on executors: vector_tasks.py.

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
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from ...udfs.arrays import Matrix, Positions
from ...udfs.arrow import fold_batches
from ...udfs.errors import BoundError, InputError
from ...udfs.scorer import Fold
from .sort_keys import column_of, hashed

#: Bytes of vectors that one driver holds, above which selectors go on in tasks, and of one slice on its way.
VECTOR_BYTES, SLICE_BYTES = 2_000_000_000, 200_000_000
#: What the driver needs for every row beside its vector.
ROW_BYTES = 200
#: Bytes of vectors and hashes up to which the folds of a fit run on the driver.
FIT_BYTES = 512_000_000


@dataclass(frozen=True)
class VectorRows:
    """Rows with a vector of one length: `frame` is id, h, vector (array<float>), and more columns, none of them null.

    `count` includes rows with an element that is not finite, which are left out afterwards.
    """

    frame: DataFrame
    count: int
    width: int

    @property
    def fit(self) -> bool:
        """Whether the driver takes them: ids and vectors are at most VECTOR_BYTES."""
        return vector_bytes(self.count, self.width) <= VECTOR_BYTES

    @property
    def above(self) -> str:
        """Why they do not fit, in words."""
        size = f"{self.count:,} vectors of {self.width} elements"
        return f"{size} are more than the {VECTOR_BYTES:,} bytes that one driver takes"

    @property
    def finite(self) -> DataFrame:
        """The rows without those that are left out."""
        vector = F.col("vector")
        # By functions that are compiled, not by a lambda: of a null in the array, array_contains makes null.
        whole = ~F.array_contains(vector, F.lit(math.nan).cast("float"))
        bounded = (F.array_max(vector) < F.lit(math.inf)) & (F.array_min(vector) > F.lit(-math.inf))
        return self.frame.where(whole & bounded)

    def collected(self) -> tuple[pd.DataFrame, Matrix]:
        """Return all columns but h and vector, and the vectors as float32 (n, d), both in order of (h, id)."""
        if not self.count:
            columns = [c for c in self.frame.columns if c not in ("h", "vector")]
            return pd.DataFrame({name: [] for name in columns}), np.empty((0, 0), np.float32)
        slices = max(1, math.ceil(self.count * 4 * self.width / SLICE_BYTES))
        frames, matrix, end = [], np.empty((self.count, self.width), np.float32), 0
        for number in range(slices):
            part = self.frame.where(F.pmod("h", F.lit(slices)) == number) if slices > 1 else self.frame
            frame, flat = collect_flat(part)
            matrix[end : end + len(frame)] = flat.reshape(len(frame), self.width)
            frames.append(frame)
            end += len(frame)
        rows = pd.concat(frames, ignore_index=True)
        order = order_of(rows)
        order = order[np.isfinite(matrix.sum(axis=1))[order]]
        _permute(matrix, order)
        return rows.iloc[order].drop(columns="h").reset_index(drop=True), matrix[: len(order)]


def vector_rows(rows: DataFrame, vector: str, seed: int, **columns: Column) -> VectorRows:
    """Return rows that have a vector and all of `columns`, counted.

    Raises
    ------
    InputError
        If vectors differ in length.
    """
    value = column_of(vector).cast("array<float>").alias("vector")
    shaped = rows.select("id", hashed(seed).alias("h"), value, *(c.alias(n) for n, c in columns.items()))
    shaped = shaped.dropna(subset=["vector", *columns])
    size = shaped.agg(F.count("id").alias("n"), F.min(F.size("vector")).alias("a"), F.max(F.size("vector")).alias("b"))
    n, least, most = size.collect()[0]
    if n and least != most:
        raise InputError(f"vectors of {vector!r} have {least} to {most} elements; all need the same number")
    return VectorRows(shaped, n, most or 0)


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
    held = vector_rows(rows, vector, seed, **columns)
    if not held.fit:
        raise BoundError(f"{held.above}: select from fewer rows with where:, or use a selector of the k-means family")
    return held.collected()


def order_of(rows: pd.DataFrame) -> Positions:
    """Return the places of rows (id, h) in order of (h, id); ids are compared only where hashes are equal."""
    if rows["h"].is_unique:
        return np.argsort(rows["h"].to_numpy())
    return rows.reset_index(drop=True).sort_values(["h", "id"]).index.to_numpy()


def vector_bytes(rows: int, width: int) -> int:
    """Return the bytes that the driver needs for rows with vectors of so many numbers.

    Examples
    --------
    >>> vector_bytes(1_000_000, 256)
    1224000000
    """
    return rows * (4 * width + ROW_BYTES)


def driver_rows(width: int) -> int:
    """Return how many rows with vectors of so many numbers one driver holds.

    Examples
    --------
    >>> driver_rows(256)
    1633986
    """
    return VECTOR_BYTES // vector_bytes(1, width)


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
