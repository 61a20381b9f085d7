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
from typing import TYPE_CHECKING

from ..udfs.errors import InputError
from .lake.commits import Commit
from .lake.manifest import Manifest
from .lake.schemas import Col, Table, rejected_lines
from .lake.tables import Lake, retry_on_conflict
from .lake.tuning import cores
from .recipe import Recipe, Source
from .sources import sources_digest
from .sources.column_types import table_type
from .sources.reader import SourceRows, read

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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


@dataclass(frozen=True)
class Ingested:
    """The outcome for one table: of so many `lines` of the source, `rows` are in it at `version`."""

    version: int
    written: bool
    lines: int
    rows: int


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
        task = Task(lake, table, id_sql, digest, cache(partial(read, lake.spark, source)))
        done = retry_on_conflict(f"ingest of {table}", lambda: _ingest(task))
        step.ends(done.version, done.written)
        if done.written:
            step.computed = done.rows
        step.rows, step.rejected = done.lines, done.lines - done.rows
        rejected = retry_on_conflict(f"{table}_rejected", lambda: _write_rejected(task, done.lines - done.rows))
        if done.written or rejected:
            manifest.notes += [n for n in task.read().notes if n not in manifest.notes]
        if done.rows == 0:
            raise InputError(
                f"none of the {done.lines:,} lines that table {table} comes from is a row; {table}_rejected holds each "
                "with the reason: correct the files, or documents: id"
            )


def _ingest(task: Task) -> Ingested:
    """Write the table if its newest commit carries another digest."""
    lake, state = task.lake, task.lake.state(task.table)
    commit = state.last_write
    written = commit is None or not commit.says({"source": task.digest})
    if commit is None or written:
        commit = _write(task, state.version)
    version = commit.version if written else int(state.version or 0)
    rows = lake.read(task.table, commit.version).count() if commit.rows is None else commit.rows
    return Ingested(version, written, int(commit.metadata["lines"]), rows)


def _write(task: Task, base: int | None) -> Commit:
    lake, lines = task.lake, task.read()
    rows, _ = _split(task)
    columns = tuple(Col(f.name, table_type(f.dataType, f"column {f.name!r}"), "source column") for f in rows.schema)
    table = Table(task.table, "rows of the source files", columns)
    if base is None:
        lake.create(table)
        base = lake.version(task.table) or 0
    small = lines.count < SMALL_ROWS and lines.size < SMALL_BYTES
    files = max(2 * cores(lake.spark), math.ceil(lines.size / FILE_BYTES))
    frame = rows.coalesce(1) if small else rows.repartition(files)
    return lake.overwrite(table, frame, {"source": task.digest, "lines": lines.count}, base)


def _write_rejected(task: Task, count: int) -> bool:
    """Write the lines that are no rows, unless they are written or there never were any; tells whether it wrote."""
    lake, table = task.lake, rejected_lines(task.table)
    state = lake.state(table.name)
    commit = state.last_write
    if (commit is None and count == 0) or (commit is not None and commit.says({"source": task.digest})):
        return False
    lake.create(table)
    rejected = _split(task)[1].coalesce(1)
    lake.overwrite(table, rejected, {"source": task.digest}, state.version or lake.version(table.name) or 0)
    return True


def _split(task: Task) -> tuple[DataFrame, DataFrame]:
    """Return the rows, and the rejected lines (reason, raw, file)."""
    from pyspark.sql import functions as F

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
    as_json = F.to_json(f"{line}.row", {"ignoreNullFields": "false"})
    return with_id, rejected.union(without_id.select(F.lit("id is null"), as_json, f"{line}.file"))
