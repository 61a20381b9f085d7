"""Hashes carried on over a change of the documents: only rows of the files that came or went are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ..lake.changes import FEED, Change, Unknown, reading
from .documents import Documents
from .run import id_frame

#: Rows gained, or lost, that reach the driver at most: id and hashes of each, some 200 bytes.
MOST_ROWS = 1_000_000
#: Share of the documents, and rows, above which a full pass is as fast.
MOST_SHARE, LITTLE = 0.5, 10_000


@dataclass(frozen=True)
class Update:
    """What a change makes of the hashes: ids whose row there differs, with the row before and after.

    `old` and `new` have the columns of the hashes table; an id that came is in `new` alone, one that went in `old`.
    `rows` are the rows of the documents that were gained, None where an id may stand there twice, or outside.
    """

    old: pd.DataFrame
    new: pd.DataFrame
    rows: DataFrame | None
    read_rows: int
    size: int | None

    @property
    def ids(self) -> list[str]:
        """The id of every document that came, went or changed."""
        return list(dict.fromkeys([*self.old["id"], *self.new["id"]]))


def update(hashed: DataFrame, change: Change, documents: Documents, known: int) -> Update:
    """Return what a change of the documents makes of their hashes.

    Parameters
    ----------
    hashed : DataFrame
        The hashes of the documents before the change, one row per id.
    known : int
        How many documents they are.

    Raises
    ------
    Unknown
        If the change is too large for the driver, its files are gone, or an id stood twice with different content.
    """
    with reading():
        count = change.gained.count() if change.gained is not None else 0
        if count > min(MOST_ROWS, max(MOST_SHARE * known, LITTLE)):
            raise Unknown(f"{count:,} rows lie in files that were written since")
        net, once = _net(change, documents)
        if len(net) > MOST_ROWS:
            raise Unknown(f"{len(net):,} ids lie in files that changed")
        ids = F.broadcast(id_frame(hashed.sparkSession, net["id"]))
        old = hashed.join(ids, "id", "left_semi").toPandas()
    before, after = _merged(net, old, list(documents.hashes))
    same = before["rows"].eq(after["rows"]) & before["differs"].eq(after["differs"])
    same &= before["row_hash"].eq(after["row_hash"])
    there = ~same & before["rows"].gt(0), ~same & after["rows"].gt(0)
    gained = change.gained if once else None
    return Update(before[there[0]], after[there[1]], gained, count, change.size)


def _net(change: Change, documents: Documents) -> tuple[pd.DataFrame, bool]:
    """Return one row per id that came or went, and whether every id stands in the gained rows once at most.

    Columns: id, came and went (numbers of rows), row_hash and last (the smallest and largest of those that came),
    and the content hashes of the smallest.
    """
    names = list(documents.hashes)
    hashes = [f"{documents.row_hash} AS row_hash", *(f"{sql} AS {name}" for name, sql in documents.hashes.items())]
    # By files the rows lost are told by their ids alone: what was hashed of them is known.
    told = hashes if change.how == FEED else [f"CAST(NULL AS STRING) AS {n}" for n in ("row_hash", *names)]
    columns, own = ["id", "came", "went", "row_hash", "last", *names], f"{documents.id} AS id"
    rows = change.signed([own, *hashes], [own, *told])
    if rows is None:
        return pd.DataFrame(columns=columns), True
    rows = (
        rows.where("id IS NOT NULL")
        .groupBy("id", "row_hash")
        .agg(F.sum("n").alias("n"), F.count_if(F.col("n") > 0).alias("stand"), *(F.first(n).alias(n) for n in names))
    )
    came = F.col("n") > 0
    by_id = rows.groupBy("id").agg(
        F.sum(F.when(came, F.col("n")).otherwise(0)).alias("came"),
        F.sum(F.when(F.col("n") < 0, -F.col("n")).otherwise(0)).alias("went"),
        F.min(F.when(came, F.col("row_hash"))).alias("row_hash"),
        F.max(F.when(came, F.col("row_hash"))).alias("last"),
        *(F.min_by(n, F.when(came, F.col("row_hash"))).alias(n) for n in names),
        F.sum("stand").alias("stand"),
    )
    net = by_id.toPandas()
    return net[columns], bool((net["stand"] <= 1).all())


def _merged(net: pd.DataFrame, old: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of the hashes before and after, one for each id of `net` in its order; of 0 rows: not there."""
    columns = ["id", "rows", "differs", "row_hash", *names]
    before = net[["id"]].merge(old[columns], on="id", how="left")
    before["rows"] = before["rows"].fillna(0).astype(np.int64)
    before["differs"] = before["differs"].eq(True)
    stays = before["rows"].to_numpy() - net["went"].to_numpy(np.int64)
    if (stays < 0).any():
        raise Unknown("the hashes do not fit the change")
    rest = stays > 0
    if (rest & before["differs"]).any():
        raise Unknown("ids that are repeated with different content changed")
    came = net["came"].to_numpy(np.int64) > 0
    # Comparing text with NaN fails, so that what is absent is "".
    low, high, kept = (s.fillna("").to_numpy(object) for s in (net["row_hash"], net["last"], before["row_hash"]))
    keeps = rest & (~came | (kept <= low))
    after = pd.DataFrame({"id": net["id"], "rows": stays + net["came"].to_numpy(np.int64)})
    after["differs"] = came & ((low != high) | (rest & ((kept != low) | (kept != high))))
    for name in ("row_hash", *names):
        after[name] = np.where(keeps, before[name], net[name])
    return before[columns], after[columns]
