"""The score job: fits what must be fitted, computes what is missing in the memos, publishes `scores_<recipe>`.

A score is a pure function of (content, fingerprint), so only (id, content_hash) pairs that the memo of a fingerprint
lacks are computed: in units, slices of the id hash, one commit each. A crash costs at most a unit.
"""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..udfs.scorer import DOCUMENT_INPUTS, Estimator, Scorer, fingerprint
from ..udfs.spark import apply
from .documents import BUCKETS, Documents, hash_name, roots
from .fit import fit_scores
from .lake.commits import Commit, Identity
from .lake.manifest import Manifest, Step
from .lake.schemas import Col, Table, memo, scores
from .lake.session import cores, even_splits
from .lake.tables import Lake, deciding
from .progress import heartbeat
from .recipe import Recipe, order

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

log = logging.getLogger("lakesift")

#: A unit is this many rows or this many seconds of work, whichever is larger, and never more than UNIT_LIMIT rows
#: (their ids are broadcast). `spark.lakesift.unitRows` sets the first.
UNIT_ROWS, UNIT_SECONDS, UNIT_LIMIT = 50_000, 120.0, 1_000_000
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


def score(lake: Lake, documents: Documents, keys: tuple[str, int], manifest: Manifest) -> tuple[list[Scored], int]:
    """Make every score of the recipe current; returns them and the version of `scores_<recipe>`."""
    recipe = documents.recipe
    fitted = fit_scores(lake, documents, manifest)
    done: dict[str, Scored] = {}
    prints: dict[str, str] = {}
    for label in order(recipe):
        prints[label] = fingerprint(fitted[label], prints)
        key = hash_name(roots(recipe, label))
        done[label] = Scored(label, fitted[label], prints[label], memo_table(fitted[label]), key)
    manifest.fingerprints = prints
    published = lake.newest(f"scores_{recipe.name}")
    before = published.note.get("memos", {}) if published else {}
    for label in order(recipe):
        with manifest.step(f"score {label}", done[label].table.name) as step:
            _compute(lake, documents, keys, done[label], done, before, step)
    return list(done.values()), publish(lake, recipe, keys, list(done.values()), manifest)


def memo_stamp(table: Identity, item: Scored) -> str:
    """Return what identifies a memo's content for one fingerprint: nothing is pending while it stands."""
    return f"{table.stamp}/{item.fingerprint}"


def _pending(lake: Lake, keys: tuple[str, int], item: Scored) -> DataFrame:
    """Return (id, content_hash) of keys that the live memo lacks.

    The memo is read at its present state, inside the plan of the append itself: under Serializable isolation two
    runs that compute the same fingerprint conflict, and one of them decides again.
    """
    have = lake.read(item.table.name).where(f"fingerprint = '{item.fingerprint}'").select("id", "content_hash")
    need = lake.read(*keys).selectExpr("id", f"{item.key} AS content_hash")
    return need.join(have, ["id", "content_hash"], "left_anti")


def _source(lake: Lake, documents: Documents, item: Scored, done: dict[str, Scored], bucket: str) -> DataFrame:
    """Return id, content_hash and the scorer's inputs for one slice: from the documents or from memos."""
    if all(name in DOCUMENT_INPUTS for name in item.scorer.inputs):
        spread = lake.spread(documents.recipe.documents.table, documents.frame, cores(lake.spark))
        sql = [f"{documents.id} AS id", f"{documents.hashes()[item.key]} AS content_hash"]
        return spread.where(bucket.format(id=documents.id)).selectExpr(*sql, *documents.inputs(item.scorer.inputs))
    frame: DataFrame | None = None
    for name in item.scorer.inputs:
        other = done[name]
        values = lake.read(other.table.name).where(f"fingerprint = '{other.fingerprint}'").where(bucket.format(id="id"))
        part = values.selectExpr("id", "content_hash", f"value AS `{name}`")
        frame = part if frame is None else frame.join(part, ["id", "content_hash"], "inner")
    assert frame is not None
    return frame


