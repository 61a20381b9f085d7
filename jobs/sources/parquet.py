"""Parquet files as rows: columns of all files, types that every reader of the lake can hold, text that is UTF-8."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...udfs.errors import InputError
from ...udfs.quoting import quoted_name
from .column_types import column_name_error, table_type
from .listing import READ_FROM, File, globbed
from .source import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: What Spark says of files that are not Parquet, or not of one schema.
UNREADABLE = re.compile("PARQUET|FAILED_READ_FILE|CANNOT_MERGE|COLUMN_ALREADY_EXISTS|AMBIGUOUS|UNABLE_TO_INFER")


def parquet_rows(spark: SparkSession, source: Source, listed: list[File]) -> tuple[DataFrame, int, tuple[str, ...]]:
    """Return (row, reason, raw, file), the number of rows, and notes on what was cast.

    Folders named column=value below the one folder that a source names become columns. A row whose text is not UTF-8
    is rejected; its `raw` is base64 of the row as text.

    Raises
    ------
    InputError
        If a file is not Parquet, files disagree on a type, or no table can have a column of that name or type.
    """
    from pyspark.sql import functions as F

    what = ", ".join(source.files)
    reader = spark.read.option("mergeSchema", "true")
    one_folder = len(source.files) == 1 and not re.search(r"[*?\[]", what)
    if one_folder and any("=" in f.name for f in listed):
        reader = reader.option("basePath", what)
    try:
        frame = reader.parquet(*(globbed(f.path) for f in listed))
        count = frame.count()
    except Exception as error:
        if not UNREADABLE.search(str(error)):
            raise
        raise InputError(f"{what} cannot be read as Parquet: {_reason(str(error))}") from error
    if name_error := column_name_error(frame.columns):
        raise InputError(f"{what}: {name_error}")
    types = {f.name: table_type(f.dataType, f"{what}: column {f.name!r}") for f in frame.schema}
    zoneless = [f.name for f in frame.schema if "timestamp_ntz" in f.dataType.simpleString()]
    notes = [f"{what}: {', '.join(zoneless)} has no time zone and is taken as UTC"] if zoneless else []
    columns = {n: F.col(quoted_name(n)) for n in frame.columns}
    cells = [c.cast(types[n]).alias(n) if n in zoneless else c for n, c in columns.items()]
    rows = frame.select(F.struct(*cells).alias("row"), F.expr(READ_FROM).alias("file"))
    texts = [f"row.{quoted_name(f.name)}" for f in frame.schema if "string" in f.dataType.simpleString()]
    joined = F.struct(F.lit(""), *(F.col(t) for t in texts)).cast("string")
    # Replacing nothing decodes and encodes again, which changes exactly what is not UTF-8, on every Spark version.
    broken = F.regexp_replace(joined, r"\A", "") != joined
    raw = F.when(broken, F.base64(F.col("row").cast("string").cast("binary")))
    parsed = rows.select("row", F.when(broken, F.lit("not UTF-8")).alias("reason"), raw.alias("raw"), "file")
    return parsed, count, tuple(notes)


def _reason(text: str) -> str:
    if "TIMESTAMP(NANOS" in text:
        return "it holds timestamps in nanoseconds; write it again with microseconds (pandas: coerce_timestamps='us')"
    first = text.strip().splitlines()[0]
    return f"{first[:200]}; check the files, and that one column has one type in all of them"
