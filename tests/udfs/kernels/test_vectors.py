"""Unit and whole rows: cases by hand, a slow twin, and the same bits wherever a row stands."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lakesift.udfs.errors import ScoreError
from lakesift.udfs.kernels import vectors

NAN, INF = math.nan, math.inf


def test_by_hand() -> None:
    rows = np.array([[3, 4], [0, 0], [0, -2], [NAN, 1], [INF, 1], [-INF, NAN]], dtype=np.float64)
    found = vectors.unit_rows(rows)
    assert found.dtype == np.float32
    expected = np.array([[0.6, 0.8], [NAN, NAN], [0, -1], [NAN, NAN], [INF, 1], [NAN, NAN]], np.float32)
    np.testing.assert_array_equal(found, expected)
    whole = np.array([[3, 4], [0, 0], [0, -2], [NAN, NAN], [INF, 1], [NAN, NAN]], np.float32)
    np.testing.assert_array_equal(vectors.whole_rows(rows), whole)
    assert rows[3, 1] == 1, "the input was changed"


def test_the_undefined_row_is_one_pattern_of_bits() -> None:
    rows = np.array([[0.0, 0.0], [-NAN, 1.0], [1.0, NAN]])
    assert len({row.tobytes() for row in vectors.unit_rows(rows)}) == 1
    assert len({row.tobytes() for row in vectors.whole_rows(rows[1:])}) == 1


@pytest.mark.parametrize("width", [1, 2, 7, 256, 1000])
def test_as_a_slow_twin_has_it_and_of_length_one(width: int) -> None:
    rows = np.random.default_rng(width).standard_cauchy((200, width)).astype(np.float32)
    found = vectors.unit_rows(rows)
    for row, unit in zip(rows.tolist(), found, strict=True):
        length = math.sqrt(math.fsum(x * x for x in row))
        np.testing.assert_allclose(unit, [x / length for x in row], rtol=1e-7)
        assert abs(math.sqrt(math.fsum(float(x) ** 2 for x in unit)) - 1) < 1e-6


def test_lengths_at_the_ends_of_float32() -> None:
    huge, tiny = np.finfo(np.float32).max, np.float32(1e-45)
    found = vectors.unit_rows(np.array([[huge, huge], [tiny, 0]], np.float32))
    np.testing.assert_allclose(found, [[math.sqrt(0.5)] * 2, [1, 0]], rtol=1e-7)


@pytest.mark.parametrize("width", [1, 3, 8, 129])
def test_a_row_has_the_same_bits_wherever_it_stands(width: int) -> None:
    draw = np.random.default_rng(1)
    rows = draw.normal(size=(vectors.BLOCK + 700, width)).astype(np.float32)
    whole = vectors.unit_rows(rows)
    order = draw.permutation(len(rows))
    np.testing.assert_array_equal(vectors.unit_rows(rows[order]), whole[order])
    np.testing.assert_array_equal(vectors.unit_rows(np.asfortranarray(rows)), whole)
    np.testing.assert_array_equal(vectors.unit_rows(np.repeat(rows, 2, axis=1)[:, ::2]), whole)
    for start in (0, 5, 2_047, 2_700):
        np.testing.assert_array_equal(vectors.unit_rows(rows[start : start + 1]), whole[start : start + 1])


def test_vectors_from_outside() -> None:
    found = vectors.as_vectors(np.array([[1, 2], [3, 4]], np.int64), 2)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.isinf(vectors.as_vectors(np.array([[1e300]]))).all(), "the edge names the id of an infinite value"
    assert vectors.as_vectors(np.empty((0, 0))).shape == (0, 0)
    other = vectors.as_vectors(np.ones((2, 3)), 4)
    assert (other.shape, np.isnan(other).all()) == ((2, 4), True)


@pytest.mark.parametrize(
    ("values", "width", "said"),
    [
        (["a", "b"], 0, "vectors are needed, got values of type <U1 in 1 dim"),
        (np.ones(3), 0, "vectors are needed, got values of type float64 in 1 dim"),
        (np.array([["a"]]), 0, "vectors are needed, got values of type <U1 in 2 dim"),
        (np.ones((2, 0)), 0, "vectors of 0 elements were given, at least 1 is needed"),
    ],
)
def test_what_is_no_vector_is_refused(values: object, width: int, said: str) -> None:
    with pytest.raises(ScoreError, match=said):
        vectors.as_vectors(values, width)
