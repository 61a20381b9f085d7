"""Selectors over vectors above the limit of one driver: objective, wall and driver memory of two rounds beside one.

`python -m tests.bench two_rounds`. 200 000 windows of 430 characters out of the source files that are installed here,
embedded by wordllama (256 numbers), in clusters of some 1000 rows; 1 % of them are chosen. Each form runs in a process
of its own with a Spark session on two cores; for two rounds the limit is lowered to nothing, and tasks and slices to a
sixth and a third of the rows. `driver` is the largest resident size of the driver's Python process, vectors included,
Spark's JVM not. Bars: 0.97 of the objective of one driver; for wall and memory there is none (0), the ratio says what
two rounds cost. Random rows stand beside both.
"""

from __future__ import annotations

import multiprocessing
import sysconfig
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lakesift.jobs.lake.session import session
from lakesift.jobs.ranking import vector_tasks, vectors
from lakesift.jobs.selectors.coverage import FacilityLocation, KCenter
from lakesift.jobs.selectors.near_duplicates import Deita, SemDeDup
from lakesift.jobs.selectors.selector import Selector
from lakesift.udfs.kernels.near_duplicates import first_near
from lakesift.udfs.kernels.neighbours import make_cells
from lakesift.udfs.scores.embedding import Embedding
from tests.bench.lines import Line, line, table
from tests.jobs.selectors.pool import pool_of
from tests.udfs.kernels.twins_facility_location import objective

Matrix = NDArray[np.float32]
ROWS, LENGTH, SHARE = 200_000, 430, 0.01
#: Numbers of a vector, tasks of a size, slices of the driver.
WIDTH, TASKS, SLICES = 256, 6, 3
#: Rows of a part that a file holds, and rows of which the distance to the chosen is computed at a time.
PART, BLOCK = 50_000, 4096
SELECTORS: dict[str, Selector] = {
    "facility_location": FacilityLocation(),
    "facility_location, clusters": FacilityLocation(cluster="cells"),
    "k_center": KCenter(),
    "semdedup": SemDeDup("cells", by="quality", eps=0.1),
    "deita": Deita(by="quality", limit=0.9),
}


class Form(NamedTuple):
    """Rows chosen, in order, seconds, bytes of the driver's Python at most, and what was said."""

    rows: list[int]
    wall: float
    peak: int
    notes: list[str]


def source_windows(count: int) -> list[str]:
    """Return `count` windows of text, no two of them overlapping, out of installed Python files in order of path."""
    texts, folders = list[str](), [Path(sysconfig.get_paths()[k]) for k in ("stdlib", "purelib")]
    for path in (p for folder in folders for p in sorted(folder.rglob("*.py"))):
        body = path.read_text(encoding="utf-8", errors="ignore")
        texts += [body[a : a + LENGTH] for a in range(0, len(body) - LENGTH, LENGTH)]
        if len(texts) >= count:
            return texts[:count]
    raise AssertionError(f"{len(texts)} windows are installed, {count} were asked for")


