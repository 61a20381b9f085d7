"""Digests: equal for equal rows in any order and layout, another one for rows that are doubled, swapped or hidden."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lakesift.jobs.lake.digests import digest_sql, files_digest, rows_digest
from lakesift.jobs.lake.tables import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = [("a", 1), ("b", 2), ("c", 3), ("d", 4)]
HASH = "sha2(concat(id, ':', n), 256)"


def digest(spark: SparkSession, rows: list[tuple[str, int]], parts: int = 1) -> str:
    return rows_digest(spark.createDataFrame(rows, "id string, n int").repartition(parts), HASH)


def test_a_digest_depends_on_the_rows_and_how_often_they_stand(spark: SparkSession) -> None:
    whole = digest(spark, ROWS)
    assert whole.split(":")[0] == "4"
    assert digest(spark, ROWS[::-1], parts=3) == whole
    a, b = ROWS[:2]
    pools = {
        "none": [],
        "twice": [*ROWS, a],
        "another twice": [*ROWS, b],
        "three times": [*ROWS, a, a],
        "pairs": [*ROWS, a, a, b, b],
        "other pairs": [*ROWS, *ROWS],
        "one less": ROWS[1:],
        "swapped": [("a", 2), ("b", 1), *ROWS[2:]],
        "one for another": [a, a, *ROWS[2:]],
    }
    digests = {name: digest(spark, rows) for name, rows in pools.items()} | {"whole": whole}
    assert max(Counter(digests.values()).values()) == 1, digests
    assert digests["none"] == "0:0:0"


def test_the_sums_are_independent_and_do_not_overflow(spark: SparkSession) -> None:
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"
    rows = spark.range(3_000).selectExpr(f"{digest_sql('CAST(id AS STRING)')} AS d", "count(*) AS n").collect()[0]
    sums = [int(s) for s in rows["d"].split(":")]
    assert sums[0] == rows["n"] == 3_000
    pieces = spark.range(3_000).selectExpr(
        "xxhash64('a', CAST(id AS STRING)) AS a", "xxhash64('b', CAST(id AS STRING)) AS b"
    )
    a, b = (np.array([r[i] for r in pieces.collect()], dtype=object) for i in (0, 1))
    assert [a.sum(), b.sum()] == sums[1:]
    assert abs(np.corrcoef(a.astype(float), b.astype(float))[0, 1]) < 0.1
    types = spark.range(1).selectExpr(*re.findall(r"sum\(CAST\(.*?AS DECIMAL\(28, 0\)\)\)", digest_sql("'h'")))
    assert [f.dataType.simpleString() for f in types.schema] == ["decimal(38,0)"] * 2  # 10^38 / 2^63: 10^19 rows


def test_hashes_of_several_columns_keep_their_order(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("x", "y")], "a string, b string")
    assert rows_digest(frame, "a", "b") != rows_digest(frame, "b", "a")


@pytest.mark.parametrize("vectors", [False, True], ids=["files written anew", "deletion vectors"])
def test_files_and_hidden_rows_change_the_digest_of_a_snapshot(
    spark: SparkSession, tmp_path: Path, vectors: bool
) -> None:
    lake = Lake(spark, str(tmp_path))
    table = lake.ref("t")
    spark.range(20).repartition(1).write.format("delta").save(str(tmp_path / "t"))
    spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableDeletionVectors' = '{str(vectors).lower()}')")
    changes = (f"DELETE FROM {table} WHERE id = 3", f"RESTORE TABLE {table} TO VERSION AS OF 1")
    digests = [files_digest(lake.read("t"))]
    for sql in (*changes, f"DELETE FROM {table} WHERE id = 4", f"INSERT INTO {table} VALUES (3)"):
        spark.sql(sql).collect()
        digests.append(files_digest(lake.read("t")))
    full, three, restored, four, more = digests
    assert restored == full
    # With deletion vectors: one file all the time, and as many rows hidden in it, but others.
    assert len({full, three, four, more}) == 4
    assert len(list((tmp_path / "t").glob("*.parquet"))) == (2 if vectors else 4)
