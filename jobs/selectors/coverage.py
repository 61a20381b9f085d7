"""k_center and facility_location: rows that cover the pool of vectors.

k-center takes the row farthest from those taken (Gonzalez, Theor. Comput. Sci. 38, 1985; the k-Center of
Diversify-and-Conquer, arXiv 2409.11378). Facility location takes the row that raises the sum over all rows of the
cosine to the nearest taken one most; with `quality` it is QDIT (arXiv 2311.14736). Kernels: udfs/kernels/k_center.py,
udfs/kernels/facility_location.py. The driver holds up to 2 GB of vectors (jobs/ranking/vectors.py), 1.6 million rows of
256; above it both go on in rounds of tasks on executors and work on the driver: facility location as in mode cells
(jobs/ranking/cover_by_task.py), k-center with the same rows (centres_in_rounds.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd

from ...udfs.arrays import Floats
from ...udfs.constraints import AtLeast, Between
from ...udfs.errors import BoundError, InputError, RecipeError
from ...udfs.kernels.facility_location import DENSE_ROWS, facility_location
from ...udfs.kernels.k_center import k_center
from ...udfs.kernels.neighbours import NEIGHBOURS_ROWS
from ..ranking.centres_in_rounds import centres_in_rounds, most_centres
from ..ranking.cover_by_task import Mixture, cover_by_task
from ..ranking.sort_keys import cluster_of, numeric_column
from ..ranking.vectors import VectorRows, collect_arrow, driver_rows, vector_rows
from .needs import Cluster, Number, Vector
from .selector import Pool, Selector, picks, places_of

#: Place and cosine of a neighbour.
NEIGHBOUR_BYTES = 8
#: Modes of one driver alone, and the rows that they take at most.
MOST_ROWS = {"dense": DENSE_ROWS, "neighbours": NEIGHBOURS_ROWS}


@dataclass(frozen=True)
class KCenter(Selector):
    """Farthest-first: the first row by hash, then always the row farthest from all taken.

    `gain` is the squared distance to the nearest row taken before; null for the first. The radius is at most twice the
    best one.

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

    def most_picks(self, rows: int, width: int, /) -> int | None:
        """Return the picks that the driver holds of vectors above its limit."""
        return most_centres(width) if width and rows > driver_rows(width) else None

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; the seed decides the first one and ties.

        Raises
        ------
        BoundError
            If vectors are above the limit of one driver, and the budget above `most_centres`.
        """
        held = vector_rows(pool.rows, self.vector, pool.seed)
        if held.fit:
            rows, matrix = held.collected()
            centres = k_center(matrix, pool.budget, start=places_of(pool.start, rows["id"]))
            ids, distance_sq = rows["id"].iloc[centres.order], centres.distance_sq
        else:
            found = centres_in_rounds(held, pool.budget, pool.start)
            ids, distance_sq = pd.Series(found.ids, dtype=object), found.distance_sq
            pool.note(
                f"{held.above}: in {found.rounds:,} rounds executors send the rows farthest from all picks, with the "
                "same result"
            )
        return picks(ids, pd.Series(np.where(np.isfinite(distance_sq), distance_sq, np.nan)))


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
        dense: exact, to 10 000 rows. neighbours: a row is covered by its nearest ones. cells: within cells of vectors,
        any number of rows.
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
        """Return the bytes of the vectors, and of the lists of neighbours, of rows that one driver holds."""
        lists = min(rows, driver_rows(width)) * NEIGHBOUR_BYTES * self.neighbours
        return super().driver_bytes(rows, width) + lists

    def most_rows(self, width: int, /) -> int | None:
        """Return the rows of the modes that are not made in two rounds."""
        return min(MOST_ROWS[self.mode], driver_rows(width)) if self.mode in MOST_ROWS else None

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; the seed decides ties.

        Raises
        ------
        BoundError
            If mode dense or neighbours is asked for of more rows than it takes.
        InputError
            If the length of a vector is not 1, or a quality is infinite.
        """
        columns = {"quality": numeric_column(pool.rows, self.quality)} if self.quality else {}
        if self.cluster:
            columns["cell"] = cluster_of(pool.rows, self.cluster)
        held = vector_rows(pool.rows, self.vector, pool.seed, **columns)
        if not held.fit:
            return self._in_two_rounds(pool, held)
        rows, matrix = held.collected()
        cells = pd.factorize(rows["cell"])[0] if self.cluster else None
        quality = standardised(rows["quality"].to_numpy(float)) if self.quality else None
        start = places_of(pool.start, rows["id"])
        cover = facility_location(matrix, pool.budget, quality, self.alpha, self.mode, self.neighbours, cells, start)
        return picks(rows["id"].iloc[cover.order], pd.Series(cover.gains))

    def _in_two_rounds(self, pool: Pool, held: VectorRows) -> pd.DataFrame:
        if self.mode in MOST_ROWS:
            raise BoundError(
                f"{held.above}, and mode {self.mode} compares all of them there: use mode auto or cells, which go on "
                "in two rounds, or select from fewer rows with where:"
            )
        mixture = Mixture()
        if self.quality:
            quality = collect_arrow(held.finite.select("quality")).column("quality").to_numpy()
            if not np.isfinite(quality).all():
                raise InputError(
                    f"quality must be finite, and {self.quality!r} has infinite values; leave such rows out with where:"
                )
            mixture = Mixture(self.alpha, *standard_of(quality))
        found, cells = cover_by_task(held, pool.budget, mixture, pool.start, pool.seed)
        pool.note(
            f"{held.above}: {cells:,} cells on executors, merged by gain; rows cover their own cell alone, as in mode "
            "cells of one driver, which covers .97 or more of what neighbours cover"
        )
        return picks(found["id"], found["gain"])


def standardised(quality: Floats) -> Floats:
    """Return (quality - mean) / sd, the same for any order of the rows; 0 throughout where all are equal.

    Examples
    --------
    >>> standardised(np.array([1.0, 3.0])).tolist(), standardised(np.array([2.0, 2.0])).tolist()
    ([-1.0, 1.0], [0.0, 0.0])
    """
    if not len(quality) or not np.isfinite(quality).all():  # the kernel names the value
        return quality
    mean, sd = standard_of(quality)
    return (quality - mean) / sd


def standard_of(quality: Floats) -> tuple[float, float]:
    """Return mean and standard deviation, the same for any order; the latter is 1 where all are equal.

    Examples
    --------
    >>> standard_of(np.array([1.0, 3.0])), standard_of(np.array([2.0, 2.0])), standard_of(np.empty(0))
    ((2.0, 1.0), (2.0, 1.0), (0.0, 1.0))
    """
    if not len(quality):
        return 0.0, 1.0
    mean = math.fsum(quality) / len(quality)
    return mean, math.sqrt(math.fsum((quality - mean) ** 2) / len(quality)) or 1.0
