"""Step 2, hashing: the documents into `hashes_<recipe>`; all later decisions read hashes, not text.

One row per distinct id, with a content hash per distinct set of score inputs and the hash of everything else that the
recipe uses. Read are the rows of files that came or went since the hashes were made, where the log of the documents can
say which; else all. Rows without an id and repeated ids are counted here and written to `rejected_<recipe>` with the
reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import functions as F

from ..udfs.errors import InputError
from .inputs.documents import Documents
from .inputs.hash_state import are_of, by_change, known_summary, made_from
from .inputs.hash_summary import as_metadata, carried_on, summarise, summarise_hashes
from .inputs.hash_update import update
from .inputs.run import Hashes, Summary, Touched, id_frame
from .inputs.tables import hashes_table
from .lake.changes import Unknown, change
from .lake.commits import TableState
from .lake.counts import known_rows
from .lake.digests import rows_digest
from .lake.manifest import Manifest, Step
from .lake.progress import Meter
from .lake.replacement import replace_rows
from .lake.schemas import Table, rejected
from .lake.tables import Lake, retry_on_conflict
from .lake.tuning import COMPILE_BYTES, COMPILE_FROM, compiled

#: Ids whose 64-bit hashes are looked through on the driver: 160 MB. Of more, Spark counts them.
COLLECTED_IDS = 20_000_000


@dataclass(frozen=True)
class Made:
    """How the hashes were brought up to date: by which means a change was known, or why all documents were read.

    `rows` and `size` of the documents were read; without `rows` all, or none. Without `summary` it is not known yet,
    nor whether ids are repeated.
    """

    version: int
    written: bool
    how: str = ""
    rows: int | None = None
    size: int | None = None
    summary: Summary | None = None
    touched: Touched | None = None


def hash_documents(lake: Lake, documents: Documents, manifest: Manifest) -> Hashes:
    """Make `hashes_<recipe>` current, and `rejected_<recipe>` with it.

    Raises
    ------
    InputError
        If no row has an id, or ids are repeated with different content and the recipe does not allow that.
    """
    table = hashes_table(documents.recipe)
    with compiled(lake.spark, _expected(lake, table, documents)), manifest.step("hashes", table.name) as step:
        made = retry_on_conflict("hashes", lambda: _made(lake, table, documents))
        if (summary := made.summary) is None:
            summary = summarise(lake, table.name, made.version, documents)
            if _repeats(lake, table.name, made.version, summary.documents):
                made = retry_on_conflict("hashes", lambda: _all(lake, table, documents, made.how, grouped=True))
                summary = summarise(lake, table.name, made.version, documents)
        _account(step, made, summary)
        _refuse_conflicts(lake, table, made.version, documents, summary)
        retry_on_conflict("rejected", lambda: _write_rejected(lake, table, made.version, documents, summary))
    return Hashes(table.name, made.version, summary, made.touched)


def _expected(lake: Lake, table: Table, documents: Documents) -> int:
    """Return how many documents there are by the last hashes; COMPILE_FROM for a large table that never had any."""
    if before := known_summary(lake, documents.recipe, lake.state(table.name)):
        return before.documents
    return COMPILE_FROM if (lake.size(documents.recipe.documents.table) or 0) >= COMPILE_BYTES else 0


def _made(lake: Lake, table: Table, documents: Documents) -> Made:
    """Bring the hashes up to date: nothing if they stand, by change where that is known, else from all documents."""
    present = lake.state(table.name)
    if are_of(present.last_write, documents):
        return Made(int(present.version or 0), False, summary=known_summary(lake, documents.recipe, present))
    try:
        return _changed(lake, table, documents, present)
    except Unknown as reason:
        return _all(lake, table, documents, str(reason))


def _changed(lake: Lake, table: Table, documents: Documents, present: TableState) -> Made:
    """Read the rows of files that came or went, and append or replace their hashes; raises Unknown."""
    since, base = by_change(documents, present), int(present.version or 0)
    changed = change(lake, documents.recipe.documents.table, *since, int(documents.state.version or 0))
    before = known_summary(lake, documents.recipe, present)
    if before is None:
        before = summarise_hashes(lake, table.name, base, documents)
        if _repeats(lake, table.name, base, before.documents):
            raise Unknown("the hashes are half made")
    hashed = lake.read(table.name, base)
    found = update(hashed, changed, documents, before.documents)
    old, new = (lake.spark.createDataFrame(r[hashed.columns], hashed.schema) for r in (found.old, found.new))
    summary = carried_on(before, old, new, documents)
    ids = id_frame(lake.spark, found.ids)
    unique = not (before.duplicates or summary.duplicates)
    count, there, grew = len(found.ids), len(found.new), found.old.empty and not found.new.empty
    touched = Touched(present.data_version, ids, count, new, there, grew, found.rows if unique else None)
    made = Made(base, False, changed.how, found.read_rows, found.size, summary, touched)
    if not count:
        return made
    metadata = made_from(documents) | {"documents_version": documents.state.version, "grouped": True}
    metadata |= as_metadata(summary)
    return replace(made, version=replace_rows(lake, table, ids, new, metadata, base, grew), written=True)


def _all(lake: Lake, table: Table, documents: Documents, reason: str, grouped: bool = False) -> Made:
    """Hash all documents, unless that was done before.

    Grouping rows by id sorts them, because text is not aggregated in place; so it is done only where an id is repeated,
    which is looked up afterwards, or where rows may change between two looks.
    """
    grouped = grouped or documents.state.version is None
    present = lake.state(table.name)
    # Rows of an input without versions are digested instead, in a scan of their own: it is "not pinned".
    data_version = documents.state.data_version or rows_digest(documents.frame, documents.row_hash)
    metadata = made_from(documents, data_version)
    if (last := present.last_write) and last.says(metadata) and last.metadata.get("grouped", True) >= grouped:
        return Made(int(present.version or 0), False)
    columns = {"id": documents.id, "row_hash": documents.row_hash, **documents.hashes}
    rows = documents.frame.select(*(F.expr(sql).alias(name) for name, sql in columns.items())).where("id IS NOT NULL")
    if grouped:
        frame = rows.groupBy("id").agg(
            F.count("*").alias("rows"),
            (F.min("row_hash") != F.max("row_hash")).alias("differs"),
            F.min("row_hash").alias("row_hash"),
            *(F.min_by(name, "row_hash").alias(name) for name in documents.hashes),
        )
    else:
        once = ["id", "1L AS rows", "false AS differs", "row_hash", *documents.hashes]
        frame = rows.selectExpr(*once).repartition("id")
    metadata |= {"grouped": grouped, "documents_version": documents.state.version}
    if read := known_rows(lake, documents.recipe.documents.table, documents.state.version):
        Meter("documents", read).begins(read)
    commit = lake.overwrite(table, frame, metadata, int(present.version or 0))
    return Made(commit.version, True, reason, size=lake.size(documents.recipe.documents.table))


def _account(step: Step, made: Made, summary: Summary) -> None:
    step.ends(made.version, made.written)
    step.rows = summary.rows
    if made.touched:
        step.read_rows, step.read_bytes, step.how = made.rows, made.size, made.how
    elif made.written:
        step.read_rows, step.read_bytes, step.how = summary.rows, made.size, f"all: {made.how}"
    step.rejected = summary.null_ids + (summary.duplicates if summary.conflicts else 0)


def _repeats(lake: Lake, table: str, version: int, documents: int) -> bool:
    """Tell whether hashes that were not grouped by id hold an id twice: two of their ids have one 64-bit hash."""
    last = lake.last_write(table)
    if last is None or last.metadata.get("grouped", True):
        return False
    ids = lake.read(table, version).select(F.xxhash64("id").alias("x"))
    if documents <= COLLECTED_IDS and hasattr(ids, "toArrow"):  # Spark 3.5 has none
        return len(np.unique(ids.toArrow().column("x"))) < documents
    return not ids.groupBy("x").count().where("count > 1").isEmpty()


def _refuse_conflicts(lake: Lake, table: Table, version: int, documents: Documents, summary: Summary) -> None:
    named = documents.recipe.documents
    if summary.documents == 0:
        raise InputError(f"table {named.table} has no row with an id; nothing can be selected from it")
    if summary.conflicts and named.duplicates == "error":
        rows = lake.read(table.name, version).where("differs").select("id").limit(20).collect()
        ids = ", ".join(repr(r["id"]) for r in rows)
        raise InputError(
            f"{summary.conflicts} ids of {named.table} occur more than once with different "
            f"content ({ids}); make ids unique, or set documents.duplicates: first_by_hash"
        )


def _write_rejected(lake: Lake, hashed: Table, version: int, documents: Documents, summary: Summary) -> None:
    """Write the rows that were left out, with reasons; nothing is written while there are none."""
    table = rejected(documents.recipe.name)
    left_out = summary.null_ids + summary.duplicates
    present = lake.state(table.name)
    if not left_out and (present.last_write is None or present.last_write.metadata.get("rows") == 0):
        return
    metadata = {"digest": summary.digest, "rows": left_out}
    if present.last_write and present.last_write.says(metadata):
        return
    reason = f"IF({documents.given_id} IS NULL, 'id is null', 'id is not UTF-8') AS reason"
    nulls = documents.frame.where(f"{documents.id} IS NULL").selectExpr("NULL AS id", reason)
    same, differ = "' and the same content'", "'; the one with the smallest hash was taken'"
    reason = f"concat(rows - 1, ' more rows with this id', IF(differs, {differ}, {same})) AS reason"
    repeated = lake.read(hashed.name, version).where("rows > 1").selectExpr("id", reason)
    lake.overwrite(table, nulls.unionByName(repeated), metadata, int(present.version or 0))
