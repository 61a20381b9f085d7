"""Squared distances of rows to the nearest of some picks, in float64: the same bits in any batch, on any machine.

A float32 product of rows and picks only proposes pairs: all that may be the nearest, whatever its rounding errors.
Their ((x - p)**2).sum() in float64 decides.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Matrix, Positions
from ..errors import InputError

#: Rows whose length, and pairs whose distance is computed in float64 at a time.
_ROWS, _PAIRS = 4096, 4096
#: Float32 distances that are compared before.
_PROPOSED = 1 << 22
#: Largest squared length of a row that float32 holds with room for sums of four.
_LARGEST_SQ = 1e36


def squared_lengths(X: Matrix) -> Matrix:
    """Return the squared length of every row, (n, d) -> (n,) float32.

    Raises
    ------
    InputError
        If a value is not finite, or a row too long for float32.
    """
    square = np.empty(len(X), np.float32)
    with np.errstate(over="ignore"):  # an infinite length is refused below
        for a in range(0, len(X), _ROWS):
            square[a : a + _ROWS] = np.einsum("ij,ij->i", *2 * [X[a : a + _ROWS]], dtype=np.float64)
    if len(X) and not square.max() <= _LARGEST_SQ:
        raise InputError(
            f"a row of the matrix has the squared length {square.max()}; allowed are finite values up to "
            f"{_LARGEST_SQ:g}; drop undefined rows and scale the vectors"
        )
    return square


def margins(square: Matrix, longest_sq: float, d: int) -> Floats:
    """Return by how much float32 may be off in the squared distance of a row to one that is no longer than the longest.

    Of ||x||^2 + ||p||^2 - 2 x.p for any order of summation: the product is off by at most d u ||x|| ||p||, the other
    terms by a few u (||x|| + ||p||)^2, u = 2^-24; the last term covers underflow.
    """
    length = np.sqrt(square.astype(np.float64))
    wide: Floats = 1.01 * (d / 2 + 8) * 2.0**-24 * (length + np.sqrt(longest_sq)) ** 2 + d * 1e-37
    return wide


def nearest_sq(X: Matrix, rows: Positions, margin: Floats, picks: Matrix, square: Matrix) -> Floats:
    """Return the squared distances of rows at `rows` of X to the nearest of the picks.

    Parameters
    ----------
    margin : (n,) float64
        `margins` of the rows of X.
    square : (b,) float32
        Squared lengths of the picks, of which there is at least one.
    """
    nearest = np.full(len(rows), np.inf)
    step = max(1, _PROPOSED // max(1, len(picks)))
    for a in range(0, len(rows), step):
        block = rows[a : a + step]
        proposed = picks @ (-2 * X[block]).T
        proposed += square[:, None]
        pick, row = np.nonzero(proposed <= proposed.min(axis=0) + 2 * margin[block])
        for b in range(0, len(row), _PAIRS):
            i, p = row[b : b + _PAIRS], pick[b : b + _PAIRS]
            np.minimum.at(nearest, a + i, _distances(X[block[i]], picks[p]))
    return nearest


def distances_sq(X: Matrix, picks: Matrix) -> Floats:
    """Return the squared distance of every row to the nearest of the picks, (n, d) and (b, d) -> (n,) float64.

    Examples
    --------
    >>> distances_sq(np.array([[0], [5], [9]], np.float32), np.array([[1], [7]], np.float32)).tolist()
    [1.0, 4.0, 4.0]
    """
    square, theirs = squared_lengths(X), squared_lengths(picks)
    longest = float(max(square.max(initial=0), theirs.max(initial=0)))
    return nearest_sq(X, np.arange(len(X)), margins(square, longest, X.shape[1]), picks, theirs)


def _distances(a: Matrix, b: Matrix) -> Floats:
    """Return squared distances of rows to rows, (m, d) and (m, d) -> (m,): the same bits in any batch."""
    difference = a.astype(np.float64)
    difference -= b
    difference *= difference
    return difference.sum(axis=1, out=np.empty(len(a)))
