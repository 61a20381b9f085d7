"""Tuning: settings hold inside a block and are put back; scans use every core; small frames are read once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakesift.jobs.lake.session import read_conf
from lakesift.jobs.lake.tuning import (
    COLLECT_ROWS,
    COMPILE_FROM,
    collect_small,
    compiled,
    cores,
    few_splits,
    spread,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_projections_are_compiled_for_many_rows_only(spark: SparkSession) -> None:
    mode = "spark.sql.codegen.factoryMode"
    assert spark.conf.get(mode) == read_conf("local")[mode] == "NO_CODEGEN"
    for rows, inside in ((COMPILE_FROM - 1, "NO_CODEGEN"), (COMPILE_FROM, "FALLBACK")):
        with compiled(spark, rows):
            assert spark.conf.get(mode) == inside
        assert spark.conf.get(mode) == "NO_CODEGEN"


def tasks(spark: SparkSession, path: Path, few: bool = False) -> int:
    """Tasks that compute something of every row of a table."""
    with spread(spark, few) as deal_out:
        rows = deal_out(spark.read.format("delta").load(str(path))).where("id >= 0")
        return int(rows.selectExpr("spark_partition_id() AS p").distinct().count())


def test_scans_are_spread_over_the_cores(spark: SparkSession, tmp_path: Path) -> None:
    many, one = tmp_path / "many", tmp_path / "one"
    spark.range(4_000).repartition(16).write.format("delta").save(str(many))
    spark.range(4_000).repartition(1).write.format("delta").save(str(one))
    wanted, before = 4 * cores(spark), settings(spark)
    packed = spark.read.format("delta").load(str(many)).selectExpr("spark_partition_id() AS p").distinct().count()
    assert packed < wanted <= tasks(spark, many)
    assert not few_splits(spark, f"delta.`{many}`")
    assert few_splits(spark, f"delta.`{one}`")
    assert tasks(spark, one) == 1, "a row group is not split"
    assert tasks(spark, one, few=True) == wanted
    with pytest.raises(ZeroDivisionError), spread(spark):
        raise ZeroDivisionError
    assert settings(spark) == before


def settings(spark: SparkSession) -> dict[str, str]:
    return {r["key"]: r["value"] for r in spark.sql("SET").collect()}


def test_files_that_are_not_known_are_left_to_spark(spark: SparkSession) -> None:
    spark.range(3).createOrReplaceTempView("numbers_of_a_view")
    assert not few_splits(spark, "numbers_of_a_view")


def test_small_frames_are_read_once(spark: SparkSession) -> None:
    frame = spark.range(5).selectExpr("id", "CAST(id AS STRING) AS text", "IF(id > 2, NULL, id / 2) AS half")
    local = collect_small(frame, 5)
    assert local.schema == frame.schema
    assert sorted(local.collect()) == sorted(frame.collect())
    assert collect_small(frame, COLLECT_ROWS + 1) is frame
    lists = frame.selectExpr("array(id) AS ids")
    assert collect_small(lists, 5) is lists
