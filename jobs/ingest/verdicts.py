"""The parsed lines of one table: which are its rows, which are rejected, and what writing the rows tells of the latter.

A pass has one sink, so the rejected lines come to the driver beside the write of the rows, as a measure of it, while
they are few (`NOTED_BYTES` of sources/reader.py). Where they are many, are rows without an id of Parquet or by an SQL
expression, or where the engine delivers no measures, the files are parsed again for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ...udfs.quoting import quoted_name
from ...udfs.spark import on_workers
from ..lake.ingest_tables import FILE_COLUMN
from ..lake.json_lines import rejected_rows
from ..lake.observed import measuring
from ..sources.reader import SourceRows

if TYPE_CHECKING:
    from .task import Task

#: Columns beside those of the source, whose names have no blanks.
ROW, REASON, RAW, FILE, NOTED = "line row", "line reason", "line raw", "line file", "line noted"
REJECTED = "reason string, raw string, file string"
RejectedLine = tuple[str, str, str]


@dataclass(frozen=True)
class Verdicts:
    """The rows with the file of each; the rejected lines as (reason, raw, file), which parses the files again.

    `told` gives the rejected lines after the rows were written, None if the write did not tell all of them.
    """

    rows: DataFrame
    rejected: DataFrame
    told: Callable[[], list[RejectedLine] | None]


def verdicts(task: Task, lines: SourceRows) -> Verdicts:
    """Return the verdict on each line of a source.

    Raises
    ------
    InputError
        If the source has a column that ingest writes itself, or the id is no SQL over its columns.
    """
    beside = zip(("row", "reason", "raw", "file", "noted"), (ROW, REASON, RAW, FILE, NOTED), strict=True)
    judged = lines.parsed.select("row.*", *(F.col(name).alias(alias) for name, alias in beside))
    names = judged.columns[:-5]
    if FILE_COLUMN in map(str.lower, names):
        raise InputError(f"{lines.what} hold a column {FILE_COLUMN!r}, which ingest writes itself; rename it")
    if task.id_sql:
        try:
            without = F.col(REASON).isNull() & F.expr(task.id_sql).isNull()
            judged = judged.withColumn(REASON, F.when(without, F.lit("id is null")).otherwise(F.col(REASON)))
        except Exception as error:
            raise InputError(
                f"the id {task.id_sql!r} of table {task.table} is no expression over the columns of {lines.what} "
                f"({', '.join(names)}); correct documents: id"
            ) from error
    is_row = F.col(REASON).isNull()
    line = F.struct(F.col(REASON).alias("reason"), F.col(RAW).alias("raw"), F.col(FILE).alias("file"))
    noted = F.to_json(F.collect_list(F.when(F.col(NOTED) & ~is_row, line)))
    measures = (F.count(F.lit(1)).alias("lines"), F.count(F.col(REASON)).alias("rejected"), noted.alias("noted"))
    measured, delivered = measuring(judged.drop(ROW), *measures)
    columns = [F.col(quoted_name(name)) for name in names]
    if lines.files or lines.fresh:
        columns.append(F.col(FILE).alias(FILE_COLUMN))
    as_json = on_workers(partial(rejected_rows, always=lines.always))
    unsaid = F.when(F.col(RAW).isNull(), F.col(ROW)).alias(ROW)
    rejected = judged.where(~is_row).select(unsaid, REASON, RAW, FILE).mapInArrow(as_json, REJECTED)
    return Verdicts(measured.where(is_row).select(*columns), rejected, lambda: told_of(delivered(), lines.fresh_lines))


def told_of(measures: Mapping[str, Any], lines: int) -> list[RejectedLine] | None:
    """Return the rejected lines that the measures of a write name, None unless they are all, of all lines, once.

    Examples
    --------
    >>> told_of({"lines": 9, "rejected": 1, "noted": '[{"reason": "r", "raw": "x", "file": "f"}]'}, 9)
    [('r', 'x', 'f')]
    >>> told_of({"lines": 9, "rejected": 2, "noted": '[{"reason": "r", "raw": "x", "file": "f"}]'}, 9), told_of({}, 9)
    (None, None)
    """
    if measures.get("lines") != lines:
        return None
    noted = [(line["reason"], line["raw"], line["file"]) for line in json.loads(measures["noted"] or "[]")]
    return noted if len(noted) == measures["rejected"] else None
