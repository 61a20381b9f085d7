"""Step 2, hashing: one scan of the documents into `hashes_<recipe>`; all later decisions read hashes, not text.

One row per distinct id, with a content hash per distinct set of score inputs and the hash of everything else that the
recipe uses. Rows without an id and repeated ids are counted here and written to `rejected_<recipe>` with the reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.sql import functions as F

from ..udfs.errors import InputError
from .inputs.documents import Documents
from .inputs.run import Hashes, Summary
from .inputs.tables import hashes_table
from .lake.digests import digest_sql, rows_digest
from .lake.manifest import Manifest
from .lake.schemas import Table, rejected
from .lake.tables import Lake, retry_on_conflict

#: Ids whose 64-bit hashes are looked through on the driver: 160 MB. Of more, Spark counts them.
COLLECTED_IDS = 20_000_000


def hash_documents(lake: Lake, documents: Documents, manifest: Manifest) -> Hashes:
    """Make `hashes_<recipe>` current, and `rejected_<recipe>` with it.

    Raises
    ------
    InputError
        If no row has an id, or ids are repeated with different content and the recipe does not allow that.
    """
    table = hashes_table(documents.recipe)
    with manifest.step("hashes", table.name) as step:
        version, written = retry_on_conflict("hashes", lambda: _write_hashes(lake, table, documents))
        summary = summarise(lake, table.name, version, documents)
        if _repeats(lake, table.name, version, summary.documents):
            version, written = retry_on_conflict("hashes", lambda: _write_hashes(lake, table, documents, grouped=True))
            summary = summarise(lake, table.name, version, documents)
        step.ends(version, written)
        step.rows = summary.rows
        step.rejected = summary.null_ids + (summary.duplicates if summary.conflicts else 0)
        _refuse_conflicts(lake, table, version, documents, summary)
        retry_on_conflict("rejected", lambda: _write_rejected(lake, table, version, documents, summary))
    return Hashes(table.name, version, summary)


def made_from(documents: Documents, data_version: str | None = None) -> dict[str, Any]:
    """Return what hashes are made from, as their commit says it: which table, its data, and what is hashed of it."""
    state = documents.state
    return {"documents": [state.ref, data_version or state.data_version], "expressions": documents.expressions()}


def hashes_stand(lake: Lake, documents: Documents) -> bool:
    """Tell whether `hashes_<recipe>` is of these very documents; never of an input without versions."""
    last = lake.last_write(f"hashes_{documents.recipe.name}")
    return documents.state.data_version is not None and last is not None and last.says(made_from(documents))


def _write_hashes(lake: Lake, table: Table, documents: Documents, grouped: bool = False) -> tuple[int, bool]:
    """Return the version of the hashes, and whether it was written here.

    Grouping rows by id sorts them, because text is not aggregated in place; so it is done only where an id is repeated,
    which is looked up afterwards, or where rows may change between two looks.
    """
    grouped = grouped or documents.state.version is None
    present = lake.state(table.name)
    # Rows of an input without versions are digested instead, in a scan of their own: it is "not pinned".
    data_version = documents.state.data_version or rows_digest(documents.frame, documents.row_hash)
    metadata = made_from(documents, data_version)
    if (last := present.last_write) and last.says(metadata) and last.metadata.get("grouped", True) >= grouped:
        return int(present.version or 0), False
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
    base = int(present.version or 0)
    return lake.overwrite(table, frame, metadata | {"grouped": grouped}, base).version, True


def _repeats(lake: Lake, table: str, version: int, documents: int) -> bool:
    """Tell whether hashes that were not grouped by id hold an id twice: two of their ids have one 64-bit hash."""
    last = lake.last_write(table)
    if last is None or last.metadata.get("grouped", True):
        return False
    ids = lake.read(table, version).select(F.xxhash64("id").alias("x"))
    if documents <= COLLECTED_IDS and hasattr(ids, "toArrow"):  # Spark 3.5 has none
        return len(np.unique(ids.toArrow().column("x"))) < documents
    return not ids.groupBy("x").count().where("count > 1").isEmpty()


def summarise(lake: Lake, table: str, version: int, documents: Documents) -> Summary:
    """Count the documents and digest their hashes, in one pass over the hashes."""
    names = list(documents.hashes)
    counts = ("count(*) AS documents", "coalesce(sum(rows), 0) AS counted", "count_if(differs) AS conflicts")
    digests = (f"{digest_sql('id', name)} AS `digest_{name}`" for name in names)
    every = lake.read(table, version).selectExpr(*counts, f"{digest_sql('row_hash')} AS digest", *digests).collect()[0]
    present, counted, conflicts, digest, *inputs = every
    rows, by_name = documents.frame.count(), dict(zip(names, inputs, strict=True))
    null_ids, duplicates = rows - counted, counted - present
    if null_ids:  # by difference; a scan must find them
        _refuse_unread(documents, rows, rows - null_ids + documents.frame.where(f"{documents.id} IS NULL").count())
    return Summary(rows, present, null_ids, duplicates, conflicts, digest, inputs=by_name)


def _refuse_unread(documents: Documents, rows: int, read: int) -> None:
    """Raise InputError if fewer rows, or more, could be read than a table has."""
    if read != rows:
        table = documents.recipe.documents.table
        raise InputError(
            f"{table} has {rows:,} rows, and {read:,} could be read: data files are missing or damaged, or it changed "
            "meanwhile; restore it, or run again"
        )


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
