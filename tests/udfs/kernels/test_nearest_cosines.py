"""Mean cosine to the nearest targets against plain numpy: shapes, near-ties, magnitudes; the same bits in any batch."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from lakesift.udfs.kernels import nearest_cosines
from lakesift.udfs.kernels.nearest_cosines import NearestCosines


def plain(x: np.ndarray, targets: np.ndarray, nearest: int) -> np.ndarray:
    """Every cosine in float64."""
    a, b = (np.asarray(m, np.float32).astype(np.float64) for m in (x, targets))
    cosines = (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    return np.sort(cosines, axis=1)[:, -nearest:].mean(axis=1)


@pytest.mark.parametrize(("rows", "targets", "width"), [(300, 40, 16), (5000, 7, 256), (40, 3000, 64), (3, 1, 1)])
@pytest.mark.parametrize("nearest", [1, 3, 50])
def test_it_equals_every_cosine_in_float64(rows: int, targets: int, width: int, nearest: int) -> None:
    rng = np.random.default_rng(rows)
    x, t = (rng.normal(size=(n, width)).astype(np.float32) for n in (rows, targets))
    np.testing.assert_allclose(NearestCosines(t, nearest)(x), plain(x, t, nearest), rtol=0, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e18])
def test_targets_that_float32_cannot_tell_apart_are_told_apart(scale: float) -> None:
    """Cosines that differ by 1e-9: a product in float32 orders them by its rounding."""
    rng = np.random.default_rng(3)
    base = rng.normal(size=96)
    t = (base + 1e-5 * rng.normal(size=(400, 96))).astype(np.float32)
    x = (scale * (base + 0.3 * rng.normal(size=(200, 96)))).astype(np.float32)
    found = NearestCosines(t, 3)(x)
    np.testing.assert_allclose(found, plain(x, t, 3), rtol=0, atol=1e-13)
    in_float32 = np.sort((x / np.linalg.norm(x, axis=1)[:, None]) @ (t / np.linalg.norm(t, axis=1)[:, None]).T, axis=1)
    assert np.abs(in_float32[:, -3:].mean(axis=1) - found).max() > 1e-9, "else the case shows nothing"


def test_the_same_bits_in_any_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    x, t = rng.normal(size=(301, 48)).astype(np.float32), rng.normal(size=(90, 48)).astype(np.float32)
    x[200:] = x[0] + 1e-6 * x[200:]
    whole = NearestCosines(t, 3)(x)
    for size in (1, 7, 64, 300):
        parts = [NearestCosines(t, 3)(x[a : a + size]) for a in range(0, len(x), size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    order = rng.permutation(len(x))
    assert NearestCosines(t[rng.permutation(90)], 3)(x[order]).tobytes() == whole[order].tobytes()
    monkeypatch.setattr(nearest_cosines, "_COSINES", 100)
    monkeypatch.setattr(nearest_cosines, "_PAIRS", 5)
    assert NearestCosines(t, 3)(x).tobytes() == whole.tobytes()


def test_limits_and_undefined_rows() -> None:
    t = np.eye(3, dtype=np.float32)
    x = np.array([[0, 0, 0], [1, np.nan, 0], [np.inf, 0, 0], [2, 0, 0], [-1, -1, -1], [1e300, 0, 0]])
    found = NearestCosines(t, 1)(x)
    np.testing.assert_allclose(found, [np.nan, np.nan, np.nan, 1, -(3**-0.5), np.nan])
    assert NearestCosines(t, 1)(np.empty((0, 3))).shape == (0,)
    rng = np.random.default_rng(6)
    same = rng.normal(size=(500, 40)).astype(np.float32)
    equal = NearestCosines(same, 1)(same)
    assert (equal <= 1).all()
    np.testing.assert_allclose(equal, 1, rtol=0, atol=1e-15)


@pytest.mark.parametrize("spread", [1.0, 1e-7])
def test_memory_is_bounded_however_many_rows_and_however_alike_the_targets(spread: float) -> None:
    """600 rows x 20 000 targets would be two times 48 MB; 150 rows that are compared with all once more, 200 MB."""
    rng = np.random.default_rng(7)
    t = (rng.normal(size=4) + spread * rng.normal(size=(20_000, 4))).astype(np.float32)
    x = rng.normal(size=(600 if spread == 1 else 150, 4)).astype(np.float32)
    targets = NearestCosines(t, 3)
    tracemalloc.start()
    targets(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 70e6
