"""Draws with replacement on Spark: iid with probability proportional to a weight, per group, the same for any layout.

Draw t of a group looks up u_t times the group's total in prefix sums of the weights, in order of (h, id) with
h = xxhash64(id, seed). The sums are kept per block of the hash: inside a block a running sum, a block's total is its
last one, and totals are added in block order, so no partitioning changes a bit. The first s draws of a larger number
are those of s. Twin in numpy: tests/udfs/kernels/twins_sensitivity.py.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ...udfs.digests import derived_seed
from ...udfs.errors import BoundError, InputError
from ...udfs.kernels.sensitivity import draws, locate
from .sort_keys import hashed
from .top import DRIVER_ROWS, collect_pandas

#: Blocks of the hash for one group; for many groups, so that totals stay few and a giant group is many tasks.
BLOCKS, GROUP_BLOCKS = 4_096, 64
#: Most totals that the driver takes.
TOTALS = 5_000_000


def with_running_weight(rows: DataFrame, weight: Column, seed: int, group: Column | None = None) -> DataFrame:
    """Return id, group, block, weight and the running sums `before` and `upto` of every row; null weights are left out.

    One sort per (group, block), no exchange into one partition.
    """
    bits = (BLOCKS if group is None else GROUP_BLOCKS).bit_length() - 1
    tag = F.lit("") if group is None else group.cast("string")
    shaped = rows.select("id", tag.alias("group"), weight.alias("weight"), hashed(seed).alias("h"))
    shaped = shaped.where("weight IS NOT NULL").withColumn("block", F.shiftrightunsigned("h", 64 - bits))
    order = Window.partitionBy("group", "block").orderBy("h", "id")
    upto = F.sum("weight").over(order.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    sums = shaped.withColumn("upto", upto)
    return sums.withColumn("before", F.lag("upto", 1, 0.0).over(order))


def block_totals(sums: DataFrame) -> pd.DataFrame:
    """Return (group, block, total, rows) in order of group and block; raises BoundError above TOTALS, InputError."""
    total, least = F.max("upto").alias("total"), F.min("weight").alias("least")
    blocks = sums.groupBy("group", "block").agg(total, F.count(F.lit(1)).alias("rows"), least)
    totals = collect_pandas(blocks.limit(TOTALS + 1))
    if len(totals) > TOTALS:
        raise BoundError(f"there are more than {TOTALS // GROUP_BLOCKS} groups to draw from; name a coarser column")
    lowest = totals["least"].min()
    if lowest < 0:
        raise InputError(f"a row has the weight {lowest}; weights to draw by are >= 0: shift or rank them")
    return totals.sort_values(["group", "block"], ignore_index=True).drop(columns="least")


def draw_rows(sums: DataFrame, totals: pd.DataFrame, wanted: dict[str, int], seed: int) -> pd.DataFrame:
    """Return (id, group, first, copies) of the drawn rows, in order of their first draw; copies add up to `wanted`.

    Parameters
    ----------
    sums, totals : as `with_running_weight` and `block_totals` return them
    wanted : mapping
        Draws by group; groups whose weights are all 0 cannot give any.
    """
    if sum(wanted.values()) > DRIVER_ROWS:
        raise BoundError(f"{sum(wanted.values())} draws are more than the {DRIVER_ROWS} the driver takes: draw fewer")
    parts: list[pd.DataFrame] = []
    for group, block in totals.groupby("group", sort=True):
        count, total = wanted.get(str(group), 0), block["total"].to_numpy()
        if count:
            own = derived_seed(seed, str(group)) if group else seed  # a stream for every group
            place, offset = locate(draws(own, count) * np.cumsum(total)[-1], total)
            number = np.arange(count)
            blocks = block["block"].to_numpy()[place].astype(np.int64)
            part = pd.DataFrame({"group": str(group), "block": blocks, "offset": offset, "turn": number / count})
            parts.append(part.assign(number=number + sum(map(len, parts))))
    if not parts:
        return pd.DataFrame({"id": [], "group": [], "weight": [], "first": [], "copies": []})
    drawn = pd.concat(parts, ignore_index=True).sort_values(["turn", "number"], ignore_index=True)
    drawn["number"] = np.arange(len(drawn))
    hits = sums.sparkSession.createDataFrame(drawn[["group", "block", "offset", "number"]])
    inside = (F.col("offset") >= F.col("before")) & (F.col("offset") < F.col("upto"))
    joined = sums.join(F.broadcast(hits), ["group", "block"], "inner").where(inside)
    first, copies = F.min("number").alias("first"), F.count(F.lit(1)).alias("copies")
    counts = joined.groupBy("id", "group", "weight").agg(first, copies)
    rows = collect_pandas(counts).sort_values("first", ignore_index=True)
    if rows["copies"].sum() != len(drawn):
        raise InputError("the rows changed while they were drawn from; read a pinned version of the table")
    return rows
