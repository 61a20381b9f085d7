"""Hashes tell values apart: every type, nulls and nesting included, and texts that collide under xxhash64."""

from __future__ import annotations

import datetime
import decimal
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql.types import VariantVal

from lakesift.jobs.inputs.hashing import encode_all, hash_sql
from lakesift.jobs.lake.digests import rows_digest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Two texts with one xxhash64, found in a second by adding to one 8-byte word and taking away 32 bytes later.
COLLIDING = (
    "MUL den*This is a harmless row, Zl Cq+CjThis is a harmless row, ",
    "MUL de~oThis is a harmless row, Zlh=qbi+This is a harmless row, ",
)
DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
#: type -> values that are all different; each is compared with each.
VALUES: dict[str, list[Any]] = {
    "string": [None, "", "N", "a", "1:a", "a;", *COLLIDING],
    "binary": [None, b"", b"N", b"\xff", b"\xff\x00"],
    "boolean": [None, True, False],
    "int": [None, 0, 1, -1],
    "double": [None, 0.0, 0.1, 0.1 + 2**-56, float("nan"), float("inf"), 1e-300],
    "decimal(10,2)": [None, decimal.Decimal("0.10"), decimal.Decimal("1.00")],
    "date": [None, DAY.date(), datetime.date(1969, 12, 31)],
    "timestamp": [None, DAY, DAY + datetime.timedelta(microseconds=1)],
    "array<string>": [None, [], [None], ["a"], ["a", None], [None, "a"], ["", "a"], ["a,b"], ["a", "b"], ["null"]],
    "array<int>": [None, [], [None], [1], [1, None], [None, 1], [11], [1, 1]],
    "array<float>": [None, [], [0.5], [0.5, None], [None, 0.5]],
    "array<array<string>>": [
        None, [], [[]], [[], []], [["a"], ["b"]], [["a", "b"]], [["a", "b"], []], [None], [[None]],
    ],
    "struct<a:string,b:string>": [None, (None, None), ("x", None), (None, "x"), ("x", "x"), ("1:x", None)],
    "array<struct<role:string,content:string>>": [
        None, [], [None], [(None, "x")], [("x", None)], [("x", None), (None, "x")], [(None, None)],
    ],
    "map<string,string>": [None, {}, {"k": None}, {"k": "v"}, {"k": "", "l": "v"}, {"kv": None}],
    "variant": [None, *map(VariantVal.parseJson, ("null", "1", '"1"', "1.5", "true", '"true"', "[1]", '["1"]', "{}"))],
    "map<string,array<int>>": [{}, {"k": None}, {"k": []}, {"k": [None]}],
    "struct<m:map<string,struct<n:int>>>": [None, (None,), ({},), ({"k": None},), ({"k": (None,)},), ({"k": (0,)},)],
}  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
def test_different_values_have_different_hashes(spark: SparkSession, kind: str) -> None:
    values = VALUES[kind]
    frame = spark.createDataFrame([(i, v) for i, v in enumerate(values)], f"i int, `a``b` {kind}")
    rows = frame.selectExpr("i", f"{hash_sql(encode_all(frame, ['`a``b`']))} AS h").collect()
    hashes = {r["i"]: r["h"] for r in rows}
    assert all(len(h) == 32 and int(h, 16) >= 0 for h in hashes.values())
    same = [(values[i], values[j]) for i, j in itertools.combinations(hashes, 2) if hashes[i] == hashes[j]]
    assert same == []


def test_neighbouring_values_do_not_run_into_each_other(spark: SparkSession) -> None:
    rows = [(None, "ab"), ("a", "b"), ("ab", None), ("ab", ""), ("", "ab"), ("1:a", "b"), ("N", "N")]
    frame = spark.createDataFrame(rows, "a string, b string")
    found = frame.selectExpr(f"{hash_sql(encode_all(frame, ['a', 'b']))} AS h").collect()
    assert len({r["h"] for r in found}) == len(rows)


def test_equal_values_have_one_hash_whatever_the_session_says(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(DAY, {"k": [1.5]})], "t timestamp, m map<string,array<double>>")
    sql = hash_sql(encode_all(frame, ["t", "m"]))
    first = frame.selectExpr(f"{sql} AS h").collect()[0]["h"]
    before = spark.conf.get("spark.sql.session.timeZone")
    try:
        spark.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
        assert frame.repartition(3).selectExpr(f"{sql} AS h").collect()[0]["h"] == first
    finally:
        spark.conf.set("spark.sql.session.timeZone", before or "UTC")


def test_the_texts_collide_where_they_did(spark: SparkSession) -> None:
    row = (
        spark.createDataFrame([COLLIDING], "a string, b string").selectExpr("xxhash64(a) = xxhash64(b) AS s").collect()
    )
    assert row[0]["s"], "else the pair shows nothing"


def test_rows_that_stand_twice_do_not_cancel_out(spark: SparkSession) -> None:
    def digest(rows: list[str]) -> str:
        frame = spark.createDataFrame([(r,) for r in rows], "text string")
        return rows_digest(frame, hash_sql(encode_all(frame, ["text"])))

    different = [["a"], ["b"], ["a", "a"], ["b", "b"], ["a", "a", "b"], ["a", "b", "b"], ["a", "a", "a"], ["a", "b"]]
    assert len({digest(rows) for rows in different}) == len(different)
    assert digest(["b", "a", "a"]) == digest(["a", "b", "a"])
