"""What a sample says of a pool, a target and the scores of a recipe: the figures that rules decide by. numpy alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ....udfs.arrays import Floats, Ints, Matrix
from ....udfs.kernels.kmeans import lloyd
from ....udfs.kernels.kmeans_start import plus_plus
from ....udfs.kernels.nearest_centroid import Nearest
from ....udfs.kernels.nearest_cosines import NearestCosines
from ....udfs.kernels.nearest_rows import nearest_rows
from ...ranking.rank_correlation import FEWEST_ROWS, rank_correlation

#: Rows a cluster at least, on the mean, and rows a cluster from which k-means starts.
CLUSTER_ROWS, START_ROWS = 20, 20
#: Texts of a target that count for a row, and the share of the pool that is nearest to a target.
NEAREST, BEST = 3, 0.02


@dataclass(frozen=True)
class Quality:
    """A number that a selector ranks or weighs by.

    `cv` is its coefficient of variation inside clusters, `lift` the share by which weights in proportion to it raise
    its mean; None where a value is below 0. `length` is Spearman's correlation with length. `judges` tells what says
    something of a row by itself from likeness to a target.
    """

    name: str
    cv: float | None
    lift: float | None
    length: float | None
    judges: bool = True


@dataclass(frozen=True)
class Likeness:
    """A target beside the pool; both figures are over the cosine of its own texts to each other.

    `typical` is of the pool's rows, `reach` of the 2 % of them that are nearest; None below two texts.
    """

    name: str
    texts: int
    typical: float | None
    reach: float | None


@dataclass(frozen=True)
class Facts:
    """Facts of a pool, by a sample of it.

    Parameters
    ----------
    recipe, kind : str
        Name of the recipe, and kind of its selector.
    documents, eligible, sampled, budget : int
        Rows; those eligible, and a budget that is a fraction or in tokens, are estimates.
    near_90, near_95 : float
        Share of the sample's rows with another one above a cosine of .9 and .95.
    lengths, dsir : pairs of name and float
        Spearman's correlation with length of each score, and of those of kind dsir.
    loss : (name, R2) or None
        Share of a loss's variance that the clusters explain.
    estimates : bool
        Whether the recipe draws rows to estimate something of all.
    """

    recipe: str
    kind: str
    documents: int
    eligible: int
    sampled: int
    budget: int
    near_90: float
    near_95: float
    qualities: tuple[Quality, ...] = ()
    lengths: tuple[tuple[str, float], ...] = ()
    dsir: tuple[tuple[str, float], ...] = ()
    targets: tuple[Likeness, ...] = ()
    loss: tuple[str, float] | None = None
    estimates: bool = False

    @property
    def share(self) -> float:
        """Rows of the budget over rows that are eligible, at most 1."""
        return min(1.0, self.budget / max(1, self.eligible))

    @property
    def target(self) -> Likeness | None:
        """The target that is least like the pool: the one that a choice has most to gain from."""
        known = [t for t in self.targets if t.typical is not None]
        return min(known, key=lambda t: t.typical or 0.0) if known else None

    @property
    def judge(self) -> Quality | None:
        """The quality that is least bound to length, if it varies and its correlation with length is below .5."""
        fit = [q for q in self.qualities if q.judges and q.cv and q.length is not None and abs(q.length) < 0.5]
        return min(fit, key=lambda q: abs(q.length or 0.0)) if fit else None


def near_shares(vectors: Matrix, limits: tuple[float, ...] = (0.9, 0.95)) -> list[float]:
    """Return the share of rows that have another row above each cosine; 0 without two rows. NaN rows have none.

    Examples
    --------
    >>> near_shares(np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], np.float32), (0.5, 0.9))
    [1.0, 0.5]
    """
    defined = np.ascontiguousarray(vectors[~np.isnan(vectors).any(axis=1)])
    if len(defined) < 2:
        return [0.0 for _ in limits]
    cosine = nearest_rows(defined, defined, np.arange(len(defined)))[1]
    return [float((cosine > limit).sum() / len(vectors)) for limit in limits]


def cells(vectors: Matrix, k: int) -> Ints:
    """Return a cluster of each row, (n,) int64; -1 of a row of NaN. At most one cluster for every 20 rows."""
    found = np.full(len(vectors), -1, np.int64)
    defined = np.flatnonzero(~np.isnan(vectors).any(axis=1))
    x = np.ascontiguousarray(vectors[defined])
    k = min(k, len(x) // CLUSTER_ROWS, len(np.unique(x[: k * START_ROWS], axis=0)) if len(x) else 0)
    if k < 2:
        found[defined] = 0
        return found
    some = x[: k * START_ROWS]
    found[defined] = Nearest(lloyd(x, some[plus_plus(some, k, 0)]).centroids).clusters(x)
    return found


def variation(values: Floats, clusters: Ints) -> tuple[float, float] | None:
    """Return CV and lift of a quality inside clusters; None for a value below 0, or no value above.

    With draws in proportion to quality inside clusters that keep their shares, the mean m becomes
    sum over clusters of share (m_j + var_j / m_j): the lift is what that adds over the mean, CV^2 where there is one
    cluster, and the CV is its root.

    Examples
    --------
    >>> variation(np.array([1.0, 3.0]), np.array([0, 0]))
    (0.5, 0.25)
    """
    kept = np.isfinite(values) & (clusters >= 0)
    frame = pd.DataFrame({"q": values[kept], "c": clusters[kept]})
    if frame.empty or frame["q"].min() < 0 or frame["q"].sum() <= 0:
        return None
    groups = frame.groupby("c")["q"]
    mean = groups.mean().to_numpy()
    apart = (groups.count().to_numpy() * groups.var(ddof=0).to_numpy())[mean > 0] / mean[mean > 0]
    lift = float(apart.sum() / frame["q"].sum())
    return math.sqrt(lift), lift


def explained(values: Floats, clusters: Ints) -> float | None:
    """Return R2, the share of the variance that clusters explain, less what as many groups explain by chance.

    From 0 to 1; None where nothing varies or there are no more rows than clusters.

    Examples
    --------
    >>> explained(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]))
    1.0
    """
    kept = np.isfinite(values) & (clusters >= 0)
    frame = pd.DataFrame({"v": values[kept], "c": clusters[kept]})
    n, k = len(frame), frame["c"].nunique()
    total = float(((frame["v"] - frame["v"].mean()) ** 2).sum())
    if n <= k or total <= 0:
        return None
    within = float(((frame["v"] - frame.groupby("c")["v"].transform("mean")) ** 2).sum())
    return min(1.0, max(0.0, 1 - (within / (n - k)) / (total / (n - 1))))


def likeness(name: str, vectors: Matrix, target: Matrix) -> Likeness:
    """Return how like a target the pool is, by the mean cosine to the nearest three of its texts.

    Equal texts of the target count once. `typical` and `reach` are None below two texts, and without rows.
    """
    rows, own = (m[~np.isnan(m).any(axis=1)] for m in (vectors, target))
    own = np.unique(own, axis=0)
    if len(own) < 2 or not len(rows):
        return Likeness(name, len(own), None, None)
    near = min(NEAREST, len(own) - 1)
    # A text of the target is its own nearest, by a cosine of 1: take that out of the mean.
    base = float(((near + 1) * NearestCosines(own, near + 1)(own) - 1).mean() / near)
    if base <= 0:
        return Likeness(name, len(own), None, None)
    found = np.sort(NearestCosines(own, near)(rows))
    best = max(1, round(BEST * len(found)))
    return Likeness(name, len(own), float(found.mean() / base), float(found[-best:].mean() / base))


def with_length(numbers: Mapping[str, Floats], length: str) -> dict[str, float]:
    """Return Spearman's correlation with length by name, of those that have one over at least 30 rows."""
    frame = pd.DataFrame(dict(numbers))
    found = {}
    for name in numbers if length in numbers else ():
        if name != length and len(frame[[name, length]].dropna()) >= FEWEST_ROWS:
            found[name] = rank_correlation(frame, name, length)
    return {name: value for name, value in found.items() if math.isfinite(value)}
