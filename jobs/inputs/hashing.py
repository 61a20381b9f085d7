"""SQL that hashes values so that different values have different hashes: 128 bits of SHA-256 over an injective text.

Every value is written so that its end and its absence show: nulls in structs, arrays and maps and the nesting of arrays
count, where Spark's own xxhash64 skips nulls and folds nested values flat. 64-bit hashes were collided on purpose in
seconds; they go on ordering and sampling, which decide nothing about content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...udfs.quoting import quoted_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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
    kind = data_type.typeName().split("(")[0]
    if kind == "string":
        return f"coalesce(concat(octet_length({sql}), ':', {sql}), 'N')"
    if kind == "binary":
        return f"coalesce(concat(hex({sql}), ';'), 'N')"
    if kind == "timestamp":  # as text it follows the session's time zone and may lose microseconds
        return f"coalesce(concat(unix_micros({sql}), ';'), 'N')"
    if kind == "void":
        return "'N'"
    if kind == "struct":
        fields = (encode(f"{sql}.{quoted_name(f.name)}", f.dataType, depth) for f in data_type.fields)
        return (
            f"IF({sql} IS NULL, 'N', concat('{{', {', '.join(fields)}, '}}'))"
            if data_type.fields
            else f"({sql} IS NULL)"
        )
    if kind == "map":
        return _array(f"map_entries({sql})", _entries(data_type), depth)
    if kind == "array" and data_type.elementType.typeName().split("(")[0] not in PLAIN:
        return _array(sql, data_type.elementType, depth)
    text = f"CAST({sql} AS STRING)"
    if kind in PLAIN or kind == "array":  # an array of plain values is written as [1, null, 2]
        return f"coalesce(concat({text}, ';'), 'N')"
    return f"coalesce(concat(octet_length({text}), ':', {text}), 'N')"


def _array(sql: str, element: Any, depth: int) -> str:
    item = f"v{depth}"
    items = f"array_join(transform({sql}, {item} -> {encode(item, element, depth + 1)}), '')"
    return f"coalesce(concat(size({sql}), '[', {items}, ']'), 'N')"


def _entries(data_type: Any) -> Any:
    from pyspark.sql import types as T

    return T.StructType([T.StructField("key", data_type.keyType), T.StructField("value", data_type.valueType)])
