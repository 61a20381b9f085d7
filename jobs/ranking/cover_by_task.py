"""Facility location over more vectors than one driver takes: cells on executors, merged by gain on the driver.

This is mode cells of one driver (kernels/cells_greedy.py): cells share nothing, so each sends the beginning of its own
greedy order, twice its share of the budget by size; cells whose last gain might still be chosen go on down to the least
gain that can be. Cells are the clusters that are given, else those of k-means on the rows of lowest hash; one larger
than a task is dealt into parts by hash, one larger than the kernel takes is divided by it.

The driver holds the sample, 64 rows a cell, and some two rows for each one of the budget, with four a cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.arrays import Floats, Ints, Matrix
from ...udfs.errors import BoundError
from ...udfs.kernels.cells_greedy import CellGreedy, first_depth
from ...udfs.kernels.neighbours import CELL, SAMPLE, cell_centres, cell_members, closest_cells, scale
from .top import GROUPS, collect_pandas, rows_of, top
from .vector_tasks import MERGE_BYTES, by_batch, by_task, shipped_rows, task_rows, with_start
from .vectors import VectorRows, collect_flat, vector_bytes

#: Most cells that k-means makes beforehand: larger ones are divided on executors.
CELLS = 4_000

_FIRST = "id string, h bigint, gain double, task bigint, cell int, rows int"


class Mixture(NamedTuple):
    """What counts beside cover: alpha times the quality in standard deviations `sd` from its `mean`."""

    alpha: float = 0.0
    mean: float = 0.0
    sd: float = 1.0

    def extra(self, rows: pd.DataFrame) -> Floats:
        """Return what a row adds to its gain, (n,) float64."""
        if "quality" not in rows:
            return np.zeros(len(rows))
        extra: Floats = self.alpha * ((rows["quality"].to_numpy(float) - self.mean) / self.sd)
        return extra


def cover_by_task(
    held: VectorRows, budget: int, mixture: Mixture, start: Sequence[str], seed: int
) -> tuple[pd.DataFrame, int]:
    """Return the picks in order (id, gain), and the number of cells.

    Parameters
    ----------
    held : VectorRows
        With the column `quality` where it counts, and `cell` where cells are given.

    Raises
    ------
    BoundError
        If more than GROUPS cells are given.
    InputError
        On executors, if the length of a vector is not 1.
    """
    rows = with_start(_in_tasks(held, seed), start)
    total = held.count - len(start)
    first = by_task(rows, partial(_first_picks, mixture, budget, total), _FIRST)
    picks = collect_pandas(first)
    gains = picks["gain"].to_numpy(float)
    least = np.partition(gains, len(gains) - budget)[len(gains) - budget] if len(gains) >= budget else -np.inf
    cells = picks.groupby(["task", "cell"]).agg(last=("gain", "min"), rows=("rows", "first"), depth=("id", "size"))
    further = cells[(cells["last"] >= least) & (cells["depth"] < cells["rows"])].reset_index()
    if len(further):
        tasks = rows.sparkSession.createDataFrame(further[["task"]].drop_duplicates(), "task bigint")
        depths = {(int(t), int(c)): int(d) for t, c, d in further[["task", "cell", "depth"]].to_numpy()}
        some = rows.join(F.broadcast(tasks), "task", "left_semi")
        deeper = by_task(some, partial(_further_picks, mixture, least, budget, depths), "id string, gain double")
        best = top(deeper, -F.col("gain"), budget, seed)
        picks = pd.concat([picks, best.assign(gain=-best["key"])], ignore_index=True)
    ordered = picks.sort_values(["gain", "h", "id"], ascending=[False, True, True])
    return ordered[["id", "gain"]].head(budget).reset_index(drop=True), len(cells)


def _in_tasks(held: VectorRows, seed: int) -> DataFrame:
    """Return the rows with the task that each is in: a cell, or a part of one."""
    rows, most = held.finite, task_rows(held.width)
    if "cell" not in held.frame.columns:
        centres, expected = _cells(held, seed)
        first, parts = _tasks_of(expected, most)
        names = [c for c in rows.columns if c != "cell"]
        schema = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in rows.schema)
        return by_batch(rows, partial(_placed, centres, first, parts), [*names, "task"], f"{schema}, task bigint")
    sizes = collect_pandas(held.frame.groupBy("cell").agg(F.count("id").alias("rows")).limit(GROUPS + 1))
    if len(sizes) > GROUPS:
        raise BoundError(f"the rows have more than {GROUPS:,} clusters; use a score of kind kmeans with fewer")
    first, parts = _tasks_of(sizes["rows"].to_numpy(np.int64), most)
    cell = held.frame.schema["cell"].dataType.simpleString()
    table = rows.sparkSession.createDataFrame(
        sizes.assign(first=first, parts=parts)[["cell", "first", "parts"]], f"cell {cell}, first bigint, parts bigint"
    )
    placed = rows.join(F.broadcast(table), "cell", "inner")
    return placed.withColumn("task", F.expr("first + pmod(h, parts)")).drop("cell", "first", "parts")


def _tasks_of(sizes: Ints, most: int) -> tuple[Ints, Ints]:
    """Return the first task of each cell, and its number of tasks."""
    parts = np.maximum(1, -(-sizes // most))
    return np.cumsum(parts) - parts, parts


def _cells(held: VectorRows, seed: int) -> tuple[Matrix, Ints]:
    """Return centres of cells by k-means on the rows of lowest hash, and about how many rows each has."""
    most = min(CELLS, shipped_rows(held.width), max(1, MERGE_BYTES // (SAMPLE * vector_bytes(1, held.width))))
    count = min(max(1, -(-held.count // CELL)), most)
    sample = top(held.finite, F.lit(0.0), SAMPLE * count, seed)
    frame, flat = collect_flat(rows_of(held.frame.select("id", "h", "vector"), sample))
    order = frame.sort_values(["h", "id"]).index.to_numpy()
    matrix = np.asarray(flat, np.float32).reshape(len(frame), held.width)[order]
    centres = cell_centres(matrix, min(count, max(1, len(matrix))))
    share = np.bincount(closest_cells(matrix, centres), minlength=len(centres)) / max(1, len(matrix))
    return centres, np.ceil(share * held.count).astype(np.int64)


def _placed(centres: Matrix, first: Ints, parts: Ints, batch: pa.RecordBatch, matrix: Matrix) -> list[pa.Array]:
    cell = closest_cells(matrix, centres)
    task = first[cell] + batch.column("h").to_numpy() % parts[cell]
    return [*batch.columns, pa.array(task)]


def _greedy(mixture: Mixture, rows: pd.DataFrame, matrix: Matrix) -> list[tuple[pd.DataFrame, CellGreedy]]:
    """Return the rows of each cell of a task, and their greedy."""
    found, weight, extra = [], (1 - mixture.alpha) / scale(matrix.shape[1]) ** 2, mixture.extra(rows)
    started = rows["started"].to_numpy(bool)
    for members in cell_members(matrix, np.zeros(len(rows), np.int64)):
        before = np.flatnonzero(started[members]).tolist()
        found.append((rows.iloc[members], CellGreedy(matrix[members], weight, extra[members], before)))
    return found


def _first_picks(mixture: Mixture, budget: int, total: int, rows: pd.DataFrame, matrix: Matrix) -> pd.DataFrame:
    frames = []
    for cell, (members, greedy) in enumerate(_greedy(mixture, rows, matrix)):
        order, gains = greedy.to(first_depth(greedy.rows, budget, total))
        picked = members[["id", "h", "task"]].iloc[order]
        frames.append(picked.assign(gain=gains, cell=cell, rows=greedy.rows))
    return pd.concat(frames)[["id", "h", "gain", "task", "cell", "rows"]]


def _further_picks(
    mixture: Mixture,
    least: float,
    most: int,
    depths: Mapping[tuple[int, int], int],
    rows: pd.DataFrame,
    matrix: Matrix,
) -> pd.DataFrame:
    frames, task = list[pd.DataFrame](), int(rows["task"].iloc[0])
    for cell, (members, greedy) in enumerate(_greedy(mixture, rows, matrix)):
        if depth := depths.get((task, cell)):
            order, gains = greedy.down_to(least, depth, most)
            frames.append(members[["id"]].iloc[order[depth:]].assign(gain=gains[depth:]))
    return pd.concat(frames, ignore_index=True)
