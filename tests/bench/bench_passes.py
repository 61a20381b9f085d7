"""One pass for all scores: four cheap ones over 16 000 and 64 000 rows, a rerun, and an append of 1 % with vectors.

`python -m tests.bench passes`. Texts of 430 characters, two cores, one warm session. The margin between the two sizes
stands beside the same kernels in two bare processes, which take .02 ms a row: the rest is Spark's transfer, the commit
and publishing. Rerun and append stand beside the first run of the same recipe; the append has an embedding, k-means and
kmq, and makes one commit of memos.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from lakesift.jobs.lake.session import session
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.run import run
from lakesift.udfs.discovery import scorers
from tests.bench.lines import Line, line, table, windows

SIZES, BARE, APPENDED = (16_000, 64_000), 10_000, 0.01
CHEAP = ("compression_ratio", "information_entropy", "length_tokens", "length_bytes")
VECTORS = {
    "vector": {"kind": "embedding", "encoder": "wordllama"},
    "cells": {"kind": "kmeans", "k": 50},
    "words": {"kind": "information_entropy"},
}


def _put(lake: Lake, name: str, texts: list[str], mode: str = "error") -> None:
    frame = lake.spark.createDataFrame(
        [(hashlib.sha256(t.encode()).hexdigest(), t) for t in texts], "id string, text string"
    )
    frame.repartition(4).write.format("delta").mode(mode).save(f"{lake.root}/{name}")


def _recipe(name: str, docs: str, scores: dict[str, Any], select: dict[str, Any]) -> Recipe:
    raw = {"name": name, "documents": {"table": docs}, "scores": scores, "select": select, "budget": {"fraction": 0.05}}
    return parse(raw)


def _bare(texts: list[str]) -> float:
    kernels = [scorers()[kind]().kernel() for kind in CHEAP]
    start = time.perf_counter()
    for at in range(0, len(texts), 2_000):
        for kernel in kernels:
            kernel(texts[at : at + 2_000])
    return time.perf_counter() - start


def _seconds(lake: Lake, recipe: Recipe) -> tuple[float, dict[str, float]]:
    start = time.perf_counter()
    steps = {s.step: s.seconds or 0.0 for s in run(lake, recipe).steps}
    return time.perf_counter() - start, steps


def main() -> list[Line]:
    """Return all lines."""
    spark = session("local")
    parts = [windows(430, BARE)[i::2] for i in range(2)]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as both:
        bare = max(both.map(_bare, parts)) / BARE * 1e3
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(spark, f"{folder}/lake")
        cost = {}
        for rows in (2_000, *SIZES):  # the first warms up
            _put(lake, f"docs_{rows}", windows(430, rows))
            scores = {kind: {"kind": kind} for kind in CHEAP}
            recipe = _recipe(f"cheap_{rows}", f"docs_{rows}", scores, {"kind": "random"})
            first, steps = _seconds(lake, recipe)
            cost[rows] = steps["compute"] + steps["publish"]
        again, _ = _seconds(lake, recipe)
        texts = windows(430, 20_000)
        new = texts[: int(APPENDED * len(texts))]
        _put(lake, "grown", texts[len(new) :])
        grown = _recipe("grown", "grown", VECTORS, {"kind": "kmq", "cluster": "cells", "quality": "words"})
        whole, _ = _seconds(lake, grown)
        before = lake.version("memos")
        _put(lake, "grown", new, "append")
        appended, _ = _seconds(lake, grown)
        assert lake.version("memos") == (before or 0) + 1, "one commit of memos"
    margin = (cost[SIZES[1]] - cost[SIZES[0]]) / (SIZES[1] - SIZES[0]) * 1e3
    lines = [
        line("four cheap scores at the margin / bare kernels, ms/row", margin, bare, 0.25),
        line(f"rerun with nothing new / first run of {SIZES[1]} rows, s", again, first, 4.0),
        line("append of 1 % with vectors and clusters / first run, s", appended, whole, 1.5),
    ]
    print(table(lines))
    print("compute and publish, s: " + ", ".join(f"{rows}: {s:.1f}" for rows, s in cost.items()))
    return lines


if __name__ == "__main__":
    main()
