"""kmeans: the cluster of a vector and its squared distance to the centroid, by k-means fitted on the documents.

The fit: count; draw the k x fit_rows rows with the smallest keyed hash; greedy k-means++ and Lloyd on them in memory; a
few passes over all rows with exact sums. For one seed the centroids depend on neither order, partitions nor machine.
What the sample costs (inertia above scikit-learn's on everything, medians of 4 seeds, k = 50, four tables of 20 000 to
40 000 rows without clear clusters; tests/scores/test_kmeans.py, long): .2 to .9 %. The start alone is worth about 1 %
either way.

Source: Lloyd (1982); Arthur and Vassilvitskii (2007); k by the simplified silhouette of Hruschka et al. (2004). Ours:
the sample and the passes. Left out: weights of rows (the kernel takes them), placing clusters anew that are empty in a
pass over the table (they stay, with size 0).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..constraints import AtLeast, Needed
from ..errors import BoundError, ScoreError
from ..kernels import silhouette
from ..kernels.exact_sums import Grid
from ..kernels.kmeans import Descent, descend, lloyd
from ..kernels.kmeans_start import plus_plus
from ..kernels.nearest_centroid import Centroids, Floats, Nearest
from ..scorer import Fold, Kernel, OnDocuments, Scorer, parameters
from ._kmeans_fit import SUMS_BYTES, NearestMembers, Pass, defined, drawn, measured, possible, reporter

_VALUE = "struct<cluster:int,distance_sq:double>"
_COMMENT = (
    "number of the nearest centroid, from 0, and squared Euclidean distance to it, >= 0; smaller is more typical; "
    "null for vectors that hold NaN, and if spherical for zero vectors"
)
#: Rows per centroid that k-means++ starts from, and rows that the silhouette is the mean of.
START_ROWS, SILHOUETTE_ROWS = 20, 20_000
#: On the sample moves end at this many times `tol`: what they gain beyond that is the sample's own.
SAMPLE_TOL = 3
#: Parameters that are no settings of a fit.
UNSAID = ("of", "fit_where", "refit")
Ints = NDArray[np.int64]
Clusters = Annotated[int, AtLeast(2)]


@dataclass(frozen=True, eq=False)
class KMeansScorer(Scorer):
    """Nearest of k centroids; made by KMeans.

    Parameters
    ----------
    of : str
        Label of an embedding.
    spherical : bool
        Vectors are brought to length 1 first.
    centroids : (k, d) float32
    sizes : (k,) int64
        Fitted rows per cluster, all rows of the table; 0 is possible.
    inertia : (t,) float64
        Sum of distance_sq measured in each step: of the sample, then of the table; the last is of `centroids`.
    inertia_rows : (t,) int64
        Rows of each step.
    tried : (g,) int64
        The k that were fitted on the sample.
    silhouette : (g,) float64
        Their mean simplified silhouette over at most 20 000 rows of the sample; NaN for k = 1.
    points : (k,) int64
        xxhash64(id) of the rows that the centroids are; empty if they are means; 0 for an empty cluster.
    settings : str
        Parameters of the fit as JSON.

    Examples
    --------
    >>> scorer = KMeansScorer(centroids=np.array([[0, 0], [3, 4]], np.float32))
    >>> {name: column.tolist() for name, column in scorer.kernel()(np.array([[3.0, 3.0]])).items()}
    {'cluster': [1], 'distance_sq': [1.0]}
    """

    kind = "kmeans"
    fitted: ClassVar[bool] = True
    value = _VALUE
    comment = _COMMENT
    takes = "vector"

    of: str = "vector"
    spherical: bool = False
    centroids: Centroids = field(default_factory=lambda: np.empty((0, 0), np.float32))
    sizes: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    inertia: Floats = field(default_factory=lambda: np.empty(0))
    inertia_rows: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    tried: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    silhouette: Floats = field(default_factory=lambda: np.empty(0))
    points: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    settings: str = ""

    @property
    def unit_rows(self) -> int:
        """Some hundred thousand rows a second."""
        return 1_000_000

    def kernel(self) -> Kernel:
        """Return vectors (n, d) -> {"cluster": int32 (n,), "distance_sq": float64 (n,)}.

        Where a row is undefined, `cluster` is float64 and both are NaN there. Another d is a ScoreError.
        """
        nearest, width = Nearest(self.centroids), self.centroids.shape[1]

        def score(vectors: Any) -> dict[str, NDArray[Any]]:
            x = np.asarray(vectors)
            if x.ndim != 2 or x.shape[1] != width:
                raise ScoreError(
                    f"a vector of {x.shape[-1]} values met centroids of {width}; both must have one length; "
                    f"check what {self.of!r} is, or fit again with --refit"
                )
            kept, there = defined(x, self.spherical)
            cluster, far = nearest(kept)
            if there.all():
                return {"cluster": cluster, "distance_sq": far}
            both = np.full((2, len(x)), np.nan)
            both[:, there] = cluster, far
            return {"cluster": both[0], "distance_sq": both[1]}

        return score


@dataclass(frozen=True)
class KMeans(OnDocuments):
    """k-means on the vectors of the documents.

    Parameters
    ----------
    of : str, default "vector"
        Label of an embedding.
    k : int or "auto", default 100
        Clusters. "auto" fits the sample for every k of `grid` and takes the one with the largest mean simplified
        silhouette, the smallest of equals.
    grid : tuple of int, default (16, 32, 64, 128, 256)
        What "auto" tries; numbers above that of distinct vectors are passed over.
    fit_rows : int or "all", default 200
        Rows per centroid in the sample, at most 512 MB as float32. "all": a sample of 20 rows per centroid gives only
        the start, then up to `iterations` moves are made over the table.
    iterations : int, default 25
        Moves at most on the sample.
    passes : int, default 3
        Passes at most over the table; the last only measures.
    tol : float, default 1e-4
        Moves end when the inertia falls by less than this share of itself, on the sample at three times that.
    spherical : bool, default False
        Clusters by angle: vectors and centroids of length 1. Zero vectors have no direction: null, left out of the fit.
    centres : {"means", "points"}, default "means"
        "points" puts each centroid on its nearest member row (two passes more); the inertia then rises in the end.
    seed : int, default 0

    Raises
    ------
    RecipeError
        If a parameter is not allowed.
    InputError
        From `fit`: no defined vector, k above the number of distinct ones, two lengths, a table that changes meanwhile.
    BoundError
        From `fit`: a sample above 512 MB, or k x d above 3 900 000 (16 MB as float32, which travel with a task).

    Notes
    -----
    In a fit vectors that hold NaN are left out. O(rows x d x k) a pass; a pass returns 8 k d bytes.

    Examples
    --------
    >>> rows = {"h": np.arange(4), "vector": np.array([[0.0], [2.0], [8.0], [10.0]])}
    >>> fold = lambda f, table: f.add(f.zero(), *(rows[name] for name in f.reads))
    >>> sorted(KMeans(k=2).fit(fold).centroids[:, 0].tolist())
    [1.0, 9.0]
    """

    kind = "kmeans"
    value = _VALUE
    comment = _COMMENT
    makes = KMeansScorer
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

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> KMeansScorer:
        """Sample, start, descend in memory, then over the table."""
        wanted = sorted(set(self.grid)) if isinstance(self.k, str) else [self.k]
        per = START_ROWS if isinstance(self.fit_rows, str) else self.fit_rows
        rows, largest, width, _, x = drawn(fold, self.of, per * wanted[-1], self.seed, self.spherical)
        tried = possible(wanted, x, self.of)
        descents = [self._in_memory(x, k) for k in tried]
        near = [silhouette.mean(x[:SILHOUETTE_ROWS], d.centroids) for d in descents]
        best = int(np.argmax(near))
        if 8 * tried[best] * width > SUMS_BYTES:
            raise BoundError(
                f"{tried[best]} centroids of {width} values are {tried[best] * width} numbers, the bound is "
                f"{SUMS_BYTES // 8}, because they travel with every task; lower k"
            )
        steps, points = [descents[best]], np.empty(0, np.int64)
        measure = measured(fold, lambda c: Pass(self.of, c, Grid.of(largest, rows, width), self.spherical), rows)
        report = reporter(tried[best], "pass")
        moves = self.iterations if self.fit_rows == "all" else self.passes - 1
        steps.append(descend(steps[-1].centroids, measure, moves, self.tol, spherical=self.spherical, report=report))
        if self.centres == "points":
            members = fold(NearestMembers(self.of, steps[-1].centroids, self.spherical), "documents")
            points = members[1]
            steps.append(descend(members[2], measure, 0, self.tol, report=reporter(tried[best], "points")))
        return KMeansScorer(
            self.of,
            self.spherical,
            steps[-1].centroids,
            steps[-1].sizes.astype(np.int64),
            np.array([v for s in steps for v in s.inertia]),
            np.array([round(s.sizes.sum()) for s in steps for _ in s.inertia], np.int64),
            np.array(tried, np.int64),
            np.array(near),
            points,
            json.dumps({k: v for k, v in parameters(self).items() if k not in UNSAID}, sort_keys=True),
        )

    def _in_memory(self, x: Centroids, k: int) -> Descent:
        rows = x if isinstance(self.fit_rows, str) else x[: k * self.fit_rows]
        start = rows[plus_plus(rows[: k * START_ROWS], k, self.seed)]
        report = reporter(k, "sample")
        return lloyd(rows, start, self.iterations, SAMPLE_TOL * self.tol, spherical=self.spherical, report=report)
