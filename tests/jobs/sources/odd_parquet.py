"""Made Parquet files of many types and encodings, with what they hold as plain Python values."""

from __future__ import annotations

import datetime
import io
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .oddities import Kind, MadeFile, Record, Row, file_name

UTC = datetime.timezone.utc
AT = datetime.datetime(2024, 2, 29, 7, 8, 9, 123456)
DAYS = [datetime.date(2024, 2, 29), datetime.date(1969, 12, 31), datetime.date(1500, 1, 1), datetime.date(9999, 12, 31)]
#: Within what nanoseconds hold: the reader of the tables takes Spark's timestamps for such.
TIMES = [
    AT,
    datetime.datetime(1969, 12, 31, 23, 59, 59, 1),
    datetime.datetime(1700, 1, 1),
    datetime.datetime(2262, 1, 1),
]
TEXTS = ["", "é\u2028", "x" * 40_000, "007", "\x00", "\U0001f600"]

#: Columns by name, as one type in all files: the type, values of it, and what a table says of a value.
Held = Callable[[Any], Any]
COLUMNS: dict[str, tuple[pa.DataType, list[Any], Held]] = {
    "u8": (pa.uint8(), [0, 255], int),
    "u16": (pa.uint16(), [0, 2**16 - 1], int),
    "u32": (pa.uint32(), [0, 2**32 - 1], int),
    "u64": (pa.uint64(), [0, 2**63, 2**64 - 1], Decimal),
    "i8": (pa.int8(), [-128, 127], int),
    "i64": (pa.int64(), [-(2**63), 2**63 - 1], int),
    "f32": (pa.float32(), [0.1, float("inf"), -0.0], float),
    "f64": (pa.float64(), [0.1, 1e300, float("-inf")], float),
    "flag": (pa.bool_(), [True, False], bool),
    "dec": (pa.decimal128(20, 5), [Decimal("0.00001"), Decimal("-123456789012345.99999")], Decimal),
    "big": (pa.decimal128(38, 0), [Decimal(10**38 - 1)], Decimal),
    "small": (pa.decimal128(4, 2), [Decimal("-99.99")], Decimal),
    "text.b": (pa.string(), TEXTS, str),
    "long": (pa.large_string(), TEXTS, str),
    "view": (pa.dictionary(pa.int8(), pa.string()), ["a", "é", ""], str),
    "bytes": (pa.binary(), [b"", b"\xff\x00"], bytes),
    "fixed": (pa.binary(3), [b"\xffab"], bytes),
    "day": (pa.date32(), DAYS, lambda value: value),
    "zone": (pa.timestamp("us", "Asia/Tokyo"), [t.replace(tzinfo=UTC) for t in TIMES], lambda value: value),
    "millis": (pa.timestamp("ms", "UTC"), [AT.replace(microsecond=123000, tzinfo=UTC)], lambda value: value),
    "local": (pa.timestamp("us"), TIMES, lambda value: value.replace(tzinfo=UTC)),
    "list": (pa.list_(pa.string()), [[], [None, "é"], ["a"] * 300], list),
    "map": (pa.map_(pa.string(), pa.int64()), [[], [("k.1", 1), ("", None)]], list),
    "select": (pa.struct([("a.b", pa.list_(pa.int16())), ("c", pa.string())]), [{"a.b": [1, None], "c": None}], dict),
    "列": (pa.list_(pa.struct([("x", pa.float64())])), [[{"x": None}, None, {"x": 0.5}]], list),
}
IDS: dict[str, tuple[pa.DataType, Callable[[int], Any]]] = {
    "id": (pa.string(), lambda i: f"é{i}"),
    "lower(id)": (pa.string(), str),
    "hex(uid)": (pa.binary(16), lambda i: i.to_bytes(16, "big")),
}


def parquet_file(draw: random.Random, number: int, index: int, kind: Kind) -> MadeFile:
    rows = draw.choice([0, 1, 2, 30])
    names = draw.sample(sorted(COLUMNS), draw.randrange(1, 9))
    columns: dict[str, pa.Array] = {}
    said: dict[str, list[Any]] = {}
    for name in names:
        of_type, values, held = COLUMNS[name]
        made = [draw.choice([*values, None]) for _ in range(rows)]
        columns[name], said[name] = pa.array(made, of_type), [None if v is None else held(v) for v in made]
    id_type, make_id = IDS[kind.id_sql or "id"]
    ids = [make_id(i) if draw.random() < 0.9 else None for i in range(rows)]
    columns[kind.id_column], said[kind.id_column] = pa.array(ids, id_type), ids
    said["mark"] = [f"{number}-{index}-{i}" for i in range(rows)]
    columns["mark"] = pa.array(said["mark"], pa.string())
    broken = {i for i in range(rows) if draw.random() < 0.03}
    if broken or draw.random() < 0.3:
        raw = [b"\xff\xfe" if i in broken else "é".encode() for i in range(rows)]
        columns["raw"], said["raw"] = pa.array(raw, pa.binary()).view(pa.string()), ["é"] * rows
    order = draw.sample(sorted(columns), len(columns))
    records = [Record(None if i in broken else {n: said[n][i] for n in order}) for i in range(rows)]
    return MadeFile(
        file_name(draw, number, index, ".parquet").replace(":", "_"), _written(draw, columns, order), records
    )


def _written(draw: random.Random, columns: dict[str, pa.Array], order: list[str]) -> bytes:
    out = io.BytesIO()
    how: Row = {
        "compression": draw.choice(["none", "snappy", "gzip", "zstd", "lz4"]),
        "row_group_size": draw.choice([1, 7, 1000]),
        "data_page_version": draw.choice(["1.0", "2.0"]),
        "use_dictionary": draw.random() < 0.5,
        "write_statistics": draw.random() < 0.8,
        "store_schema": draw.random() < 0.5,
        "version": draw.choice(["2.4", "2.6"]),
        "use_compliant_nested_type": draw.random() < 0.8,
    }
    pq.write_table(pa.table({name: columns[name] for name in order}), out, **how)
    return out.getvalue()
