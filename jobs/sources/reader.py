"""What a source holds, as a Spark frame of lines: a row or the reason why it is none, what stands there, the file.

JSON lines, CSV and text are parsed in Python, twice: once for the columns, once for the rows; what is kept between is
one shape of at most `SHAPE_BYTES` a task. Left out: CSV and text files above `WHOLE_BYTES`, read whole by one task.
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
from .parsers import Record, records
from .samples import SAMPLES
from .schema_inference import Kind, Shape, columns, ddl, fit, merge, observe
from .source import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: CSV and text files are read whole by one task.
WHOLE_BYTES = 256 << 20
#: What one task may say of the fields it saw, as JSON: it reaches the driver once for each task.
SHAPE_BYTES = 1_000_000
#: Rows and bytes of one Arrow batch out of a parser.
BATCH_ROWS, BATCH_BYTES = 5_000, 32 << 20
PARSED = "reason string, raw string, file string"


@dataclass(frozen=True)
class Lines:
    """`parsed`: row (a struct), reason (null for a row), raw (text, or base64 of what is not UTF-8), file.

    `count` is the number of lines that are not blank, `size` that of the files' bytes; `what` names the source.
    """

    parsed: DataFrame
    count: int
    size: int
    what: str


def read(spark: SparkSession, source: Source, notes: list[str]) -> Lines:
    """Return what a source holds, lazily but for the pass that learns the columns of JSON and CSV.

    Raises
    ------
    InputError
        If there is no file or no line, a file is broken, or a column cannot stand in a table.
    """
    if source.sample:
        return _sample(spark, source.sample)
    found = files(spark, source)
    what, size = ", ".join(source.files), sum(f.size for f in found)
    if source.format == "parquet":
        parsed, count = parquet_rows(spark, source, found, notes)
    else:
        units = _units(spark, source.format, found)
        shape, count = _learn(units, source.format, what)
        wanted = columns(shape, what) if count else ()
        row = f"row {ddl(('struct', wanted))}, {PARSED}"
        parsed = units.mapInArrow(partial(_parse, source.format, ("struct", wanted)), row)
    if count == 0:
        raise InputError(f"{what} hold no row; give files with rows in 'from: files:'")
    return Lines(parsed, count, size, what)


def _sample(spark: SparkSession, name: str) -> Lines:
    import pandas as pd
    from pyspark.sql import functions as F

    rows = list(SAMPLES[name].rows())
    frame = spark.createDataFrame(pd.DataFrame(rows))
    nothing = F.lit(None).cast("string")
    parsed = frame.select(
        F.struct("*").alias("row"), nothing.alias("reason"), nothing.alias("raw"), F.lit(f"sample {name}").alias("file")
    )
    return Lines(parsed, len(rows), 0, f"sample {name}")


def _units(spark: SparkSession, form: str, found: list[File]) -> DataFrame:
    """Return (raw binary, file): one row a line of JSON, one row a file otherwise."""
    from pyspark.sql import functions as F

    paths = [globbed(f.path) for f in found]
    if form == "jsonl":
        # A text column keeps bytes as they are, UTF-8 or not. \n alone ends a line: \r may stand inside JSON.
        text = spark.read.option("lineSep", "\n").text(paths)
        return text.select(F.col("value").cast("binary").alias("raw"), F.expr(READ_FROM).alias("file"))
    for file in found:
        if file.size > WHOLE_BYTES:
            raise InputError(
                f"{file.name} holds {file.size:,} bytes; a {form} file is read whole, at most {WHOLE_BYTES:,}: "
                "split it, or convert it to jsonl or parquet"
            )
    whole = spark.read.format("binaryFile").load(paths)
    return whole.select(F.col("content").alias("raw"), F.expr(READ_FROM).alias("file"))


def _learn(units: DataFrame, form: str, what: str) -> tuple[Shape, int]:
    """Return the shape of all rows and the number of lines, in one pass; raises InputError if no line is a row."""
    shape: Shape = {}
    try:
        for task in units.mapInArrow(partial(_observe, form), "shape string").collect():
            shape = merge(shape, json.loads(task["shape"]))
    except Exception as error:
        if "FAILED_READ_FILE" in str(error) or "Input stream" in str(error):
            raise InputError(f"{what} cannot be read to the end (a broken archive?); fetch the files again") from error
        raise
    if "wide" in shape:
        raise InputError(
            f"{what} hold more distinct fields than {SHAPE_BYTES:,} bytes can name; write mappings as text"
        )
    reasons = sorted(shape.get("broken", {}).items(), key=lambda item: (-item[1], item[0]))
    count, broken = shape.get("lines", 0), sum(n for _, n in reasons)
    if count and count == broken:
        shown = "; ".join(f"{reason} ({n:,})" for reason, n in reasons[:3])
        raise InputError(f"none of the {count:,} lines of {what} is a row: {shown}; check the files and 'format:'")
    return shape.get("rows", {}), count


def _found(form: str, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Record, str]]:
    for batch in batches:
        for raw, file in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            for record in records(form, raw, file):
                yield record, file


def _observe(form: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    shape: Shape = {"rows": {}, "lines": 0, "broken": {}}
    for record, _ in _found(form, batches):
        shape["lines"] += 1
        if record.row is None:
            shape["broken"][record.reason] = shape["broken"].get(record.reason, 0) + 1
        else:
            observe(shape["rows"], record.row)
    text = json.dumps(shape)
    yield pa.RecordBatch.from_arrays([pa.array([text if len(text) <= SHAPE_BYTES else '{"wide": 1}'])], ["shape"])


def _parse(form: str, kind: Kind, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    held: list[tuple[Any, str | None, str | None, str]] = []
    size = 0
    for record, file in _found(form, batches):
        row, reason = None, record.reason
        if record.row is not None:
            try:
                row = fit(record.row, kind)
            except ValueError as error:
                reason = str(error)
        held.append((row, None, None, file) if row is not None else (None, reason, _shown(record.raw), file))
        size += len(record.raw)
        if len(held) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield _batch(held, kind)
            held, size = [], 0
    yield _batch(held, kind)


def _batch(held: list[tuple[Any, str | None, str | None, str]], kind: Kind) -> pa.RecordBatch:
    names = ("row", "reason", "raw", "file")
    types = (_arrow(kind), pa.string(), pa.string(), pa.string())
    arrays = [pa.array([line[i] for line in held], type=t) for i, t in enumerate(types)]
    return pa.RecordBatch.from_arrays(arrays, names)


def _arrow(kind: Kind) -> pa.DataType:
    if isinstance(kind, str):
        return {"string": pa.string(), "bigint": pa.int64(), "double": pa.float64(), "boolean": pa.bool_()}[kind]
    if kind[0] == "array":
        return pa.list_(_arrow(kind[1]))
    return pa.struct([(name, _arrow(k)) for name, k in kind[1]])


def _shown(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode()
