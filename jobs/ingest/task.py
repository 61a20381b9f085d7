"""One table that is to be ingested: its source, what the table holds of it, and the parsed lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ..lake.commits import Commit, TableState
from ..lake.ingest_tables import FILE_COLUMN, ingested_files, rejected_lines
from ..lake.json_lines import rejected_rows
from ..lake.tables import Lake
from ..recipe import Source
from ..sources.file_counts import FileCounts
from ..sources.reader import PARSED, SourceRows, read


@dataclass(frozen=True)
class Task:
    """One table: `digest` is that of its source, `known` are the files whose rows the table holds, by path."""

    lake: Lake
    table: str
    source: Source
    id_sql: str | None
    digest: str
    known: Mapping[str, FileCounts]

    @cached_property
    def changed(self) -> SourceRows:
        """The lines of files that are not known; of all where none is."""
        return read(self.lake.spark, self.source, self.id_sql, self.known)

    @cached_property
    def all(self) -> SourceRows:
        """The lines of all files."""
        return read(self.lake.spark, self.source, self.id_sql) if self.known else self.changed

    @property
    def stale(self) -> list[str]:
        """The files of which rows may stand in the table and must go: known ones that changed or are gone."""
        now = {f.file: f for f in self.changed.files}
        return sorted(name for name, file in self.known.items() if now.get(name) != file)


@dataclass(frozen=True)
class Written:
    """The table in line with its source: `lines` and `rows` of all files; `read` are the lines that were parsed."""

    version: int
    written: bool
    lines: int
    rows: int
    read: SourceRows | None = None
    how: str = ""


def ingested(task: Task, state: TableState) -> Written | None:
    """Return the table as it is if it is in line with its source, else None."""
    commit = state.last_write
    if commit is None or not commit.says({"source": task.digest}):
        return None
    rows = task.lake.read(task.table, state.version).count()
    return Written(int(state.version or 0), False, int(commit.metadata["lines"]), rows)


def known_files(lake: Lake, table: str, commit: Commit | None, digest: str) -> dict[str, FileCounts]:
    """Return the files whose rows stand in a table that is not in line with its source, by path; {} if unknown.

    They are known if the table, its rejected lines and the list of files were made of one state of the source.
    """
    source = commit.metadata.get("source") if commit else None
    if source in (None, digest):
        return {}
    files, rejected = (lake.last_write(t.name) for t in (ingested_files(table), rejected_lines(table)))
    if files is None or not files.says({"source": source}) or (rejected and not rejected.says({"source": source})):
        return {}
    rows = lake.read(ingested_files(table).name).collect()
    return {r["file"]: FileCounts(r["file"], r["size"], r["digest"], r["counts"]) for r in rows}


def split(task: Task, lines: SourceRows) -> tuple[DataFrame, DataFrame]:
    """Return the rows with the file of each, and the rejected lines (reason, raw, file)."""
    id_sql, line = task.id_sql, "lakesift_line"
    rows = lines.parsed.where("reason IS NULL").select("row.*", F.struct("row", "file").alias(line))
    rejected = lines.parsed.where("reason IS NOT NULL").select("reason", "raw", "file")
    if FILE_COLUMN in (c.lower() for c in rows.columns):
        raise InputError(f"{lines.what} hold a column {FILE_COLUMN!r}, which ingest writes itself; rename it")
    named = rows.withColumn(FILE_COLUMN, F.col(f"{line}.file")) if lines.files or lines.fresh else rows
    if not id_sql:
        return named.drop(line), rejected
    try:
        without_id = rows.where(F.expr(id_sql).isNull())
        with_id = named.where(F.expr(id_sql).isNotNull()).drop(line)
    except Exception as error:
        names = ", ".join(n for n in rows.columns if n != line)
        raise InputError(
            f"the id {id_sql!r} of table {task.table} is no expression over the columns of {lines.what} ({names}); "
            "correct documents: id"
        ) from error
    as_json = partial(rejected_rows, reason="id is null", always=lines.always)
    without = without_id.select(f"{line}.row", f"{line}.file").mapInArrow(as_json, PARSED)
    return with_id, rejected.union(without)
