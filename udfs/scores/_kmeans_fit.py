"""Fits k-means on a table: the passes (count, hashed sample, tally, nearest members) and the functions around them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Flags, Floats, Hashes, Ints, Matrix, Rows
from ..errors import BoundError, InputError
from ..kernels.exact_sums import Grid
from ..kernels.hashing import seeded_hash
from ..kernels.kmeans import Tally, tally
from ..kernels.nearest_centroid import Nearest
from ..kernels.vectors import unit_rows
from ..scorer import Fold

log = logging.getLogger("lakesift")

#: Largest sample, and largest sums of one pass; the centroids, which travel with every task, are half of the latter.
SAMPLE_BYTES, SUMS_BYTES = 512_000_000, 31_200_000

#: Number of rows, largest absolute value, width (-1: no rows yet), ascending keys (s,) uint64 with their rows (s, d).
Sampled = tuple[int, float, int, Hashes, Matrix]
#: Per cluster: distance_sq (k,), hash (k,) int64 and vector (k, d) of its nearest member.
Members = tuple[Floats, Ints, Matrix]


def defined(vectors: Any, spherical: bool) -> tuple[Rows, Flags]:
    """Return the rows without NaN, scaled to length 1 if spherical, and (n,) bool: which rows these are."""
    x = unit_rows(vectors) if spherical else np.asarray(vectors)
    is_defined: Flags = np.logical_not(np.isnan(x).any(axis=1))
    return np.ascontiguousarray(x if is_defined.all() else x[is_defined]), is_defined


def one_width(a: int, b: int) -> int:
    """Return the common width of two states, -1 for no vectors; InputError if the widths differ."""
    if a != b and min(a, b) >= 0:
        raise InputError(
            f"the table has vectors of {min(a, b)} and of {max(a, b)} values; k-means needs one length; "
            "leave one kind out with `fit_where:`"
        )
    return max(a, b)


def check_fit(size: int, k: int, width: int) -> None:
    """Raise BoundError for a sample of `size` vectors above SAMPLE_BYTES, or k centroids with sums above SUMS_BYTES."""
    if 4 * size * width > SAMPLE_BYTES:
        raise BoundError(
            f"the sample of {size} rows of {width} values takes {4 * size * width} bytes, the bound is {SAMPLE_BYTES}; "
            "lower k or fit_rows"
        )
    if 8 * k * width > SUMS_BYTES:
        raise BoundError(
            f"{k} centroids of {width} values are {k * width} numbers, the bound is {SUMS_BYTES // 8}, because they "
            "travel with every task; lower k"
        )


class Count(Fold[int]):
    """Counts the documents, reading their hashes alone."""

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
    """Samples the `size` rows with the smallest keys, in order of (key, bytes of the row).

    A key is a hash of the id's hash and the seed. Only keys up to `below` are considered, which keeps partial states
    small: the caller sets it so that hardly more rows pass than are needed.
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
        x, is_defined = defined(columns[1], self.spherical)
        if not len(x):
            return state
        largest = max(abs(float(x.max())), abs(float(x.min())))
        if largest > float(np.finfo(np.float32).max):
            raise InputError(
                f"a vector holds {largest}; k-means needs values within float32; leave such rows out with `fit_where:`"
            )
        keys = seeded_hash(np.asarray(columns[0])[is_defined], self.seed)
        passing = np.flatnonzero(keys <= np.uint64(self.below))
        passing = passing[np.argsort(keys[passing], kind="stable")]
        vectors = x[passing].astype(np.float32, copy=False)
        return self.merge(state, (len(x), largest, x.shape[1], keys[passing], vectors))

    def merge(self, a: Sampled, b: Sampled) -> Sampled:
        """Return the rows with the smallest keys of both; BoundError if a full sample exceeds SAMPLE_BYTES."""
        width = one_width(a[2], b[2])
        check_fit(self.size, 0, width)
        count, largest = a[0] + b[0], max(a[1], b[1])
        keys = np.concatenate([a[3], b[3]])
        if not len(a[3]) and len(keys) <= self.size and not (np.diff(keys) == 0).any():
            return count, largest, width, *b[3:]  # `b` is sorted and small enough already
        rows = np.concatenate([s[4].reshape(len(s[3]), max(width, 0)) for s in (a, b)])
        order = np.argsort(keys, kind="stable")
        if (np.diff(keys[order]) == 0).any():  # equal keys: the bytes of the rows decide
            order = np.array(sorted(range(len(keys)), key=lambda i: (keys[i], rows[i].tobytes())))
        order = order[: self.size]
        return count, largest, width, keys[order], rows[order]


