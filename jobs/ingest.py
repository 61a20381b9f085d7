"""Step 1, ingest: every line of the source files becomes a row of <table>, or of <table>_rejected with the reason.

The files are the truth: a table is unchanged while its newest data-changing commit carries the digest of its source, so
DELETE, UPDATE or RESTORE on it heal on the next run. `_rejected` is written after the table and carries the same
digest, so a run that stopped between the two is finished by the next. Lines in = rows written + rejected.
Left out: duplicate ids (hashing finds them) and null text (a row like any other).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ..udfs.errors import InputError
from .lake.commits import Commit
from .lake.json_lines import rejected_rows
from .lake.manifest import Manifest
from .lake.schemas import Col, Table, rejected_lines
from .lake.tables import Lake, retry_on_conflict
from .lake.tuning import cores
from .recipe import Recipe, Source
from .sources import sources_digest
from .sources.column_types import table_type
from .sources.reader import PARSED, SourceRows, read

#: A smaller table is one file; a larger one at least 2 x cores files, each of at most `FILE_BYTES` of source.
SMALL_ROWS, SMALL_BYTES, FILE_BYTES = 2_000, 16 << 20, 256 << 20


@dataclass(frozen=True)
class Task:
    """One table to be ingested: `digest` is that of its source, `read` parses it when it is first called."""

    lake: Lake
    table: str
    id_sql: str | None
    digest: str
    read: Callable[[], SourceRows]


def ingest(lake: Lake, recipe: Recipe, manifest: Manifest) -> None:
    """Ingest the documents and every target that has a `from:`.

    Raises
    ------
    RecipeError
        If one table is to come from two sources.
    InputError
        If a source is missing, empty, or holds no row at all, or LakeSift did not make the table.
    """
    for table, (source, id_sql) in recipe.ingested().items():
        ingest_table(lake, table, source, id_sql, manifest)


def ingest_table(lake: Lake, table: str, source: Source, id_sql: str | None, manifest: Manifest) -> None:
    """Bring one table in line with its source: in one commit if anything differs, in none otherwise.

    Parameters
    ----------
    id_sql : str or None
        SQL over the source's columns; lines where it is null are rejected, shown as the JSON of the row.

    Raises
    ------
    InputError
        If the source is missing, empty or broken, holds no row at all, or no column that `id_sql` names, or if
        LakeSift did not make the table.
    """
    with manifest.step("ingest", table) as step:
        for name in (table, rejected_lines(table).name):
            lake.refuse_foreign(name)
        digest = sources_digest(lake.spark, source, id_sql)
        task = Task(lake, table, id_sql, digest, cache(partial(read, lake.spark, source, id_sql)))
        version, written, lines, rows = retry_on_conflict(f"ingest of {table}", lambda: _ingest(task))
        step.ends(version, written)
        step.computed = rows if written else None
        step.rows, step.rejected = lines, lines - rows
        rejected = retry_on_conflict(f"{table}_rejected", lambda: _write_rejected(task, lines - rows))
        if written or rejected:
            manifest.notes += [n for n in task.read().notes if n not in manifest.notes]
        if rows == 0:
            raise InputError(
                f"none of the {lines:,} lines that table {table} comes from is a row; {table}_rejected holds each "
                "with the reason: correct the files, or documents: id"
            )


def _ingest(task: Task) -> tuple[int, bool, int, int]:
    """Write the table if its newest commit carries another digest; returns version, whether it wrote, lines, rows."""
    state = task.lake.state(task.table)
    commit, version, written = state.last_write, state.version, False
    if commit is None or not commit.says({"source": task.digest}):
        commit = _write_rows(task, state.version)
        version, written = commit.version, True
    rows = task.lake.read(task.table, commit.version).count() if commit.rows is None else commit.rows
    return int(version or 0), written, int(commit.metadata["lines"]), rows


def _write_rows(task: Task, base: int | None) -> Commit:
    lines, rows = task.read(), _split(task)[0]
    columns = tuple(Col(f.name, table_type(f.dataType, f"column {f.name!r}"), "source column") for f in rows.schema)
    small = lines.count < SMALL_ROWS and lines.size < SMALL_BYTES
    files = max(2 * cores(task.lake.spark), math.ceil(lines.size / FILE_BYTES))
    frame = rows.coalesce(1) if small else rows.repartition(files)
    said = {"lines": lines.count} if lines.always is None else {"lines": lines.count, "always": list(lines.always)}
    return _overwrite(task, Table(task.table, "rows of the source files", columns), frame, base, **said)


def _write_rejected(task: Task, count: int) -> bool:
    """Write the lines that are no rows, unless they are written or there never were any; tells whether it wrote."""
    table = rejected_lines(task.table)
    state = task.lake.state(table.name)
    commit = state.last_write
    if (commit is None and count == 0) or (commit is not None and commit.says({"source": task.digest})):
        return False
    # One file by a shuffle of the few rejected lines: coalesce(1) would parse the whole source in one task.
    _overwrite(task, table, _split(task)[1].repartition(1), state.version)
    return True


def _overwrite(task: Task, table: Table, frame: DataFrame, base: int | None, **metadata: Any) -> Commit:
    """Replace the rows of a table, which is made where it has no version yet."""
    if base is None:
        task.lake.create(table)
        base = task.lake.version(table.name) or 0
    return task.lake.overwrite(table, frame, {"source": task.digest, **metadata}, base)


def _split(task: Task) -> tuple[DataFrame, DataFrame]:
    """Return the rows, and the rejected lines (reason, raw, file)."""
    lines, id_sql, line = task.read(), task.id_sql, "lakesift_line"
    rows = lines.parsed.where("reason IS NULL").select("row.*", F.struct("row", "file").alias(line))
    rejected = lines.parsed.where("reason IS NOT NULL").select("reason", "raw", "file")
    if not id_sql:
        return rows.drop(line), rejected
    try:
        without_id = rows.where(F.expr(id_sql).isNull())
        with_id = rows.where(F.expr(id_sql).isNotNull()).drop(line)
    except Exception as error:
        names = ", ".join(n for n in rows.columns if n != line)
        raise InputError(
            f"the id {id_sql!r} of table {task.table} is no expression over the columns of {lines.what} ({names}); "
            "correct documents: id"
        ) from error
    as_json = partial(rejected_rows, reason="id is null", always=lines.always)
    without = without_id.select(f"{line}.row", f"{line}.file").mapInArrow(as_json, PARSED)
    return with_id, rejected.union(without)
