"""k_center and facility_location: rows that cover the pool of vectors. Both hold the vectors on the driver.

k-center takes the row farthest from those taken (Gonzalez, Theor. Comput. Sci. 38, 1985; the k-Center of
Diversify-and-Conquer, arXiv 2409.11378). Facility location takes the row that raises the sum over all rows of the
cosine to the nearest taken one most; with `quality` it is QDIT (arXiv 2311.14736). Kernels: udfs/kernels/k_center.py,
udfs/kernels/facility_location.py. Bound: 2 GB of vectors (jobs/ranking/vectors.py), 1.9 million rows of 256.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from ...udfs.errors import RecipeError, nearest
from ...udfs.kernels.facility_location import facility_location
from ...udfs.kernels.k_center import k_center
from ..ranking.sort_keys import number
from ..ranking.vectors import gather
from .kmeans_quota import cluster_of
from .selector import Ask, Selector, picks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MODES = ("auto", "dense", "neighbours", "cells")


@dataclass(frozen=True)
class KCenter(Selector):
    """Farthest-first: the first row by hash, then always the row farthest from all taken.

    `gain` is the squared distance to the nearest row taken before; null for the first.

    Parameters
    ----------
    vector : str, default "vector"
        Label of an embedding.
    """

    kind: ClassVar[str] = "k_center"

    vector: str = "vector"

    @property
    def needs(self) -> tuple[str, ...]:
        """The vectors."""
        return (self.vector,)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return the picks; the seed decides the first one and ties."""
        known, matrix = gather(rows, self.vector, seed)
        if not len(known):
            return picks(known["id"])
        made = k_center(matrix, min(budget, len(known)))
        gain = pd.Series(np.where(np.isfinite(made.distance_sq), made.distance_sq, np.nan))
        return picks(known["id"].iloc[made.order], gain)


@dataclass(frozen=True)
class FacilityLocation(Selector):
    """Greedy cover by cosine, or the QDIT mixture of cover and quality; `gain` never rises.

    Parameters
    ----------
    vector : str, default "vector"
        Label of an embedding whose vectors have length 1.
    quality : str, optional
        Label, label.field or numeric source column, larger is better. A gain is counted in rows covered: the first is
        a share of all rows.
    alpha : float, default 0.0
        Weight of quality, 0 to 1; above 0 it needs `quality`.
    mode : {"auto", "dense", "neighbours", "cells"}
        dense: exact, to 10 000 rows. neighbours: a row is covered by its nearest ones. cells: within cells of vectors.
    neighbours : int, default 64
        Length of a row's list.
    cluster : str, optional
        Label of a k-means score whose clusters are the cells.

    Raises
    ------
    RecipeError
        If a parameter is none of these.
    """

    kind: ClassVar[str] = "facility_location"

    vector: str = "vector"
    quality: str | None = None
    alpha: float = 0.0
    mode: str = "auto"
    neighbours: int = 64
    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise RecipeError(f"facility_location: mode is {self.mode!r}; {nearest(str(self.mode), MODES)}")
        if not 0 <= self.alpha <= 1 or (self.alpha and not self.quality):
            raise RecipeError(f"facility_location: alpha is {self.alpha!r}; 0 to 1, above 0 with quality:, is needed")
        if self.neighbours < 1:
            raise RecipeError(f"facility_location: neighbours is {self.neighbours!r}; a number from 1 is needed")

    @property
    def needs(self) -> tuple[str, ...]:
        """The vectors, the quality, the cells."""
        return tuple(n for n in (self.vector, self.quality, self.cluster) if n)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return the picks; the seed decides ties."""
        beside = {"quality": number(rows, self.quality)} if self.quality else {}
        if self.cluster:
            beside["cell"] = cluster_of(rows, self.cluster)
        known, matrix = gather(rows, self.vector, seed, **beside)
        if not len(known):
            return picks(known["id"])
        cells = pd.factorize(known["cell"])[0] if self.cluster else None
        quality = known["quality"].to_numpy(float) if self.quality else None
        made = facility_location(
            matrix, min(budget, len(known)), quality, self.alpha, self.mode, self.neighbours, cells
        )
        return picks(known["id"].iloc[made.order], pd.Series(made.gains))
