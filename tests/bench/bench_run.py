"""`lakesift run` as a whole against zip-fit's own ranking with two processes on the same rows; rerun; scaling.

`python -m tests.bench.bench_run`. Real text, 430 characters a row, 164 HumanEval tasks as target, gzip at level 1;
every run in a fresh lake, one warm session on both cores. Margins leave out imports, loading, planning and the creation
of tables; zip-fit ranks the same rows (20 000 of them are 3.3 million argument tuples, 1 GB). Scaling is the cost of a
row at ten times the rows, and at the margin (a first margin below 5 000 rows is 2 s: noise).
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
SIZES = {5_000: 2, 20_000: 2, 50_000: 1}
THEIRS = (5_000, 20_000)
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
    for turn in range(2):
        run(_fresh(spark, folder / f"warm-{turn}", windows(430, 1_000)), recipe())
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
    return {size: _seconds(lambda size=size: rank_with_zipfit(windows(430, size), targets, 1)) for size in THEIRS}


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
    margin = _margin(walls, 5_000, 20_000)
    lines = [
        line("run 20 000 less 5 000 rows / zip-fit, ms/row", margin, _margin(rival, *THEIRS), 1.5),
        line("run, whole wall at 50 000 rows / at 5 000, ms/row", walls[50_000] / 50, walls[5_000] / 5, 1 / 1.1),
        line(
            "run, margin 20 000 to 50 000 / 5 000 to 20 000, ms/row",
            _margin(walls, 20_000, 50_000),
            margin,
            1 / 1.1,
        ),
        line("rerun with nothing new / 20 s, s", again, RERUN_SECONDS, 1.0),
    ]
    print(table(lines))
    print("wall by rows, s: " + ", ".join(f"{size}: {wall:.1f}" for size, wall in walls.items()))
    return lines


if __name__ == "__main__":
    main()
