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

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ...udfs.errors import BoundError, InputError
from ...udfs.kernels.quantiles import quantile_rank
from .sort_keys import bin_of
from .top import DRIVER_ROWS, MARGINS, collect_pandas, count_and_sample, keyed_rows

#: Cells of a rank column: the tasks among which its distinct values are shared out.
CELLS = 64


def quantiles(rows: DataFrame, column: Column, qs: Sequence[float]) -> list[float]:
    """Return for every q the max(1, ceil(q n))-th smallest of the n values that are not null (NaN if there are none).

    Raises
    ------
    BoundError
        If more than DRIVER_ROWS distinct values lie inside the brackets.
    """
    values, n, sample = _sampled(rows, column)
    if n == 0 or not qs:
        return [math.nan] * len(qs)
    places = [quantile_rank(q, n) for q in qs]
    for margin in MARGINS:
        brackets = sorted({_bracket(sample, k * len(sample) / n, margin) for k in places})
        bounds = _walk(values, brackets, places)
        if bounds is not None:
            return bounds
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


def _walk(values: DataFrame, brackets: list[tuple[float, float]], places: list[int]) -> list[float] | None:
    """Return the values at those places, or None if one lies outside of all brackets."""
    value = F.col("value")
    inside = F.lit(False)
    for low, high in brackets:
        inside = inside | ((value >= low) & (value <= high))
    # Rows outside are lumped at the highest bracket end below them; `greatest` skips nulls.
    below = (F.when(value > high, F.lit(high)) for _, high in brackets)
    cell = F.when(inside, value).otherwise(F.greatest(F.lit(-math.inf), *below))
    counted = values.groupBy(inside.alias("inside"), cell.alias("cell")).count()
    cells = collect_pandas(counted.limit(DRIVER_ROWS + 1))
    if len(cells) > DRIVER_ROWS:
        raise BoundError(f"a quantile needs more than {DRIVER_ROWS} distinct values on the driver: round the column")
    cells = cells.sort_values(["cell", "inside"], ascending=[True, False], ignore_index=True)
    at = np.searchsorted(cells["count"].cumsum().to_numpy(), places)
    if at.max() >= len(cells) or not cells["inside"].to_numpy()[at].all():
        return None
    return [float(value) for value in cells["cell"].to_numpy()[at]]
