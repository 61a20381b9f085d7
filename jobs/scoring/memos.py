"""Memos: every score ever computed, by (id, content hash, fingerprint); what is missing is computed in units.

A unit is a slice of the pending rows by id hash, one commit each: a crash costs at most a unit.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING

from ...udfs.scorer import Estimator, Scorer
from ...udfs.spark import apply
from ..inputs.documents import BUCKETS, Documents
from ..lake.commits import Commit, TableState
from ..lake.manifest import Step
from ..lake.schemas import Table, memo
from ..lake.tables import Lake, retry_on_conflict
from ..lake.tuning import cores, few_splits, spread
from .progress import heartbeat

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

log = logging.getLogger("lakesift")

#: A unit is the scorer's `unit_rows` or this many seconds of work, whichever is larger, and never more than UNIT_LIMIT
#: rows (their ids are broadcast). `spark.lakesift.unitRows` sets how many instead.
UNIT_SECONDS, UNIT_LIMIT = 120.0, 1_000_000
#: Runs that add to one fingerprint lose a unit by turns, also over different rows: of 20 in a row one is theirs.
UNIT_TRIES = 20
#: SQL of a row's bucket.
BUCKET = f"pmod(xxhash64({{id}}), {BUCKETS})"


@dataclass(frozen=True)
class Scored:
    """One fitted score of a run: where its values lie."""

    label: str
    scorer: Scorer
    fingerprint: str
    table: Table
    key: str  # its hash column in keys


def memo_table(scorer: Scorer | Estimator) -> Table:
    """Return the memo table of a scorer's kind."""
    return memo(scorer.kind, scorer.value, scorer.comment)


def memo_stamp(table: TableState, item: Scored) -> str:
    """Return what identifies a memo's content for one fingerprint: nothing is pending while it stands."""
    return f"{table.data_version}/{item.fingerprint}"


