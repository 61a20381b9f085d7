"""Rows of vectors: made unit vectors or taken as they are, float32, each from its own row alone.

Norms are float64 sums over a row's contiguous elements: the same bits in any batch. NaN anywhere in a row makes the
whole row undefined; infinity is left for the Spark edge, which raises and names the id. Ours: nothing published.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScoreError

Vectors = NDArray[np.float32]

BLOCK = 2048


def as_vectors(values: Any, width: int = 0) -> Vectors:
    """Return vectors that came from outside as float32 (n, d), C-ordered; beyond float32's range they turn infinite.

    Parameters
    ----------
    values : (n, d) array of numbers
    width : int, default 0
        The d that is asked for: rows of another length are undefined, NaN throughout. 0 takes any length but 0.

    Raises
    ------
    ScoreError
        If they are not rows of numbers, or have no elements.

    Examples
    --------
    >>> as_vectors([[1, 2]]).tolist()
    [[1.0, 2.0]]
    >>> as_vectors(["a text"])
    Traceback (most recent call last):
    ...
    lakesift.udfs.errors.ScoreError: vectors are needed, got values of type <U6 in 1 dimension(s); allowed is an array \
of numbers per row; name a column of arrays with of:
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise ScoreError(
            f"vectors are needed, got values of type {array.dtype} in {array.ndim} dimension(s); "
            "allowed is an array of numbers per row; name a column of arrays with of:"
        )
    if width and array.shape[1] != width:
        return np.full((len(array), width), np.nan, np.float32)
    if len(array) and not array.shape[1]:
        raise ScoreError(
            "vectors of 0 elements were given, at least 1 is needed; "
            "set dimensions: to have rows of another length undefined, or exclude them"
        )
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def whole_rows(rows: NDArray[np.floating]) -> Vectors:
    """Return float32 rows; one with NaN anywhere is NaN throughout.

    Examples
    --------
    >>> whole_rows(np.array([[1.0, 2.0], [np.nan, 2.0]])).tolist()
    [[1.0, 2.0], [nan, nan]]
    """
    found = rows.astype(np.float32)
    found[np.isnan(found).any(axis=1)] = np.nan
    return found


def unit_rows(rows: NDArray[np.floating]) -> Vectors:
    """Return rows of length 1 (to 1e-6), float32 (n, d).

    Parameters
    ----------
    rows : (n, d) float32 or float64
        Not changed.

    Returns
    -------
    (n, d) float32; NaN throughout for a row of zeros and for one with NaN; a row with an infinite element keeps it.

    Examples
    --------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [nan, nan]]
    """
    found = np.empty(rows.shape, np.float32)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK].astype(np.float64, order="C")
        with np.errstate(over="ignore", invalid="ignore"):
            length = np.sqrt((part * part).sum(axis=1))
        finite = np.isfinite(length) & (length > 0)
        part /= np.where(finite, length, 1.0)[:, None]
        part[np.isnan(length) | (length == 0)] = np.nan
        with np.errstate(over="ignore"):
            found[start : start + BLOCK] = part
    return found
