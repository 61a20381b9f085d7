"""Rows as JSON Lines that say what the rows hold: for exports and for rejected rows.

Spark's own writer loses three things: microseconds, the difference between an absent key and a null, and NaN, for which
it writes the text "NaN". Here a timestamp has its microseconds. A table cannot tell null from absent, and readers of
chats take a null `tool_calls` for one that is there: a null field inside an object is left out unless ingest has seen
it written in every such object; the columns of a row are written unless ingest has seen them absent. What a list or map
holds is written, nulls too. NaN and infinity, which JSON has not, are null. Binary is base64; decimals keep their
digits.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from ...udfs.errors import InputError
from ...udfs.quoting import quoted_name


def json_lines(
    batches: Iterable[pa.RecordBatch], always: Collection[str] | None = None, names: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield batches of one column `value`: each row as JSON. For mapInArrow.

    Parameters
    ----------
    always : collection of str, optional
        Columns, and fields inside objects such as "messages[].content", that are written although they are null; all
        columns and no such fields by default.
    names : sequence of str, optional
        Of the columns, where the batches have others.

    Raises
    ------
    InputError
        If a text is not UTF-8.
    """
    for batch in batches:
        rows = pa.StructArray.from_arrays(batch.columns, names=list(names or batch.schema.names))
        yield pa.RecordBatch.from_arrays([pa.array(_objects(rows, _written(rows, always), ""), pa.string())], ["value"])


def rejected_rows(batches: Iterable[pa.RecordBatch], always: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield (reason, raw, file) of (row, reason, raw, file): where `raw` is null, the row as JSON. For mapInArrow."""
    for batch in batches:
        rows, reasons, raws, files = batch.columns
        texts = _objects(rows, _written(rows, always), "")
        lines = [text if raw is None else raw for raw, text in zip(raws.to_pylist(), texts, strict=True)]
        yield pa.RecordBatch.from_arrays([reasons, pa.array(lines, pa.string()), files], ["reason", "raw", "file"])


def _written(rows: Any, always: Collection[str] | None) -> Collection[str]:
    return always if always is not None else {rows.type.field(i).name for i in range(rows.type.num_fields)}


def not_a_number(sql: str, data_type: Any, depth: int = 0) -> str:
    """Return SQL of whether a value of a Spark type holds NaN or infinity anywhere; "" if its type cannot.

    Examples
    --------
    >>> from pyspark.sql import types as T
    >>> not_a_number("`x`", T.ArrayType(T.DoubleType()))
    "exists(`x`, v0 -> (isnan(v0) OR abs(v0) = double('infinity')))"
    """
    kind, item = str(data_type.typeName()), f"v{depth}"
    if kind in ("float", "double"):
        return f"(isnan({sql}) OR abs({sql}) = double('infinity'))"
    if kind == "struct":
        inside = [not_a_number(f"{sql}.{quoted_name(f.name)}", f.dataType, depth) for f in data_type.fields]
        return f"({' OR '.join(filter(None, inside))})" if any(inside) else ""
    if kind in ("array", "map"):
        values, element = (sql, "elementType") if kind == "array" else (f"map_values({sql})", "valueType")
        rule = not_a_number(item, getattr(data_type, element), depth + 1)
        return f"exists({values}, {item} -> {rule})" if rule else ""
    return ""


def _texts(array: Any, always: Collection[str], path: str) -> list[str | None]:
    """Return the JSON of each value of an Arrow array, None for null."""
    kind = array.type
    if pa.types.is_struct(kind):
        return _objects(array, always, f"{path}.")
    if pa.types.is_map(kind):
        return _maps(array, always, path)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        items = [text or "null" for text in _texts(array.values, always, f"{path}[]")]
        return [f"[{', '.join(items[a:b])}]" if valid else None for valid, a, b in _spans(array)]
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _times(array)
    if pa.types.is_float32(kind):  # its own shortest digits, not those of the double next to it
        texts = array.cast(pa.string()).to_pylist()
        return [t if t is not None and math.isfinite(float(t)) else None for t in texts]
    try:
        values = array.to_pylist()
    except UnicodeDecodeError:
        raise InputError(
            f"the column {path!r} holds text that is not UTF-8, which JSON cannot hold; use parquet"
        ) from None
    return [None if value is None else _text(value) for value in values]


def _text(value: Any) -> str | None:
    """Return the JSON of a plain value; None for NaN and infinity."""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, bool | int | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bytes):
        return f'"{base64.b64encode(value).decode()}"'
    return f"{value:f}" if hasattr(value, "as_tuple") else json.dumps(str(value), ensure_ascii=False)


def _objects(array: Any, always: Collection[str], prefix: str) -> list[str | None]:
    names = [array.type.field(i).name for i in range(array.type.num_fields)]
    fields = [_texts(array.field(i), always, prefix + name) for i, name in enumerate(names)]
    heads = [(f"{_text(name)}: ", prefix + name in always) for name in names]
    found: list[str | None] = []
    for i, valid in enumerate(array.is_valid().to_pylist()):
        pairs = [h + (f[i] or "null") for (h, kept), f in zip(heads, fields, strict=True) if kept or f[i] is not None]
        found.append(f"{{{', '.join(pairs)}}}" if valid else None)
    return found


def _maps(array: Any, always: Collection[str], path: str) -> list[str | None]:
    keys = [text or "null" for text in _texts(array.keys, always, path)]
    heads = [key if key.startswith('"') else json.dumps(key) for key in keys]
    items = [text or "null" for text in _texts(array.items, always, f"{path}{{}}")]
    pairs = [f"{head}: {item}" for head, item in zip(heads, items, strict=True)]
    return [f"{{{', '.join(pairs[a:b])}}}" if valid else None for valid, a, b in _spans(array)]


def _spans(array: Any) -> Iterator[tuple[bool, int, int]]:
    offsets = array.offsets.to_pylist()
    return zip(array.is_valid().to_pylist(), offsets[:-1], offsets[1:], strict=True)


def _times(array: Any) -> list[str | None]:
    """Return dates as 2024-05-06, timestamps as 2024-05-06T07:08:09.123456Z, without Z where they have no zone."""
    import numpy as np

    if pa.types.is_date(array.type):
        days = array.cast(pa.date32()).cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
        texts, end = np.datetime_as_string(days.astype("datetime64[D]")), ""
    else:
        micros = array.cast(pa.timestamp("us", array.type.tz)).cast(pa.int64()).fill_null(0)
        texts = np.datetime_as_string(micros.to_numpy(zero_copy_only=False).view("datetime64[us]"))
        end = "Z" if array.type.tz else ""
    valid = array.is_valid().to_pylist()
    return [f'"{text}{end}"' if there else None for text, there in zip(texts.tolist(), valid, strict=True)]
