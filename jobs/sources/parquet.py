"""Parquet files as rows: columns of all files, types that every reader of the lake can hold, text that is UTF-8."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...udfs.errors import InputError
from .listing import READ_FROM, File, globbed
from .schema_inference import fault
from .source import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: What Spark says of files that are not Parquet, or not of one schema.
UNREADABLE = re.compile("PARQUET|FAILED_READ_FILE|CANNOT_MERGE|COLUMN_ALREADY_EXISTS|AMBIGUOUS|UNABLE_TO_INFER")
#: Types that Delta's reader version 1 holds.
PLAIN = ("string", "binary", "boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "date", "timestamp")


def parquet_rows(spark: SparkSession, source: Source, found: list[File], notes: list[str]) -> tuple[DataFrame, int]:
    """Return (row, reason, raw, file) and the number of rows; what was cast is added to `notes`.

    Folders named column=value below the one folder that a source names become columns. A row whose text is not UTF-8
    is rejected; its `raw` is base64 of the row as text.

    Raises
    ------
    InputError
        If a file is not Parquet, files disagree on a type, or a column's name or type cannot stand in the table.
    """
    from pyspark.sql import functions as F

    what = ", ".join(source.files)
    reader = spark.read.option("mergeSchema", "true")
    if len(source.files) == 1 and any("=" in f.name for f in found) and not re.search(r"[*?\[]", source.files[0]):
        reader = reader.option("basePath", source.files[0])
    try:
        frame = reader.parquet(*(globbed(f.path) for f in found))
        count = frame.count()
    except Exception as error:
        if not UNREADABLE.search(str(error)):
            raise
        raise InputError(f"{what} cannot be read as Parquet: {_reason(str(error))}") from error
    if fault(frame.columns):
        raise InputError(f"{what}: {fault(frame.columns)}")
    casts = {f.name: _castable(f.dataType, f"{what}: column {f.name!r}") for f in frame.schema}
    changed = [f.name for f in frame.schema if "timestamp_ntz" in f.dataType.simpleString()]
    if changed:
        notes.append(f"{what}: {', '.join(changed)} has no time zone and is taken as UTC")
    cells = [F.col(f"`{n}`").cast(casts[n]).alias(n) if n in changed else F.col(f"`{n}`") for n in frame.columns]
    rows = frame.select(F.struct(*cells).alias("row"), F.expr(READ_FROM).alias("file"))
    texts = [f"row.`{f.name}`" for f in frame.schema if "string" in f.dataType.simpleString()]
    joined = F.struct(F.lit(""), *(F.col(t) for t in texts)).cast("string")
    # Replacing nothing decodes and encodes again, which changes exactly what is not UTF-8, on every Spark version.
    broken = F.regexp_replace(joined, r"\A", "") != joined
    raw = F.when(broken, F.base64(F.col("row").cast("string").cast("binary")))
    return rows.select("row", F.when(broken, F.lit("not UTF-8")).alias("reason"), raw.alias("raw"), "file"), count


def _castable(data_type: Any, where: str) -> str:
    """Return the DDL of a type with timestamp_ntz made timestamp, or raise for one that no Delta table can hold."""
    from pyspark.sql import types as T

    if isinstance(data_type, T.ArrayType):
        return f"array<{_castable(data_type.elementType, where)}>"
    if isinstance(data_type, T.MapType):
        return f"map<{_castable(data_type.keyType, where)},{_castable(data_type.valueType, where)}>"
    if isinstance(data_type, T.StructType):
        if fault(data_type.names):
            raise InputError(f"{where}: {fault(data_type.names)}")
        return f"struct<{','.join(f'`{f.name}`:{_castable(f.dataType, where)}' for f in data_type)}>"
    name = str(data_type.simpleString())
    if name == "timestamp_ntz":
        return "timestamp"
    if name in PLAIN or name.startswith("decimal"):
        return name
    raise InputError(f"{where} has type {name}, which not every reader of Delta knows; write it as string or number")


def _reason(text: str) -> str:
    if "TIMESTAMP(NANOS" in text:
        return "it holds timestamps in nanoseconds; write it again with microseconds (pandas: coerce_timestamps='us')"
    first = text.strip().splitlines()[0]
    return f"{first[:200]}; check the files, and that one column has one type in all of them"
