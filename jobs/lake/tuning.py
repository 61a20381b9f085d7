"""Speed, not results: how many tasks scan a table, when projections are compiled, which frames are collected early,
and which stay out of plans.

The only place that reads and sets Spark's properties, because managed runtimes refuse some of them. They are changed
for a block and put back, and belong to the session: other threads on it see them meanwhile.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = logging.getLogger("lakesift")

#: Rows from which compiling repays interpreting: as fast at 200 000, 2 to 3 times as fast at a million (bench_ranking).
COMPILE_FROM = 200_000
#: Bytes of a table from which it may hold so many, and bytes of a frame from the driver that is still part of a plan:
#: 200 000 ids in a plan cost the planner four seconds.
COMPILE_BYTES, PLAN_BYTES = 64_000_000, 1 << 18
#: Frames of at most this many rows are collected once: 50 Spark jobs of a selection became 22.
COLLECT_ROWS = 50_000
#: Bytes up to which frames with vectors are.
COLLECT_BYTES = 64_000_000
#: Types that Arrow does not carry, or that are not worth it.
NOT_IN_ARROW = ("interval", "void", "variant", "map", "array", "binary")
#: Settings under which rows that cannot be read are left out without a word.
IGNORING = ("spark.sql.files.ignoreMissingFiles", "spark.sql.files.ignoreCorruptFiles")
#: Bytes a core below which a table of few files is dealt out row by row instead of being split.
FEW_BYTES = 64_000_000


def cores(spark: SparkSession) -> int:
    """Return how many tasks can run at once: a hint for the number of splits, from settings alone."""
    master = property_of(spark, "spark.master")
    if local := re.match(r"local\[(\d+|\*)", master):
        return (os.cpu_count() or 1) if local[1] == "*" else int(local[1])
    if cluster := re.match(r"local-cluster\[(\d+),(\d+)", master):
        return int(cluster[1]) * int(cluster[2])
    return int(property_of(spark, "spark.executor.instances", "4")) * int(
        property_of(spark, "spark.executor.cores", "4")
    )


@contextmanager
def spread(spark: SparkSession, few: bool = False, tasks: int = 0) -> Iterator[Callable[[DataFrame], DataFrame]]:
    """Run CPU-bound scans inside as 4 x cores tasks or so, or `tasks`; yields a function that deals out rows.

    Spark packs small files into one task: one core got three quarters of the work. Settings prevent that, but a row
    group is never split, so where there are `few` (see `few_splits`) the rows themselves are dealt out; otherwise the
    function returns its frame unchanged.

    Examples
    --------
    ::

        with spread(lake.spark, few_splits(lake.spark, lake.ref("documents"))) as deal_out:
            lake.append(table, apply(deal_out(rows), scores), metadata)
    """
    tasks = tasks or 4 * cores(spark)
    with settings(spark, {"spark.sql.files.minPartitionNum": str(tasks), "spark.sql.files.openCostInBytes": "0"}):
        yield lambda frame: frame.repartition(tasks) if few else frame


def few_splits(spark: SparkSession, ref: str) -> bool:
    """Tell whether a Delta table has too few files to be scanned by every core, and is small enough to be dealt out.

    Of a view or another format the files are not known: False.
    """
    try:
        detail = spark.sql(f"DESCRIBE DETAIL {ref}").select("numFiles", "sizeInBytes").collect()[0]
    except Exception:  # Spark's own splits do
        return False
    workers = cores(spark)
    return bool(detail["numFiles"] < 2 * workers and detail["sizeInBytes"] < FEW_BYTES * workers)


def every_file(spark: SparkSession) -> AbstractContextManager[None]:
    """Let reads inside fail on files that are missing or damaged, which a session may be set to pass over."""
    return settings(spark, dict.fromkeys(IGNORING, "false"))


def compiled(spark: SparkSession, rows: int) -> AbstractContextManager[None]:
    """Prepare jobs inside for `rows` if these repay it: no plan holds many rows, and projections are compiled.

    They are compiled if the session's configuration interprets them.
    """
    if rows < COMPILE_FROM:
        return settings(spark, {})
    mode, limit = "spark.sql.codegen.factoryMode", "spark.sql.execution.arrow.localRelationThreshold"
    wanted = {limit: str(PLAN_BYTES)} | ({mode: "FALLBACK"} if property_of(spark, mode) == "NO_CODEGEN" else {})
    return settings(spark, wanted)


def collect_small(frame: DataFrame, rows: int, width: int = 0) -> DataFrame:
    """Collect a small frame once and return it as a local relation, so that later filters need no scan.

    A frame of more `rows` than `COLLECT_ROWS` (known to the caller, an upper bound) is returned unchanged, and so are
    columns that Arrow does not carry and frames of Spark 3.5, which do not turn into Arrow tables; frames with vectors
    unless the caller says that a row has `width` numbers, and all take at most `COLLECT_BYTES`.
    """
    kind = frame.schema.simpleString()
    if width and rows * width * 4 <= COLLECT_BYTES:
        kind = kind.replace("array<float>", "")
    if rows > COLLECT_ROWS or not hasattr(frame, "toArrow") or any(t in kind for t in NOT_IN_ARROW):
        return frame
    return frame.sparkSession.createDataFrame(frame.toArrow(), frame.schema)


def property_of(spark: SparkSession, key: str, default: str = "") -> str:
    """Return a property of the session, the default where it has none or a managed runtime refuses to tell it."""
    try:
        return spark.conf.get(key, None) or default
    except Exception as error:
        log.debug("%s is not told: %s", key, error)
        return default


def set_allowed(spark: SparkSession, values: Mapping[str, str]) -> dict[str, str | None]:
    """Set properties of the session but those that a managed runtime refuses; returns what the changed were before."""
    before: dict[str, str | None] = {}
    for key, value in values.items():
        try:
            old = spark.conf.get(key, None)
            if old != value:
                spark.conf.set(key, value)
                before[key] = old
        except Exception as error:
            log.debug("%s stays as it is: %s", key, error)
    return before


def put_back(spark: SparkSession, before: Mapping[str, str | None]) -> None:
    """Give properties the values that they had before."""
    for key, old in before.items():
        try:
            spark.conf.unset(key) if old is None else spark.conf.set(key, old)
        except Exception as error:  # the session may have been stopped
            log.debug("%s is not put back: %s", key, error)


@contextmanager
def settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """Set properties of the session for a block; those that a managed runtime refuses stay as they are."""
    before = set_allowed(spark, values)
    try:
        yield
    finally:
        put_back(spark, before)
