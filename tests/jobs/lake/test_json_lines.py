"""Rows as JSON Lines: what is written is what was held. No Spark."""

from __future__ import annotations

import datetime
import json
import random
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakesift.jobs.lake.json_lines import json_lines, rejected_rows
from lakesift.jobs.sources.record_passes import arrow_type
from lakesift.jobs.sources.schema_inference import always_written, coerce, columns, count_types
from lakesift.udfs.errors import InputError


def lines_of(table: pa.Table | pa.RecordBatch, always: list[str] | None = None) -> list[str]:
    batches = table.to_batches() if isinstance(table, pa.Table) else [table]
    return [line for batch in json_lines(batches, always) for line in batch["value"].to_pylist()]


def ingested(rows: list[dict[str, Any]]) -> tuple[pa.Table, list[str]]:
    """The table that ingest makes of rows, and the places where null is written."""
    counts: dict[str, Any] = {}
    for row in rows:
        count_types(counts, row)
    kind = ("struct", columns(counts, "x"))
    schema = pa.schema([(name, arrow_type(k)) for name, k in kind[1]])
    return pa.Table.from_pylist([coerce(row, kind) for row in rows], schema), always_written(counts)


def made(draw: random.Random, depth: int, path: str = "") -> Any:
    """A value; which of a place's keys may be absent and which may be null depends on the place alone."""
    if depth == 0:
        return draw.choice([draw.randrange(-9, 2**53), draw.choice(['é\u2028\n"', "", "0"])][path.endswith("t") :][:1])
    keys = [f"{path}{name}" for name in ("n", "t", "o", "l", "a")][: depth + 2]
    row: dict[str, Any] = {}
    for key in keys:
        place = random.Random(key)
        absent, null = place.choice([(0.5, 0), (0, 0.5), (0, 0)])
        if draw.random() < absent:
            continue
        inside = made(draw, depth - 1, key) if key[-1] in "oa" else made(draw, 0, key)
        value = [inside] * draw.randrange(3) if key[-1] in "la" else inside
        row[key] = None if draw.random() < null else value
    return row


def without_nulls(value: Any) -> Any:
    """A value without fields that are null, which a table cannot tell from absent ones; objects as text parsed."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return without_nulls(json.loads(value)) if isinstance(value, str) and value[:1] in ("{", "[") else value


def test_a_row_comes_out_as_it_went_in() -> None:
    draw = random.Random(4)
    rows = [{"id": str(i), **made(draw, 3)} for i in range(200)]
    table, always = ingested(rows)
    assert [json.loads(line) for line in lines_of(table, always)] == rows
    assert any("null" in line for line in lines_of(table, always))


def test_ingest_of_an_export_is_the_same_table() -> None:
    """Also where a key is absent in some rows and null in others, and of rows whose columns are not told apart."""
    draw = random.Random(5)
    pool: list[Any] = [None, 1, 2.5, "x", {"a": 1}, {"a": None}, {}, [1, None], [{"b": None}, {"c": 1}], True]
    for _ in range(60):
        kinds = {name: draw.sample(pool, 2) for name in "pqr"}
        rows = [
            {"id": str(i)} | {n: draw.choice(k) for n, k in kinds.items() if draw.random() < 0.7} for i in range(30)
        ]
        table, always = ingested(rows)
        for told in (always, None):
            again, _ = ingested([json.loads(line) for line in lines_of(table, told)])
            assert without_nulls(again.to_pylist()) == without_nulls(table.to_pylist())


def test_values_of_every_type() -> None:
    at = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456)
    cases: list[tuple[pa.DataType, Any, str]] = [
        (pa.timestamp("us", "UTC"), at, '"2024-05-06T07:08:09.123456Z"'),
        (pa.timestamp("us"), at, '"2024-05-06T07:08:09.123456"'),
        (pa.list_(pa.timestamp("us", "UTC")), [at, None], '["2024-05-06T07:08:09.123456Z", null]'),
        (pa.date32(), at.date(), '"2024-05-06"'),
        (pa.float32(), 0.1, "0.1"),
        (pa.float64(), 0.1 + 0.2, "0.30000000000000004"),
        (pa.float64(), float("nan"), "null"),
        (pa.list_(pa.float32()), [1.5, float("inf"), None], "[1.5, null, null]"),
        (pa.decimal128(20, 2), Decimal("18446744073709551.60"), "18446744073709551.60"),
        (pa.int64(), -(2**63), "-9223372036854775808"),
        (pa.bool_(), True, "true"),
        (pa.binary(), b"\xff\x00", '"/wA="'),
        (pa.string(), 'a"\n\u2028\x01', '"a\\"\\n\u2028\\u0001"'),
        (pa.map_(pa.string(), pa.int64()), [("k", None), ("j", 1)], '{"k": null, "j": 1}'),
        (pa.map_(pa.int64(), pa.string()), [(1, "x")], '{"1": "x"}'),
        (pa.struct([("a", pa.int64()), ("b", pa.int64())]), {"a": None, "b": 1}, '{"b": 1}'),
        (pa.list_(pa.int64()), None, "null"),
        (pa.null(), None, "null"),
    ]  # fmt: skip
    for data_type, value, text in cases:
        array = pa.array([None, value], data_type)
        expected = ['{"x": null}', f'{{"x": {text}}}']
        assert lines_of(pa.RecordBatch.from_arrays([array], ["x"])) == expected, data_type
        sliced = pa.RecordBatch.from_arrays([array], ["x"]).slice(1)
        assert lines_of(sliced) == expected[1:], data_type


def test_rejected_rows_say_what_was_read() -> None:
    rows = pa.array([{"id": None, "at": datetime.datetime(2024, 1, 1), "m": None}, None], pa.struct([
        ("id", pa.string()), ("at", pa.timestamp("us", "UTC")), ("m", pa.string()),
    ]))  # fmt: skip
    beside = [pa.array(["id is null", "not JSON"]), pa.array([None, "{"]), pa.array(["f", "g"])]
    batch = pa.RecordBatch.from_arrays([rows, *beside], ["row", "reason", "raw", "file"])
    (found,) = rejected_rows([batch], ["id", "at"])
    assert found.to_pylist() == [
        {"reason": "id is null", "raw": '{"id": null, "at": "2024-01-01T00:00:00.000000Z"}', "file": "f"},
        {"reason": "not JSON", "raw": "{", "file": "g"},
    ]


def test_text_that_is_not_utf8_is_refused() -> None:
    broken = pa.array([b"\xff"], pa.binary()).view(pa.string())
    with pytest.raises(InputError, match="the column 'x' holds text that is not UTF-8"):
        lines_of(pa.RecordBatch.from_arrays([broken], ["x"]))
