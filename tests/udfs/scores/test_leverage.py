"""Leverage: equal to the thin SVD's, whatever the batches; what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from lakesift.udfs.errors import BoundError, InputError
from lakesift.udfs.scores.leverage import Leverage
from tests.udfs.kernels.twins_regression import leverage_scores
from tests.udfs.scores.conftest import fit_locally


def fitted(vectors: np.ndarray) -> np.ndarray:
    model = fit_locally(Leverage(), {"documents": {"vector": vectors}})
    return model.kernel()(vectors)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 300.0])
def test_it_equals_the_singular_vectors(scale: float) -> None:
    x = np.random.default_rng(1).standard_t(3, size=(500, 12)) * scale
    expected = leverage_scores(np.column_stack([x, np.ones(len(x))]))
    np.testing.assert_allclose(fitted(x), expected, rtol=2e-4, atol=2e-5)
    assert abs(fitted(x).sum() - 13) < 1e-3


def test_a_direction_that_is_not_there_counts_for_nothing() -> None:
    x = np.random.default_rng(2).normal(size=(300, 3))
    twice = np.column_stack([x, x[:, 0]])
    np.testing.assert_allclose(fitted(twice), fitted(x), rtol=1e-3, atol=1e-4)


def test_what_it_refuses() -> None:
    with pytest.raises(InputError, match="no document has a defined vector"):
        fitted(np.full((3, 2), np.nan))
    with pytest.raises(BoundError, match="at most 600"):
        fitted(np.zeros((2, 601)))
