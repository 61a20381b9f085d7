"""sampled_entropy without its models: how continuations are grouped, and what is checked before a run."""

from __future__ import annotations

import numpy as np
import pytest

from lakesift.udfs.errors import RecipeError, ScoreError
from lakesift.udfs.scores.sampled_entropy import SampledEntropy, share_entropy


def test_groups_by_hand() -> None:
    east, north = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    between = np.array([np.cos(np.pi / 4), np.sin(np.pi / 4)])
    assert share_entropy(np.array([east] * 5), 0.5) == 0
    assert share_entropy(np.array([east, north]), 0.5) == 1
    # Each joins the first group whose first member is near: `between` goes to the east, whatever comes later.
    assert share_entropy(np.array([east, between, north, north]), 0.5) == 1
    assert share_entropy(np.array([between, east, north, north]), 0.5) == 0
    assert share_entropy(np.array([east, north, between, between]), 0.9) == 1.5
    assert share_entropy(np.array([east, east, east, north]), 0.5) == pytest.approx(0.811278124459)


def test_what_is_refused() -> None:
    with pytest.raises(RecipeError, match="samples is 1; a whole number from 2 to 64 is needed"):
        SampledEntropy(samples=1)
    with pytest.raises(ScoreError, match="was declared with model files 'other'"):
        SampledEntropy(identity="other").kernel()
