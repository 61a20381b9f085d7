"""Selectors as orders of a pool's rows, by the kernels that the selectors call; a byte budget is a prefix.

random, and what docs/methods.md has for pools without a target: semdedup at a cosine of .9, facility_location, both as
the recipe `coverage` chains them, k-means with equal quotas, k_center, and information_entropy by top_k and by the
interval from its 10 to its 90 % quantile. Vectors wordllama, 50 clusters. Rows that a selector cannot rank, or drops,
are not in its order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from lakesift.jobs.selectors.coverage import standardised
from lakesift.udfs.kernels.facility_location import facility_location
from lakesift.udfs.kernels.k_center import k_center
from lakesift.udfs.kernels.kmeans import lloyd
from lakesift.udfs.kernels.kmeans_start import plus_plus
from lakesift.udfs.kernels.near_duplicates import semdedup
from lakesift.udfs.kernels.nearest_centroid import Nearest
from lakesift.udfs.kernels.nearest_rows import nearest_rows
from lakesift.udfs.kernels.quantiles import quantiles
from lakesift.udfs.scorer import Kernel
from lakesift.udfs.scores.embedding import Embedding
from lakesift.udfs.scores.information_entropy import InformationEntropy
from tests.bench.judging import in_turn

Array = np.ndarray[Any, np.dtype[Any]]
#: As the recipe `coverage` has them.
CLUSTERS, NEAR = 50, 0.9
#: Cosine above which a neighbour makes a row one that nearly repeats.
REPEATS = 0.95
#: Rows that an order by a greedy has for one row of the budget: rows that it prefers may be short.
SPARE = 4
NAMES = (
    *("facility_location", "semdedup", "coverage", "kmeans_random, equal", "k_center"),
    *("top_k of entropy", "interval of entropy"),
)


@cache
def _known() -> dict[str, Array]:
    """Vectors of texts that this process has met: a pool's rows are in other pools, too."""
    return {}


@cache
def _encoder() -> Kernel:
    return Embedding().kernel()


def vectors(texts: Sequence[str]) -> Array:
    """Return unit vectors, (n, 256) float32; a text without one, such as one without letters, gets the first axis."""
    known = _known()
    if new := list(dict.fromkeys(text for text in texts if text not in known)):
        x = np.ascontiguousarray(_encoder()(new), np.float32)
        x[~np.isfinite(x).all(axis=1)] = np.eye(1, x.shape[1], dtype=np.float32)
        known.update(zip(new, x, strict=True))
    return np.stack([known[text] for text in texts])


def clusters(x: Array, seed: int, k: int = CLUSTERS) -> Array:
    """Return the k-means cluster of each row, numbered without gaps."""
    start = x[plus_plus(x[: 20 * k], k, seed)]
    return np.unique(Nearest(lloyd(x, start).centroids).clusters(x), return_inverse=True)[1]


def near_share(x: Array) -> float:
    """Return the share of rows with a neighbour above cosine .95."""
    return float((nearest_rows(x, x, np.arange(len(x)))[1] > REPEATS).mean())


def coverage(
    x: Array, cluster: Array, by_lot: Array, most: int, quality: Array | None = None, alpha: float = 0.0
) -> Array:
    """Return the order of the recipe `coverage`, at most so many rows; with a quality its second stage is QDIT."""
    kept = np.flatnonzero(semdedup(x, cluster, by_lot, NEAR)[0])
    of_kept = None if quality is None else standardised(quality[kept])
    return kept[facility_location(np.ascontiguousarray(x[kept]), min(most, len(kept)), of_kept, alpha).order]


def orders(x: Array, texts: Sequence[str], share: float, seed: int, names: Sequence[str] = NAMES) -> dict[str, Array]:
    """Return positions by selector, best first; enough for `share` of the bytes."""
    draw = np.random.default_rng([seed, 99])
    by_lot, cluster, most = draw.permutation(len(x)), clusters(x, seed), min(len(x), int(SPARE * share * len(x)) + 50)
    entropy = InformationEntropy().kernel()(texts) if any("entropy" in name for name in names) else np.full(len(x), 0.0)
    low, high = quantiles(entropy, [0.1, 0.9])
    made = {
        "facility_location": lambda: facility_location(x, most).order,
        "semdedup": lambda: by_lot[semdedup(x, cluster, by_lot, NEAR)[0][by_lot]],
        "coverage": lambda: coverage(x, cluster, by_lot, most),
        "kmeans_random, equal": lambda: in_turn(cluster, np.argsort(by_lot), np.ones(cluster.max() + 1), draw),
        "k_center": lambda: k_center(x, most).order,
        "top_k of entropy": lambda: np.argsort(-entropy, kind="stable")[: int(np.isfinite(entropy).sum())],
        "interval of entropy": lambda: by_lot[((entropy >= low) & (entropy <= high))[by_lot]],
    }
    return {name: made[name]() for name in names}
