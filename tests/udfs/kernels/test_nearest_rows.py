"""Cosines and nearest rows against a plain float64 reading, with ties, zeros and rows that are their own."""

from __future__ import annotations

import numpy as np

from lakesift.udfs.kernels.near_duplicates import deita, displaced_by_kept
from lakesift.udfs.kernels.nearest_rows import cosines, nearest_rows

RNG = np.random.default_rng(3)


def plain(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """All cosines in float64, 0 for rows of length 0."""
    with np.errstate(invalid="ignore"):
        units = [a.astype(float) / np.linalg.norm(a.astype(float), axis=1, keepdims=True) for a in (x, y)]
    return np.nan_to_num(units[0]) @ np.nan_to_num(units[1]).T


def test_nearest_rows_are_those_of_all_pairs() -> None:
    others = RNG.normal(size=(150, 5)).astype(np.float32)
    others[20], others[21] = 0, others[3]
    rows = np.concatenate([others[:100], RNG.normal(size=(30, 5)).astype(np.float32) * 1e-3])
    own = np.concatenate([np.arange(100), np.full(30, -1)])
    nearest, cosine = nearest_rows(rows, others, own)
    exact = plain(rows, others)
    exact[np.arange(100), np.arange(100)] = -2
    np.testing.assert_allclose(cosine, exact.max(axis=1), atol=1e-12)
    np.testing.assert_allclose(exact[np.arange(130), nearest], exact.max(axis=1), atol=1e-12)
    assert (nearest[3], nearest[21]) == (21, 3)
    assert (nearest != own).all()


def test_where_there_is_no_other_row_there_is_no_nearest() -> None:
    one = np.array([[1.0, 2.0]], np.float32)
    for others, own in ((one[:0], -1), (one, 0)):
        nearest, cosine = nearest_rows(one, others, np.array([own]))
        assert nearest.tolist() == [-1]
        assert np.isnan(cosine).all()
    assert len(nearest_rows(one[:0], one, np.array([], int))[0]) == 0
    assert cosines(np.array([[1e200, 0.0]]) / 1e180, np.array([[1.0, 0.0]])).tolist() == [1.0]


def test_rows_that_deita_leaves_out_are_displaced_by_a_kept_one_before_them() -> None:
    X = RNG.normal(size=(2500, 3)).astype(np.float32)
    order = RNG.permutation(2500)
    place = np.argsort(order)
    for budget in (40, None):
        kept, walked = deita(X, order, 0.98, budget)
        by = displaced_by_kept(X, order, kept, 0.98)
        assert (by[kept] == -1).all()
        passed_over = np.setdiff1d(order[:walked], kept)
        assert (by[passed_over] >= 0).all(), "every row that was walked past has a reason"
        out = np.flatnonzero(by >= 0)
        assert (place[by[out]] < place[out]).all()
        assert np.isin(by[out], kept).all()
        assert (cosines(X[out], X[by[out]]) > 0.98).all()
