"""SQL that hashes values so that different values have different hashes: 128 bits of SHA-256 over an injective text.

Every value is written so that its end and its absence show: nulls in structs, arrays and maps and the nesting of arrays
count, where Spark's own xxhash64 skips nulls and folds nested values flat. 64-bit hashes were collided on purpose in
seconds; they go on ordering and sampling, which decide nothing about content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import types as T

from ...udfs.quoting import quoted_name

#: Types whose values as text hold no ";" and are different where the values are.
PLAIN = ("boolean", "byte", "short", "integer", "long", "float", "double", "date", "decimal")


def hash_sql(encoded: Sequence[str]) -> str:
    """Return SQL of the hash, 32 hex digits, of values written by `encode`."""
    return f"substring(sha2(concat({', '.join(encoded)}), 256), 1, 32)"


def encode_all(frame: DataFrame, expressions: Sequence[str]) -> list[str]:
    """Return SQL that writes the value of each expression over a frame as text; the types come from one analysis."""
    if not expressions:
        return []
    schema = frame.selectExpr(*(f"{sql} AS c{i}" for i, sql in enumerate(expressions))).schema
    return [encode(sql, field.dataType) for sql, field in zip(expressions, schema, strict=True)]


def encode(sql: str, data_type: Any, depth: int = 0) -> str:
    """Return SQL that writes a value of a Spark type as text, different for different values; null is N.

    Examples
    --------
    >>> from pyspark.sql.types import DateType, StringType
    >>> encode("`day`", DateType())
    "coalesce(concat(CAST(`day` AS STRING), ';'), 'N')"
    >>> encode("`text`", StringType())
    "coalesce(concat(octet_length(`text`), ':', `text`), 'N')"
    """
    kind, text = _kind(data_type), f"CAST({sql} AS STRING)"
    if kind == "void":
        return "'N'"
    if kind == "struct":
        fields = [encode(f"{sql}.{quoted_name(f.name)}", f.dataType, depth) for f in data_type.fields]
        return f"IF({sql} IS NULL, 'N', concat('{{', {', '.join(fields)}, '}}'))" if fields else f"({sql} IS NULL)"
    if kind == "map":
        entry = T.StructType([T.StructField("key", data_type.keyType), T.StructField("value", data_type.valueType)])
        return _array(f"map_entries({sql})", entry, depth)
    if kind == "array" and _kind(data_type.elementType) not in PLAIN:
        return _array(sql, data_type.elementType, depth)
    # As text a timestamp follows the session's time zone and may lose microseconds.
    ended = {"binary": f"hex({sql})", "timestamp": f"unix_micros({sql})", "array": text} | dict.fromkeys(PLAIN, text)
    if kind in ended:  # an array of plain values is written as [1, null, 2]
        return f"coalesce(concat({ended[kind]}, ';'), 'N')"
    if kind == "variant":  # as text 1 is the same as '1', and its null the same as none
        text = f"concat(schema_of_variant({sql}), to_json({sql}))"
    text = sql if kind == "string" else text
    return f"coalesce(concat(octet_length({text}), ':', {text}), 'N')"


def _kind(data_type: Any) -> str:
    return str(data_type.typeName()).split("(")[0]


def _array(sql: str, element: Any, depth: int) -> str:
    item = f"v{depth}"
    items = f"array_join(transform({sql}, {item} -> {encode(item, element, depth + 1)}), '')"
    return f"coalesce(concat(size({sql}), '[', {items}, ']'), 'N')"
