"""The greedy of MIG over more rows than the driver holds: a pass on Spark brings the best rows, which compete alone.

A pass computes all gains where the rows are, from the gradient alone (8 bytes a label travel), and collects the best
distinct rows and the best value outside; picks go on among them until a row outside might be better. The order is that
of one driver that holds everything (kernels/block_greedy.py), to the last bit of each gain.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ...udfs.arrays import Floats
from ...udfs.arrow import ragged_rows
from ...udfs.errors import BoundError
from ...udfs.kernels.block_greedy import Bound, Pool, pick_until
from ...udfs.kernels.label_gains import GradientGain, gradient_gains, taken
from .label_rows import collect_labels, label_bytes
from .sort_keys import hashed
from .top import DRIVER_ROWS, collect_pandas, rows_of, top

log = logging.getLogger("lakesift")

_KIND = ("labels", "quality", "cost")


class Chosen(NamedTuple):
    """A pick: id, gain, E after it."""

    id: str
    gain: float
    information: float


def greedy_by_passes(
    rows: DataFrame, state: GradientGain, start: Sequence[str], budget: int, seed: int, pool: int
) -> list[Chosen]:
    """Pick `budget` rows, or all.

    Parameters
    ----------
    rows : DataFrame
        id, labels (array<int>, ascending, without repeats), quality (double >= 0), cost (double > 0); no null.
    state : GradientGain
        Without rows; it has the start and the picks afterwards.
    start : sequence of str
        Ids among `rows` that were chosen before.
    pool : int
        Distinct rows that a pass brings.

    Raises
    ------
    BoundError
        If a pass would bring more rows than the driver takes.
    """
    chosen: list[Chosen] = []
    if start:
        before = rows_of(rows, pd.DataFrame({"id": [*start]}))
        held = collect_labels(before, "labels", seed, label_bytes(before, "labels"), quality=F.col("quality"))
        for i, quality in enumerate(held.rows["quality"].tolist()):
            state.add(held.labels[held.offsets[i] : held.offsets[i + 1]], quality)
    left = rows
    while len(chosen) < budget:
        gone = [*start, *(pick.id for pick in chosen)]
        left = rows_of(rows, pd.DataFrame({"id": gone}), "left_anti") if gone else rows
        fresh = _one_pass(left, state, budget - len(chosen), seed, pool)
        if not fresh:
            break
        chosen += fresh
        log.info("  mig: %s of %s picks", f"{len(chosen):,}", f"{budget:,}", extra={"passing": True})
    rest: Iterable[str] = top(left, F.lit(0.0), budget - len(chosen), seed)["id"] if len(chosen) < budget else ()
    return [*chosen, *(Chosen(i, 0.0, state.information) for i in rest)]


def _one_pass(left: DataFrame, state: GradientGain, budget: int, seed: int, size: int) -> list[Chosen]:
    """Pick among the best `size` distinct rows until a row outside might be better; nothing if no gain is above 0."""
    first = F.min(F.struct(hashed(seed).alias("h"), "id")).alias("first")
    kinds = left.groupBy(*_KIND).agg(first).select("first.id", *_KIND)
    valued = kinds.mapInArrow(partial(_values, state.gradient), "id string, value double").where("value > 0")
    best = top(valued, -F.col("value"), size + 1, seed)
    if best.empty:
        return []
    columns = {name: F.col(name) for name in ("quality", "cost")}
    few = rows_of(left, best)
    held = collect_labels(few, "labels", seed, label_bytes(few, "labels"), **columns)
    members = _members(left, few, budget, seed)
    place = dict(zip(held.rows["id"], range(len(held.rows)), strict=True))
    ids, kind = members["id"].tolist(), members["first"].map(place).to_numpy()
    order = np.argsort(kind, kind="stable")
    ends = np.searchsorted(kind[order], np.arange(len(held.rows) + 1))
    inside, bound = np.arange(len(held.rows)), Bound()
    if len(best) > size:
        outside = place[best["id"].iloc[-1]]
        inside = np.delete(inside, outside)
        bound = Bound(-float(best["key"].iloc[-1]), int(order[ends[outside]]))
    quality, cost = (held.rows[name].to_numpy(float)[inside] for name in columns)
    positions = [order[ends[i] : ends[i + 1]] for i in inside.tolist()]
    rivals = Pool(*taken(held.labels, held.offsets, inside), quality, cost, positions)
    found = pick_until(state, rivals, bound, budget)
    return [Chosen(ids[pick.position], pick.gain, pick.information) for pick in found]


def _members(left: DataFrame, few: DataFrame, budget: int, seed: int) -> pd.DataFrame:
    """Return the rows that are like one of a few, `budget` of each kind, in order of (h, id): id, id of the first."""
    kinds = few.select(F.col("id").alias("first"), *_KIND)
    alike = (
        left.select("id", hashed(seed).alias("h"), *_KIND)
        .join(F.broadcast(kinds), [*_KIND], "inner")
        .select("id", "h", "first")
    )
    if alike.count() > DRIVER_ROWS:
        turn = F.row_number().over(Window.partitionBy("first").orderBy("h", "id"))
        alike = alike.withColumn("turn", turn).where(F.col("turn") <= budget).drop("turn")
        if (many := alike.count()) > DRIVER_ROWS:
            raise BoundError(f"mig: {many:,} rows compete, the driver takes {DRIVER_ROWS:,}; lower the budget")
    return collect_pandas(alike).sort_values(["h", "id"], ignore_index=True)


def _values(gradient: Floats, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield id and gain per cost."""
    for batch in batches:
        ids, lists, quality, cost = batch.columns
        rows = ragged_rows(lists)
        row = np.repeat(np.arange(len(rows)), np.diff(rows.offsets))
        gains = gradient_gains(row, rows.values, quality.to_numpy(), gradient)
        yield pa.RecordBatch.from_arrays([ids, pa.array(gains / cost.to_numpy())], ["id", "value"])
