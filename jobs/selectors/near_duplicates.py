"""semdedup and deita: the best rows, without those that are nearly the same as a better one.

SemDeDup (arXiv 2303.09540) drops a row whose cosine to an earlier-ranked row of its k-means cluster exceeds 1 - eps.
Deita's filter (arXiv 2312.15685) walks down the quality and keeps a row if its largest cosine to the kept is at most a
limit. Kernels: udfs/kernels/near_duplicates.py. The driver holds up to 2 GB of vectors (jobs/ranking/vectors.py); above
it the same rows are found in tasks on executors (jobs/ranking/duplicates_by_task.py) and by slices (walk_in_slices.py).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.arrays import Matrix, Positions
from ...udfs.constraints import Above, Range
from ...udfs.kernels.near_duplicates import deita, displaced_by_kept, semdedup
from ...udfs.kernels.nearest_rows import cosines
from ..ranking.duplicates_by_task import duplicates_by_task, kept_by_task
from ..ranking.sort_keys import cluster_of, numeric_column
from ..ranking.vector_tasks import merge_rows
from ..ranking.vectors import VectorRows, driver_rows, vector_rows
from ..ranking.walk_in_slices import near_kept, walk_in_slices
from .needs import Cluster, Number, Vector
from .selector import LEFT_OUT, Pool, Selector, picks


class NearDuplicates(Selector):
    """What both have in common: one comparison of the rows tells which are chosen and which nearly repeat others."""

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks, the best first; the seed decides ties.

        Raises
        ------
        BoundError
            If more rows are kept of vectors above the limit of one driver than it holds.
        """
        return self._compared(pool)[0]()

    def left_out(self, pool: Pool, /) -> DataFrame | None:
        """Rows that nearly repeat a better one; of deita, one of the first that the budget holds."""
        return self._compared(pool)[1]()

    def select_and_left_out(self, pool: Pool, /) -> tuple[pd.DataFrame, DataFrame | None]:
        """Return both of one comparison."""
        select, left_out = self._compared(pool)
        return select(), left_out()

    @abstractmethod
    def _compared(self, pool: Pool) -> tuple[Callable[[], pd.DataFrame], Callable[[], DataFrame]]:
        """Compare the rows, and return what gives the picks and the rows that are left out."""


@dataclass(frozen=True)
class Deita(NearDuplicates):
    """The rows of highest quality, each at most `limit` in cosine from those before it; `gain` is the quality.

    Rows that are nearer are not eligible: there may be fewer picks than the budget.

    Parameters
    ----------
    by : str
        Quality: score, score.field or numeric source column, highest first.
    vector : str, default "vector"
        Score of kind embedding, or a column of vectors.
    limit : float, default 0.9
        From 0, below 1.
    """

    kind: ClassVar[str] = "deita"
    collects = "vector"
    reads = {"by": Number, "vector": Vector}

    by: str
    vector: str = "vector"
    limit: Annotated[float, Range(0, 1, open_high=True)] = 0.9

    def most_picks(self, rows: int, width: int, /) -> int | None:
        """Return the kept rows that the driver holds of vectors above its limit."""
        return merge_rows(width) if width and rows > driver_rows(width) else None

    def own_gain(self, rows: DataFrame, /) -> Column | None:
        """The quality."""
        return numeric_column(rows, self.by)

    def _compared(self, pool: Pool) -> tuple[Callable[[], pd.DataFrame], Callable[[], DataFrame]]:
        held = vector_rows(pool.rows, self.vector, pool.seed, key=_key(pool.rows, self.by))
        limit = f"above limit {self.limit:g}"
        if not held.fit:
            pool.note(f"{held.above}: the walk goes on by slices of the ranks, with the same result")
            walked = walk_in_slices(held, self.limit, pool.budget, pool.seed)
            return (
                lambda: picks(walked.rows["id"], -walked.rows["key"]),
                lambda: _near_of(near_kept(held, walked, self.limit), limit),
            )
        rows, matrix, ranked = _ranked(held)
        kept, _ = deita(matrix, ranked, self.limit, pool.budget)
        return (
            lambda: picks(rows["id"].iloc[kept], -rows["key"].iloc[kept]),
            lambda: _near(pool, rows["id"], matrix, displaced_by_kept(matrix, ranked, kept, self.limit), limit),
        )


