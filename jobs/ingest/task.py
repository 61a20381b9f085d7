"""One table that is to be ingested: its source, what the table holds of it, and the parsed lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..lake.commits import Commit, TableState
from ..lake.ingest_tables import ingested_files, rejected_lines
from ..lake.tables import Lake
from ..recipe import Source
from ..sources.file_counts import FileCounts
from ..sources.reader import SourceRows, read
from .verdicts import RejectedLine


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
    """The table in line with its source: `lines` and `rows` of all files; `read` are the lines that were parsed.

    `rejected` are those of `read` that are no rows, as (reason, raw, file), where the write of the rows told them.
    """

    version: int
    written: bool
    lines: int
    rows: int
    read: SourceRows | None = None
    how: str = ""
    rejected: list[RejectedLine] | None = None


def ingested(task: Task, state: TableState) -> Written | None:
    """Return the table as it is if it is in line with its source, else None.

    It is not if its rejected lines are of the same source, and some lines are in neither table.
    """
    commit = state.last_write
    if commit is None or not commit.says({"source": task.digest}):
        return None
    rows, lines = count_of(task.lake, task.table, state.version), int(commit.metadata["lines"])
    name = rejected_lines(task.table).name
    rejected = task.lake.state(name)
    whole = rejected.last_write is not None and rejected.last_write.says({"source": task.digest})
    if whole and rows + count_of(task.lake, name, rejected.version) != lines:
        return None
    return Written(int(state.version or 0), False, lines, rows)


def count_of(lake: Lake, table: str, version: int | None) -> int:
    """Return the number of rows of a table at a version, 0 if there is none."""
    return 0 if version is None else lake.read(table, version).count()


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
