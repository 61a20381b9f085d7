"""semdedup and deita: the best rows, without those that are nearly the same as a better one.

SemDeDup (arXiv 2303.09540) drops a row whose cosine to an earlier-ranked row of its k-means cluster exceeds 1 - eps.
Deita's filter (arXiv 2312.15685) walks down the quality and keeps a row if its largest cosine to the kept is at most a
limit. Kernels: udfs/kernels/near_duplicates.py. Bound: 2 GB of vectors on the driver (jobs/ranking/vectors.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from ...udfs.errors import RecipeError
from ...udfs.kernels.near_duplicates import deita, semdedup
from ..ranking.sort_keys import number
from ..ranking.vectors import gather
from .kmeans_quota import cluster_of
from .selector import Ask, Selector, picks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Deita(Selector):
    """The rows of highest quality, each at most `limit` in cosine from those before it; `gain` is the quality.

    Rows that are nearer are not eligible: there may be fewer picks than the budget.

    Parameters
    ----------
    by : str
        Quality: label, label.field or numeric source column, highest first.
    vector : str, default "vector"
        Label of an embedding.
    limit : float, default 0.9
        From 0, below 1.

    Raises
    ------
    RecipeError
        If the limit is not allowed.
    """

    kind: ClassVar[str] = "deita"

    by: str
    vector: str = "vector"
    limit: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.limit < 1:
            raise RecipeError(f"{self.kind}: limit is {self.limit!r}; a number from 0, below 1, is needed")

    @property
    def needs(self) -> tuple[str, ...]:
        """The quality and the vectors."""
        return (self.by, self.vector)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return the picks in order of quality; the seed decides ties."""
        known, matrix = gather(rows, self.vector, seed, quality=number(rows, self.by))
        ranked = np.argsort(-known["quality"].to_numpy(float), kind="stable")
        kept = deita(matrix, ranked, self.limit, budget)[0] if len(ranked) else ranked
        return picks(known["id"].iloc[kept], known["quality"].iloc[kept])


@dataclass(frozen=True)
class SemDeDup(Selector):
    """The rows that are best by a score, without near-duplicates inside a cluster; `gain` is the score.

    Rows that are dropped are not eligible: there may be fewer picks than the budget.

    Parameters
    ----------
    cluster : str
        Label of a k-means score; pairs across clusters are not compared.
    vector : str, default "vector"
        Label of an embedding.
    by : str, optional
        Label, label.field or numeric source column, highest first: which of two near-duplicates stays; by hash
        without it.
    eps : float, default 0.05
        A row is dropped if its cosine to an earlier one exceeds 1 - eps; above 0, at most 1.

    Raises
    ------
    RecipeError
        If eps is not allowed.
    """

    kind: ClassVar[str] = "semdedup"

    cluster: str
    vector: str = "vector"
    by: str | None = None
    eps: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.eps <= 1:
            raise RecipeError(f"semdedup: eps is {self.eps!r}; a number above 0, at most 1, is needed")

    @property
    def needs(self) -> tuple[str, ...]:
        """The clusters, the vectors and the score."""
        return tuple(n for n in (self.cluster, self.vector, self.by) if n)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return the picks, the best first; the seed decides ties."""
        beside = {"cell": cluster_of(rows, self.cluster)} | ({"score": number(rows, self.by)} if self.by else {})
        known, matrix = gather(rows, self.vector, seed, **beside)
        if not len(known):
            return picks(known["id"])
        ranked = np.argsort(-known["score"].to_numpy(float), kind="stable") if self.by else np.arange(len(known))
        keep, _ = semdedup(matrix, pd.factorize(known["cell"])[0], ranked, 1 - self.eps)
        kept = ranked[keep[ranked]][:budget]
        return picks(known["id"].iloc[kept], known["score"].iloc[kept] if self.by else None)
