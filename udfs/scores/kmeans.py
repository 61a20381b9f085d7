"""kmeans: the cluster of a vector and its squared distance to the centroid, by k-means fitted on the documents.

The fit counts the rows, takes the k x fit_rows rows with the smallest seeded hash, runs greedy k-means++ and Lloyd on
them in memory, and then makes a few passes over all rows with exact sums. k-means++ starts from all rows of the sample,
from fewer where k is in the hundreds (START_WORK). For one seed the centroids depend on neither order, partitions nor
machine. The price of the sample: inertia 0.2 to 0.9 % above scikit-learn's on all rows (medians
of 4 seeds, k = 50, four tables of 20 000 to 40 000 rows without clear clusters: the long test of
tests/udfs/scores/test_kmeans.py). The choice of the start alone moves it by about 1 % either way.

Source: Lloyd (1982); Arthur and Vassilvitskii (2007); k by the simplified silhouette of Hruschka et al. (2004). Ours:
the sample and the passes. Left out: weights of rows, and new places for clusters that are empty
in a pass over the table (they stay, with size 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints, Matrix
from ..constraints import AtLeast, Needed
from ..kernels import silhouette
from ..kernels.exact_sums import Grid
from ..kernels.kmeans import Descent, descend, lloyd
from ..kernels.kmeans_start import plus_plus
from ..kernels.nearest_centroid import Nearest
from ..kernels.vectors import check_width
from ..scorer import DocumentEstimator, Fold, Kernel, Scorer, settings
from ._kmeans_fit import NearestMembers, Pass, check_fit, defined, draw_sample, feasible, report, table_tally

#: Fewest rows per centroid that k-means++ starts from, and rows x centroids x values up to which it takes more, about a
#: second: Lloyd moves no centroid to clusters that the start has missed. Rows that the silhouette is the mean of.
START_ROWS, START_WORK, SILHOUETTE_ROWS = 20, 1_000_000_000, 20_000
#: On the sample moves end at this many times `tol`: a smaller gain would only fit the sample.
SAMPLE_TOL = 3
#: Numbers of centroids up to which a summary holds them.
SHOWN_NUMBERS = 200_000
Clusters = Annotated[int, AtLeast(2)]


@dataclass(frozen=True, eq=False)
class KMeansScorer(Scorer):
    """Nearest of k centroids; fitted by KMeans.

    Parameters
    ----------
    of : str
        Name of a score of kind embedding.
    spherical : bool
        Vectors are scaled to length 1 first.
    centroids : (k, d) float32
    sizes : (k,) int64
        Rows of the fit table per cluster; may be 0.
    inertia : (t,) float64
        Sum of distance_sq after each step, of the sample first and then of the table; the last one is of `centroids`.
    inertia_rows : (t,) int64
        Rows of each step.
    tried : (g,) int64
        The values of k that were fitted on the sample.
    silhouette : (g,) float64
        Their mean simplified silhouette over at most 20 000 rows of the sample; NaN for k = 1.
    points : (k,) int64
        xxhash64(id) of the rows that are the centroids; empty if these are means; 0 for an empty cluster.
    settings : str
        Parameters of the fit as JSON.

    Examples
    --------
    >>> scorer = KMeansScorer(centroids=np.array([[0, 0], [3, 4]], np.float32))
    >>> {name: column.tolist() for name, column in scorer.kernel()(np.array([[3.0, 3.0]])).items()}
    {'cluster': [1], 'distance_sq': [1.0]}
    """

    kind = "kmeans"
    revision = 2
    seconds_per_row = 0.00005
    fitted: ClassVar[bool] = True
    value = "struct<cluster:int,distance_sq:double>"
    comment = (
        "number of the nearest centroid, from 0, and squared Euclidean distance to it, >= 0; smaller is more typical; "
        "null for vectors that hold NaN, and if spherical for zero vectors"
    )
    takes = "vector"

    of: str = "vector"
    spherical: bool = False
    centroids: Matrix = field(default_factory=lambda: np.empty((0, 0), np.float32))
    sizes: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    inertia: Floats = field(default_factory=lambda: np.empty(0))
    inertia_rows: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    tried: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    silhouette: Floats = field(default_factory=lambda: np.empty(0))
    points: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    settings: str = ""

    def summary(self) -> dict[str, Any]:
        """Return `curve`, the inertia of each step over so many rows, and `clusters` with their rows and centres.

        Centres are left out above 200 000 numbers; `state` of the table `models` holds all of them.
        """
        shown = self.centroids.size <= SHOWN_NUMBERS
        centres = self.centroids.tolist() if shown else [None] * len(self.sizes)
        curve = zip(self.inertia_rows.tolist(), self.inertia.tolist(), strict=True)
        clusters = zip(self.sizes.tolist(), centres, strict=True)
        return {
            "curve": [{"rows": rows, "value": value} for rows, value in curve],
            "clusters": [{"cluster": i, "rows": rows, "centre": c} for i, (rows, c) in enumerate(clusters)],
        }

    def kernel(self) -> Kernel:
        """Return vectors (n, d) -> {"cluster": int32 (n,), "distance_sq": float64 (n,)}.

        If a row is undefined, `cluster` is float64 and both are NaN there. ScoreError for another d.
        """
        nearest, width = Nearest(self.centroids), self.centroids.shape[1]

        def score(vectors: Any) -> dict[str, NDArray[Any]]:
            x = np.asarray(vectors)
            check_width(x, width, "centroids", self.of)
            rows, is_defined = defined(x, self.spherical)
            cluster, distance_sq = nearest(rows)
            if is_defined.all():
                return {"cluster": cluster, "distance_sq": distance_sq}
            with_nan = np.full((2, len(x)), np.nan)
            with_nan[:, is_defined] = cluster, distance_sq
            return {"cluster": with_nan[0], "distance_sq": with_nan[1]}

        return score


@dataclass(frozen=True)
class KMeans(DocumentEstimator):
    """Fits k-means on the vectors of the documents; those that hold NaN are left out.

    A pass takes O(rows x d x k) time and returns 8 k d bytes.

    Parameters
    ----------
    of : str, default "vector"
        Name of a score of kind embedding.
    k : int or "auto", default 100
        Number of clusters. "auto" fits the sample for every k of `grid` and takes the one with the largest mean
        simplified silhouette, of ties the smallest.
    grid : tuple of int, default (16, 32, 64, 128, 256)
        The values of k that "auto" tries; those above the number of distinct vectors are skipped.
    fit_rows : int or "all", default 200
        Rows per centroid in the sample, at most 512 MB as float32. With "all" a sample of 20 rows per centroid gives
        only the start, and up to `iterations` moves are made over the table.
    iterations : int, default 25
        Most moves on the sample.
    passes : int, default 3
        Most passes over the table; the last one only measures.
    tol : float, default 1e-4
        Moves end when the inertia falls by less than this share of itself; on the sample, by less than three times it.
    spherical : bool, default False
        Cluster by angle: vectors and centroids have length 1. Zero vectors have no direction: they are null, and left
        out of the fit.
    centres : {"means", "points"}, default "means"
        "points" moves each centroid to its nearest member row at the end (two more passes), where the inertia rises.
    seed : int, default 0

    Raises
    ------
    RecipeError
        If a parameter is not allowed.
    InputError
        From `fit`, if no vector is defined, k is above the number of distinct vectors, lengths differ, or the table
        changes meanwhile.
    BoundError
        From `fit`, for a sample above 512 MB, or k x d above 3 900 000 (16 MB as float32, which travel with a task).

    Examples
    --------
    >>> rows = {"h": np.arange(4), "vector": np.array([[0.0], [2.0], [8.0], [10.0]])}
    >>> fold = lambda f, table: f.add(f.zero(), *(rows[name] for name in f.reads))
    >>> sorted(KMeans(k=2).fit(fold).centroids[:, 0].tolist())
    [1.0, 9.0]
    """

    kind = "kmeans"
    revision = KMeansScorer.revision
    value = KMeansScorer.value
    comment = KMeansScorer.comment
    model_class = KMeansScorer
    takes = "vector"

    of: str = "vector"
    k: Annotated[int, AtLeast(1)] | Literal["auto"] = 100
    grid: Annotated[tuple[Clusters, ...], Needed("a list of whole numbers from 2")] = (16, 32, 64, 128, 256)
    fit_rows: Annotated[int, AtLeast(1)] | Literal["all"] = 200
    iterations: Annotated[int, AtLeast(1)] = 25
    passes: Annotated[int, AtLeast(1)] = 3
    tol: Annotated[float, AtLeast(0)] = 1e-4
    spherical: bool = False
    centres: Literal["means", "points"] = "means"
    seed: int = 0

    def held_bytes(self, rows: int, width: int, /) -> int:
        """Return the bytes of the sample; BoundError for a sample, or centroids, above their bounds."""
        candidates, size = self._sizes()
        check_fit(size, candidates[0], width)
        return 4 * min(rows, size) * width

    def _sizes(self) -> tuple[list[int], int]:
        """Return the values of k that are tried, ascending, and the rows of the sample."""
        candidates = sorted(set(self.grid)) if isinstance(self.k, str) else [self.k]
        return candidates, candidates[-1] * (START_ROWS if isinstance(self.fit_rows, str) else self.fit_rows)

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> KMeansScorer:
        """Sample, choose the start, descend in memory, then over the table."""
        candidates, size = self._sizes()
        rows, largest, width, _, x = draw_sample(fold, self.of, size, self.seed, self.spherical)
        tried = feasible(candidates, x, self.of)
        descents = [self._in_memory(x, k) for k in tried]
        silhouettes = [silhouette.mean(x[:SILHOUETTE_ROWS], d.centroids) for d in descents]
        best = int(np.argmax(silhouettes))
        start, k, points = descents[best], tried[best], np.empty(0, np.int64)
        check_fit(size, k, width)
        grid = Grid.of(largest, rows, width)
        measure = partial(table_tally, fold, lambda c: Pass(self.of, c, grid, self.spherical), rows)
        moves, log = self.iterations if self.fit_rows == "all" else self.passes - 1, partial(report, k, "pass")
        steps = [start, descend(start.centroids, measure, moves, self.tol, spherical=self.spherical, report=log)]
        if self.centres == "points":
            members = fold(NearestMembers(self.of, steps[-1].centroids, self.spherical), "documents")
            points = members[1]
            steps.append(descend(members[2], measure, 0, self.tol, report=partial(report, k, "points")))
        return KMeansScorer(
            of=self.of,
            spherical=self.spherical,
            centroids=steps[-1].centroids,
            sizes=steps[-1].sizes.astype(np.int64),
            inertia=np.array([v for s in steps for v in s.inertia]),
            inertia_rows=np.array([round(s.sizes.sum()) for s in steps for _ in s.inertia], np.int64),
            tried=np.array(tried, np.int64),
            silhouette=np.array(silhouettes),
            points=points,
            settings=settings(self),
        )

    def _in_memory(self, x: Matrix, k: int) -> Descent:
        rows = x if isinstance(self.fit_rows, str) else x[: k * self.fit_rows]
        from_rows = max(k * START_ROWS, START_WORK // (k * x.shape[1]))
        start = rows[plus_plus(rows[:from_rows], k, self.seed)]
        tol, log = SAMPLE_TOL * self.tol, partial(report, k, "sample")
        return lloyd(rows, start, self.iterations, tol, spherical=self.spherical, report=log)
