"""k_center and facility_location: rows that cover the pool of vectors. Both collect the vectors to the driver.

k-center takes the row farthest from those taken (Gonzalez, Theor. Comput. Sci. 38, 1985; the k-Center of
Diversify-and-Conquer, arXiv 2409.11378). Facility location takes the row that raises the sum over all rows of the
cosine to the nearest taken one most; with `quality` it is QDIT (arXiv 2311.14736). Kernels: udfs/kernels/k_center.py,
udfs/kernels/facility_location.py. Bound: 2 GB of vectors (jobs/ranking/vectors.py), 1.6 million rows of 256.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd

from ...udfs.arrays import Floats
from ...udfs.constraints import AtLeast, Between
from ...udfs.errors import RecipeError
from ...udfs.kernels.facility_location import facility_location
from ...udfs.kernels.k_center import k_center
from ..ranking.sort_keys import cluster_of, numeric_column
from ..ranking.vectors import collect_vectors
from .needs import Cluster, Number, Vector
from .selector import Pool, Selector, picks, places_of

#: Place and cosine of a neighbour.
NEIGHBOUR_BYTES = 8


@dataclass(frozen=True)
class KCenter(Selector):
    """Farthest-first: the first row by hash, then always the row farthest from all taken.

    `gain` is the squared distance to the nearest row taken before; null for the first.

    Parameters
    ----------
    vector : str, default "vector"
        Score of kind embedding, or a column of vectors.
    """

    kind: ClassVar[str] = "k_center"
    collects = "vector"
    starts = True
    reads = {"vector": Vector}

    vector: str = "vector"

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; the seed decides the first one and ties."""
        rows, matrix = collect_vectors(pool.rows, self.vector, pool.seed)
        centres = k_center(matrix, pool.budget, start=places_of(pool.start, rows["id"]))
        gain = pd.Series(np.where(np.isfinite(centres.distance_sq), centres.distance_sq, np.nan))
        return picks(rows["id"].iloc[centres.order], gain)


@dataclass(frozen=True)
class FacilityLocation(Selector):
    """Greedy cover by cosine, or the QDIT mixture of cover and quality; `gain` never rises.

    Parameters
    ----------
    vector : str, default "vector"
        Score of kind embedding, or a column of vectors; their length must be 1.
    quality : str, optional
        Score, score.field or numeric source column, larger is better; it counts in standard deviations from its mean
        over the eligible rows (ours), whatever its unit. Cover is counted in rows covered anew.
    alpha : float, default 0.0
        Weight of quality, 0 to 1; above 0 it needs `quality`.
    mode : {"auto", "dense", "neighbours", "cells"}
        dense: exact, to 10 000 rows. neighbours: a row is covered by its nearest ones. cells: within cells of vectors.
    neighbours : int, default 64
        Length of a row's list.
    cluster : str, optional
        Score of kind kmeans whose clusters are the cells.

    Raises
    ------
    RecipeError
        If alpha is above 0 without quality.
    """

    kind: ClassVar[str] = "facility_location"
    collects = "vector"
    starts = True
    reads = {"vector": Vector, "quality": Number, "cluster": Cluster}

    vector: str = "vector"
    quality: str | None = None
    alpha: Annotated[float, Between(0, 1)] = 0.0
    mode: Literal["auto", "dense", "neighbours", "cells"] = "auto"
    neighbours: Annotated[int, AtLeast(1)] = 64
    cluster: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha and not self.quality:
            raise RecipeError(f"facility_location: alpha is {self.alpha!r} without quality; add quality: NAME")

    def driver_bytes(self, rows: int, width: int, /) -> int:
        """Return the bytes of the vectors, and of the lists of neighbours."""
        return super().driver_bytes(rows, width) + rows * NEIGHBOUR_BYTES * self.neighbours

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; the seed decides ties."""
        columns = {"quality": numeric_column(pool.rows, self.quality)} if self.quality else {}
        if self.cluster:
            columns["cell"] = cluster_of(pool.rows, self.cluster)
        rows, matrix = collect_vectors(pool.rows, self.vector, pool.seed, **columns)
        cells = pd.factorize(rows["cell"])[0] if self.cluster else None
        quality = standardised(rows["quality"].to_numpy(float)) if self.quality else None
        start = places_of(pool.start, rows["id"])
        cover = facility_location(matrix, pool.budget, quality, self.alpha, self.mode, self.neighbours, cells, start)
        return picks(rows["id"].iloc[cover.order], pd.Series(cover.gains))


def standardised(quality: Floats) -> Floats:
    """Return (quality - mean) / sd, the same for any order of the rows; 0 throughout where all are equal.

    Examples
    --------
    >>> standardised(np.array([1.0, 3.0])).tolist(), standardised(np.array([2.0, 2.0])).tolist()
    ([-1.0, 1.0], [0.0, 0.0])
    """
    if not len(quality) or not np.isfinite(quality).all():  # the kernel names the value
        return quality
    apart: Floats = quality - math.fsum(quality) / len(quality)
    sd = math.sqrt(math.fsum(apart**2) / len(quality))
    return apart / sd if sd > 0 else apart
