"""Nearest neighbours and cells (spherical k-means) by cosines that are the same bits with any BLAS.

`fixed_point` rounds unit vectors to integers of length at most 4096. Every partial sum of a product of two of them is
then an integer of at most 2^24, which float32 holds exactly: a matrix product gives the same bits in any block, order
of summation, library and number of threads. The price is a cosine that is off by 1e-4 as a standard deviation,
whatever the number of columns, and by sqrt(d) / 4000 at most. Lists and cells are therefore functions of the data
alone, ties go to the lowest position, and sums of similarities are exact (below 2^53).

Ours; the k-means is Lloyd on a sample with unit centres (Dhillon and Modha 2001, Machine Learning 42). Left out:
approximate search; the lists are exact but for that rounding.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from ..arrays import Clusters, Labels, Matrix, Positions
from ..errors import BoundError, InputError

#: Rows of one block.
_ROWS = 4096
#: Similarities of one block of `nearest`: 4 bytes each, three arrays of them.
_BLOCK = 1 << 24
#: Rows of the sample for each cell, and rounds of Lloyd (ours).
SAMPLE, _ROUNDS = 64, 5
#: Rows of a cell on average where cells are computed here, and at most: larger ones are split (4 * 4096^2 = 67 MB).
CELL, _CELL_LIMIT = 1_000, 4_096
#: Largest n of `nearest`.
NEIGHBOURS_ROWS = 200_000


def scale(d: int) -> float:
    """Return the factor of unit vectors of d columns before rounding; its square is the similarity of equal ones."""
    return float(np.float32((4095 - math.sqrt(d) / 2) / 1.001))


def fixed_point(X: Matrix) -> Matrix:
    """Return rint(scale x) for rows of length 1, (n, d) float32 holding integers.

    Raises
    ------
    InputError
        If a row's length is not 1 within 0.001: not normalised, zero, or undefined.

    Examples
    --------
    >>> import numpy as np
    >>> q = fixed_point(np.array([[0.6, 0.8]], np.float32))
    >>> round(float((q @ q.T)[0, 0]) / scale(2) ** 2, 3)
    1.0
    """
    excess = np.abs(np.einsum("ij,ij->i", X, X) - 1)
    if len(X) and not excess.max() <= 2e-3:  # NaN too
        row = int(np.flatnonzero(~(excess <= 2e-3))[0])
        length = float(np.sqrt((X[row].astype(np.float64) ** 2).sum()))
        raise InputError(
            f"a vector has the length {length:g}; cosines here need length 1 within 0.001; "
            "divide every vector by its length and drop those of length 0"
        )
    integers: Matrix = X * np.float32(scale(X.shape[1]))
    np.rint(integers, out=integers)
    return integers


def nearest(X: Matrix, k: int) -> sparse.csr_matrix:
    """Return each row's k nearest rows, itself included, as a sparse n x n matrix of `fixed_point` similarities.

    Parameters
    ----------
    X : (n, d) float32
        Rows of length 1.
    k : int
        At least 1; at most n are listed. Of equal similarities the lowest positions stay; negative ones become 0.

    Raises
    ------
    BoundError
        If n is above 200 000.

    Notes
    -----
    O(n^2 d): 1 s of CPU at 10 000 rows of 256, 25 s at 50 000, minutes at 200 000. Memory: a copy of X, 8 n k bytes and
    200 MB.

    Examples
    --------
    >>> import numpy as np
    >>> nearest(np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32), 2).indices.tolist()
    [0, 1, 1, 2, 1, 2]
    """
    n = len(X)
    if n > NEIGHBOURS_ROWS:
        raise BoundError(f"lists of neighbours of {n} rows take too long; at most {NEIGHBOURS_ROWS}; use cells instead")
    k = min(k, n)
    Q = fixed_point(X)
    values, columns = np.empty((n, k), np.float32), np.empty((n, k), np.int32)
    step = max(1, min(_ROWS, _BLOCK // max(1, n)))
    for a in range(0, n, step):
        S = Q[a : a + step] @ Q.T
        least = np.partition(S, n - k, axis=1)[:, n - k : n - k + 1]
        keep = least <= S
        surplus = keep.sum(axis=1) - k
        for i in np.flatnonzero(surplus):  # ties at the end of the list: the highest positions are left out
            keep[i, np.flatnonzero(S[i] == least[i])[-surplus[i] :]] = False
        columns[a : a + step] = np.nonzero(keep)[1].reshape(-1, k)
        values[a : a + step] = S[keep].reshape(-1, k)
    np.maximum(values, 0, out=values)
    ends = np.arange(n + 1, dtype=np.int64) * k
    return sparse.csr_matrix((values.ravel(), columns.ravel(), ends), shape=(n, n))


def make_cells(X: Matrix, count: int, rows: Positions | None = None) -> Clusters:
    """Return the cell of every row, 0 to count - 1, (m,) int32; a cell may be empty.

    Parameters
    ----------
    X : (n, d) float32
        Rows of length 1.
    count : int
        Number of cells.
    rows : (m,) int64, optional
        Positions of the rows to divide; all by default.

    Notes
    -----
    Five rounds on 64 rows a cell, taken at equal steps along X, then one pass. Nothing is random. Memory: the sample
    and 4096 x count similarities.

    Examples
    --------
    >>> import numpy as np
    >>> make_cells(np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32), 2).tolist()
    [0, 0, 1, 1]
    """
    rows = np.arange(len(X)) if rows is None else rows
    count = max(1, min(count, len(rows)))
    size = min(len(rows), SAMPLE * count)
    if not size:
        return np.empty(0, np.int32)
    centres = cell_centres(X[rows[np.arange(size) * len(rows) // size]], count)
    return np.concatenate([closest_cells(X[rows[a : a + _ROWS]], centres) for a in range(0, len(rows), _ROWS)])


def cell_centres(sample: Matrix, count: int) -> Matrix:
    """Return the centres, (count, d) float32 at fixed point, of cells of a sample of at least `count` unit rows.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32)
    >>> closest_cells(X, cell_centres(X, 2)).tolist()
    [0, 0, 1, 1]
    """
    Q, size = fixed_point(sample), len(sample)
    centres = Q[np.arange(count) * size // count]
    for _ in range(_ROUNDS):
        cell = np.concatenate([_closest(Q[a : a + _ROWS], centres) for a in range(0, size, _ROWS)])
        centres = _means(Q, cell, centres)
    return centres


def closest_cells(X: Matrix, centres: Matrix) -> Clusters:
    """Return the cell of each unit row, (n,) int32: the centre of the largest cosine, of equal ones the first."""
    return _closest(fixed_point(X), centres).astype(np.int32)


def _closest(Q: Matrix, centres: Matrix) -> Positions:
    cell: Positions = (Q @ centres.T).argmax(axis=1)
    return cell


def _means(Q: Matrix, cell: Positions, before: Matrix) -> Matrix:
    """Return the centres of the cells at fixed point; one without rows, or whose rows cancel out, keeps `before`."""
    count, d = before.shape
    sums = np.zeros((count, d))
    for a in range(0, len(Q), _ROWS):
        part = cell[a : a + _ROWS]
        members = sparse.csr_matrix((np.ones(len(part)), (part, np.arange(len(part)))), shape=(count, len(part)))
        sums += members @ Q[a : a + _ROWS].astype(np.float64)  # integers: exact in any order
    means = np.rint(sums / np.maximum(np.bincount(cell, minlength=count), 1)[:, None])
    length = np.sqrt((means * means).sum(axis=1))  # integers too
    moved = np.rint(means * (scale(d) / np.maximum(length, 1))[:, None]).astype(np.float32)
    return np.where(length[:, None] >= 1, moved, before)


def cell_members(X: Matrix, cells: Labels | None = None) -> list[Positions]:
    """Return the positions of each cell, ascending, (m,) int64 with m at most 4096; cells in order of their ids.

    Without ids, k-means gives cells of about 1000 rows. A cell of more than 4096 rows is split by k-means; a part that
    stays too large, as duplicates do, is cut in order of position.

    Raises
    ------
    InputError
        If there is not one cell id a row.

    Examples
    --------
    >>> import numpy as np
    >>> [m.tolist() for m in cell_members(np.eye(3, dtype=np.float32), np.array([7, 2, 7]))]
    [[1], [0, 2]]
    """
    if cells is None:
        cells = make_cells(X, -(-len(X) // CELL))
    if cells.shape != (len(X),):
        raise InputError(f"cells have the shape {cells.shape}; allowed is one id for each of {len(X)} rows; pass those")
    return [part for group in _groups(cells) for part in _split(X, group)]


def _groups(cells: Labels) -> list[Positions]:
    order = np.argsort(cells, kind="stable")
    return [g for g in np.split(order, np.flatnonzero(np.diff(cells[order])) + 1) if g.size]


def _split(X: Matrix, rows: Positions) -> list[Positions]:
    if len(rows) <= _CELL_LIMIT:
        return [rows]
    parts = [rows[group] for group in _groups(make_cells(X, -(-len(rows) // CELL), rows))]
    return [part[a : a + _CELL_LIMIT] for part in parts for a in range(0, len(part), _CELL_LIMIT)]
