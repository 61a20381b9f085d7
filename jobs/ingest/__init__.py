"""Step 1, ingest: every line of the source files becomes a row of <table>, or of <table>_rejected with the reason.

The files are the truth: a table is unchanged while its newest data-changing commit carries the digest of its source, so
DELETE, UPDATE or RESTORE on it heal on the next run. Of a source that changed only new and changed files are parsed:
<table>_ingested knows the others. `_rejected` and `_ingested` are written after the table and carry the same digest, so
a run that stopped between them is finished by the next. Lines in = rows written + rejected, each counted: lines where
they are parsed first, the others in the tables.
Left out: duplicate ids (hashing finds them) and null text (a row like any other).
"""

from __future__ import annotations

from ...udfs.errors import InputError
from ..lake.ingest_tables import ingested_files, rejected_lines
from ..lake.manifest import Manifest, Step, files_of
from ..lake.tables import Lake, retry_on_conflict
from ..recipe import Recipe, Source
from ..sources import sources_digest
from .task import Task, Written, ingested, known_files
from .writes import write_files, write_rejected, write_rows

#: Times that files are read again which changed while they were read.
TRIES = 3


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
        LakeSift did not make the table, or files change while they are read.
    """
    with manifest.step("ingest", table) as step:
        for name in (table, rejected_lines(table).name, ingested_files(table).name):
            lake.refuse_foreign(name)
        for _ in range(TRIES):
            if not (changing := _bring_in_line(lake, table, source, id_sql, manifest, step)):
                break
        else:
            raise InputError(f"the file {changing[0]} changes while it is read; run again when it is complete")
        if step.rows is not None and step.rows == step.rejected:
            raise InputError(
                f"none of the {step.rows:,} lines that table {table} comes from is a row; {table}_rejected holds each "
                "with the reason: correct the files, or documents: id"
            )


def _bring_in_line(
    lake: Lake, table: str, source: Source, id_sql: str | None, manifest: Manifest, step: Step
) -> list[str]:
    """Write what differs; returns the files that changed while they were read."""
    digest = manifest.read_at[files_of(table)] = sources_digest(lake.spark, source, id_sql)

    def rows_written() -> tuple[Task, Written]:
        state = lake.state(table)
        task = Task(lake, table, source, id_sql, digest, known_files(lake, table, state.last_write, digest))
        return task, ingested(task, state) or write_rows(task, state)

    task, rows = retry_on_conflict(f"ingest of {table}", rows_written)
    step.ends(rows.version, rows.written)
    wrote, rejected = retry_on_conflict(f"{table}_rejected", lambda: write_rejected(task, rows))
    step.rows, step.rejected = rows.lines, rejected
    if not (rows.written or wrote):
        return []
    read = rows.read or task.all
    manifest.notes += [n for n in read.notes if n not in manifest.notes]
    if rows.written:
        step.computed, step.read_rows, step.read_bytes = rows.rows, read.fresh_lines, read.size or None
        step.how = rows.how
    if changing := read.changed_meanwhile():
        return changing
    if rows.rows + rejected != rows.lines:
        raise InputError(
            f"{read.what} hold {rows.lines:,} lines, but {rows.rows:,} are in {table} and {rejected:,} in "
            f"{table}_rejected: a file was not read the same twice; run again, and look at the disk if this returns"
        )
    if rows.written:
        retry_on_conflict(f"{table}_ingested", lambda: write_files(task, read))
    return []
