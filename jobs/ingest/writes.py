"""What ingest writes: the rows of a table, its rejected lines, the list of its files; all of them, or what changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import DataFrame

from ...udfs.quoting import quoted_text
from ..lake.commits import Commit, TableState
from ..lake.ingest_tables import FILE_COLUMN, ingested_files, rejected_lines
from ..lake.progress import Meter
from ..lake.schemas import Col, Table
from ..lake.tuning import cores
from ..sources.column_types import table_type
from ..sources.reader import SourceRows
from .layout import by_source
from .task import Task, Written, count_of
from .verdicts import REJECTED, Verdicts, verdicts

#: A smaller table is one file; a larger one some 2 x cores files at least.
SMALL_ROWS, SMALL_BYTES = 2_000, 16 << 20
#: Files whose rows are replaced one by one, at most: of more, all rows are written.
MOST_REPLACED = 1_000


def write_rows(task: Task, state: TableState) -> Written:
    """Write the rows of files that changed, if the columns stay as they are, else the rows of all."""
    base = state.version
    if task.known and task.changed.files and len(task.stale) + len(task.changed.fresh) <= MOST_REPLACED:
        made = verdicts(task, task.changed)
        if _columns(task.lake.read(task.table, base)) == _columns(made.rows):
            table = _table(task, made.rows)
            with _reading(task.changed):
                commit = _replace(task, table, made.rows, int(base or 0), FILE_COLUMN, _said(task.changed))
            return _written(task, commit, task.changed, "new and changed files", made)
        reason = "other columns"
    else:
        reason = "first time" if base is None else "many files changed, or it is not known which"
    made = verdicts(task, task.all)
    small = task.all.count < SMALL_ROWS and task.all.size < SMALL_BYTES
    frame = made.rows.coalesce(1) if small else by_source(made.rows, task.all, 2 * cores(task.lake.spark))
    with _reading(task.all):
        commit = _overwrite(task, _table(task, made.rows), frame, base, _said(task.all))
    return _written(task, commit, task.all, f"all: {reason}", made)


def write_rejected(task: Task, rows: Written) -> tuple[bool, int]:
    """Write the lines that are no rows, unless they are written or there never were any.

    Returns whether it wrote, and how many lines the table holds.
    """
    table = rejected_lines(task.table)
    state = task.lake.state(table.name)
    commit = state.last_write
    if commit is not None and commit.says({"source": task.digest}):
        count = count_of(task.lake, table.name, state.version)
        if rows.rows + count == rows.lines:
            return False, count
    if commit is None and (rows.rejected == [] or (rows.rejected is None and rows.rows == rows.lines)):
        return False, 0
    read = rows.read or task.all
    if rows.rejected is None:
        # One file by a shuffle of the rejected lines: coalesce(1) would parse the whole source in one task.
        frame = verdicts(task, read).rejected.repartition(1)
    else:
        frame = task.lake.spark.createDataFrame(rows.rejected, REJECTED).coalesce(1)
    with _reading(read):
        if commit is not None and task.known and read is task.changed:
            written = _replace(task, table, frame, int(state.version or 0), "file", {})
        else:
            written = _overwrite(task, table, frame, state.version, {})
    return True, count_of(task.lake, table.name, written.version)


def write_files(task: Task, read: SourceRows) -> None:
    """Write what is known of each file, or that files cannot be told apart."""
    table = ingested_files(task.table)
    state = task.lake.state(table.name)
    if state.last_write is None and not read.files:
        return
    rows = [(f.file, f.size, f.digest, f.counts) for f in read.files]
    frame = task.lake.spark.createDataFrame(rows, "file string, size bigint, digest string, counts string")
    _overwrite(task, table, frame.coalesce(1), state.version, {} if rows else {"unknown": True})


@contextmanager
def _reading(lines: SourceRows) -> Iterator[None]:
    """Raise InputError from an error of writing what is read of a source, if it is one of reading."""
    rows = lines.fresh_lines or lines.count
    Meter(f"lines of {lines.what}", rows, "lines").begins(rows)
    try:
        yield
    except Exception as error:
        if sentence := lines.fault(error):
            raise sentence from error
        raise


def _replace(task: Task, table: Table, rows: DataFrame, base: int, column: str, said: dict[str, Any]) -> Commit:
    """Put rows in the place of those of stale files, in one commit; rows of other files stay where they are."""
    frame, metadata = by_source(rows, task.changed), {"source": task.digest, **said}
    if not task.stale and (commit := task.lake.append(table, frame, metadata, base=base)):
        return commit
    names = {*task.stale, *(f.file for f in task.changed.files if f.file not in task.known)}
    # None where only the spelling of the names changed.
    within = f"{column} IN ({', '.join(map(quoted_text, sorted(names)))})" if names else "false"
    return task.lake.overwrite(table, frame, metadata, base, within)


def _overwrite(task: Task, table: Table, frame: DataFrame, base: int | None, said: dict[str, Any]) -> Commit:
    """Replace all rows of a table, which is made where it has no version yet."""
    if base is None:
        task.lake.create(table)
        base = task.lake.version(table.name) or 0
    return task.lake.overwrite(table, frame, {"source": task.digest, **said}, base)


def _said(lines: SourceRows) -> dict[str, Any]:
    """Return what the commit of the rows says of them."""
    return {"lines": lines.count} if lines.always is None else {"lines": lines.count, "always": list(lines.always)}


def _written(task: Task, commit: Commit, lines: SourceRows, how: str, made: Verdicts) -> Written:
    rows = count_of(task.lake, task.table, commit.version)
    return Written(commit.version, True, lines.count, rows, lines, how, made.told())


def _table(task: Task, rows: DataFrame) -> Table:
    columns = [Col(name, kind, "source column") for name, kind in _columns(rows)]
    if columns[-1].name == FILE_COLUMN:
        columns[-1] = Col(FILE_COLUMN, "STRING", "the file of the row; recipes do not see this column")
    return Table(task.table, "rows of the source files", tuple(columns))


def _columns(frame: DataFrame) -> list[tuple[str, str]]:
    return [(f.name, table_type(f.dataType, f"column {f.name!r}")) for f in frame.schema]