class Memos:
    """The memos of one run: documents and keys are pinned, `scored` holds the scores that others read, by label."""

    def __init__(self, lake: Lake, documents: Documents, keys: tuple[str, int]) -> None:
        self.lake, self.documents, self.keys = lake, documents, keys
        self.scored: dict[str, Scored] = {}
        #: Fingerprint -> the version at which nothing of it was pending, and whether it then held no stale rows either.
        self._current: dict[str, int | None] = {}
        self._whole: dict[str, bool] = {}

    @cached_property
    def _few_splits(self) -> bool:
        return few_splits(self.lake.spark, self.lake.ref(self.documents.recipe.documents.table))

    @cached_property
    def documents_count(self) -> int:
        """The number of documents that have keys."""
        return self.lake.read(*self.keys).count()

    def _need(self, item: Scored) -> DataFrame:
        """Return (id, content_hash) of all documents."""
        return self.lake.read(*self.keys).selectExpr("id", f"{item.key} AS content_hash")

    def live(self, item: Scored, version: int | None = None) -> DataFrame:
        """Return (id, content_hash, value) of all rows ever computed, of documents that are gone too."""
        rows = self.lake.read(item.table.name, version).where(f"fingerprint = '{item.fingerprint}'")
        return rows.select("id", "content_hash", "value")

    def values(self, item: Scored, within: DataFrame | None = None) -> DataFrame:
        """Return (id, value) of the present documents that were computed; arrays are read, not exchanged, if they can.

        Where nothing is pending and there are as many rows as documents, none is stale and there is nothing to join
        with. `within`: of these ids only, which are few enough to be broadcast.
        """
        from pyspark.sql import functions as F

        need, version = self._need(item), self._current.get(item.fingerprint)
        rows = self.live(item, version)
        if within is not None:
            few = F.broadcast(need.join(F.broadcast(within.select("id")), "id", "left_semi"))
            return rows.join(few, ["id", "content_hash"], "left_semi").select("id", "value")
        if item.fingerprint not in self._whole:
            whole = version is not None and rows.count() == self.documents_count
            self._whole[item.fingerprint] = whole
        if self._whole[item.fingerprint]:
            return rows.select("id", "value")
        known = F.broadcast(need) if self.documents_count <= UNIT_LIMIT else need
        return rows.join(known, ["id", "content_hash"], "left_semi").select("id", "value")

    def pending(self, item: Scored, within: DataFrame | None = None) -> DataFrame:
        """Return (id, content_hash) of keys that the live memo lacks; `within`: of these ids only.

        The memo is read at its present state, inside the plan of the append itself: under Serializable isolation two
        runs that compute the same fingerprint conflict, and one of them decides again.
        """
        have, need = self.live(item).select("id", "content_hash"), self._need(item)
        if within is not None:
            need = need.join(within.select("id"), "id", "left_semi")
        return need.join(have, ["id", "content_hash"], "left_anti")

    def source(self, item: Scored, bucket: str = "true", deal_out: bool = True) -> DataFrame:
        """Return id, content_hash and the scorer's inputs for one slice: from the documents or from memos."""
        documents, inputs, frame = self.documents, item.scorer.inputs, self.documents.frame
        if not any(name in self.scored for name in inputs):
            if deal_out and self._few_splits:  # such small tables are dealt out: the one place where text may move
                frame = frame.repartition(4 * cores(self.lake.spark))
            sql = [f"{documents.id} AS id", f"{documents.hashes()[item.key]} AS content_hash"]
            return frame.where(bucket.format(id=documents.id)).selectExpr(*sql, *documents.inputs(inputs))
        parts = []
        for name in inputs:
            values = self.live(self.scored[name]).where(bucket.format(id="id"))
            parts.append(values.selectExpr("id", "content_hash", f"value AS `{name}`"))
        return reduce(lambda a, b: a.join(b, ["id", "content_hash"], "inner"), parts)

    def scores_of(self, item: Scored, within: DataFrame) -> DataFrame:
        """Return (id, content_hash, value) of a few documents, computed when it is read and not written."""
        from pyspark.sql import functions as F

        few = F.broadcast(within.select("id"))
        rows = self.source(item, deal_out=False).join(few, "id", "left_semi")
        if self.documents.repeated or any(name in self.scored for name in item.scorer.inputs):
            need = F.broadcast(self._need(item).join(few, "id", "left_semi"))
            rows = rows.join(need, ["id", "content_hash"], "left_semi").dropDuplicates(["id", "content_hash"])
        return apply(rows.repartition(4 * cores(self.lake.spark)) if self._few_splits else rows, item.scorer)

    def compute(self, item: Scored, before: str | None, step: Step, within: DataFrame | None = None) -> None:
        """Compute what is pending, unit by unit; nothing if the memo still is what it was `before`."""
        lake, present = self.lake, self.lake.state(item.table.name)
        self._current.pop(item.fingerprint, None)
        self._whole.pop(item.fingerprint, None)
        step.computed = step.computed or 0
        if before and before == f"{memo_stamp(present, item)}/{self.keys[1]}":
            step.unchanged(present.version)
            self._current[item.fingerprint] = present.version
            return
        if present.last_write is None and within is None:  # a new memo lacks them all
            pending, low, end = self.documents_count, 0, BUCKETS
        else:  # what a crash left undone lies in the last buckets: units are cut from these alone
            pending, low, end = _span(self.pending(item, within))
        first = item.scorer.unit_rows
        rows = int(lake.spark.conf.get("spark.lakesift.unitRows", str(first)) or first)
        buckets, start, version, done = end - low, time.monotonic(), None, 0
        width = math.ceil(buckets * min(1.0, rows / max(pending, 1)))
        while low < end:
            high = min(end, low + width)
            began = time.monotonic()
            with heartbeat(item.label, done, pending):
                commit = retry_on_conflict(
                    f"score {item.label}",
                    lambda: self._unit(item, low, high, within),  # noqa: B023
                    tries=UNIT_TRIES,
                )
            if commit is not None:
                version, done = commit.version, done + (commit.rows or 0)
            rate = done / (time.monotonic() - start)
            log.info("  %s: %s of %s rows, %s rows/s", item.label, f"{done:,}", f"{pending:,}", f"{rate:,.0f}")
            per_bucket = max(time.monotonic() - began, 0.001) / (high - low)
            wanted = int(UNIT_SECONDS / per_bucket) if rows == first else 0
            wanted = max(math.ceil(buckets * rows / pending), wanted)
            width = min(wanted, max(1, buckets * UNIT_LIMIT // pending))
            low = high
        step.computed += done
        newest = lake.version(item.table.name)
        if within is None:
            self._current[item.fingerprint] = newest
        if version is None:
            step.unchanged(newest)
        else:
            step.wrote(version)

    def _unit(self, item: Scored, low: int, high: int, within: DataFrame | None) -> Commit | None:
        """Compute and append one slice; returns its commit, None if another run has computed all of it meanwhile."""
        from pyspark.sql import functions as F

        bucket = f"{BUCKET} BETWEEN {low} AND {high - 1}"
        pending = self.pending(item, within).where(bucket.format(id="id"))
        rows = self.source(item, bucket).join(F.broadcast(pending), ["id", "content_hash"], "left_semi")
        made = apply(rows, item.scorer).withColumn("fingerprint", F.lit(item.fingerprint))
        if self.documents.repeated:
            made = made.dropDuplicates(["id", "content_hash"])
        with spread(self.lake.spark):
            note = {"recipe": self.documents.recipe.name, "fingerprint": item.fingerprint}
            return self.lake.append(item.table, made, note)


def _span(pending: DataFrame) -> tuple[int, int, int]:
    """Return the number of pending rows, their first bucket and the end of their last: (0, 0, 0) without any."""
    bucket = BUCKET.format(id="id")
    made = pending.selectExpr("count(*) AS n", f"min({bucket}) AS low", f"max({bucket}) + 1 AS end").collect()[0]
    return (made["n"], made["low"], made["end"]) if made["n"] else (0, 0, 0)
