"""Semantic entropy: known values, the formula in float64, the same bits in any batch, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lakesift.udfs.kernels.semantic_entropy import GRID, Landmarks, on_grid


def unit_rows(n: int, d: int = 32, seed: int = 0) -> NDArray[np.float32]:
    """Return random directions around a common one, as embeddings are."""
    x = np.random.default_rng(seed).normal(size=(n, d)) + 1
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def formula(
    x: NDArray[np.float32], landmarks: NDArray[np.float32], tau: float, nearest: int, scaled: Callable[[Any], Any]
) -> list[float]:
    """Return the entropy of softmax(cosine / tau) in float64, row by row, own copies left out."""

    def rounded(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(scaled(rows), np.float64) / GRID

    found = []
    for row in x:
        others = landmarks[(landmarks != row).any(axis=1)]
        cosine = np.sort(rounded(others) @ rounded(row))[-nearest:]
        p = np.exp((cosine - cosine.max()) / tau)
        p /= p.sum()
        found.append(-(p * np.log2(np.maximum(p, 1e-300))).sum())
    return found


@pytest.mark.parametrize(("tau", "nearest", "rounding"), [(0.1, 0, 1e-3), (0.02, 0, 0.02), (0.02, 50, 0.02)])
def test_it_is_the_formula(tau: float, nearest: int, rounding: float) -> None:
    landmarks, x = unit_rows(300), np.concatenate([unit_rows(40, seed=1), unit_rows(300)[:20]])
    found = Landmarks(landmarks).entropy(x, tau, nearest)
    np.testing.assert_allclose(found, formula(x, landmarks, tau, nearest, on_grid), rtol=1e-5)
    np.testing.assert_allclose(found, formula(x, landmarks, tau, nearest, lambda rows: rows * GRID), atol=rounding)


def test_products_are_exact() -> None:
    x, y = (on_grid(unit_rows(50, 1024, seed)) for seed in (0, 1))
    assert ((x @ y.T).astype(np.int64) == x.astype(np.int64) @ y.astype(np.int64).T).all()
    assert (np.abs(x) @ np.abs(y).T).max() < 2**24
    assert np.abs(np.linalg.norm(x / GRID, axis=1) - 1).max() < 0.02


def test_a_row_has_the_same_bits_alone_and_among_others() -> None:
    landmarks, x = Landmarks(unit_rows(700)), unit_rows(300, seed=2)
    for nearest in (0, 20):
        whole = landmarks.entropy(x, 0.1, nearest)
        order = np.random.default_rng(0).permutation(len(x))
        assert landmarks.entropy(x[order], 0.1, nearest).tobytes() == whole[order].tobytes()
        alone = np.concatenate([landmarks.entropy(x[i : i + 1], 0.1, nearest) for i in range(len(x))])
        assert alone.tobytes() == whole.tobytes()


def test_limits() -> None:
    row = unit_rows(1)
    alike = Landmarks(np.repeat(unit_rows(1, seed=5), 64, axis=0))
    assert alike.entropy(row, 0.1).tolist() == [6.0]
    spread = Landmarks(np.eye(32, dtype=np.float32))
    falling = [float(spread.entropy(row, tau)[0]) for tau in (10.0, 0.1, 0.01, 1e-5)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] == pytest.approx(5, abs=1e-3)
    assert falling[-1] == 0


def test_every_copy_of_the_row_is_left_out() -> None:
    row, others = unit_rows(1), unit_rows(7, seed=3)
    with_copies = Landmarks(np.concatenate([row, others, row]))
    assert with_copies.entropy(row, 0.1).tolist() == Landmarks(others).entropy(row, 0.1).tolist()
    assert np.isnan(Landmarks(np.repeat(row, 3, axis=0)).entropy(row, 0.1)).all()
