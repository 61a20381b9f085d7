"""What the Spark edge costs: `apply` over a Delta table against the kernel's bare Python loop over the same texts.

`python -m tests.bench.bench_edge`. local[1], 430 characters a row, written to nowhere (`noop`). Every figure is taken
at the margin, 100 000 rows less 20 000, so that starting workers and planning drop out, and is the least of several.
Wall is the figure with a bar: with one task slot it is what a row costs a job. The JVM reads ahead on a second core;
CPU of all processes, which says what a full machine pays, stands below it without a bar of its own.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from lakesift.jobs.lake.session import read_conf, session
from lakesift.udfs.kernels.malloc import keep_freed_memory
from lakesift.udfs.scorer import Scorer
from lakesift.udfs.scores.compression_ratio import CompressionRatio
from lakesift.udfs.scores.information_entropy import InformationEntropy
from tests.bench.lines import Line, line, table, tree_cpu, windows
from tests.udfs.spark.scoring import scored

SMALL, LARGE, REPEATS = 20_000, 100_000, 4
#: At most 15 % above the bare loop.
BAR = 1 / 1.15


SCORERS: list[Scorer] = [CompressionRatio(), InformationEntropy(), InformationEntropy(whole=True)]


def _tables(spark: SparkSession, folder: Path) -> dict[int, DataFrame]:
    """The texts as two Delta tables of one file each: the smaller holds the first rows of the larger."""
    rows = [(f"row-{i}", f"{i:032x}", text) for i, text in enumerate(windows(430, LARGE))]
    made = {}
    for size in (SMALL, LARGE):
        frame = spark.createDataFrame(rows[:size], "id string, content_hash string, text string")
        frame.coalesce(1).write.format("delta").save(str(folder / str(size)))
        made[size] = spark.read.format("delta").load(str(folder / str(size)))
    return made


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds."""
    wall, cpu = time.perf_counter(), tree_cpu()
    work()
    return time.perf_counter() - wall, tree_cpu() - cpu


def _margins(runs: list[Callable[[int], object]]) -> list[tuple[float, float]]:
    """Return wall and CPU microseconds a row of each, all run in turns so that a busy machine meets every one."""
    best: list[dict[int, tuple[float, float]]] = [{} for _ in runs]
    for _ in range(REPEATS):
        for found, run in zip(best, runs, strict=True):
            for size in (SMALL, LARGE):
                cost = _cost(lambda run=run, size=size: run(size))
                found[size] = tuple(map(min, cost, found.get(size, cost)))
    scale = 1e6 / (LARGE - SMALL)
    return [tuple((b[LARGE][i] - b[SMALL][i]) * scale for i in (0, 1)) for b in best]


def main() -> list[Line]:
    """Print one line a case and return the lines."""
    texts, lines = windows(430, LARGE), []
    keep_freed_memory()  # as in a worker
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "one.conf"
        settings = {**read_conf("local"), "spark.master": "local[1,4]"}
        conf.write_text("\n".join(f"{k} {v}" for k, v in settings.items()), encoding="utf-8")
        spark = session(str(conf))
        frames = _tables(spark, Path(folder))
        for scorer in SCORERS:

            def through_spark(size: int, scorer: Scorer = scorer) -> None:
                scored(frames[size], scorer).write.format("noop").mode("overwrite").save()

            def loop(size: int, scorer: Scorer = scorer) -> None:
                scorer.kernel()(texts[:size])

            through_spark(SMALL)  # starts the worker
            ours, rival = _margins([through_spark, loop])
            name = f"edge {scorer.kind}{' whole' if getattr(scorer, 'whole', False) else ''}"
            lines.append(line(f"{name}, wall us/row", ours[0], rival[0], BAR))
            lines.append(line(f"{name}, cpu us/row", ours[1], rival[1], 0.0))
        spark.stop()
    print(table(lines))
    return lines


if __name__ == "__main__":
    main()
