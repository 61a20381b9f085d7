"""Classifiers of a search: what can be learnt is learnt, the same again, and from the rows they are given alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from lakesift.udfs.errors import PlatformError
from lakesift.udfs.models import files
from lakesift.udfs.models.learners import LEARNERS, check_learner
from tests.fetched import fetched


@dataclass
class Rows:
    labels: np.ndarray
    vectors: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    texts: list[str] = field(default_factory=list)


def blobs(n: int = 300) -> Rows:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    vectors = np.eye(3)[labels] + 0.3 * rng.normal(size=(n, 3))
    return Rows(labels, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_logistic_learns_and_repeats() -> None:
    learner = LEARNERS["logistic"](blobs())
    train, ask = np.arange(200), np.arange(200, 300)
    assert learner(train, ask, 1) == learner(train, ask, 2) > 0.95
    assert 0.2 < learner(np.arange(0, 200, 3), ask, 1) < 0.5  # rows of one class: it says that class


def test_logistic_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> Any:
        raise ImportError(f"no package {name}")

    monkeypatch.setattr(files.importlib, "import_module", without)
    with pytest.raises(PlatformError, match=r"sklearn.*on the driver; run pip install 'lakesift\[tune\]' there"):
        check_learner("logistic")


def test_finetune_learns_two_topics() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    fetched("minilm")
    weather = [f"The {word} over the hills was heavy this week" for word in ("rain", "snow", "fog", "wind", "hail")]
    kitchen = [
        f"Stir the {word} into the pan and let it simmer" for word in ("onion", "rice", "sauce", "butter", "stew")
    ]
    texts = [f"{t} {i}" for i in range(8) for t in (*weather, *kitchen)]
    labels = np.array([0] * 5 + [1] * 5)
    learner = LEARNERS["finetune"](Rows(np.tile(labels, 8), texts=texts))
    train, ask = np.arange(60), np.arange(60, 80)
    assert learner(train, ask, 1) == learner(train, ask, 1) > 0.9
