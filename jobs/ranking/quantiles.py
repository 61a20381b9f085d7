"""Exact quantiles and average ranks of a column on Spark, without a sort in one partition.

One job counts the rows and takes a hash sample. A quantile is bracketed by two sampled values; one aggregate counts the
rows by value inside the brackets and in lumps between them, and the driver walks the counts (a missed bracket is seen
there and widened). Ranks: sampled splitters cut the values into cells, a window per cell runs over its *distinct*
values, so masses of ties stay small.

Left out: interpolation between values, approximations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ...udfs.errors import BoundError, InputError
from ...udfs.kernels.quantiles import quantile_rank
from .sort_keys import bin_of
from .top import DRIVER_ROWS, MARGINS, collect_pandas, count_and_sample, keyed_rows, with_values_of_group

#: Cells of a rank column: the tasks among which its distinct values are shared out.
CELLS = 64


def quantiles(rows: DataFrame, column: Column, qs: Sequence[float]) -> list[float]:
    """Return for every q the max(1, ceil(q n))-th smallest of the n values that are not null (NaN if there are none).

    Raises
    ------
    BoundError
        If more than DRIVER_ROWS distinct values lie inside the brackets.
    """
    found = quantiles_by_group(rows, column, None, qs)
    return [float(found[i].iloc[0]) if len(found) else math.nan for i in range(len(qs))]


def quantiles_by_group(rows: DataFrame, column: Column, group: Column | None, qs: Sequence[float]) -> pd.DataFrame:
    """Return the quantiles of each group, one row a group: group (a `group_tag`), size, and 0, 1, ... for the qs.

    Groups without a value that is not null are absent; a null is a group of its own.

    Raises
    ------
    BoundError
        If there are more than GROUPS groups, or more than DRIVER_ROWS distinct values lie inside the brackets.
    """
    keyed = keyed_rows(rows, column, 0, group)
    groups, sample = count_and_sample(keyed, 0)
    found, columns = groups[["group", "size"]].copy(), list(range(len(qs)))
    if not len(groups) or not qs:
        return found.reindex(columns=["group", "size", *columns])
    ends = np.searchsorted(sample["code"], np.arange(len(groups) + 1))
    drawn = [sample["key"][a:b].astype(float) for a, b in pairwise(ends)]
    places = np.array([[quantile_rank(q, n) for q in qs] for n in groups["size"]])
    for margin in MARGINS:
        brackets = [
            [_bracket(values, k * len(values) / n, margin) for k in ks]
            for values, n, ks in zip(drawn, groups["size"], places, strict=True)
        ]
        if (bounds := _walk(keyed, groups, brackets, places)) is not None:
            found[columns] = bounds
            return found
    raise InputError("the rows changed while their quantiles were taken; read a pinned version of the table")


def with_rank(rows: DataFrame, column: Column, name: str) -> DataFrame:
    """Return the rows whose value is not null with their average rank / n, in (0, 1], as a new column `name`.

    Equal values share the mean of their places. Two jobs run at once, the rest when the result is read.
    """
    values, _, sample = _sampled(rows, column)
    splitters = np.unique(sample[:: max(1, len(sample) // CELLS)]).tolist()
    cell = bin_of(F.col("value"), splitters)
    counted = collect_pandas(values.groupBy(cell.alias("cell")).count()).set_index("cell")["count"]
    counts = counted.reindex(range(len(splitters) + 1), fill_value=0).to_numpy()
    base = F.array(*(F.lit(before).cast("bigint") for before in (np.cumsum(counts) - counts).tolist()))
    upto = F.sum("count").over(Window.partitionBy("cell").orderBy("value"))
    distinct = values.groupBy("value").count().withColumn("cell", cell)
    last = F.get(base, F.col("cell")) + upto
    rank = ((last - (F.col("count") - 1) / 2) / F.lit(float(counts.sum()))).alias(name)
    return rows.withColumn("value", column + F.lit(0.0)).join(distinct.select("value", rank), "value").drop("value")


def _sampled(rows: DataFrame, column: Column) -> tuple[DataFrame, int, npt.NDArray[np.float64]]:
    """Return the values that are not null, their number, and a sample of them by id hash, ascending, in one job."""
    values = keyed_rows(rows, column, 0, None)
    groups, sample = count_and_sample(values, 0)
    return values.withColumnRenamed("key", "value"), int(groups["size"].sum()), sample["key"][:-1].astype(float)


def _bracket(sample: npt.NDArray[np.float64], mean: float, margin: float) -> tuple[float, float]:
    """Return two sampled values between which the value lies whose place in the sample is expected to be `mean`."""
    m = len(sample)
    spread = margin * math.sqrt(max(0.0, mean * (1 - mean / m)) if m else 0.0) + margin**2
    low, high = math.floor(mean - spread) - 1, math.ceil(mean + spread)
    return float(sample[low]) if low >= 0 else -math.inf, float(sample[high]) if high < m else math.inf


def _walk(
    keyed: DataFrame, groups: pd.DataFrame, brackets: list[list[tuple[float, float]]], places: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64] | None:
    """Return the values (groups, qs) at those places, or None if one lies outside of all brackets of its group."""
    value, inside, below = F.col("key"), F.lit(False), []
    limits = np.array(brackets).reshape(len(groups), -1)
    names = [f"end{i}" for i in range(limits.shape[1])]
    table = pd.DataFrame(limits, columns=names).assign(group=groups["group"])
    bracketed = with_values_of_group(keyed, table, dict.fromkeys(names, "double"))
    for low, high in zip(names[::2], names[1::2], strict=True):
        inside = inside | ((value >= F.col(low)) & (value <= F.col(high)))
        # Rows outside are lumped at the highest bracket end below them; `greatest` skips nulls.
        below.append(F.when(value > F.col(high), F.col(high)))
    cell = F.when(inside, value).otherwise(F.greatest(F.lit(-math.inf), *below))
    counted = bracketed.groupBy("group", inside.alias("inside"), cell.alias("cell")).count()
    cells = collect_pandas(counted.limit(DRIVER_ROWS + 1))
    if len(cells) > DRIVER_ROWS:
        raise BoundError(f"a quantile needs more than {DRIVER_ROWS} distinct values on the driver: round the column")
    cells["code"] = pd.Index(groups["group"]).get_indexer(cells["group"])
    cells = cells.sort_values(["code", "cell", "inside"], ascending=[True, True, False], ignore_index=True)
    upto = cells["count"].cumsum().to_numpy()
    before = np.cumsum(groups["size"].to_numpy()) - groups["size"].to_numpy()
    if len(upto) == 0 or upto[-1] != groups["size"].sum():
        return None
    at = np.searchsorted(upto, before[:, None] + places)
    return cells["cell"].to_numpy()[at] if cells["inside"].to_numpy()[at].all() else None
