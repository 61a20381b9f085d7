"""mig at a million rows: the greedy alone, beside the plain dense one, and a whole run through Spark.

`python -m tests.bench mig`: labels drawn by Zipf's law from 4 500, 5.8 a row. The greedy of 50 000 picks has a bar of
40 CPU-seconds and 1 GB, the select step of a run one of 3 minutes. `python -m tests.bench.bench_mig ROWS`, such as
5000000, runs the whole thing at another size, in memory and by passes over Spark, whose picks must be the same.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from pyspark.sql import functions as F

import lakesift as ls
from lakesift.jobs.lake.session import session
from lakesift.jobs.selectors import mig
from lakesift.udfs.kernels.information_gain import information_gain
from lakesift.udfs.kernels.label_gains import SHIFT, propagation
from tests.bench.lines import Line, line, table

ROWS, LABELS, PICKS, MEAN = 1_000_000, 4_500, 50_000, 5.8
Array = np.ndarray[Any, np.dtype[Any]]


def drawn_labels(rows: int, labels: int, seed: int = 0) -> tuple[Array, Array]:
    """Return labels and offsets: 1 + Poisson draws a row by Zipf's law, repeats dropped, about 5.8 left."""
    draw = np.random.default_rng(seed)
    chance = np.cumsum(1 / np.arange(1, labels + 1))
    size = 1 + draw.poisson(MEAN, rows)
    label = np.searchsorted(chance, draw.random(size.sum()) * chance[-1])
    key = np.unique(np.repeat(np.arange(rows), size) * labels + label)
    row, label = np.divmod(key, labels)
    return label.astype(np.int32), np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])


def graph(labels: int, neighbours: int = 4, seed: int = 1) -> Any:
    """Return A of a random graph."""
    draw = np.random.default_rng(seed)
    ends = np.sort(draw.integers(0, labels, (labels * neighbours // 2, 2)), axis=1)
    ends = np.unique(ends[ends[:, 0] < ends[:, 1]], axis=0)
    return propagation(labels, ends[:, 0], ends[:, 1], draw.uniform(0.6, 1, len(ends)))


def dense(labels: Array, offsets: Array, quality: Array, A: Any, budget: int) -> list[int]:
    """Return the picks of the greedy that one would write: all gains anew for each pick, float64."""
    rows = np.repeat(np.arange(len(quality)), np.diff(offsets))
    hot = np.zeros((len(quality), A.shape[0]))
    hot[rows, labels] = quality[rows]
    A, x, order = A.toarray(), np.zeros(A.shape[0]), []
    for _ in range(budget):
        gains = hot @ (A.T @ (0.8 * (x + SHIFT) ** -0.2))
        gains[order] = -1
        order.append(int(gains.argmax()))
        x += A @ hot[order[-1]]
    return order


def _large(rows: int) -> tuple[float, float, int]:
    """Return CPU-seconds of the greedy, MB that it takes beside its input, and passes."""
    labels, offsets = drawn_labels(rows, LABELS)
    quality, A = np.random.default_rng(2).random(rows), graph(LABELS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    found = information_gain(labels, offsets, quality, A, PICKS)
    seconds = time.process_time() - start
    assert (np.diff(found.gains) <= 0).all()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return seconds, max(peak, before) / 1024, found.passes


def greedy() -> list[Line]:
    """The kernel: against its bars, and against the dense form in the same process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        seconds, peak, passes = pool.submit(_large, ROWS).result()
    labels, offsets = drawn_labels(20_000, 600)
    quality, A = np.random.default_rng(2).random(20_000), graph(600)
    a = time.process_time()
    ours = information_gain(labels, offsets, quality, A, 1_000).order.tolist()
    b = time.process_time()
    plain = dense(labels, offsets, quality, A, 1_000)
    c = time.process_time()
    assert ours == plain
    return [
        line(f"mig, a million rows, 50 000 picks, {passes} passes, CPU s", seconds, 40.0, 1.0),
        line("mig, peak MB of that process with its input", peak, 1000.0, 1.0),
        line("mig, 20k x 600 x 1 000 picks, CPU s / plain dense", b - a, c - b, 20.0),
    ]


def run(rows: int, passes: bool = False) -> tuple[dict[str, float], list[str]]:
    """Run a recipe over labels of names and a column of quality; return seconds by step, and the ids in order."""
    labels, offsets = drawn_labels(rows, LABELS)
    names = [f"{word} {i}" for i, word in zip(range(LABELS), _words() * 10, strict=False)]
    with tempfile.TemporaryDirectory() as folder:
        spark = session("local")
        lake = ls.Lake(f"{folder}/lake", spark)
        _write(spark, f"{folder}/lake/pool", labels, offsets, names)
        recipe = {
            "name": "mig", "documents": {"table": "pool", "text": "id"},
            "scores": {"topics": {"kind": "labels", "of": "labels"}},
            "select": {"kind": "mig", "labels": "topics", "quality": "quality"},
            "budget": {"rows": PICKS}, "keep": [],
        }  # fmt: skip
        if passes:
            mig.VECTOR_BYTES = 0
        result = ls.run(lake, recipe)
        ids = [r["id"] for r in result.selection.select("id", "rank").orderBy("rank").collect()]
        return {s.step: s.seconds or 0.0 for s in result.manifest.steps}, ids


def _words() -> list[str]:
    """Return words of the standard library, the most frequent ones."""
    from lakesift.udfs.scores.tags import terms
    from tests.texts import functions

    return [term for term in terms(functions(3000), 2, 1.0, 4 * LABELS) if " " not in term][:LABELS]


def _write(spark: Any, path: str, labels: Array, offsets: Array, names: list[str]) -> None:
    """Write the pool in slices of 250 000 rows."""
    import pandas as pd

    quality, step = np.random.default_rng(2).random(len(offsets) - 1), 250_000
    looked_up = spark.createDataFrame(pd.DataFrame({"all": [names]}))
    for a in range(0, len(quality), step):
        b = min(a + step, len(quality))
        lists = [labels[offsets[i] : offsets[i + 1]].tolist() for i in range(a, b)]
        frame = spark.createDataFrame(pd.DataFrame({"i": range(a, b), "label": lists, "quality": quality[a:b]}))
        frame = frame.crossJoin(F.broadcast(looked_up))
        named = F.transform("label", lambda x: F.element_at("all", x.cast("int") + 1))
        frame = frame.select(F.concat(F.lit("row "), "i").alias("id"), named.alias("labels"), "quality")
        frame.write.format("delta").mode("append").save(path)


def main() -> list[Line]:
    """Return all lines."""
    lines = greedy()
    print(table(lines), flush=True)
    seconds, _ = run(ROWS)
    print({step: round(s, 1) for step, s in seconds.items()})
    return [*lines, line("mig, a million rows through Spark, select step, s", seconds["select"], 180.0, 1.0)]


if __name__ == "__main__":
    if not sys.argv[1:]:
        print(table(main()))
        sys.exit()
    orders = []
    for passes in (False, True):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            steps, ids = pool.submit(run, int(sys.argv[1]), passes).result()
        print(
            "by passes over Spark:" if passes else "in memory:", {k: round(s, 1) for k, s in steps.items()}, flush=True
        )
        orders.append(ids)
    print(f"{len(orders[0]):,} picks, the same in the same order: {orders[0] == orders[1]}")
