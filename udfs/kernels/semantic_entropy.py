"""Entropy of a vector's softmax over cosine similarities to landmarks, the same bits in any batch at BLAS speed.

Unit vectors are rounded to multiples of 2^-11 and kept as float32 whole numbers: every partial sum of a scalar product
stays below 2^24, so the matrix product is exact in whatever order BLAS adds. It moves an entropy by about 1e-4 bits.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Matrix, Rows

GRID = 2048
#: Rows whose similarities to all landmarks are held at a time.
BLOCK = 128


def on_grid(unit_rows: Rows) -> Matrix:
    """Return unit vectors (n, d) in multiples of 2^-11, as float32 whole numbers."""
    grid: Matrix = np.rint(np.asarray(unit_rows, np.float32) * np.float32(GRID))
    return grid


class Landmarks:
    """Landmarks (m, d), unit vectors as float32; a vector that is one of them bit for bit is not compared with it.

    Examples
    --------
    >>> corners = np.eye(2, dtype=np.float32)
    >>> middle = np.full((1, 2), 0.5**0.5, np.float32)
    >>> Landmarks(corners).entropy(middle, tau=0.1).tolist(), Landmarks(corners).entropy(corners, tau=0.1).tolist()
    ([1.0], [0.0, 0.0])
    """

    def __init__(self, unit_rows: Matrix) -> None:
        self._grid = np.ascontiguousarray(on_grid(unit_rows).T)
        self._same: dict[bytes, list[int]] = {}
        for i, row in enumerate(unit_rows):
            self._same.setdefault(row.tobytes(), []).append(i)

    def entropy(self, unit_rows: Matrix, tau: float, nearest: int = 0) -> Floats:
        """Return (n,) bits, 0 to log2 of the landmarks compared with, NaN if none is left.

        Parameters
        ----------
        unit_rows : (n, d) float32
            Of length 1.
        tau : float
            Temperature of the softmax over cosines.
        nearest : int, default 0
            Only so many nearest landmarks count; 0 for all.
        """
        found = np.empty(len(unit_rows))
        for start in range(0, len(unit_rows), BLOCK):
            rows = np.ascontiguousarray(unit_rows[start : start + BLOCK])
            similarity = on_grid(rows) @ self._grid
            for i, row in enumerate(rows):
                if own := self._same.get(row.tobytes()):
                    similarity[i, own] = -np.inf
            found[start : start + BLOCK] = _entropy(similarity, tau, nearest)
        return found


def _entropy(similarity: Matrix, tau: float, nearest: int) -> Floats:
    """Return the entropy in bits of softmax(similarity / tau), rows of whole numbers, which are overwritten."""
    if 0 < nearest < similarity.shape[1]:
        similarity = np.sort(np.partition(similarity, -nearest, axis=1)[:, -nearest:], axis=1)
    largest = similarity.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # -inf - -inf: no landmark is left
        similarity -= largest
    similarity *= np.float32(1 / (tau * GRID * GRID))
    weights = np.exp(similarity)
    total = weights.sum(axis=1, dtype=np.float64)
    similarity[weights == 0] = 0  # 0 log 0 = 0
    weights *= similarity
    bits: Floats = (np.log(total) - weights.sum(axis=1, dtype=np.float64) / total) / np.log(2)
    return np.where(np.isneginf(largest[:, 0]), np.nan, np.maximum(bits, 0))
