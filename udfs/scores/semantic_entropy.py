"""semantic_entropy: how evenly a text's meaning is spread over the landmarks of the pool, in bits.

The third of the three entropies of EUDS (arXiv 2602.17465); the paper's formula is not public, so this definition is
ours: the entropy of the softmax, at temperature tau, over cosine similarities of the embedding to landmarks. All of
5 000 landmarks is the default because it is stable: two disjoint samples of landmarks rank rows alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from ..arrays import Floats, Matrix
from ..constraints import AtLeast
from ..errors import BoundError, InputError, RecipeError
from ..kernels.semantic_entropy import Landmarks, on_grid
from ..kernels.vectors import check_width, unit_rows
from ..scorer import DocumentEstimator, Fold, Kernel, Scorer, Takes, settings
from ._kmeans_fit import SUMS_BYTES, draw_sample, one_width

#: Sums (k, d) of the rounded vectors of each cluster.
Sums = Floats


@dataclass(frozen=True, eq=False)
class SemanticEntropyScorer(Scorer):
    """Entropy over fitted landmarks; fitted by SemanticEntropy.

    Parameters
    ----------
    of : str
        Name of a score of kind embedding.
    tau : float
    nearest : int
        Landmarks that count, the most similar ones; 0 for all.
    landmarks : (m, d) float32
        Unit vectors.
    settings : str
        Parameters of the fit as JSON.
    """

    kind = "semantic_entropy"
    seconds_per_row = 0.0002
    fitted: ClassVar[bool] = True
    comment = (
        "entropy of the softmax over cosine similarities to landmarks of the pool, bits, 0 to log2 landmarks; larger "
        "is less like anything in particular; null without a vector"
    )
    takes = "vector"

    of: str = "vector"
    tau: float = 0.1
    nearest: int = 0
    landmarks: Matrix = field(default_factory=lambda: np.empty((0, 0), np.float32))
    settings: str = ""

    def summary(self) -> dict[str, Any]:
        """Return how many landmarks there are."""
        return {"landmarks": len(self.landmarks)}

    def kernel(self) -> Kernel:
        """Return vectors (n, d) -> float64 (n,); NaN for a vector of zeros or with NaN. ScoreError for another d."""
        landmarks, width = Landmarks(self.landmarks), self.landmarks.shape[1]

        def kernel(vectors: Any) -> Floats:
            x = unit_rows(vectors).astype(np.float32, copy=False)
            check_width(x, width, "landmarks", self.of)
            found = np.full(len(x), np.nan)
            defined = ~np.isnan(x).any(axis=1)
            found[defined] = landmarks.entropy(x[defined], self.tau, self.nearest)
            return found

        return kernel


class ClusterSums(Fold[Sums]):
    """The sum of the unit vectors of each cluster, on the grid of semantic_entropy, so that no order matters."""

    limit_bytes = SUMS_BYTES + 2_000_000

    def __init__(self, of: str, clusters: str) -> None:
        self.reads = (of, clusters)

    def zero(self) -> Sums:
        """Return no clusters."""
        return np.zeros((0, 0))

    def add(self, state: Sums, *columns: Any) -> Sums:
        """Add vectors (n, d) and values of the k-means score (n,)."""
        x = unit_rows(columns[0])
        cluster = np.array([value["cluster"] for value in columns[1]])
        kept = ~np.isnan(x).any(axis=1)
        sums = np.zeros((int(cluster.max()) + 1, x.shape[1]))
        np.add.at(sums, cluster[kept], on_grid(x[kept]).astype(np.float64))
        return self.merge(state, sums)

    def merge(self, a: Sums, b: Sums) -> Sums:
        """Return the sums, exact."""
        if not a.size or not b.size:
            return a if a.size else b
        one_width(a.shape[1], b.shape[1])
        longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
        return longer + np.pad(shorter, ((0, len(longer) - len(shorter)), (0, 0)))


@dataclass(frozen=True)
class SemanticEntropy(DocumentEstimator):
    """Draws the landmarks.

    Parameters
    ----------
    of : str, default "vector"
        Name of a score of kind embedding.
    form : {"landmarks", "nearest", "centres"}
        "landmarks": all landmarks, the documents with the smallest seeded hashes. "nearest": the 50 most similar of
        them. "centres": the mean directions of the clusters of `clusters`.
    landmarks : int, default 5000
        All documents if there are fewer.
    tau : float, default 0
        Temperature; 0 stands for .1, with form nearest for .02.
    nearest : int, default 50
        Landmarks that count with form nearest.
    clusters : str
        Name of a score of kind kmeans, with form centres.
    seed : int, default 0

    Raises
    ------
    RecipeError
        If a parameter is not allowed.
    InputError
        From `fit`, if no document has a vector.
    BoundError
        From `fit`, if landmarks take more than 15 MB as float32.

    Examples
    --------
    >>> rows = {"h": np.arange(4), "vector": np.eye(4)}
    >>> fold = lambda f, table: f.add(f.zero(), *(rows[name] for name in f.reads))
    >>> SemanticEntropy().fit(fold).kernel()(np.full((1, 4), 0.5)).tolist()
    [2.0]
    """

    kind = "semantic_entropy"
    comment = SemanticEntropyScorer.comment
    model_class = SemanticEntropyScorer
    takes = "vector"

    of: str = "vector"
    form: Literal["landmarks", "nearest", "centres"] = "landmarks"
    landmarks: Annotated[int, AtLeast(2)] = 5000
    tau: Annotated[float, AtLeast(0)] = 0.0
    nearest: Annotated[int, AtLeast(2)] = 50
    clusters: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.form == "centres") != bool(self.clusters):
            raise RecipeError(
                f"semantic_entropy: form is {self.form} and clusters {self.clusters!r}; form centres, and no other, "
                "names a score of kind kmeans in clusters"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """The vectors, and what a fit reads beside them."""
        return (self.of, self.clusters) if self.clusters else (self.of,)

    def takes_of(self, name: str, /) -> Takes:
        """Vectors, and a k-means score."""
        return "clusters" if name == self.clusters else "vector"

    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> SemanticEntropyScorer:
        """Sample, or average."""
        if self.clusters:
            rows = unit_rows(fold(ClusterSums(self.of, self.clusters), "documents"))
            rows = rows[~np.isnan(rows).any(axis=1)]  # of clusters without rows
        else:
            rows = draw_sample(fold, self.of, self.landmarks, self.seed, True)[4]
        if not len(rows):
            raise InputError(
                f"no document has a defined vector {self.of!r}, so there are no landmarks; check `fit_where:` and the "
                "embedding"
            )
        if 4 * rows.size > SUMS_BYTES // 2:
            raise BoundError(
                f"semantic_entropy: {len(rows)} landmarks of {rows.shape[1]} values take {4 * rows.size:,} bytes, the "
                f"bound is {SUMS_BYTES // 2:,}, because they travel with every task; lower landmarks"
            )
        tau = self.tau or (0.02 if self.form == "nearest" else 0.1)
        nearest = self.nearest if self.form == "nearest" else 0
        return SemanticEntropyScorer(self.of, tau, nearest, np.asarray(rows, np.float32), settings(self))
