"""The key pass: one scan of the documents into `keys_<recipe>`; all later decisions read keys, not text.

One row per distinct id, with a content hash per distinct set of score inputs and the hash of everything else that the
recipe uses. Rows without an id and repeated ids are counted here and written to `rejected_<recipe>` with the reason.
"""

from __future__ import annotations

from typing import Any

from ..udfs.errors import InputError
from .inputs.documents import Documents, hash_name
from .lake.manifest import Manifest
from .lake.schemas import Table, keys, rejected
from .lake.tables import Lake, retry_on_conflict


def write_keys(lake: Lake, documents: Documents, manifest: Manifest) -> tuple[int, dict[str, Any]]:
    """Make `keys_<recipe>` current; returns its version and the summary of the pool.

    The summary: rows, documents (distinct ids), null_ids, duplicates, conflicts, digest, names of the hash columns.
    """
    table = keys(documents.recipe.name, [hash_name(s) for s in documents.recipe.input_sets()])
    with manifest.step("keys", table.name) as step:
        version = retry_on_conflict("keys", lambda: _write_keys(lake, table, documents, step))
        summary = summarise(lake, table, version, documents)
        step.rows = summary["rows"]
        step.rejected = summary["null_ids"] + (summary["duplicates"] if summary["conflicts"] else 0)
        _refuse_conflicts(lake, table, version, documents, summary)
        retry_on_conflict("rejected", lambda: _write_rejected(lake, table, version, documents, summary))
    return version, summary


def _write_keys(lake: Lake, table: Table, documents: Documents, step: Any) -> int:
    newest = lake.state(table.name)
    stamp = documents.state.data_version or _scan_stamp(documents)
    note = {"documents": stamp, "expressions": documents.expressions()}
    if newest.last_write and {k: newest.last_write.metadata.get(k) for k in note} == note:
        step.unchanged(newest.version)
        return int(newest.version or 0)
    from pyspark.sql import functions as F

    hashes = documents.hashes()
    base = documents.frame.select(
        F.expr(documents.id).alias("id"),
        F.expr(documents.row_hash()).alias("row_hash"),
        *(F.expr(sql).alias(name) for name, sql in hashes.items()),
    ).where("id IS NOT NULL")
    frame = base.groupBy("id").agg(
        F.count("*").alias("rows"),
        (F.min("row_hash") != F.max("row_hash")).alias("differs"),
        F.min("row_hash").alias("row_hash"),
        *(F.min_by(name, "row_hash").alias(name) for name in hashes),
    )
    version = lake.overwrite(table, frame, note, int(newest.version or 0)).version
    step.wrote(version)
    return version


def _scan_stamp(documents: Documents) -> str:
    """Return the digest of an input that has no versions: one more scan, and the note "not pinned"."""
    made = documents.frame.selectExpr("count(*) AS n", f"bit_xor({documents.row_hash()}) AS x").collect()[0]
    return f"not pinned:{made['n']}:{made['x']}"


def summarise(lake: Lake, table: Table, version: int, documents: Documents) -> dict[str, Any]:
    """Aggregate the keys: counts and the two digests of the pool."""
    hashes = list(documents.hashes())
    made = (
        lake.read(table.name, version)
        .selectExpr(
            "count(*) AS documents",
            "coalesce(sum(rows), 0) AS counted",
            "coalesce(sum(CASE WHEN differs THEN 1 ELSE 0 END), 0) AS conflicts",
            "coalesce(bit_xor(row_hash), 0) AS row_digest",
            *(f"coalesce(bit_xor(xxhash64(id, {h})), 0) AS digest_{h}" for h in hashes),
        )
        .collect()[0]
        .asDict()
    )
    rows = documents.frame.count()
    return {
        "rows": rows,
        "documents": made["documents"],
        "null_ids": rows - made["counted"],
        "duplicates": made["counted"] - made["documents"],
        "conflicts": made["conflicts"],
        "digest": f"{made['documents']}:{made['row_digest']}",
        "inputs": {h: f"{made['documents']}:{made['digest_' + h]}" for h in hashes},
    }


def _refuse_conflicts(lake: Lake, table: Table, version: int, documents: Documents, summary: dict[str, Any]) -> None:
    if summary["documents"] == 0:
        raise InputError(
            f"table {documents.recipe.documents.table} has no row with an id; nothing can be selected from it"
        )
    if summary["conflicts"] and documents.recipe.documents.duplicates == "error":
        rows = lake.read(table.name, version).where("differs").select("id").limit(20).collect()
        ids = ", ".join(repr(r["id"]) for r in rows)
        raise InputError(
            f"{summary['conflicts']} ids of {documents.recipe.documents.table} occur more than once with different "
            f"content ({ids}); make ids unique, or set documents.duplicates: first_by_hash"
        )


def _write_rejected(lake: Lake, keys_table: Table, version: int, documents: Documents, summary: dict[str, Any]) -> None:
    """Write the rows that were left out, with reasons; nothing is written while there are none."""
    table = rejected(documents.recipe.name)
    left_out = summary["null_ids"] + summary["duplicates"]
    newest = lake.state(table.name)
    if not left_out and (newest.last_write is None or newest.last_write.metadata.get("rows") == 0):
        return
    note = {"digest": summary["digest"], "rows": left_out}
    if newest.last_write and {k: newest.last_write.metadata.get(k) for k in note} == note:
        return
    nulls = documents.frame.where(f"{documents.id} IS NULL").selectExpr(
        "CAST(NULL AS STRING) AS id", "'id is null' AS reason"
    )
    again = (
        lake.read(keys_table.name, version)
        .where("rows > 1")
        .selectExpr(
            "id",
            "CASE WHEN differs THEN "
            "concat(rows - 1, ' more rows with this id; the one with the smallest hash was taken') "
            "ELSE concat(rows - 1, ' more rows with this id and the same content') END AS reason",
        )
    )
    lake.overwrite(table, nulls.unionByName(again), note, int(newest.version or 0))