def _compute(
    lake: Lake,
    documents: Documents,
    keys: tuple[str, int],
    item: Scored,
    done: dict[str, Scored],
    before: dict[str, str],
    step: Step,
) -> None:
    """Compute what is pending, unit by unit."""
    present = lake.identity(item.table.name)
    step.computed = 0
    if before.get(item.label) == f"{memo_stamp(present, item)}/{keys[1]}":
        step.unchanged(present.version)
        return
    if present.newest is None:  # a new memo lacks them all
        pending, low, end = lake.read(*keys).count(), 0, BUCKETS
    else:  # what a crash left undone lies in the last buckets: units are cut from these alone
        pending, low, end = _span(_pending(lake, keys, item))
    rows = int(lake.spark.conf.get("spark.lakesift.unitRows", str(UNIT_ROWS)) or UNIT_ROWS)
    buckets, start, version = end - low, time.monotonic(), None
    width = math.ceil(buckets * min(1.0, rows / max(pending, 1)))
    while low < end:
        high = min(end, low + width)
        began = time.monotonic()
        with heartbeat(item.label, step.computed, pending):
            commit = deciding(
                f"score {item.label}",
                lambda: _unit(lake, documents, keys, item, done, low, high),  # noqa: B023
                tries=UNIT_TRIES,
            )
        if commit is not None:
            version, step.computed = commit.version, step.computed + (commit.rows or 0)
        rate = step.computed / (time.monotonic() - start)
        log.info("  %s: %s of %s rows, %s rows/s", item.label, f"{step.computed:,}", f"{pending:,}", f"{rate:,.0f}")
        per_bucket = max(time.monotonic() - began, 0.001) / (high - low)
        wanted = (
            max(math.ceil(buckets * rows / pending), int(UNIT_SECONDS / per_bucket)) if rows >= UNIT_ROWS else width
        )
        width = min(max(wanted, 1), max(1, buckets * UNIT_LIMIT // pending))
        low = high
    if version is None:
        step.unchanged(lake.version(item.table.name))
    else:
        step.wrote(version)


def _span(pending: DataFrame) -> tuple[int, int, int]:
    """Return the number of pending rows, their first bucket and the end of their last: (0, 0, 0) without any."""
    bucket = BUCKET.format(id="id")
    made = pending.selectExpr("count(*) AS n", f"min({bucket}) AS low", f"max({bucket}) + 1 AS end").collect()[0]
    return (made["n"], made["low"], made["end"]) if made["n"] else (0, 0, 0)


def _unit(
    lake: Lake, documents: Documents, keys: tuple[str, int], item: Scored, done: dict[str, Scored], low: int, high: int
) -> Commit | None:
    """Compute and append one slice; returns its commit, None if another run has computed all of it meanwhile."""
    from pyspark.sql import functions as F

    bucket = f"{BUCKET} BETWEEN {low} AND {high - 1}"
    pending = _pending(lake, keys, item).where(bucket.format(id="id"))
    source = _source(lake, documents, item, done, bucket)
    rows = source.join(F.broadcast(pending), ["id", "content_hash"], "left_semi")
    made = apply(rows, item.scorer).withColumn("fingerprint", F.lit(item.fingerprint))
    if documents.repeated:
        made = made.dropDuplicates(["id", "content_hash"])
    with even_splits(lake.spark):
        return lake.append(item.table, made, {"recipe": documents.recipe.name, "fingerprint": item.fingerprint})


def label_columns(items: list[Scored]) -> list[Col]:
    """Return the declared columns of labels, with comments that say kind and fingerprint."""
    return [Col(i.label, i.scorer.value, f"{i.scorer.comment} ({i.scorer.kind}, {i.fingerprint})") for i in items]


def publish(lake: Lake, recipe: Recipe, keys: tuple[str, int], items: list[Scored], manifest: Manifest) -> int:
    """Make `scores_<recipe>` hold exactly one row per document with one column per label; returns its version."""
    table = scores(recipe.name, label_columns(items), recipe.keep_versions)
    with manifest.step("publish", table.name) as step:
        version = int(deciding("publish", lambda: _publish(lake, table, keys, items, step)))
        undefined = {i.label: f"count(*) - count(`{i.label}`) AS `{i.label}`" for i in items}
        counts = (
            lake.read(table.name, version).selectExpr("count(*) AS rows_in", *undefined.values()).collect()[0].asDict()
        )
        step.rows = counts.pop("rows_in")
    for other in manifest.steps:
        if other.step.startswith("score "):
            other.rows, other.undefined = step.rows, counts[other.step[6:]]
    manifest.counts["undefined"] = counts
    return version


def _publish(lake: Lake, table: Table, keys: tuple[str, int], items: list[Scored], step: Step) -> int:
    present = lake.identity(table.name)
    note: dict[str, Any] = {
        "keys": keys_stamp(lake, keys),
        "labels": {i.label: i.fingerprint for i in items},
    }
    if present.newest and {k: present.newest.note.get(k) for k in note} == note:
        step.unchanged(present.version)
        return int(present.version or 0)
    frame = lake.read(*keys)
    columns = ["id", f"{items[0].key} AS content_hash"]
    for number, item in enumerate(items):
        values = lake.read(item.table.name).where(f"fingerprint = '{item.fingerprint}'")
        part = values.selectExpr("id", f"content_hash AS {item.key}", f"value AS value_{number}")
        frame = frame.join(part, ["id", item.key], "left")
        columns.append(f"value_{number} AS `{item.label}`")
    note["memos"] = {i.label: f"{memo_stamp(lake.identity(i.table.name), i)}/{keys[1]}" for i in items}
    version = lake.overwrite(table, frame.selectExpr(*columns), note, int(present.version or 0)).version
    step.wrote(version)
    return version


def keys_stamp(lake: Lake, keys: tuple[str, int]) -> str:
    """Return what identifies the keys that scores were published for."""
    newest = lake.newest(keys[0])
    return json.dumps([newest.note.get("documents"), newest.note.get("expressions")] if newest else [])


def label_tables(recipe: Recipe) -> tuple[Table, list[Table]]:
    """Return `scores_<recipe>` and the memos, before anything is fitted: for creation and `plan --ddl`."""
    memos = {s.kind: memo_table(s) for s in recipe.scores.values()}
    labels = [Col(k, s.value, f"{s.comment} ({s.kind})") for k, s in recipe.scores.items()]
    return scores(recipe.name, labels, recipe.keep_versions), list(memos.values())
