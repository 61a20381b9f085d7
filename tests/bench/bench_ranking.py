"""Ranking a million rows against what one would write in Spark: wall seconds and ratios, printed, never asserted.

`python -m tests.bench.bench_ranking`. Every line is the least of three runs on the same Parquet files; "naive" is
orderBy(...).limit(b) for top_k and random, row_number() over the stratum for quotas (equal shares), and exact
percentiles, a join and row_number() for length_matched.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lakesift.jobs.lake.session import session
from lakesift.jobs.lake.tuning import compiled
from lakesift.jobs.ranking.sort_keys import hashed
from lakesift.jobs.selectors.length_matched import LengthMatched
from lakesift.jobs.selectors.random_draw import Random
from lakesift.jobs.selectors.stratified import Stratified
from lakesift.jobs.selectors.top_k import TopK
from tests.bench.lines import Line, line, table
from tests.jobs.selectors.pool import pool_of

ROWS, BUDGET, GROUPS, SEED = 1_000_000, 50_000, 20, 7


def pool(spark: SparkSession, folder: Path) -> DataFrame:
    """Scores, lengths, 20 balanced strata, and 20 strata of which one holds 60 %."""
    number, stratum = F.xxhash64("n"), F.concat(F.lit("g"), F.pmod("n", F.lit(GROUPS)))
    rows = spark.range(ROWS, numPartitions=8).withColumnRenamed("id", "n")
    rows.select(
        F.concat(F.lit("row-"), "n").alias("id"),
        (F.pmod(number, F.lit(1_000_003)) / 7.0).alias("score"),
        (F.pmod(number, F.lit(977)) + 20).alias("length"),
        stratum.alias("balanced"),
        F.when(F.pmod("n", F.lit(10)) < 6, "g0").otherwise(stratum).alias("giant"),
    ).write.parquet(str(folder / "pool"))
    return spark.read.parquet(str(folder / "pool"))


def seconds(work: Callable[[], object]) -> float:
    """Least wall time of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return round(min(times), 2)


def naive_quota(rows: DataFrame, column: str) -> object:
    """The per-stratum sort one would write: equal shares."""
    order = Window.partitionBy(column).orderBy(F.desc("score"), hashed(SEED), "id")
    ranked = rows.withColumn("place", F.row_number().over(order))
    return ranked.where(F.col("place") <= BUDGET // GROUPS).select("id", "score").toPandas()


def naive_length_matched(rows: DataFrame, chosen: pd.DataFrame) -> object:
    """The control one would write: exact percentiles, the selection's counts by a join, a window per bin."""
    percentiles = F.percentile("length", [i / 20 for i in range(1, 20)])
    (ends,) = rows.select(percentiles).first()
    binned = rows.withColumn("bin", sum((F.col("length") > end).cast("int") for end in ends))
    ids = rows.sparkSession.createDataFrame(chosen[["id"]], "id string")
    wanted = binned.join(F.broadcast(ids), "id", "left_semi").groupBy("bin").count()
    order = Window.partitionBy("bin").orderBy(hashed(SEED), "id")
    placed = binned.withColumn("place", F.row_number().over(order)).join(F.broadcast(wanted), "bin")
    return placed.where(F.col("place") <= F.col("count")).select("id").toPandas()


def measure(rows: DataFrame) -> dict[str, float]:
    """Seconds by name."""

    def naive_top() -> object:
        # A frame of its own each time: a finished plan keeps its exchanges, and a second toPandas() reads only these.
        return rows.orderBy(F.desc("score"), hashed(SEED), "id").limit(BUDGET).select("id", "score").toPandas()

    chosen = TopK("score").select(pool_of(rows, BUDGET, SEED))  # also the warm-up
    found = {
        "top_k": seconds(lambda: TopK("score").select(pool_of(rows, BUDGET, SEED))),
        "top_k naive": seconds(naive_top),
        "random": seconds(lambda: Random().select(pool_of(rows, BUDGET, SEED))),
        "length_matched": seconds(lambda: LengthMatched("length").select(pool_of(rows, BUDGET, SEED, chosen))),
        "length_matched naive": seconds(lambda: naive_length_matched(rows, chosen)),
    }
    for column in ("balanced", "giant"):
        for quota in ("equal", "proportional"):
            stratified = Stratified(column, quota=quota, by="score")
            found[f"stratified {column} {quota}"] = seconds(lambda s=stratified: s.select(pool_of(rows, BUDGET, SEED)))
        found[f"stratified {column} naive"] = seconds(lambda c=column: naive_quota(rows, c))
    return found


def main() -> list[Line]:
    """Print one line a case and return the lines."""
    with tempfile.TemporaryDirectory() as folder:
        spark = session()
        with compiled(spark, ROWS):  # as in a run
            found = measure(pool(spark, Path(folder)))
        spark.stop()
    cases = [
        ("top_k / orderBy limit", "top_k", "top_k naive", 0.25),
        ("random / orderBy limit", "random", "top_k naive", 0.25),
        ("length_matched / percentile, join, row_number", "length_matched", "length_matched naive", 0.75),
        ("60 % in one stratum / row_number", "stratified giant equal", "stratified giant naive", 1.0),
        ("60 % in one stratum / balanced", "stratified giant proportional", "stratified balanced proportional", 0.5),
    ]
    lines = [line(f"{name}, s", found[ours], found[rival], bar) for name, ours, rival, bar in cases]
    print(table(lines))
    return lines


if __name__ == "__main__":
    main()
