"""Cosines of pairs of vectors, and for each vector the nearest of some others.

A float32 product proposes, float64 sums of a pair alone decide, so that what is returned depends on the two rows only.
Rows may have any length; one of length 0 has no direction, its cosines count as 0. Left out: indexes; every pair is
multiplied.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Matrix, Positions

#: Rows whose products with all others are held at a time.
_ROWS = 64
#: Distance in float32 within which another row may be the nearer one in float64.
_MARGIN = 1e-4


def cosines(a: Matrix, b: Matrix) -> Floats:
    """Return the cosine of each row of `a` with the same row of `b`, (n, d) and (n, d) -> (n,) float64.

    Examples
    --------
    >>> cosines(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])).tolist()
    [0.6, 0.0]
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    length = np.sqrt((x * x).sum(axis=1)) * np.sqrt((y * y).sum(axis=1))
    cosine: Floats = np.divide((x * y).sum(axis=1), length, out=np.zeros(len(x)), where=length > 0)
    return cosine


def nearest_rows(rows: Matrix, others: Matrix, own: Positions) -> tuple[Positions, Floats]:
    """Return for each row the position of the nearest of the others, the lowest of equal ones, and the cosine.

    Parameters
    ----------
    rows, others : (m, d) and (n, d) float32
    own : (m,) int64
        The position among the others that does not count for a row, itself; -1 for none.

    Returns
    -------
    nearest : (m,) int64
        -1, with the cosine NaN, where there is no other.

    Examples
    --------
    >>> X = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    >>> found, cosine = nearest_rows(X, X, np.arange(3))
    >>> found.tolist(), cosine.round(2).tolist()
    ([1, 0, 1], [0.8, 0.8, 0.6])
    """
    nearest, cosine = np.full(len(rows), -1, np.int64), np.full(len(rows), np.nan)
    y = _units(others)
    for a in range(0, len(rows) if len(others) else 0, _ROWS):
        product = _units(rows[a : a + _ROWS]) @ y.T
        mine = own[a : a + _ROWS]
        product[np.flatnonzero(mine >= 0), mine[mine >= 0]] = -np.inf
        for i, line in enumerate(product):
            best = line.max()
            if best == -np.inf:
                continue
            near = np.flatnonzero(line >= best - _MARGIN)
            exact = cosines(np.broadcast_to(rows[a + i], (len(near), rows.shape[1])), others[near])
            nearest[a + i], cosine[a + i] = near[exact.argmax()], exact.max()
    return nearest, cosine


def _units(rows: Matrix) -> Matrix:
    """Return rows of length 1 in float32; rows of length 0 as they are."""
    x = rows.astype(np.float64)
    length = np.sqrt((x * x).sum(axis=1, keepdims=True))
    unit: Matrix = np.divide(x, length, out=np.zeros_like(x), where=length > 0).astype(np.float32)
    return unit
