"""Exact ranking on Spark: the first rows in order of a sort key, over all rows, per group, or by quota.

A selector is one double key per row, ascending = best; ties go to the lower h = xxhash64(id, seed), then to the lower
id. `top` takes the b smallest keys. `top_by_quota` gives the i-th row of group j, in the group's own order, the key
(i - u_j) / w_j with u_j = hash(seed, j) and takes the b smallest: sums are exact, a full group hands its share on, a
smaller budget is a prefix, and each group's share follows on the driver from the group sizes alone.

How the b-th key is found (selection by sampling: Floyd and Rivest, Expected time bounds for selection, CACM 18(3),
1975): one job counts the groups and takes a hash sample of (key, h) pairs, one collects the rows up to a sampled pair
that lies safely beyond the b-th; the driver sorts these and checks that they suffice, else it collects again with a
wider margin. The sample decides what is read, never what is chosen. Keys are only compared, so outliers, denormals,
infinities and masses of ties need no rule; radix digits were rejected because Spark SQL has no bit view of a double.
No plan sorts or exchanges unselected rows in one partition, and a giant group is one more bound, not one task.

Left out: tables on the way (each job reads `rows` again) and selections that do not fit the driver (DRIVER_ROWS).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from ...udfs.errors import BoundError, InputError
from .quota import quota
from .sort_keys import hashed, tag_of, uniform

Sample = dict[str, npt.NDArray[Any]]

#: Most rows a selection may have, and about what the driver keeps of each: id, key and hash.
DRIVER_ROWS, PICK_BYTES = 5_000_000, 150
#: Most groups of a quota.
GROUPS = 100_000
#: Share of the rows in the sample that places the bounds; the next one is tried if count and sample are more than
#: SAMPLE_ROWS.
RATES = (2.0**-8, 2.0**-16)
#: Most rows that count and sample take together: the sample and one row a group.
SAMPLE_ROWS = 5_000_000
#: If more than 2 x budget + SPARE rows would be collected, rows are ranked within groups on the executors instead.
SPARE = 1_000_000
#: Most ids that are joined by a broadcast.
BROADCAST_IDS = 1_000_000
#: Margins tried in turn, in standard deviations of the sample; the last one bounds nothing.
MARGINS = (4.0, 16.0, 1e9)


def collect_pandas(frame: DataFrame) -> pd.DataFrame:
    """Collect a frame to the driver as pandas; the caller states the bound."""
    return frame.toPandas()


def rows_of(rows: DataFrame, picked: pd.DataFrame, how: Literal["left_semi", "left_anti"] = "left_semi") -> DataFrame:
    """Return the rows whose id a frame on the driver holds, or all others."""
    ids = rows.sparkSession.createDataFrame(picked[["id"]], "id string")
    return rows.join(F.broadcast(ids) if len(picked) <= BROADCAST_IDS else ids, "id", how)


def top(rows: DataFrame, key: Column, budget: int, seed: int) -> pd.DataFrame:
    """Return the `budget` first rows in order of (key, h, id), as a frame (id, key, h); a null key is never selected.

    Raises
    ------
    BoundError
        If more than DRIVER_ROWS would be selected.
    """
    keyed = keyed_rows(rows, key, seed, None)
    groups, sample = count_and_sample(keyed, seed)
    groups["need"] = np.minimum(groups["size"], budget)
    return _first(keyed, groups, sample)[["id", "key", "h"]]


def top_by_quota(
    rows: DataFrame, key: Column, group: Column, plan: Callable[[pd.DataFrame], pd.DataFrame], budget: int, seed: int
) -> pd.DataFrame:
    """Return the first rows of each group, as many as its quota, interleaved by (i - u_j) / w_j: (id, key, group).

    Parameters
    ----------
    group : Column
        Anything that casts to string; null is a group of its own.
    plan : callable
        Given the groups (group: a `group_tag`; size: rows), returns them with the columns weight (>= 0) and capacity
        (<= size).

    Raises
    ------
    BoundError
        If there are more than GROUPS groups or more than DRIVER_ROWS would be selected.
    """
    keyed = keyed_rows(rows, key, seed, group)
    groups, sample = count_and_sample(keyed, seed)
    groups = plan(groups)
    groups["need"] = quota(groups["capacity"], groups["weight"], groups["offset"], budget)
    best = _first(keyed, groups, sample)
    code = best["code"].to_numpy()
    turn = (best["place"].to_numpy() - groups["offset"].to_numpy()[code]) / groups["weight"].to_numpy()[code]
    order = np.lexsort((code, turn))
    return best.assign(group=groups["group"].to_numpy()[code]).loc[order, ["id", "key", "group"]].reset_index(drop=True)


def keyed_rows(rows: DataFrame, key: Column, seed: int, group: Column | None) -> DataFrame:
    """Return id, group tag, sort key and hash of the rows that have a key."""
    tag = F.lit("") if group is None else tag_of(group)
    # + 0.0 makes one zero of two; a null score is dropped here, for every selector.
    shaped = rows.select("id", tag.alias("group"), (key + F.lit(0.0)).alias("key"), hashed(seed).alias("h"))
    return shaped.where(F.col("key").isNotNull())


def with_values_of_group(rows: DataFrame, table: pd.DataFrame, types: Mapping[str, str]) -> DataFrame:
    """Return the rows whose `group` is in the table, with the columns named in `types` from there."""
    if len(table) == 1:  # literals spare a broadcast
        values = [F.lit(table[name].iloc[0].item()).cast(kind).alias(name) for name, kind in types.items()]
        return rows.where(F.col("group") == F.lit(table["group"].iloc[0])).select("*", *values)
    schema = ", ".join(f"{name} {kind}" for name, kind in {"group": "string", **types}.items())
    values_of = rows.sparkSession.createDataFrame(table[["group", *types]], schema)
    return rows.join(F.broadcast(values_of), "group", "inner")


def count_and_sample(keyed: DataFrame, seed: int) -> tuple[pd.DataFrame, Sample]:
    """Return one row per group in order of its tag (group, size, offset u_j), and a hash sample, in one job.

    Rows outside of the sample fall into one cell a group, so the aggregate is small before it is exchanged. The sample
    is sorted by (group code, key, h) and closed by a last row that bounds nothing.
    """
    offset = uniform(F.xxhash64("group", F.lit(seed).cast("bigint"))).alias("offset")
    for rate in RATES:
        drawn = uniform(F.xxhash64("h", F.lit("sample"))) < F.lit(rate)
        # No null among the hashes: pandas would make floats of them.
        pair = F.when(drawn, F.col("key")).alias("key"), F.when(drawn, F.col("h")).otherwise(0).alias("h")
        cells = keyed.groupBy("group", *pair).agg(F.count(F.lit(1)).alias("size"))
        counts = collect_pandas(cells.select("*", offset).limit(SAMPLE_ROWS + 1))
        if len(counts) <= SAMPLE_ROWS:
            break
    groups = counts.groupby("group", as_index=False).agg({"size": "sum", "offset": "first"})
    if len(groups) > GROUPS:
        raise BoundError(f"the quota's column has more than {GROUPS} values: bucket it or name a coarser column")
    sample = counts[counts["key"].notna()]
    code = pd.Index(groups["group"]).get_indexer(sample["group"])
    order = np.lexsort((sample["h"], sample["key"], code))
    key, h = (sample[c].to_numpy()[order] for c in ("key", "h"))
    open_end = np.int64(2**63 - 1)
    return groups, {"code": code[order], "key": np.append(key, math.inf), "h": np.append(h.astype(np.int64), open_end)}


def _first(keyed: DataFrame, groups: pd.DataFrame, sample: Sample) -> pd.DataFrame:
    """Return the first `need` rows of each group, sorted by (group, key, h, id): id, key, h, code, place (from 1)."""
    need, wanted = groups["need"].to_numpy(), int(groups["need"].sum())
    if wanted > DRIVER_ROWS:
        bound = f"more than the {DRIVER_ROWS} the driver takes: lower the budget"
        raise BoundError(f"the selection would hold {wanted} rows, {bound}")
    if not wanted:
        types = {"id": "object", "key": "float64", "h": "int64", "code": "int64", "place": "int64"}
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
    for margin in MARGINS:
        limits, expected = _limits(groups, sample, margin)
        ordered = _ordered(collect_pandas(_candidates(keyed, limits, expected > SPARE + 2 * wanted)))
        code = ordered["code"].to_numpy()
        rows = np.bincount(code, minlength=len(groups))
        if (rows >= need).all():
            ordered["place"] = np.arange(len(code)) - (np.cumsum(rows) - rows)[code] + 1
            first: pd.DataFrame = ordered[ordered["place"].to_numpy() <= need[code]]
            return first.reset_index(drop=True)
    short = int(np.flatnonzero(rows < need)[0])
    raise InputError(
        f"the rows changed while they were ranked: {need[short]} were counted, {rows[short]} are left; "
        "read a pinned version of the table"
    )


def _limits(groups: pd.DataFrame, sample: Sample, margin: float) -> tuple[pd.DataFrame, float]:
    """Return per wanted group the (key, h) up to which its rows are collected, and how many rows that will be."""
    need, size = groups["need"].to_numpy(), groups["size"].to_numpy()
    sampled = np.bincount(sample["code"], minlength=len(groups))
    start = np.cumsum(sampled) - sampled
    mean = need * sampled / size
    at = np.ceil(mean + margin * np.sqrt(mean) + margin**2)
    bounded = (at < sampled) & (need < size)
    where = np.where(bounded, start + at, len(sample["key"]) - 1).astype(np.int64)
    limits = pd.DataFrame({"group": groups["group"], "code": np.arange(len(groups)), "need": need})
    limits["last_key"], limits["last_h"] = sample["key"][where], sample["h"][where]
    rows = np.where(bounded, at * size / np.maximum(sampled, 1), size)
    return limits[need > 0], float(rows[need > 0].sum())


def _candidates(keyed: DataFrame, limits: pd.DataFrame, cut: bool) -> DataFrame:
    """Return the rows up to their group's limit: id, key, h, code; with `cut`, exactly `need` of each group."""
    types = {"code": "bigint", "need": "bigint", "last_key": "double", "last_h": "bigint"}
    bounded = with_values_of_group(keyed, limits, types)
    key, last = F.col("key"), F.col("last_key")
    candidates = bounded.where((key < last) | ((key == last) & (F.col("h") <= F.col("last_h"))))
    if cut:
        order = Window.partitionBy("group").orderBy("key", "h", "id")
        candidates = candidates.withColumn("place", F.row_number().over(order)).where(F.col("place") <= F.col("need"))
    return candidates.select("id", "key", "h", "code")


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Sort by (code, key, h, id); ids are compared only if two rows share the rest (strings sort slowly)."""
    order = np.lexsort([rows[c].to_numpy() for c in ("h", "key", "code")])
    rows = rows.iloc[order].reset_index(drop=True)
    if rows.duplicated(["code", "key", "h"]).any():
        return rows.sort_values(["code", "key", "h", "id"], ignore_index=True)
    return rows
