"""Through Spark: embeddings into Delta at the margin, racing against every pair, kMQ with one giant cluster.

`python -m tests.bench vectors`. Margins are differences of two sizes in one warm session, so that planning, commits
and loading leave no trace. Embeddings: the package wordllama's own embed() in two bare processes on the same texts, and
our kernel likewise. Racing: the same recipe with every pair; its bar is four fifths of the pairs saved, at 40 000 rows
and from 20 000 to 60 000, the median of three races each. Giant: 60 % of two million rows in one cluster, against
twenty balanced ones.
"""

from __future__ import annotations

import importlib
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakesift.jobs.lake.session import session
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.lake.tuning import compiled
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from lakesift.jobs.selectors.kmeans_quota import KMQ
from lakesift.udfs.scores.embedding import Embedding
from tests.bench.bench_racing import pool
from tests.bench.bench_ranking import seconds
from tests.bench.lines import Line, line, table, windows
from tests.jobs.selectors.pool import pool_of
from tests.texts import human_eval

EMBEDDED, RACED, SHARE = (20_000, 80_000), (20_000, 40_000, 60_000), 0.05
#: Races at each size: the fixed part of one varies by more than ten thousand rows cost.
REPEATS = 3


def _recipe(name: str, scores: dict[str, Any], select: dict[str, Any]) -> Any:
    goals = {"goals": {"table": "goals"}}
    body = {"name": name, "documents": {"table": name}, "targets": goals, "scores": scores, "select": select}
    return parse({**body, "budget": {"fraction": SHARE}, "keep": []})


def _put(spark: SparkSession, folder: str, name: str, texts: list[str]) -> None:
    frame = spark.createDataFrame([(f"{name}-{i}", t) for i, t in enumerate(texts)], "id string, text string")
    frame.repartition(8).write.format("delta").save(f"{folder}/{name}")


def _package() -> Callable[[list[str]], object]:
    wordllama = importlib.import_module("wordllama")
    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    return lambda texts: model.embed(texts, norm=True)


def _encode(work: tuple[str, list[str]]) -> float:
    whose, texts = work
    kernel = Embedding().kernel() if whose == "kernel" else _package()
    kernel(texts[:500])
    start = time.perf_counter()
    for at in range(0, len(texts), 10_000):
        kernel(texts[at : at + 10_000])
    return time.perf_counter() - start


def embeddings(lake: Lake, folder: str) -> list[Line]:
    """Wall milliseconds a row at the margin."""
    scores, select = {"vector": {"kind": "embedding"}}, {"kind": "random"}
    walls = {}
    for rows in (500, *EMBEDDED):
        name = f"texts_{rows}"
        _put(lake.spark, folder, name, [f"{rows}\n{t}" for t in windows(430, rows)])
        made = run(lake, _recipe(name, scores, select), until="score")
        walls[rows] = next(s.seconds for s in made.steps if s.step == "compute")
    margin = (walls[EMBEDDED[1]] - walls[EMBEDDED[0]]) / (EMBEDDED[1] - EMBEDDED[0]) * 1e3
    halves = [windows(430, 20_000)[i::2] for i in range(2)]
    lines = []
    for whose in ("package", "kernel"):
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
            bare = max(processes.map(_encode, [(whose, half) for half in halves])) / 20_000 * 1e3
        lines.append(line(f"embeddings into Delta, margin / bare {whose}, ms/row", margin, bare, 0.9))
    return lines


def _wall(lake: Lake, folder: str, texts: list[str], kind: str, times: int) -> tuple[float, str]:
    """Return the median of the seconds that scoring and selecting took, and what the last run said."""
    walls = []
    for i in range(times):
        name = f"{kind}_{len(texts)}_{i}"  # other ids: no memo has them
        _put(lake.spark, folder, name, texts)
        scores = {"alignment": {"kind": "zipfit", "target": "goals"}}
        made = run(lake, _recipe(name, scores, {"kind": kind, "by": "alignment"}))
        # An ask is inside of the step select; before it, a race computes lengths alone.
        counted = ("compute", "select") if kind == "top_k" else ("select",)
        walls.append(sum(s.seconds for s in made.steps if s.step in counted))
    print(f"{kind}, {len(texts)} rows: {', '.join(f'{s:.1f}' for s in walls)} s", *made.notes, sep="; ")
    return median(walls), " ".join(made.notes)


def racing(lake: Lake, folder: str) -> list[Line]:
    """Wall of scoring and selecting: every pair against the race, whole and at the margin."""
    texts, every, races, bars = pool(RACED[-1]), [], [], []
    for size in RACED:
        some = texts[: len(texts) * size // RACED[-1]]  # fewer without the data
        every.append(_wall(lake, folder, some, "top_k", 1)[0])
        wall, said = _wall(lake, folder, some, "zipfit_race", REPEATS)
        races.append(wall)
        found = re.search(r"([0-9.]+) times fewer", said)
        bars.append(0.8 * float(found[1]) if found else 1.0)
    margins = races[2] - races[0], every[2] - every[0]
    return [
        line(f"race / every pair, {RACED[1]} rows, s", races[1], every[1], bars[1]),
        line(f"race / every pair, {RACED[2]} less {RACED[0]} rows, s", *margins, bars[2]),
    ]


def giant(spark: SparkSession, folder: str) -> Line:
    """Wall of kmq over two million rows."""
    even = F.pmod("id", F.lit(20)).cast("int")
    rows = spark.range(2_000_000, numPartitions=8)
    quality = (F.pmod(F.xxhash64("id"), F.lit(1000)) + 1.0).alias("quality")
    uneven = F.when(F.pmod("id", F.lit(10)) < 6, 0).otherwise(even).alias("giant")
    rows.select(F.col("id").cast("string"), even.alias("even"), uneven, quality).write.parquet(f"{folder}/cells")
    with compiled(spark, 2_000_000):
        cells = spark.read.parquet(f"{folder}/cells")
        walls = [
            seconds(lambda c=c: KMQ(c, quality="quality").select(pool_of(cells, 50_000, 7))) for c in ("giant", "even")
        ]
    return line("kmq, 60 % of 2 000 000 rows in one cluster / balanced, s", *walls, 1 / 1.5)


def main() -> list[Line]:
    """Print one line a case and return the lines."""
    spark = session()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(spark, str(Path(folder)))
        _put(spark, folder, "goals", human_eval(164))
        lines = [*embeddings(lake, folder), *racing(lake, folder), giant(spark, folder)]
    spark.stop()
    print(table(lines))
    return lines


if __name__ == "__main__":
    main()
