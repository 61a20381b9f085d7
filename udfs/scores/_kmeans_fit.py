"""How k-means is fitted on a table: its passes (count, keyed sample, tally, nearest members) and what uses them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BoundError, InputError
from ..kernels.exact_sums import Grid
from ..kernels.hashing import seeded_hash
from ..kernels.kmeans import Report, Tally, tally
from ..kernels.nearest_centroid import Centroids, Floats, Nearest, Rows, unit
from ..scorer import Fold

log = logging.getLogger("lakesift")

#: The largest sample, and the largest sums of one pass: half of that are the centroids, which travel with a task.
SAMPLE_BYTES, SUMS_BYTES = 512_000_000, 31_200_000

#: Rows seen, largest absolute value, width (-1: none seen), and ascending keys (s,) uint64 with their rows (s, d).
Sampled = tuple[int, float, int, NDArray[np.uint64], Centroids]
#: Per cluster: distance_sq (k,), hash (k,) int64 and vector (k, d) of its nearest member.
Members = tuple[Floats, NDArray[np.int64], Centroids]


def defined(vectors: Any, spherical: bool) -> tuple[Rows, NDArray[np.bool_]]:
    """Return the vectors that have a cluster, brought to length 1 if spherical, and which these are."""
    x = unit(vectors) if spherical else np.asarray(vectors)
    there: NDArray[np.bool_] = np.logical_not(np.isnan(x).any(axis=1))
    return np.ascontiguousarray(x if there.all() else x[there]), there


def one_width(a: int, b: int) -> int:
    """Return the width of vectors of two states, -1 for none; InputError if they differ."""
    if a != b and min(a, b) >= 0:
        raise InputError(
            f"there are vectors of {min(a, b)} and of {max(a, b)} values; k-means needs one length; "
            "leave one kind out with `fit_where:`"
        )
    return max(a, b)


class Count(Fold[int]):
    """The number of documents, from their hashes alone."""

    reads = ("h",)

    def zero(self) -> int:
        """Return 0."""
        return 0

    def add(self, state: int, *columns: Any) -> int:
        """Count one batch."""
        return state + len(columns[0])

    def merge(self, a: int, b: int) -> int:
        """Return the sum."""
        return a + b


class Sample(Fold[Sampled]):
    """The `size` rows with the smallest keys, in order of (key, bytes of the row), of those with a key up to `below`.

    The threshold keeps partial states small: it is set so that hardly more rows pass than are wanted.
    """

    limit_bytes = SAMPLE_BYTES + 64_000_000

    def __init__(self, of: str, size: int, below: int, seed: int, spherical: bool) -> None:
        self.reads = ("h", of)
        self.size, self.below, self.seed, self.spherical = size, below, seed, spherical

    def zero(self) -> Sampled:
        """Return no rows."""
        return 0, 0.0, -1, np.empty(0, np.uint64), np.empty((0, 0), np.float32)

    def add(self, state: Sampled, *columns: Any) -> Sampled:
        """Add hashes (n,) int64 and vectors (n, d); rows that hold NaN are left out."""
        x, there = defined(columns[1], self.spherical)
        if not len(x):
            return state
        largest = max(abs(float(x.max())), abs(float(x.min())))
        if largest > float(np.finfo(np.float32).max):
            raise InputError(
                f"a vector holds {largest}; k-means needs values within float32; leave such rows out with `fit_where:`"
            )
        keys = seeded_hash(np.asarray(columns[0])[there], self.seed)
        kept = np.flatnonzero(keys <= np.uint64(self.below))
        kept = kept[np.argsort(keys[kept], kind="stable")]
        return self.merge(state, (len(x), largest, x.shape[1], keys[kept], x[kept].astype(np.float32, copy=False)))

    def merge(self, a: Sampled, b: Sampled) -> Sampled:
        """Return the smallest of both; raise BoundError if the whole sample would not fit."""
        width = one_width(a[2], b[2])
        if 4 * self.size * width > SAMPLE_BYTES:
            raise BoundError(
                f"the sample of {self.size} rows of {width} values takes {4 * self.size * width} bytes, the bound is "
                f"{SAMPLE_BYTES}; lower k or fit_rows"
            )
        seen, largest = a[0] + b[0], max(a[1], b[1])
        keys = np.concatenate([a[3], b[3]])
        if not len(a[3]) and len(keys) <= self.size and not (np.diff(keys) == 0).any():
            return seen, largest, width, *b[3:]
        rows = np.concatenate([s[4].reshape(len(s[3]), max(width, 0)) for s in (a, b)])
        order = np.argsort(keys, kind="stable")
        if (np.diff(keys[order]) == 0).any():
            order = np.array(sorted(range(len(keys)), key=lambda i: (keys[i], rows[i].tobytes())))
        order = order[: self.size]
        return seen, largest, width, keys[order], rows[order]


class Pass(Fold[Tally]):
    """Exact sums (k, d), sizes (k,) and sum of squared lengths of all rows by their nearest centroid."""

    limit_bytes = SUMS_BYTES + 2_000_000

    def __init__(self, of: str, centroids: Centroids, grid: Grid, spherical: bool) -> None:
        self.reads = (of,)
        self.centroids, self.grid, self.spherical = centroids, grid, spherical

    def zero(self) -> Tally:
        """Return zeros."""
        return np.zeros(self.centroids.shape), np.zeros(len(self.centroids)), 0.0

    def add(self, state: Tally, *columns: Any) -> Tally:
        """Add vectors (n, d)."""
        x, _ = defined(columns[0], self.spherical)
        one_width(x.shape[1], self.centroids.shape[1])
        return self.merge(state, tally(x, self.centroids, self.grid))

    def merge(self, a: Tally, b: Tally) -> Tally:
        """Return the sums, exact on the grid."""
        return a[0] + b[0], a[1] + b[1], a[2] + b[2]


class NearestMembers(Fold[Members]):
    """Per cluster the row with the smallest (distance_sq, hash of the id)."""

    limit_bytes = SUMS_BYTES + 2_000_000

    def __init__(self, of: str, centroids: Centroids, spherical: bool) -> None:
        self.reads = ("h", of)
        self.centroids, self.spherical = centroids, spherical

    def zero(self) -> Members:
        """Return no member, the centroid itself at infinite distance."""
        k = len(self.centroids)
        return np.full(k, np.inf), np.zeros(k, np.int64), np.array(self.centroids)

    def add(self, state: Members, *columns: Any) -> Members:
        """Add hashes (n,) int64 and vectors (n, d)."""
        x, there = defined(columns[1], self.spherical)
        one_width(x.shape[1], self.centroids.shape[1])
        h = np.asarray(columns[0])[there]
        cluster, far = Nearest(self.centroids)(x)
        order = np.lexsort((h, far, cluster))
        best = order[np.flatnonzero(np.diff(cluster[order], prepend=-1))]
        mine, place = self.zero(), cluster[best]
        mine[0][place], mine[1][place], mine[2][place] = far[best], h[best], x[best]
        return self.merge(state, mine)

    def merge(self, a: Members, b: Members) -> Members:
        """Return the nearer member of each cluster."""
        second = (b[0] < a[0]) | ((b[0] == a[0]) & (b[1] < a[1]))
        return (
            np.where(second, b[0], a[0]),
            np.where(second, b[1], a[1]),
            np.where(second[:, None], b[2], a[2]),
        )


RunFold = Callable[[Fold[Any], str], Any]


def drawn(fold: RunFold, of: str, size: int, seed: int, spherical: bool) -> Sampled:
    """Return the keyed sample, from a second pass if many documents have no vector, so that too few came."""
    rows = fold(Count(), "documents")
    for last in (False, False, True):
        share = (size + 6 * math.sqrt(size) + 20) / max(rows, 1)
        below = 2**64 - 1 if last or share >= 1 else int(share * 2**64)
        found: Sampled = fold(Sample(of, size, below, seed, spherical), "documents")
        rows = found[0]
        if len(found[3]) >= min(size, rows):
            break
    return found


def possible(wanted: list[int], x: Centroids, of: str) -> list[int]:
    """Return which of the ascending numbers of clusters the sample has distinct vectors for; InputError for none."""
    if not len(x):
        raise InputError(
            f"no document has a defined vector {of!r}, so there is nothing to cluster; at least one is needed; "
            "check `fit_where:` and the embedding"
        )
    distinct: set[bytes] = set()
    for row in x:
        distinct.add((row + np.float32(0)).tobytes())  # -0.0 becomes 0.0
        if len(distinct) == wanted[-1]:
            break
    if not (tried := [k for k in wanted if k <= len(distinct)]):
        raise InputError(
            f"k {wanted[0]} is above the {len(distinct)} distinct vectors among {len(x)} rows; each cluster needs one; "
            "lower k or take more rows"
        )
    return tried


def measured(fold: RunFold, one_pass: Callable[[Centroids], Pass], rows: int) -> Callable[[Centroids], Tally]:
    """Return centroids -> the tally of the table; InputError if it has other rows than the sample was taken from."""

    def measure(centroids: Centroids) -> Tally:
        found: Tally = fold(one_pass(centroids), "documents")
        if (met := round(found[1].sum())) != rows:
            raise InputError(
                f"a pass met {met} vectors where an earlier one met {rows}; the table must not change during a fit; "
                "name a version of it, or run again"
            )
        return found

    return measure


def reporter(k: int, step: str) -> Report:
    """Return what logs one line a measurement."""

    def report(move: int, rows: float, inertia: float) -> None:
        log.info("kmeans k=%d, %s %d: %d rows, inertia per row %.6g", k, step, move + 1, rows, inertia / rows)

    return report
