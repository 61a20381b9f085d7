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

from ...udfs.constraints import Above, Range
from ...udfs.kernels.near_duplicates import deita, semdedup
from ..ranking.sort_keys import cluster_of, numeric_column
from ..ranking.vectors import collect_vectors
from .needs import Cluster, Number, Vector
from .selector import Pool, Selector, picks


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
        quality = numeric_column(pool.rows, self.by)
        rows, matrix = collect_vectors(pool.rows, self.vector, pool.seed, quality=quality)
        ranked = np.argsort(-rows["quality"].to_numpy(float), kind="stable")
        kept, _ = deita(matrix, ranked, self.limit, pool.budget)
        return picks(rows["id"].iloc[kept], rows["quality"].iloc[kept])


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
        columns = {"cell": cluster_of(pool.rows, self.cluster)}
        if self.by:
            columns["score"] = numeric_column(pool.rows, self.by)
        rows, matrix = collect_vectors(pool.rows, self.vector, pool.seed, **columns)
        ranked = np.argsort(-rows["score"].to_numpy(float), kind="stable") if self.by else np.arange(len(rows))
        keep, _ = semdedup(matrix, pd.factorize(rows["cell"])[0], ranked, 1 - self.eps)
        kept = ranked[keep[ranked]][: pool.budget]
        return picks(rows["id"].iloc[kept], rows["score"].iloc[kept] if self.by else None)
