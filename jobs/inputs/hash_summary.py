"""Counts and digests of the hashed documents: in one pass over the hashes, or carried on from those before a change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from pyspark.sql import DataFrame

from ...udfs.errors import InputError
from ..lake.commits import Commit
from ..lake.digests import digest_difference, digest_sql
from ..lake.tables import Lake
from .documents import Documents
from .run import Summary


def summarise(lake: Lake, table: str, version: int, documents: Documents) -> Summary:
    """Count the documents and digest their hashes, in one pass over the hashes."""
    names = list(documents.hashes)
    return _summary(_counts(lake.read(table, version), names), documents)


def summarise_hashes(lake: Lake, table: str, version: int, documents: Documents) -> Summary:
    """Count and digest hashes of documents that may have changed since: rows without an id are not counted."""
    return _with_ids(_counts(lake.read(table, version), list(documents.hashes)), documents)


def carried_on(before: Summary, old: DataFrame, new: DataFrame, documents: Documents) -> Summary:
    """Return the summary of the hashes in which the rows `old` were replaced by `new`, without reading the others."""
    names = list(documents.hashes)
    went, came = _counts(old, names), _counts(new, names)
    counted = before.rows - before.null_ids
    known: tuple[Any, ...] = (
        before.documents,
        counted,
        before.conflicts,
        before.digest,
        *(before.inputs[name] for name in names),
    )
    changed: list[Any] = []
    for whole, gone, more in zip(known, went, came, strict=True):
        changed.append(digest_difference(whole, gone, more) if isinstance(whole, str) else whole - gone + more)
    return _summary(changed, documents)


def said_by(commit: Commit | None) -> Summary | None:
    """Return the summary that a commit carries, None if it carries none that can be read."""
    try:
        return Summary(**commit.metadata["summary"]) if commit else None
    except (KeyError, TypeError):
        return None


def as_metadata(summary: Summary) -> dict[str, Any]:
    """Return what `said_by` reads."""
    return {"summary": asdict(summary)}


def _counts(hashed: DataFrame, names: Sequence[str]) -> Sequence[Any]:
    counts = ("count(*) AS documents", "coalesce(sum(rows), 0) AS counted", "count_if(differs) AS conflicts")
    digests = (f"{digest_sql('id', name)} AS `digest_{name}`" for name in names)
    return hashed.selectExpr(*counts, f"{digest_sql('row_hash')} AS digest", *digests).collect()[0]


def _with_ids(counts: Sequence[Any], documents: Documents) -> Summary:
    """Return the summary of the rows that have an id."""
    present, counted, conflicts, digest, *inputs = counts
    by_name = dict(zip(documents.hashes, inputs, strict=True))
    return Summary(counted, present, 0, counted - present, conflicts, digest, by_name)


def _summary(counts: Sequence[Any], documents: Documents) -> Summary:
    """Return the summary of all rows that the documents have now."""
    hashed, rows = _with_ids(counts, documents), documents.frame.count()
    null_ids = rows - hashed.rows
    if null_ids:  # by difference; a scan must find them
        _refuse_unread(documents, rows, hashed.rows + documents.frame.where(f"{documents.id} IS NULL").count())
    return replace(hashed, rows=rows, null_ids=null_ids)


def _refuse_unread(documents: Documents, rows: int, read: int) -> None:
    """Raise InputError if fewer rows, or more, could be read than a table has."""
    if read != rows:
        table = documents.recipe.documents.table
        raise InputError(
            f"{table} has {rows:,} rows, and {read:,} could be read: data files are missing or damaged, or it changed "
            "meanwhile; restore it, or run again"
        )