@dataclass(frozen=True)
class SemDeDup(NearDuplicates):
    """The rows that are best by a score, without near-duplicates inside a cluster; `gain` is the score.

    Rows that are dropped are not eligible: there may be fewer picks than the budget.

    Parameters
    ----------
    cluster : str
        Score of kind kmeans; pairs across clusters are not compared.
    vector : str, default "vector"
        Score of kind embedding, or a column of vectors.
    by : str, optional
        Score, score.field or numeric source column, highest first: which of two near-duplicates stays; by hash
        without it.
    eps : float, default 0.05
        A row is dropped if its cosine to an earlier one exceeds 1 - eps; above 0, at most 1.
    """

    kind: ClassVar[str] = "semdedup"
    collects = "vector"
    reads = {"cluster": Cluster, "vector": Vector, "by": Number}

    cluster: str
    vector: str = "vector"
    by: str | None = None
    eps: Annotated[float, Above(0, most=1)] = 0.05

    def own_gain(self, rows: DataFrame, /) -> Column | None:
        """The score, if there is one."""
        return numeric_column(rows, self.by) if self.by else None

    def _compared(self, pool: Pool) -> tuple[Callable[[], pd.DataFrame], Callable[[], DataFrame]]:
        cell, key = cluster_of(pool.rows, self.cluster), _key(pool.rows, self.by)
        held = vector_rows(pool.rows, self.vector, pool.seed, cell=cell, key=key)
        least, limit = 1 - self.eps, f"above 1 - eps {1 - self.eps:g}"
        if not held.fit:
            pool.note(f"{held.above}: clusters are compared in tasks on executors, with the same result")
            return (
                lambda: self._picks(kept_by_task(held, least, pool.budget, pool.seed)),
                lambda: _near_of(duplicates_by_task(held, least), limit),
            )
        rows, matrix, ranked = _ranked(held)
        displaced_by = semdedup(matrix, pd.factorize(rows["cell"])[0], ranked, least)[1]
        return (
            lambda: self._picks(rows.iloc[ranked[displaced_by[ranked] < 0][: pool.budget]]),
            lambda: _near(pool, rows["id"], matrix, displaced_by, limit),
        )

    def _picks(self, kept: pd.DataFrame) -> pd.DataFrame:
        return picks(kept["id"], -kept["key"] if self.by else None)


def _key(rows: DataFrame, by: str | None) -> Column:
    """Return what rows are ranked by, smallest first, with one zero of two; without a score all are equal."""
    return -numeric_column(rows, by) + F.lit(0.0) if by else F.lit(0.0)


def _ranked(held: VectorRows) -> tuple[pd.DataFrame, Matrix, Positions]:
    """Collect rows and vectors, and return the places of the rows in order of `key`."""
    rows, matrix = held.collected()
    return rows, matrix, np.argsort(rows["key"].to_numpy(float), kind="stable")


def _near(pool: Pool, ids: pd.Series[str], matrix: Matrix, by: Positions, limit: str) -> DataFrame:
    """Return the rows that another one displaces, as LEFT_OUT."""
    rows = np.flatnonzero(by >= 0)
    found = pd.DataFrame({"id": ids.to_numpy(object)[rows], "why": ""}, dtype=object)
    found["duplicate_of"] = ids.to_numpy(object)[by[rows]]
    found["similarity"] = cosines(matrix[rows], matrix[by[rows]])
    found["why"] = f"its cosine to that row is {limit}"
    return pool.rows.sparkSession.createDataFrame(found, LEFT_OUT)


def _near_of(found: DataFrame, limit: str) -> DataFrame:
    """Return rows with `duplicate_of` and `similarity` as LEFT_OUT."""
    return found.select("id", F.lit(f"its cosine to that row is {limit}").alias("why"), "duplicate_of", "similarity")
