"""`lakesift run` as a whole against zip-fit's own ranking with two processes on the same rows; rerun; scaling.

`python -m tests.bench.bench_run`. Real text, 430 characters a row, 164 HumanEval tasks as target, gzip at level 1;
every run in a fresh lake, one warm session on both cores. Margins (wall at 20 000 rows less wall at 5 000) leave out
imports, loading, planning and the creation of tables. zip-fit is timed at the margin of 4 000 rows less 1 000: per row
it costs the same at any size, and 20 000 rows would be 3.3 million argument tuples in memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from lakesift.jobs.lake.session import session
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.run import run
from tests.bench.bench_kernels import rank_with_zipfit
from tests.bench.lines import Line, line, table, windows
from tests.texts import human_eval

#: Sizes with the number of fresh runs of which the least counts; small ones are noisier and cheaper.
SIZES = {500: 3, 2_000: 3, 5_000: 2, 20_000: 1}
THEIRS = {1_000: 2, 4_000: 2}
TARGETS, RERUN_SECONDS = 164, 20.0


def recipe() -> Recipe:
    """One score, no controls: what zip-fit's ranking does."""
    return parse(
        {
            "name": "bench",
            "documents": {"table": "docs"},
            "targets": {"goals": {"table": "goals"}},
            "scores": {"alignment": {"kind": "zipfit", "target": "goals"}},
            "select": {"kind": "top_k", "by": "alignment"},
            "budget": {"fraction": 0.05},
            "controls": [],
        }
    )


def _fresh(spark: SparkSession, root: Path, rows: list[str]) -> Lake:
    """A lake with documents and target, and nothing derived."""
    for name, texts in (("docs", rows), ("goals", human_eval(TARGETS))):
        frame = spark.createDataFrame([(f"{name}-{i}", t) for i, t in enumerate(texts)], "id string, text string")
        frame.repartition(4).write.format("delta").save(str(root / name))
    return Lake(spark, str(root))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ours(spark: SparkSession, folder: Path) -> tuple[dict[int, float], float]:
    """Return wall seconds of a first run by number of rows, and of a rerun of the largest with nothing new."""
    run(_fresh(spark, folder / "warm", windows(430, 300)), recipe())
    best: dict[int, float] = {}
    for size, repeats in SIZES.items():
        for turn in range(repeats):
            lake = _fresh(spark, folder / f"{size}-{turn}", windows(430, size))
            wall = _seconds(lambda lake=lake: run(lake, recipe()))
            best[size] = min(wall, best.get(size, wall))
    return best, _seconds(lambda: run(lake, recipe()))


def theirs() -> dict[int, float]:
    """Return wall seconds of zip-fit's ranking by number of rows."""
    targets = human_eval(TARGETS)
    return {
        size: min(_seconds(lambda size=size: rank_with_zipfit(windows(430, size), targets, 1)) for _ in range(repeats))
        for size, repeats in THEIRS.items()
    }


def _margin(walls: dict[int, float], small: int, large: int) -> float:
    """Milliseconds a row."""
    return (walls[large] - walls[small]) / (large - small) * 1e3


def main() -> list[Line]:
    """Print one line a case and return the lines."""
    rival = theirs()
    with tempfile.TemporaryDirectory() as folder:
        spark = session()
        walls, again = ours(spark, Path(folder))
        spark.stop()
    large, small = _margin(walls, 5_000, 20_000), _margin(walls, 500, 2_000)
    lines = [
        line("run 20 000 less 5 000 rows / zip-fit, ms/row", large, _margin(rival, 1_000, 4_000), 1.5),
        line("run, whole wall at 20 000 rows / at 2 000, ms/row", walls[20_000] / 20, walls[2_000] / 2, 1 / 1.1),
        line("run, margin at 20 000 rows / at 2 000, ms/row", large, small, 1 / 1.1),
        line("rerun with nothing new / 20 s, s", again, RERUN_SECONDS, 1.0),
    ]
    print(table(lines))
    print("wall by rows, s: " + ", ".join(f"{size}: {wall:.1f}" for size, wall in walls.items()))
    return lines


if __name__ == "__main__":
    main()