def text_vectors(rows: int) -> Matrix:
    """Embed real text; above ROWS rows are drawn from that many with noise of cosine .97 or so."""
    kernel, texts = Embedding().kernel(), source_windows(min(rows, ROWS))
    X = np.concatenate([np.asarray(kernel(texts[a : a + 10_000]), np.float32) for a in range(0, len(texts), 10_000)])
    X = X[np.isfinite(X).all(axis=1)]
    draw, found = np.random.default_rng(1), np.empty((rows, X.shape[1]), np.float32)
    found[: len(X)] = X
    for a in range(len(X), rows, PART):
        part = X[draw.integers(0, len(X), min(PART, rows - a))]
        part += 0.25 / np.sqrt(X.shape[1]) * draw.standard_normal(part.shape, dtype=np.float32)
        found[a : a + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return found


def write(X: Matrix, folder: Path) -> None:
    """Write id, vector, cells, quality as Parquet."""
    cell, quality = make_cells(X, -(-len(X) // 1000)), np.random.default_rng(2).random(len(X)).round(3)
    folder.mkdir()
    for a in range(0, len(X), PART):
        part, n = X[a : a + PART], len(X[a : a + PART])
        vector = pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * X.shape[1], pa.array(part.ravel()))
        cells = pa.StructArray.from_arrays(
            [pa.array(cell[a : a + n]), pa.array(np.zeros(n))], ["cluster", "distance_sq"]
        )
        ids = pa.array([str(i) for i in range(a, a + n)])
        columns = {"id": ids, "vector": vector, "cells": cells, "quality": pa.array(quality[a : a + n])}
        pq.write_table(pa.table(columns), folder / f"{a}.parquet")


def _choose(folder: str, kind: str, budget: int, two_rounds: bool) -> Form:
    """Choose in this process; the limit is nothing for two rounds and no limit at all for one driver."""
    vectors.VECTOR_BYTES = 0 if two_rounds else 10**12
    spark, notes = session("local"), list[str]()
    rows = spark.read.parquet(folder)
    size = rows.count() * vectors.vector_bytes(1, WIDTH)
    # As many tasks and slices as there would be just above the real limit.
    vector_tasks.TASK_BYTES, vector_tasks.MERGE_BYTES = size // TASKS, size // SLICES
    with threadpool_limits(1):
        start = time.perf_counter()
        picks = SELECTORS[kind].select(pool_of(rows, budget, 7, note=notes.append))
        wall = time.perf_counter() - start
    spark.stop()
    return Form([int(i) for i in picks["id"]], wall, peak(), notes)


def peak() -> int:
    """Return the largest resident bytes of this process; getrusage would count those of the one that started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def choose(folder: Path, kind: str, budget: int, two_rounds: bool) -> Form:
    """Choose in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_choose, str(folder), kind, budget, two_rounds).result()


def radius(X: Matrix, chosen: list[int]) -> float:
    """The largest distance of a row to the nearest chosen one."""
    most, picks = 0.0, X[chosen]
    for a in range(0, len(X), BLOCK):
        most = max(most, float((2 - 2 * (X[a : a + BLOCK] @ picks.T).max(axis=1)).max()))
    return float(np.sqrt(max(most, 0.0)))


def worth(kind: str, X: Matrix, chosen: list[int]) -> float:
    """What a selector makes large: cover, or 1 / radius; of those that leave near-duplicates out, rows without one."""
    if kind.startswith("facility_location"):
        return objective(X, chosen)
    if kind == "k_center":
        return 1 / radius(X, chosen)
    picks = X[chosen]
    return float((first_near(picks, picks, np.arange(len(picks)), 0.9) < 0).sum())


def compare(rows: int, kinds: tuple[str, ...] = tuple(SELECTORS)) -> list[Line]:
    """Return lines of every selector at one size."""
    lines, budget = list[Line](), int(SHARE * rows)
    with tempfile.TemporaryDirectory() as root, threadpool_limits(1):
        X, folder = text_vectors(rows), Path(root) / "rows"
        write(X, folder)
        drawn = np.random.default_rng(3).permutation(rows)[:budget].tolist()
        for kind in kinds:
            one, two = (choose(folder, kind, budget, form) for form in (False, True))
            best, name = worth(kind, X, one.rows), f"{kind} {rows:,}, b {budget:,}"
            alike = "the same rows" if one.rows == two.rows else f"{len({*one.rows} & {*two.rows}) / budget:.0%} shared"
            print(f"{name}: {alike}; {'; '.join(two.notes)}", flush=True)
            lines += [
                line(f"{name}: worth, two rounds of one driver", best, worth(kind, X, two.rows), 0.97),
                line(f"{name}: worth, random of one driver", best, worth(kind, X, drawn), 0),
                line(f"{name}: wall, s", two.wall, one.wall, 0),
                line(f"{name}: driver, GB", two.peak / 1e9, one.peak / 1e9, 0),
            ]
            print(table(lines[-4:]), flush=True)
    return lines


def main() -> list[Line]:
    """Print one line a case and return the lines."""
    return compare(ROWS)


if __name__ == "__main__":
    main()
