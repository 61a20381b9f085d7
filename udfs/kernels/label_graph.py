"""Compares names by the cosines of their vectors: near-synonyms, the label graph of MIG, nearest names.

MIG (arXiv 2504.13835) merges names within a cosine distance of 0.05 (DBSCAN with min_samples 1, which is connected
components) and makes labels of cosine >= T neighbours. T from a number of neighbours is ours.

Cosines are whole numbers of 2^-22, the exact products of unit vectors rounded to 2^-11 (semantic_entropy.py), so
neither BLAS nor blocks change a result. The rounding moves a cosine by about 3e-4. Vectors that are the same after it
have cosine 1, all others at most 1 - 2^-22. A row with NaN is a name without a vector: its products are NaN, so it has
no neighbours and is merged with nothing. All pairs are compared, O(K^2 d), and never held at once.

More than 50 000 names raise BoundError; a parameter out of its range, or a vector whose length is not 1 within 0.001,
InputError. Left out: approximate search.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..arrays import Ints, Labels, Matrix, Positions, Ragged, offsets_of
from ..errors import BoundError, InputError
from .semantic_entropy import GRID, on_grid

#: A cosine of 1 in whole numbers.
ONE = GRID * GRID
#: Most names, so that a position takes 16 bits, and most edges: they travel with the model, 12 bytes each.
MOST_LABELS, EDGES = 50_000, 1_000_000
#: Names on each side of a block; rows looked up at a time; pairs gathered before the weak ones are dropped.
_BLOCK, _ROWS, _PENDING = 1024, 128, 1 << 20


class LabelGraph(NamedTuple):
    """Pairs of positions a < b, (E,) int32, in order of (a, b); cosines, (E,) float32, above 0 and >= threshold."""

    threshold: float
    a: NDArray[np.int32]
    b: NDArray[np.int32]
    weight: Matrix


def components(vectors: Matrix, distance: float) -> Ints:
    """Group names that steps of at most `distance` connect; (K,) int64, numbered from 0 in order of first names.

    Parameters
    ----------
    vectors : (K, d) float32
        Of length 1, or NaN. Memory: a copy of them and 100 MB.
    distance : float
        Largest cosine distance of a step, above 0 and below 1.

    Examples
    --------
    >>> angles = np.deg2rad([0, 15, 30, 90])  # distances: 0.034 for 15 degrees, 0.134 for 30
    >>> components(np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32), 0.05).tolist()
    [0, 0, 0, 1]
    """
    if not 0 < distance < 1:
        raise InputError(f"a cosine distance of {distance!r} is not allowed; it is above 0 and below 1; 0.05 is usual")
    least, group = ONE - math.floor(distance * ONE), np.arange(len(vectors), dtype=np.int32)
    for row, column, similarity in _blocks(_on_grid(vectors)):
        apart = group[row : row + _BLOCK, None] != group[column : column + _BLOCK]
        i, j = np.nonzero(apart & (similarity >= least))
        if len(i):
            links = sparse.coo_matrix((np.ones(len(i)), (group[i + row], group[j + column])), shape=2 * group.shape)
            group = sparse.csgraph.connected_components(links, directed=False)[1][group]
    _, first, of = np.unique(group, return_index=True, return_inverse=True)
    return np.unique(first[of], return_inverse=True)[1].astype(np.int64)


def representatives(component: Labels, counts: Labels, names: Sequence[str]) -> Positions:
    """Return for each name the position of the most frequent name of its component, (K,) int64; ties: the smaller name.

    Examples
    --------
    >>> representatives(np.array([0, 0, 0, 1]), np.array([2, 5, 5, 1]), ["maths", "math", "algebra", "code"]).tolist()
    [2, 2, 2, 3]
    """
    order = np.array(sorted(range(len(names)), key=lambda i: (-int(counts[i]), names[i])), np.int64)
    _, best, of = np.unique(component[order], return_index=True, return_inverse=True)
    return order[best[of][np.argsort(order)]]


def neighbour_graph(
    vectors: Matrix, neighbours: int | None = None, threshold: float | None = None, edges: int = EDGES
) -> LabelGraph:
    """Connect all pairs of names whose cosine is at least T and above 0.

    Parameters
    ----------
    vectors : (K, d) float32
        Of length 1, or NaN. Memory: a copy of them, 40 bytes for each of `edges`, and 150 MB.
    neighbours : int, optional
        T is the value at which a name has so many neighbours on average: the n-th largest cosine of a pair with
        n = neighbours K / 2, halves rounded up; if fewer are above 0, the smallest of these; if none is, 1.
    threshold : float, optional
        T itself, 0 to 1; at 1 only vectors that are the same after rounding. Exactly one of the two is given.
    edges : int, default 1 000 000
        Most pairs, ties at T included. More are a BoundError, which names a threshold that is high enough.

    Examples
    --------
    >>> angles = np.deg2rad([0, 60, 90])
    >>> neighbour_graph(np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32), neighbours=1)[:3]
    (0.5, array([0, 1], dtype=int32), array([1, 2], dtype=int32))
    """
    if (neighbours is None) == (threshold is None) or (neighbours is not None and neighbours < 1):
        given = f"neighbours={neighbours!r} with threshold={threshold!r}"
        raise InputError(f"{given} is not allowed; give neighbours, at least 1, or else a threshold from 0 to 1")
    need = 0 if neighbours is None else (neighbours * len(vectors) + 1) // 2
    found = _Largest(1 if threshold is None else max(1, _whole(threshold)), need, edges)
    for row, column, similarity in _blocks(_on_grid(vectors)):
        found.add(row, column, similarity)
    found.settle()
    number = int(found.count[found.least :].sum())
    if threshold is None:
        threshold = (found.largest(min(need, number)) if number else ONE) / ONE
    if number > edges:
        fits = math.ceil((found.largest(edges + 1) + 1) / ONE * 1e4) / 1e4
        raised = f"{'lower neighbours, or set' if need else 'raise'} threshold to {fits}"
        raise BoundError(
            f"the graph of {len(vectors)} labels would have {number} edges of cosine {threshold:.4f} or more; at most "
            f"{edges}; {raised if fits <= 1 else 'merge names of the same vector first'}"
        )
    pairs = found.pairs[np.argsort(found.pairs & 0xFFFFFFFF)]
    a, b = ((pairs >> bits & 0xFFFF).astype(np.int32) for bits in (16, 0))
    return LabelGraph(threshold, a, b, (pairs >> 32).astype(np.float32) / np.float32(ONE))


def isolated(labels: int, a: NDArray[np.int32], b: NDArray[np.int32]) -> tuple[float, float]:
    """Return the share of labels that no edge (a, b) touches, and the mean number of neighbours; 0 and 0 of no labels.

    Examples
    --------
    >>> isolated(4, np.array([0, 0], np.int32), np.array([1, 2], np.int32))
    (0.25, 1.0)
    """
    return (1 - len(np.union1d(a, b)) / labels, 2 * len(a) / labels) if labels else (0.0, 0.0)


class NearestNames:
    """Finds names of a vocabulary (V, d) of unit vectors, float32; a name whose vector is NaN is never found.

    Examples
    --------
    >>> rows = np.array([[0.6, 0, 0.8], [0, 1, 0], [np.nan] * 3], np.float32)
    >>> [found.tolist() for found in NearestNames(np.eye(3, dtype=np.float32)).of(rows, most=2, floor=0.5)]
    [[0, 2], [1], []]
    """

    def __init__(self, vectors: Matrix) -> None:
        self._grid = _on_grid(vectors)

    def of(self, rows: Matrix, most: int, floor: float) -> Ragged:
        """Return positions of the nearest names of each row, int32, ascending; the same in any batch.

        Parameters
        ----------
        rows : (n, d) float32
            Of length 1, or NaN: no names. Memory: 1 200 V bytes.
        most : int
            Most names of a row, at least 1; of equal cosines the lower positions stay.
        floor : float
            Least cosine of a name, 0 to 1.
        """
        least = _whole(floor)
        if most < 1:
            raise InputError(f"most={most!r} names of a row are not allowed; at least 1; 3 is usual")
        found = []
        for start in range(0, len(rows), _ROWS):
            for row in _similarity(_on_grid(rows[start : start + _ROWS]), self._grid):
                at = np.flatnonzero(row >= least)
                if len(at) > most:
                    rank = row[at].astype(np.int64) * len(row) - at  # no two are equal
                    at = np.sort(at[np.argpartition(rank, -most)[-most:]])
                found.append(at.astype(np.int32))
        flat = np.concatenate([np.empty(0, np.int32), *found])
        return Ragged(flat, offsets_of([len(at) for at in found]))


class _Largest:
    """The largest pairs so far, each an int64: 32 bits of similarity, 16 of each position; the smaller comes first.

    Only pairs of at least `least` count; unless `need` is 0, it rises to the need-th largest. `count[s]` is the number
    of pairs of similarity s >= least. `pairs` has the `most` largest: any other is in no graph of so few edges.
    """

    def __init__(self, least: int, need: int, most: int) -> None:
        self.least, self.need, self.most = least, need, most
        self.count, self.pairs = np.zeros(ONE + 1, np.int64), np.empty(0, np.int64)
        self.pending = [self.pairs]

    def add(self, row: int, column: int, similarity: Matrix) -> None:
        i, j = np.nonzero(similarity >= self.least)
        self.pending.append(similarity[i, j].astype(np.int64) << 32 | (i + row) << 16 | (j + column))
        if sum(map(len, self.pending)) > _PENDING:
            self.settle()

    def settle(self) -> None:
        """Count the pending pairs, raise `least`, and drop what cannot be an edge."""
        new = np.concatenate(self.pending)
        np.add.at(self.count, new >> 32, 1)
        self.least = max(self.least, self.largest(self.need) if self.need else 0)
        self.pairs, self.pending = np.concatenate([self.pairs, new]), [new[:0]]
        self.pairs = self.pairs[self.pairs >= self.least << 32]
        if len(self.pairs) > self.most:
            self.pairs = np.partition(self.pairs, -self.most)[-self.most :]

    def largest(self, place: int) -> int:
        """Return the place-th largest similarity, from 1; 0 if there are not so many."""
        at_least = np.cumsum(self.count[self.least :][::-1])
        return ONE - int(np.searchsorted(at_least, place)) if at_least[-1] >= place else 0


def _blocks(grid: Matrix) -> Iterator[tuple[int, int, Matrix]]:
    """Yield first row, first column and similarities of blocks that have every pair once, and zeros beside."""
    for row in range(0, len(grid), _BLOCK):
        for column in range(row, len(grid), _BLOCK):
            block = _similarity(grid[row : row + _BLOCK], grid[column : column + _BLOCK])
            yield row, column, np.triu(block, 1) if column == row else block


def _similarity(x: Matrix, y: Matrix) -> Matrix:
    """Return cosines in multiples of 2^-22, (len(x), len(y)): ONE for equal rows, otherwise less; NaN stays."""
    product: Matrix = x @ y.T
    half_sq = [np.einsum("ij,ij->i", rows, rows) / np.float32(2) for rows in (x, y)]
    same = product == half_sq[0][:, None] + half_sq[1]  # the difference is |x - y|^2 / 2, and all of it exact
    np.minimum(product, np.float32(ONE - 1), out=product)
    product[same] = ONE
    return product


def _on_grid(vectors: Matrix) -> Matrix:
    if len(vectors) > MOST_LABELS:
        raise BoundError(f"{len(vectors)} names are too many; at most {MOST_LABELS}; raise least to drop rare names")
    length = np.sqrt(np.einsum("ij,ij->i", *2 * [vectors], dtype=np.float64))
    if wrong := length[np.abs(length - 1) > 1e-3].tolist():  # NaN is not
        raise InputError(f"a vector has the length {wrong[0]:g}; allowed is 1 within 0.001, or NaN; scale it")
    return on_grid(vectors)


def _whole(cosine: float) -> int:
    if not 0 <= cosine <= 1:
        raise InputError(f"a cosine of {cosine!r} is no threshold; allowed is 0 to 1")
    return math.ceil(cosine * ONE)