class Pass(Fold[Tally]):
    """Tallies all rows by their nearest centroid: exact sums (k, d), sizes (k,) and sum of squared lengths."""

    limit_bytes = SUMS_BYTES + 2_000_000

    def __init__(self, of: str, centroids: Matrix, grid: Grid, spherical: bool) -> None:
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
    """Finds the member nearest to each centroid: the row with the smallest (distance_sq, hash of the id)."""

    limit_bytes = SUMS_BYTES + 2_000_000

    def __init__(self, of: str, centroids: Matrix, spherical: bool) -> None:
        self.reads = ("h", of)
        self.centroids, self.spherical = centroids, spherical

    def zero(self) -> Members:
        """Return no members: each centroid itself at infinite distance."""
        k = len(self.centroids)
        return np.full(k, np.inf), np.zeros(k, np.int64), np.array(self.centroids)

    def add(self, state: Members, *columns: Any) -> Members:
        """Add hashes (n,) int64 and vectors (n, d)."""
        x, is_defined = defined(columns[1], self.spherical)
        one_width(x.shape[1], self.centroids.shape[1])
        h = np.asarray(columns[0])[is_defined]
        cluster, distance_sq = Nearest(self.centroids)(x)
        order = np.lexsort((h, distance_sq, cluster))
        nearest = order[np.flatnonzero(np.diff(cluster[order], prepend=-1))]  # the first row of each cluster
        batch, j = self.zero(), cluster[nearest]
        batch[0][j], batch[1][j], batch[2][j] = distance_sq[nearest], h[nearest], x[nearest]
        return self.merge(state, batch)

    def merge(self, a: Members, b: Members) -> Members:
        """Return the nearer member of each cluster."""
        from_b = (b[0] < a[0]) | ((b[0] == a[0]) & (b[1] < a[1]))
        return np.where(from_b, b[0], a[0]), np.where(from_b, b[1], a[1]), np.where(from_b[:, None], b[2], a[2])


RunFold = Callable[[Fold[Any], str], Any]


def draw_sample(fold: RunFold, of: str, size: int, seed: int, spherical: bool) -> Sampled:
    """Return the hashed sample; another pass follows if too few rows pass, because many documents have no vector."""
    rows = fold(Count(), "documents")
    for last in (False, False, True):
        share = (size + 6 * math.sqrt(size) + 20) / max(rows, 1)  # six standard deviations more than are needed
        below = 2**64 - 1 if last or share >= 1 else int(share * 2**64)
        sampled: Sampled = fold(Sample(of, size, below, seed, spherical), "documents")
        rows = sampled[0]
        if len(sampled[3]) >= min(size, rows):
            break
    return sampled


def feasible(candidates: list[int], x: Matrix, of: str) -> list[int]:
    """Return the k, of ascending ones, for which the sample has enough distinct vectors; InputError if none has."""
    if not len(x):
        raise InputError(
            f"no document has a defined vector {of!r}, so there is nothing to cluster; at least one is needed; "
            "check `fit_where:` and the embedding"
        )
    distinct: set[bytes] = set()
    for row in x:
        distinct.add((row + np.float32(0)).tobytes())  # -0.0 becomes 0.0
        if len(distinct) == candidates[-1]:
            break
    if not (tried := [k for k in candidates if k <= len(distinct)]):
        raise InputError(
            f"k {candidates[0]} is above the {len(distinct)} distinct vectors among {len(x)} rows; each cluster needs "
            "one; lower k or take more rows"
        )
    return tried


def table_tally(fold: RunFold, one_pass: Callable[[Matrix], Pass], rows: int, centroids: Matrix) -> Tally:
    """Return the tally of the table; InputError if it has another number of rows than the sample's."""
    tally_of_all: Tally = fold(one_pass(centroids), "documents")
    if (met := round(tally_of_all[1].sum())) != rows:
        raise InputError(
            f"a pass met {met} vectors where an earlier one met {rows}; the table must not change during a fit; "
            "name a version of it, or run again"
        )
    return tally_of_all


def report(k: int, step: str, move: int, rows: float, inertia: float) -> None:
    """Log one line a measurement."""
    said = "kmeans k=%d, %s %d: %d rows, inertia per row %.6g"
    log.info(said, k, step, move + 1, rows, inertia / rows, extra={"passing": True})  # a bar of jobs/ shows its own
