"""Vectors on the driver: what k-center, facility location and near-duplicate filters work on, under a stated bound.

Rows come in slices of the id hash, so that neither Spark's result size nor a second copy of the matrix counts; they
lie in order of (h, id) with h = xxhash64(id, seed), which is what "lowest index" means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from ...udfs.errors import BoundError, InputError
from .sort_keys import hashed

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

Matrix = np.ndarray[Any, np.dtype[np.float32]]

#: Bytes of vectors that the driver holds, and of one slice on its way.
VECTOR_BYTES, SLICE_BYTES = 2_000_000_000, 200_000_000
#: What the driver needs for every row beside its vector.
ROW_BYTES = 200


def gather(rows: DataFrame, vector: str, seed: int, **beside: Column) -> tuple[pd.DataFrame, Matrix]:
    """Return ids with the columns `beside`, and their vectors as float32 (n, d), both in order of (h, id).

    Rows without a vector, with an element that is not finite, or without one of the columns `beside` are left out.

    Raises
    ------
    BoundError
        If ids and vectors take more than VECTOR_BYTES.
    InputError
        If vectors differ in length.
    """
    value = F.col(f"`{vector}`").cast("array<float>").alias("vector")
    shaped = rows.select("id", hashed(seed).alias("h"), value, *(c.alias(n) for n, c in beside.items()))
    shaped = shaped.dropna(subset=["vector", *beside])
    size = shaped.agg(F.count("id").alias("n"), F.min(F.size("vector")).alias("a"), F.max(F.size("vector")).alias("b"))
    n, least, most = size.collect()[0]
    if not n:
        return pd.DataFrame({"id": [], **{name: [] for name in beside}}), np.empty((0, 0), np.float32)
    if least != most:
        raise InputError(f"vectors of {vector!r} have {least} to {most} elements; all need the same number")
    if n * (4 * most + ROW_BYTES) > VECTOR_BYTES:
        raise BoundError(
            f"{n:,} vectors of {most} elements are more than the {VECTOR_BYTES:,} bytes the driver holds: select from "
            "fewer rows with where:, or use a selector of the k-means family"
        )
    slices = math.ceil(n * 4 * most / SLICE_BYTES)
    frames, matrix, end = [], np.empty((n, most), np.float32), 0
    for number in range(slices):
        part = shaped.where(F.pmod("h", F.lit(slices)) == number) if slices > 1 else shaped
        frame, flat = pull(part)
        matrix[end : end + len(frame)] = flat.reshape(len(frame), most)
        frames.append(frame)
        end += len(frame)
    known = pd.concat(frames, ignore_index=True)
    order = np.lexsort([known["h"].to_numpy()]) if known["h"].is_unique else _by_id(known)
    finite = np.isfinite(matrix.sum(axis=1))
    order = order[finite[order]]
    _permute(matrix, order)
    return known.iloc[order].drop(columns="h").reset_index(drop=True), matrix[: len(order)]


def pull(frame: DataFrame) -> tuple[pd.DataFrame, Any]:
    """Collect to the driver: all columns but `vector`, and the elements of the vectors in one flat array."""
    table = collect_arrow(frame)
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table.column("vector").chunks]
    return table.drop_columns(["vector"]).to_pandas(), np.concatenate(parts) if parts else np.empty(0, np.float32)


def collect_arrow(frame: DataFrame) -> pa.Table:
    """Collect to the driver as Arrow; Spark 3.5 has no toArrow, and goes through pandas."""
    if hasattr(frame, "toArrow"):
        return frame.toArrow()
    return pa.Table.from_pandas(frame.toPandas(), to_arrow_schema(frame.schema), preserve_index=False)


def _by_id(known: pd.DataFrame) -> Any:
    return known.sort_values(["h", "id"]).index.to_numpy()


def _permute(matrix: Matrix, order: Any) -> None:
    """Put the rows `order` first, in this order, a few columns at a time: no second copy of the matrix."""
    for a in range(0, matrix.shape[1], 16):
        matrix[: len(order), a : a + 16] = matrix[order, a : a + 16]


def fits_on_driver(rows, width):
    from .held import fits

    return fits(rows, width)


def fold_on_driver(frame):
    from .held import Held

    return Held(frame).fold
