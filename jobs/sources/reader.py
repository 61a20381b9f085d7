"""Reads source files into a frame with one row per record: the parsed row or the reason it was rejected, and the file.

JSON lines, CSV and text are parsed in Python, twice: once for the columns, once for the rows; counts of types are kept
between, at most `COUNTS_BYTES` a task. How Spark brings the bytes is in raw_bytes.py.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...udfs.errors import InputError
from ...udfs.spark import on_workers
from ...udfs.uris import local_path
from .file_counts import FileCounts, counted, fresh_files, total
from .folder_columns import folder_names
from .listing import File, files, rewritten
from .parquet import parquet_rows
from .parsers import utf8
from .raw_bytes import raw_bytes
from .read_errors import unreadable
from .records import counts_of, records
from .samples import SAMPLES
from .schema_inference import Kind, TypeCounts, always_written, coerce, columns, count_types, ddl, merge
from .source import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Bytes of one task's counts as JSON, at most: they reach the driver once for each task.
COUNTS_BYTES = 1_000_000
#: Rows and bytes of one Arrow batch out of a parser.
BATCH_ROWS, BATCH_BYTES = 5_000, 32 << 20
#: Most places that the commit of a table names.
ALWAYS = 1_000
NOTHING_KNOWN: Mapping[str, FileCounts] = MappingProxyType({})
PARSED = "reason string, raw string, file string"


@dataclass(frozen=True)
class SourceRows:
    """The records of one source.

    `parsed` has row (a struct), reason (null for a row), raw (text, or base64 of what is not UTF-8) and file, of the
    files in `fresh`. `count` is the number of all lines that are not blank, `fresh_lines` that of the fresh files and
    `size` their bytes; `what` names the source. `always` are the places where null is no absent key, None where it is
    not known; `files` is what is known of each file now, () where files cannot be told apart.
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
        parsed = raw.mapInArrow(
            on_workers(_parse, source, row, _column_of(id_sql or "", row)), f"row {ddl(row)}, {PARSED}"
        )
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
    parsed = frame.selectExpr("struct(*) AS row", f"{nothing} AS reason", f"{nothing} AS raw", f"'{what}' AS file")
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
            for task in raw.mapInArrow(on_workers(_count, source), "file string, counts string").collect():
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


def _count(source: Source, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    by_file: dict[str, TypeCounts] = {}
    for record, file in records(source, batches, by_file):
        counts = counts_of(by_file, file)
        counts["lines"] += 1
        if record.row is None:
            counts["rejected"][record.reason] = counts["rejected"].get(record.reason, 0) + 1
        else:
            count_types(counts["rows"], record.row)
    texts = (json.dumps(counts) for counts in by_file.values())
    told = pa.array([text if len(text) <= COUNTS_BYTES else '{"wide": 1}' for text in texts], pa.string())
    yield pa.RecordBatch.from_arrays([pa.array(list(by_file), pa.string()), told], ["file", "counts"])


def _column_of(id_sql: str, row: Kind) -> str:
    """Return the column that the SQL of an id is, "" if it is more than a name."""
    name = id_sql.strip().strip("`").lower()
    return next((column for column, _ in row[1] if column.lower() == name), "")


def _parse(source: Source, kind: Kind, id_name: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([("row", _arrow(kind)), *((name, pa.string()) for name in ("reason", "raw", "file"))])
    lines: list[dict[str, Any]] = []
    size = 0
    for record, file in records(source, batches):
        try:
            row, reason = coerce(record.row, kind), record.reason or None
            if id_name and row is not None and row[id_name] is None:
                row, reason = None, "id is null"
        except ValueError as error:
            row, reason = None, str(error)
        raw = None if reason is None else (utf8(record.raw) or base64.b64encode(record.raw).decode())
        lines.append({"row": row, "reason": reason, "raw": raw, "file": file})
        size += len(record.raw)
        if len(lines) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield pa.RecordBatch.from_pylist(lines, schema)
            lines, size = [], 0
    yield pa.RecordBatch.from_pylist(lines, schema)


def _arrow(kind: Kind) -> pa.DataType:
    if isinstance(kind, str):
        return {"string": pa.string(), "bigint": pa.int64(), "double": pa.float64(), "boolean": pa.bool_()}[kind]
    if kind[0] == "array":
        return pa.list_(_arrow(kind[1]))
    return pa.struct([(name, _arrow(k)) for name, k in kind[1]])
