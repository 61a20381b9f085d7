"""semdedup and deita: the best rows, without those that are nearly the same as a better one.

SemDeDup (arXiv 2303.09540) drops a row whose cosine to an earlier-ranked row of its k-means cluster exceeds 1 - eps.
Deita's filter (arXiv 2312.15685) walks down the quality and keeps a row if its largest cosine to the kept is at most a
limit. Kernels: udfs/kernels/near_duplicates.py. Bound: 2 GB of vectors on the driver (jobs/ranking/vectors.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame

from ...udfs.arrays import Positions
from ...udfs.constraints import Above, Range
from ...udfs.kernels.near_duplicates import deita, displaced_by_kept, semdedup
from ...udfs.kernels.nearest_rows import cosines
from ..ranking.sort_keys import cluster_of, numeric_column
from ..ranking.vectors import Matrix, collect_vectors
from .needs import Cluster, Number, Vector
from .selector import LEFT_OUT, Pool, Selector, picks


@dataclass(frozen=True)
class Deita(Selector):
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

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks in order of quality; the seed decides ties."""
        rows, matrix, ranked = self._ranked(pool)
        kept, _ = deita(matrix, ranked, self.limit, pool.budget)
        return picks(rows["id"].iloc[kept], rows["quality"].iloc[kept])

    def own_gain(self, rows: DataFrame, /) -> Column | None:
        """The quality."""
        return numeric_column(rows, self.by)

    def left_out(self, pool: Pool, /) -> DataFrame | None:
        """Rows nearer than the limit to one of the first rows of higher quality that the budget holds."""
        rows, matrix, ranked = self._ranked(pool)
        kept, _ = deita(matrix, ranked, self.limit, pool.budget)
        by = displaced_by_kept(matrix, ranked, kept, self.limit)
        return _near(pool, rows["id"], matrix, by, f"above limit {self.limit:g}")

    def _ranked(self, pool: Pool) -> tuple[pd.DataFrame, Matrix, Positions]:
        """Return the rows, their vectors, and their places in order of quality."""
        quality = numeric_column(pool.rows, self.by)
        rows, matrix = collect_vectors(pool.rows, self.vector, pool.seed, quality=quality)
        return rows, matrix, np.argsort(-rows["quality"].to_numpy(float), kind="stable")


@dataclass(frozen=True)
class SemDeDup(Selector):
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

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks, the best first; the seed decides ties."""
        rows, _, ranked, displaced_by = self._displaced(pool)
        kept = ranked[displaced_by[ranked] < 0][: pool.budget]
        return picks(rows["id"].iloc[kept], rows["score"].iloc[kept] if self.by else None)

    def own_gain(self, rows: DataFrame, /) -> Column | None:
        """The score, if there is one."""
        return numeric_column(rows, self.by) if self.by else None

    def left_out(self, pool: Pool, /) -> DataFrame | None:
        """Rows that nearly repeat an earlier one of their cluster."""
        rows, matrix, _, displaced_by = self._displaced(pool)
        return _near(pool, rows["id"], matrix, displaced_by, f"above 1 - eps {1 - self.eps:g}")

    def _displaced(self, pool: Pool) -> tuple[pd.DataFrame, Matrix, Positions, Positions]:
        """Return the rows, their vectors, their places in order of the score, and which row drops each, -1 for none."""
        columns = {"cell": cluster_of(pool.rows, self.cluster)}
        if self.by:
            columns["score"] = numeric_column(pool.rows, self.by)
        rows, matrix = collect_vectors(pool.rows, self.vector, pool.seed, **columns)
        ranked = np.argsort(-rows["score"].to_numpy(float), kind="stable") if self.by else np.arange(len(rows))
        return rows, matrix, ranked, semdedup(matrix, pd.factorize(rows["cell"])[0], ranked, 1 - self.eps)[1]


def _near(pool: Pool, ids: pd.Series[str], matrix: Matrix, by: Positions, limit: str) -> DataFrame:
    """Return the rows that another one displaces, as LEFT_OUT."""
    rows = np.flatnonzero(by >= 0)
    found = pd.DataFrame({"id": ids.to_numpy(object)[rows], "why": ""}, dtype=object)
    found["duplicate_of"] = ids.to_numpy(object)[by[rows]]
    found["similarity"] = cosines(matrix[rows], matrix[by[rows]])
    found["why"] = f"its cosine to that row is {limit}"
    return pool.rows.sparkSession.createDataFrame(found, LEFT_OUT)
