"""k-center over more vectors than one driver takes: rounds over the farthest rows, with the picks of one driver.

In each round executors send the rows farthest from all picks, as many as the driver merges, and it picks among them
until the next pick might be nearer than a row that did not come. Distances only shrink, so until then the farthest of
all rows is among them. How far a row has to be is read off a hash sample, whose distances the driver keeps: it decides
how many rows come, never which are picked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.arrays import Floats, Matrix
from ...udfs.errors import BoundError
from ...udfs.kernels.k_center import NO_LIMIT, k_center
from ...udfs.kernels.nearest_pick import distances_sq
from .top import rows_of
from .vector_tasks import by_batch, merge_rows, shipped_rows
from .vectors import VectorRows, collect_flat, order_of

#: Rows of the sample, if the driver merges eight times as many.
SAMPLE_ROWS = 20_000

_COLUMNS = ("id", "h", "vector")


class Centres(NamedTuple):
    """Ids in order; squared distance of each to those before it, (b,) float64, inf for the first; rounds."""

    ids: list[str]
    distance_sq: Floats
    rounds: int


class Rows(NamedTuple):
    """id and h of rows, and their vectors as float32 (n, d)."""

    known: pd.DataFrame
    matrix: Matrix


class Bound(NamedTuple):
    """Rows at more than `distance_sq` from the picks, or at that with a hash of at most `h`."""

    distance_sq: float
    h: int


EVERY_ROW = Bound(NO_LIMIT[0], 0)


def most_centres(width: int) -> int:
    """Return how many vectors of so many numbers are picked at most: half of the rows that the driver merges.

    Examples
    --------
    >>> most_centres(256)
    408496
    """
    return max(1, merge_rows(width) // 2)


def centres_in_rounds(held: VectorRows, budget: int, start: Sequence[str]) -> Centres:
    """Pick rows: the first in order of (h, id), then always the farthest from those before it and from `start`.

    Raises
    ------
    BoundError
        If they are more than `most_centres` with those of `start`.
    """
    most = most_centres(held.width)
    if (wanted := min(budget + len(start), held.count)) > most:
        raise BoundError(
            f"k_center of {wanted:,} rows is more than the {most:,} vectors of {held.width} elements that the driver "
            "picks in rounds: lower the budget, or choose from fewer rows with where:"
        )
    pool = held.finite.select(*_COLUMNS)
    first = pool.orderBy("h", "id").limit(1)
    picked = _collected(rows_of(pool, pd.DataFrame({"id": [*start]}, dtype=object)) if start else first, held.width)
    begun = len(picked.known) if start else 0
    if start and not begun:  # none of those has a vector
        picked = _collected(first, held.width)
    distances, rounds = [np.full(len(picked.known) - begun, np.inf)], 0
    sample = _Sample(_collected(_drawn(pool, held), held.width), held.count)
    while 0 < len(picked.known) < begun + budget:
        bound = sample.bound(picked, merge_rows(held.width) - len(picked.known))
        together, far = _with_farthest(pool, picked, bound)
        found = k_center(together.matrix, begun + budget - len(picked.known), start=range(len(picked.known)), until=far)
        if not len(found.order):
            break
        picked = Rows(
            pd.concat([picked.known, together.known.iloc[found.order]], ignore_index=True),
            together.matrix[[*range(len(picked.known)), *found.order]],
        )
        distances.append(found.distance_sq)
        rounds += 1
        del together  # or it is held while the next rows come
    return Centres(picked.known["id"].tolist()[begun:], np.concatenate(distances), rounds)


class _Sample:
    """Rows drawn from a pool of some `count`, with their distances to the picks."""

    def __init__(self, drawn: Rows, count: int) -> None:
        self.drawn, self.count, self.seen = drawn, count, 0
        self.distance_sq = np.full(len(drawn.known), np.inf)

    def bound(self, picked: Rows, wanted: int) -> Bound:
        """Return a bound that some `wanted` rows are beyond, hardly ever more, and one at least."""
        known, matrix = self.drawn
        if self.seen < len(picked.matrix):
            new = distances_sq(matrix, picked.matrix[self.seen :])
            self.distance_sq, self.seen = np.minimum(self.distance_sq, new), len(picked.matrix)
        left = np.flatnonzero(~known["id"].isin(picked.known["id"]).to_numpy())
        others = self.count - len(picked.known)
        if wanted >= others or not len(left):
            return EVERY_ROW
        mean = wanted * len(left) / others
        h, distance_sq = known["h"].to_numpy()[left], self.distance_sq[left]
        last = np.lexsort((h, -distance_sq))[max(0, int(mean - 4 * np.sqrt(mean)))]
        return Bound(float(distance_sq[last]), int(h[last]))


def _drawn(pool: DataFrame, held: VectorRows) -> DataFrame:
    """Return a sample by hash of the id."""
    rows = min(SAMPLE_ROWS, merge_rows(held.width) // 8)
    share = F.lit(int(np.ceil(1e6 * rows / max(rows, held.count, 1))))
    return pool.where(F.pmod(F.xxhash64("h", F.lit("centres")), F.lit(1_000_000)) < share)


def _with_farthest(pool: DataFrame, picked: Rows, bound: Bound) -> tuple[Rows, tuple[float, int]]:
    """Return the picks and after them the rows beyond a bound; and where further picks among these have to end."""
    rows, size = rows_of(pool, picked.known, "left_anti"), shipped_rows(picked.matrix.shape[1])
    if bound is not EVERY_ROW:
        for a in range(0, len(picked.known), size):
            near = partial(_far, picked.matrix[a : a + size], bound)
            rows = by_batch(rows, near, _COLUMNS, "id string, h bigint, vector array<float>")
    found = _collected(rows, picked.matrix.shape[1], picked)
    last = int(np.searchsorted(found.known["h"].to_numpy()[len(picked.known) :], bound.h, "right")) - 1
    return found, (bound.distance_sq, len(picked.known) + last)


def _far(picks: Matrix, bound: Bound, batch: pa.RecordBatch, matrix: Matrix) -> Sequence[pa.Array]:
    """Return the rows that are beyond a bound as far as some of the picks go."""
    distance_sq, h = distances_sq(matrix, picks), batch.column("h").to_numpy()
    far = (distance_sq > bound.distance_sq) | ((distance_sq == bound.distance_sq) & (h <= bound.h))
    return [batch.column(name).filter(pa.array(far)) for name in _COLUMNS]


def _collected(rows: DataFrame, width: int, after: Rows | None = None) -> Rows:
    """Return rows in order of (h, id), after some others."""
    known, flat = collect_flat(rows)
    before = after or Rows(known[:0], np.empty((0, width), np.float32))
    order, n = order_of(known), len(before.known)
    matrix = np.empty((n + len(known), width), np.float32)
    matrix[:n] = before.matrix
    np.take(np.asarray(flat, np.float32).reshape(len(known), width), order, axis=0, out=matrix[n:])
    return Rows(pd.concat([before.known, known.iloc[order]], ignore_index=True), matrix)
