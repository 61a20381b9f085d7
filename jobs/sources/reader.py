"""Reads source files into a frame with one row per record: the parsed row or the reason it was rejected, and the file.

JSON lines, CSV and text are parsed in Python, twice: once for the columns, once for the rows; counts of types are kept
between, at most `COUNTS_BYTES` a task. How Spark brings the bytes is in raw_bytes.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ...udfs.errors import InputError
from ...udfs.spark import on_workers
from ...udfs.uris import local_path
from .file_counts import FileCounts, counted, fresh_files, total
from .folder_columns import folder_names
from .listing import File, files, rewritten
from .parquet import parquet_rows
from .raw_bytes import raw_bytes
from .read_errors import unreadable, unreadable_in_write
from .record_passes import COUNTS_BYTES, column_of, counts_by_file, parsed_records
from .samples import SAMPLES
from .schema_inference import TypeCounts, always_written, columns, ddl, merge
from .source import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Bytes of rejected lines, at most, that reach the driver beside the write of the rows, and bytes of a task's input.
NOTED_BYTES, TASK_BYTES = 64 << 20, 64 << 20
#: Most places that the commit of a table names.
ALWAYS = 1_000
NOTHING_KNOWN: Mapping[str, FileCounts] = MappingProxyType({})
PARSED = "reason string, raw string, file string, noted boolean"


@dataclass(frozen=True)
class SourceRows:
    """The records of one source.

    `parsed` has, of the files in `fresh`, row (a struct), reason (null for a row), raw (text, or base64 of what is not
    UTF-8), file, and noted: whether it is one of the rejected lines that the driver may collect, which are few.
    `count` is the number of all lines that are not blank, `fresh_lines` that of the fresh files and `size` their bytes;
    `what` names the source. `always` are the places where null is no absent key, None where it is not known; `files` is
    what is known of each file now, () where files cannot be told apart.
    """

    parsed: DataFrame
    count: int
    size: int
    what: str
    notes: tuple[str, ...] = ()
    always: tuple[str, ...] | None = None
    files: tuple[FileCounts, ...] = ()
    fresh: tuple[File, ...] = ()
    fresh_lines: int = 0

    def changed_meanwhile(self) -> list[str]:
        """Return the fresh files of this machine whose bytes are not those that were listed any more."""
        return rewritten(self.fresh)

    def fault(self, error: Exception) -> InputError | None:
        """Return the sentence for an error of writing these rows that is one of reading their files, else None."""
        return unreadable_in_write(error, self.what, self.fresh)


def read(
    spark: SparkSession, source: Source, id_sql: str | None = None, known: Mapping[str, FileCounts] = NOTHING_KNOWN
) -> SourceRows:
    """Return the records of a source, lazily but for the pass that infers the columns of JSON and CSV.

    Parameters
    ----------
    id_sql : str or None
        SQL of the id. A column that it names is text as soon as its values are of two types: an id is text in the end,
        so none is rejected for its type. Where it is a column of JSON or CSV, lines without it are rejected here, and
        shown as they are in the file.
    known : mapping
        Files that were read before, by path: those that did not change are not opened.

    Raises
    ------
    InputError
        If there is no file or no line, a file is broken, or no table can have a column of that name.
    """
    if source.sample:
        return _sample(spark, source.sample)
    source_files, what = files(spark, source), ", ".join(source.files)
    fresh = fresh_files(source_files, known)
    kept = {local_path(f.path) for f in source_files} - {local_path(f.path) for f in fresh}
    before = [json.loads(known[name].counts) for name in kept]
    always = None
    if source.format == "parquet":
        parsed, by_file, notes = parquet_rows(spark, source, source_files, fresh)
        count = total([*before, *by_file.values()]).get("lines", 0)
    else:
        raw, by_file = _infer(spark, source, fresh, what)
        counts = _checked(total([*before, *by_file.values()]), what)
        count = counts.get("lines", 0)
        row = ("struct", columns(counts.get("rows", {}), what, id_sql or "") if count else ())
        always = tuple(always_written(counts.get("rows", {}))[:ALWAYS])
        share = NOTED_BYTES // (len(fresh) + sum(f.size for f in fresh) // TASK_BYTES + 1)
        parse = on_workers(parsed_records, source, row, column_of(id_sql or "", row), share)
        parsed = raw.mapInArrow(parse, f"row {ddl(row)}, {PARSED}")
        notes = () if source.dialect.delimiter else _notes(counts, what)
    if count == 0:
        raise InputError(f"{what} hold no row; give files with rows in 'from: files:'")
    if names := folder_names(local_path(f.path) for f in source_files):
        notes += (f"{what}: folders named column=value give the columns {', '.join(names)}, as text",)
    lines = total(by_file.values()).get("lines", 0)
    told = counted(source_files, fresh, by_file, known)
    if known and not told:
        return read(spark, source, id_sql)
    return SourceRows(parsed, count, sum(f.size for f in fresh), what, notes, always, told, tuple(fresh), lines)


def _notes(counts: TypeCounts, what: str) -> tuple[str, ...]:
    found = sorted(counts.get("delimiters", {}).items())
    words = ", ".join(f"{delimiter!r} in {n:,} of the files" for delimiter, n in found if delimiter != ",")
    return (f"{what}: the delimiter is guessed to be {words}; 'from: delimiter:' sets it",) if words else ()


def _sample(spark: SparkSession, name: str) -> SourceRows:
    import pandas as pd

    rows, what = list(SAMPLES[name].rows()), f"sample {name}"
    frame = spark.createDataFrame(pd.DataFrame(rows))
    nothing = "CAST(NULL AS STRING)"
    beside = (f"{nothing} AS reason", f"{nothing} AS raw", f"'{what}' AS file", "false AS noted")
    parsed = frame.selectExpr("struct(*) AS row", *beside)
    return SourceRows(parsed, len(rows), 0, what, fresh_lines=len(rows))


def _infer(
    spark: SparkSession, source: Source, listed: list[File], what: str
) -> tuple[DataFrame, dict[str, TypeCounts]]:
    """Return the files' bytes and, by file, the counts of all rows' types, in one pass.

    A file of JSON that turns out not to hold one object a line is read whole, in a second pass.
    """
    whole: frozenset[str] = frozenset()
    while True:
        raw, by_file = raw_bytes(spark, source.format, listed, whole), dict[str, TypeCounts]()
        try:
            for task in raw.mapInArrow(on_workers(counts_by_file, source), "file string, counts string").collect():
                by_file[task["file"]] = merge(by_file.get(task["file"], {}), json.loads(task["counts"]))
        except Exception as error:
            raise unreadable(error, what, listed) or error from error
        found = frozenset(file for file, counts in by_file.items() if counts.pop("whole", None)) - whole
        if not found:
            return raw, by_file
        whole |= found


def _checked(counts: TypeCounts, what: str) -> TypeCounts:
    """Return the counts of a source; raises InputError if they are too many to be told, or no line is a row."""
    if "wide" in counts:
        raise InputError(
            f"{what} hold more distinct fields than {COUNTS_BYTES:,} bytes can name; write mappings as text"
        )
    reasons = sorted(counts.get("rejected", {}).items(), key=lambda item: (-item[1], item[0]))
    lines, rejected = counts.get("lines", 0), sum(n for _, n in reasons)
    if lines and lines == rejected:
        shown = "; ".join(f"{reason} ({n:,})" for reason, n in reasons[:3])
        raise InputError(f"none of the {lines:,} lines of {what} is a row: {shown}; check the files and 'format:'")
    return counts
