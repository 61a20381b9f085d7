"""Parquet files as rows: columns of all files, types that every reader of the lake can hold, text that is UTF-8."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...udfs.errors import InputError
from ...udfs.java_errors import kinds
from ...udfs.quoting import quoted_name
from ...udfs.uris import globbed, is_uri, local_path
from .column_types import column_name_error, table_type
from .folder_columns import folder_names, folder_sql
from .listing import READ_FROM, File
from .raw_bytes import name_fault
from .read_errors import unreadable
from .source import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Conditions of Spark for files that are not Parquet, or not of one schema.
UNREADABLE = re.compile(
    "PARQUET|FAILED_READ_FILE|CANNOT_MERGE|COLUMN_ALREADY_EXISTS|AMBIGUOUS|UNABLE_TO_INFER|FOOTER|UNSUPPORTED_TIME_TYPE"
    "|DECIMAL_PRECISION"
)
#: First and last bytes of a Parquet file; PARE where its footer is encrypted.
MAGIC = (b"PAR1", b"PARE")


def parquet_rows(
    spark: SparkSession, source: Source, listed: list[File], fresh: list[File]
) -> tuple[DataFrame, dict[str, dict[str, int]], tuple[str, ...]]:
    """Return (row, reason, raw, file, noted) of the fresh files, by file the "lines", and notes on what was cast.

    Columns are those of all files.

    Folders named column=value become columns of text, see folder_columns.py. A row whose text is not UTF-8 is rejected;
    its `raw` is base64 of the row as text.

    Raises
    ------
    InputError
        If a file is not Parquet, files disagree on a type, or no table can have a column of that name or type.
    """
    from pyspark.sql import functions as F

    what = ", ".join(source.files)
    for file in fresh:
        _check_file(file)
    # Spark's own columns of folders would be guessed to be numbers, and depend on how the files are named.
    reader = spark.read.option("mergeSchema", "true").option("recursiveFileLookup", "true")
    try:
        frame = reader.parquet(*(globbed(f.path) for f in listed))
        if len(fresh) < len(listed):  # Spark lists the files and opens those that are left
            frame = frame.where(F.expr(READ_FROM).isin([local_path(f.path) for f in fresh]))
        counts = frame.groupBy(F.expr(READ_FROM).alias("file")).count().collect()
    except Exception as error:
        if sentence := unreadable(error, what, listed):
            raise sentence from error
        if not UNREADABLE.search(kinds(str(error))):
            raise
        raise InputError(f"{what} cannot be read as Parquet: {_reason(str(error))}") from error
    own = {name.lower() for name in frame.columns}
    folders = [n for n in folder_names(local_path(f.path) for f in listed) if n.lower() not in own]
    if name_error := column_name_error([*frame.columns, *folders]):
        raise InputError(f"{what}: {name_error}")
    types = {f.name: table_type(f.dataType, f"{what}: column {f.name!r}") for f in frame.schema}
    zoneless = [f.name for f in frame.schema if "timestamp_ntz" in f.dataType.simpleString()]
    notes = [f"{what}: {', '.join(zoneless)} has no time zone and is taken as UTC"] if zoneless else []
    columns = {n: F.col(quoted_name(n)) for n in frame.columns}
    cells = [c.cast(types[n]).alias(n) if n in zoneless else c for n, c in columns.items()]
    cells += [F.expr(folder_sql(name, READ_FROM)).alias(name) for name in folders]
    rows = frame.select(F.struct(*cells).alias("row"), F.expr(READ_FROM).alias("file"))
    texts = [f"row.{quoted_name(f.name)}" for f in frame.schema if "string" in f.dataType.simpleString()]
    joined = F.struct(F.lit(""), *(F.col(t) for t in texts)).cast("string")
    # Replacing nothing decodes and encodes again, which changes exactly what is not UTF-8, on every Spark version.
    broken = F.regexp_replace(joined, r"\A", "") != joined
    raw = F.when(broken, F.base64(F.col("row").cast("string").cast("binary")))
    reason = F.when(broken, F.lit("not UTF-8")).alias("reason")
    parsed = rows.select("row", reason, raw.alias("raw"), "file", F.lit(False).alias("noted"))
    return parsed, {r["file"]: {"lines": r["count"]} for r in counts}, tuple(notes)


def _check_file(file: File) -> None:
    """Refuse a file of this machine that Spark cannot open by its name, or that does not begin and end as Parquet."""
    path = local_path(file.path)
    if is_uri(path):
        return
    if fault := name_fault(path):
        raise InputError(f"{file.name} {fault}, and Spark opens no Parquet file of such a name; rename it")
    try:
        with open(path, "rb") as opened:
            head = opened.read(4)
            opened.seek(max(0, file.size - 4))
            tail = opened.read(4)
    except OSError:
        return  # Spark will say
    if head not in MAGIC or tail not in MAGIC:
        fact = "it is empty" if not file.size else "it does not begin and end with PAR1"
        raise InputError(f"{file.name} cannot be read as Parquet: {fact}; fetch it again, unpack it, or leave it out")


def _reason(text: str) -> str:
    if "TIMESTAMP(NANOS" in text:
        return "it holds timestamps in nanoseconds; write it again with microseconds (pandas: coerce_timestamps='us')"
    first = text.strip().splitlines()[0]
    named = re.search(r"file(?:Status\{path=|:? )?=?\s*((?:file|s3a?|abfss?|gs|hdfs|dbfs):/[^\s;}]+)", text)
    place = f"the file {local_path(named[1])}: " if named else ""
    return f"{place}{first[:200]}; check the files, and that one column has one type in all of them"
