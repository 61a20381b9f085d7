"""Turns rows of numbers into float32 vectors, scaled to length 1 or as they are, each from its own row alone.

Norms are float64 sums over a row's contiguous elements: the same bits in any batch. NaN anywhere in a row makes the
whole row undefined; infinity is left to the Spark edge, which raises and names the id. Ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Matrix, Rows
from ..errors import ScoreError

BLOCK = 2048


def as_vectors(values: Any, width: int = 0) -> Matrix:
    """Return vectors of a source column as float32 (n, d), C-ordered; values beyond float32's range become infinite.

    Parameters
    ----------
    values : (n, d) array of numbers
    width : int, default 0
        The d that is wanted: rows of another length are undefined, NaN throughout. 0 accepts any length but 0.

    Raises
    ------
    ScoreError
        If they are not rows of numbers, or the rows have no elements.

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


def whole_rows(rows: Rows) -> Matrix:
    """Return float32 rows; a row with NaN anywhere is NaN throughout.

    Examples
    --------
    >>> whole_rows(np.array([[1.0, 2.0], [np.nan, 2.0]])).tolist()
    [[1.0, 2.0], [nan, nan]]
    """
    vectors = rows.astype(np.float32)
    vectors[np.isnan(vectors).any(axis=1)] = np.nan
    return vectors


def check_width(vectors: Any, width: int, fitted: str, of: str) -> None:
    """Raise ScoreError unless vectors are (n, width): as long as those that a model was fitted on.

    Examples
    --------
    >>> check_width(np.ones((1, 3)), 2, "centroids", "vector")
    Traceback (most recent call last):
    ...
    lakesift.udfs.errors.ScoreError: a vector of 3 values met centroids of 2; both must have one length; check the \
score or column 'vector', or fit again with --refit
    """
    if vectors.ndim != 2 or vectors.shape[1] != width:
        raise ScoreError(
            f"a vector of {vectors.shape[-1]} values met {fitted} of {width}; both must have one length; check the "
            f"score or column {of!r}, or fit again with --refit"
        )


def unit_rows(rows: Rows) -> Matrix:
    """Return rows scaled to length 1 (within 1e-6), float32 (n, d).

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
    vectors = np.empty(rows.shape, np.float32)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK].astype(np.float64, order="C")
        with np.errstate(over="ignore", invalid="ignore"):
            length = np.sqrt((part * part).sum(axis=1))
        finite = np.isfinite(length) & (length > 0)
        part /= np.where(finite, length, 1.0)[:, None]
        part[np.isnan(length) | (length == 0)] = np.nan
        with np.errstate(over="ignore"):
            vectors[start : start + BLOCK] = part
    return vectors
