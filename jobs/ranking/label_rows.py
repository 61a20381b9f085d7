"""Collects rows with their labels to the driver, in order of (h, id), as flat arrays; bounded.

h = xxhash64(id, seed), which is what "lowest index" means. Rows come in slices of it: what a job returns is bounded.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.arrays import Ints, offsets_of
from ...udfs.arrow import ragged_rows
from ...udfs.kernels.label_gains import taken
from .sort_keys import column_of, hashed
from .vectors import SLICE_BYTES, collect_arrow

#: What the driver needs for every row beside its id and labels: hash, columns, and what the greedy holds.
ROW_BYTES = 200
LABEL_BYTES = 8


class LabelRows(NamedTuple):
    """n rows: a frame of id and columns; row i has the labels labels[offsets[i]:offsets[i + 1]], ascending."""

    rows: pd.DataFrame
    labels: Ints
    offsets: Ints


def label_bytes(rows: DataFrame, labels: str) -> int:
    """Return the bytes that the driver needs for the rows that have labels, by one count; an empty list is one, too."""
    size = rows.select(F.size(column_of(labels)).alias("size"), F.octet_length("id").alias("id")).where("size >= 0")
    n, total, ids = size.agg(F.count("*"), F.sum("size"), F.sum("id")).collect()[0]
    return int(n * ROW_BYTES + (total or 0) * LABEL_BYTES + (ids or 0))


def collect_labels(rows: DataFrame, labels: str, seed: int, size: int, **columns: Column) -> LabelRows:
    """Return the rows that have labels and every column, in order of (h, id).

    Parameters
    ----------
    size : int
        `label_bytes` of them.
    """
    shaped = rows.select("id", hashed(seed).alias("h"), column_of(labels).alias("labels"), *(
        column.alias(name) for name, column in columns.items()
    )).dropna(subset=["labels", *columns])  # fmt: skip
    slices = max(1, math.ceil(size / SLICE_BYTES))
    frames, flats, lengths = [], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number in range(slices):
        part = shaped.where(F.pmod("h", F.lit(slices)) == number) if slices > 1 else shaped
        table = collect_arrow(part)
        frames.append(table.drop_columns(["labels"]).to_pandas())
        for chunk in table.column("labels").chunks:
            lists = ragged_rows(chunk)
            flats.append(lists.values)
            lengths.append(np.diff(lists.offsets))
    frame = pd.concat(frames, ignore_index=True)
    order = np.lexsort([frame["h"].to_numpy()]) if frame["h"].is_unique else frame.sort_values(["h", "id"]).index
    ordered = frame.iloc[np.asarray(order)].drop(columns="h").reset_index(drop=True)
    return LabelRows(ordered, *taken(np.concatenate(flats), offsets_of(np.concatenate(lengths)), np.asarray(order)))
