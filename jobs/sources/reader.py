"""Reads source files into a frame with one row per record: the parsed row or the reason it was rejected, and the file.

JSON lines, CSV and text are parsed in Python, twice: once for the columns, once for the rows; counts of types are kept
between, at most `COUNTS_BYTES` a task. Left out: CSV and text files above `WHOLE_BYTES`, which one task reads whole.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...udfs.errors import InputError
from .listing import READ_FROM, File, files, globbed
from .parquet import parquet_rows
from .parsers import ParsedRecord, records, utf8
from .samples import SAMPLES
from .schema_inference import Kind, TypeCounts, coerce, columns, count_types, ddl, merge
from .source import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: CSV and text files are read whole by one task.
WHOLE_BYTES = 256 << 20
#: Bytes of one task's counts as JSON, at most: they reach the driver once for each task.
COUNTS_BYTES = 1_000_000
#: Rows and bytes of one Arrow batch out of a parser.
BATCH_ROWS, BATCH_BYTES = 5_000, 32 << 20
PARSED = "reason string, raw string, file string"


@dataclass(frozen=True)
class SourceRows:
    """The records of one source.

    `parsed` has row (a struct), reason (null for a row), raw (text, or base64 of what is not UTF-8) and file.
    `count` is the number of lines that are not blank, `size` that of the files' bytes; `what` names the source.
    """

    parsed: DataFrame
    count: int
    size: int
    what: str
    notes: tuple[str, ...] = ()


def read(spark: SparkSession, source: Source) -> SourceRows:
    """Return the records of a source, lazily but for the pass that infers the columns of JSON and CSV.

    Raises
    ------
    InputError
        If there is no file or no line, a file is broken, or no table can have a column of that name.
    """
    if source.sample:
        return _sample(spark, source.sample)
    source_files = files(spark, source)
    what, size = ", ".join(source.files), sum(f.size for f in source_files)
    notes: tuple[str, ...] = ()
    if source.format == "parquet":
        parsed, count, notes = parquet_rows(spark, source, source_files)
    else:
        raw = _raw(spark, source.format, source_files)
        counts, count = _infer(raw, source.format, what)
        row = ("struct", columns(counts, what) if count else ())
        parsed = raw.mapInArrow(partial(_parse, source.format, row), f"row {ddl(row)}, {PARSED}")
    if count == 0:
        raise InputError(f"{what} hold no row; give files with rows in 'from: files:'")
    return SourceRows(parsed, count, size, what, notes)


def _sample(spark: SparkSession, name: str) -> SourceRows:
    import pandas as pd

    rows, what = list(SAMPLES[name].rows()), f"sample {name}"
    frame = spark.createDataFrame(pd.DataFrame(rows))
    nothing = "CAST(NULL AS STRING)"
    parsed = frame.selectExpr("struct(*) AS row", f"{nothing} AS reason", f"{nothing} AS raw", f"'{what}' AS file")
    return SourceRows(parsed, len(rows), 0, what)


def _raw(spark: SparkSession, form: str, source_files: list[File]) -> DataFrame:
    """Return (raw binary, file): one row a line of JSON, one row a file otherwise."""
    paths = [globbed(f.path) for f in source_files]
    if form == "jsonl":
        # A text column keeps bytes as they are, UTF-8 or not. \n alone ends a line: \r may occur inside JSON.
        text = spark.read.option("lineSep", "\n").text(paths)
        return text.selectExpr("CAST(value AS BINARY) AS raw", f"{READ_FROM} AS file")
    for file in source_files:
        if file.size > WHOLE_BYTES:
            raise InputError(
                f"{file.name} holds {file.size:,} bytes; a {form} file is read whole, at most {WHOLE_BYTES:,}: "
                "split it, or convert it to jsonl or parquet"
            )
    whole = spark.read.format("binaryFile").load(paths)
    return whole.selectExpr("content AS raw", f"{READ_FROM} AS file")


def _infer(raw: DataFrame, form: str, what: str) -> tuple[TypeCounts, int]:
    """Return the counts of all rows' types and the number of lines, in one pass; raises InputError if none is a row."""
    counts: TypeCounts = {}
    try:
        for task in raw.mapInArrow(partial(_count, form), "counts string").collect():
            counts = merge(counts, json.loads(task["counts"]))
    except Exception as error:
        if "FAILED_READ_FILE" in str(error) or "Input stream" in str(error):
            raise InputError(f"{what} cannot be read to the end (a broken archive?); fetch the files again") from error
        raise
    if "wide" in counts:
        raise InputError(
            f"{what} hold more distinct fields than {COUNTS_BYTES:,} bytes can name; write mappings as text"
        )
    reasons = sorted(counts.get("rejected", {}).items(), key=lambda item: (-item[1], item[0]))
    lines, rejected = counts.get("lines", 0), sum(n for _, n in reasons)
    if lines and lines == rejected:
        shown = "; ".join(f"{reason} ({n:,})" for reason, n in reasons[:3])
        raise InputError(f"none of the {lines:,} lines of {what} is a row: {shown}; check the files and 'format:'")
    return counts.get("rows", {}), lines


def _records(form: str, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[ParsedRecord, str]]:
    for batch in batches:
        for raw, file in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            for record in records(form, raw, file):
                yield record, file


def _count(form: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    counts: TypeCounts = {"rows": {}, "lines": 0, "rejected": {}}
    for record, _ in _records(form, batches):
        counts["lines"] += 1
        if record.row is None:
            counts["rejected"][record.reason] = counts["rejected"].get(record.reason, 0) + 1
        else:
            count_types(counts["rows"], record.row)
    text = json.dumps(counts)
    yield pa.RecordBatch.from_arrays([pa.array([text if len(text) <= COUNTS_BYTES else '{"wide": 1}'])], ["counts"])


def _parse(form: str, kind: Kind, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([("row", _arrow(kind)), *((name, pa.string()) for name in ("reason", "raw", "file"))])
    lines: list[dict[str, Any]] = []
    size = 0
    for record, file in _records(form, batches):
        try:
            row, reason = coerce(record.row, kind), record.reason or None
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
