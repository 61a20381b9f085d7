"""target_similarity: against plain numpy over encoded texts, what counts of a target, relevance, and its errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lakesift.udfs.errors import BoundError, InputError, RecipeError, ScoreError
from lakesift.udfs.scorer import fingerprint
from lakesift.udfs.scores import target_similarity
from lakesift.udfs.scores.embedding import Embedding
from lakesift.udfs.scores.target_similarity import TargetSimilarity, TargetSimilarityScorer, TargetVectors
from tests.texts import ODD, functions, human_eval
from tests.udfs.scores.conftest import TARGET, fit_locally

SMALL = {"encoder": "hashed_ngrams", "dimensions": 64}


def fitted(texts: list[str], **parameters: Any) -> TargetSimilarityScorer:
    scorer = fit_locally(TargetSimilarity(target=TARGET, **{**SMALL, **parameters}), {TARGET: {"text": texts}})
    assert isinstance(scorer, TargetSimilarityScorer)
    return scorer


def embedded(texts: list[str], **parameters: Any) -> np.ndarray:
    vectors: np.ndarray = Embedding(**{**SMALL, **parameters}).kernel()(texts)
    return vectors


@pytest.mark.parametrize("encoder", [{}, {"encoder": "wordllama", "dimensions": 64}], ids=["hashed", "wordllama"])
def test_it_is_the_mean_of_the_largest_cosines(encoder: dict[str, Any]) -> None:
    x, t = (embedded(texts, **encoder).astype(np.float64) for texts in (functions(80), human_eval(25)))
    cosines = (x @ t.T) / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(t, axis=1)
    for nearest in (1, 3, 25, 1000):
        expected = np.sort(cosines, axis=1)[:, -nearest:].mean(axis=1)
        found = fitted(human_eval(25), nearest=nearest, **encoder).kernel()(x.astype(np.float32))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_repeated_texts_and_texts_without_a_vector_change_nothing_but_the_counts() -> None:
    texts = human_eval(8)
    scorer, again = fitted(texts), fitted([*ODD[:1], *texts[::-1], *texts[:3], "\ud800 lone"])
    assert again.vectors.tobytes() == scorer.vectors.tobytes()
    assert (scorer.read(), again.read()) == ((8, 0), (13, 2))
    assert scorer.notes() == []
    assert again.notes() == ["2 of 13 texts of the target have no vector and are not compared with"]
    assert again.summary() == {"texts": 13, "without_vector": 2, "vectors": 8, "encoder": "hashed_ngrams"}
    assert fitted(texts[:2], nearest=5).notes() == [
        "nearest is 5 and the target has 2 different texts: the mean is over all of them"
    ]


def test_the_fingerprint_has_the_target_the_encoder_and_the_rows_vectors() -> None:
    texts, reads = human_eval(4), {"vector": "f1"}
    prints = [
        fingerprint(fitted(texts, **changes), reads)
        for changes in ({}, {"nearest": 2}, {"dimensions": 65}, {"encoder": "wordllama"})
    ]
    prints += [fingerprint(fitted(texts[:3]), reads), fingerprint(fitted(texts), {"vector": "f2"})]
    assert len(set(prints)) == len(prints)


def test_rows_like_the_target_come_first_whatever_their_length() -> None:
    """Halves and wholes of tasks among functions: their cosines are above nearly all of the functions'."""
    tasks = human_eval(60)
    rows = [*functions(200), *tasks[30:45], *(task[: len(task) // 2] for task in tasks[45:])]
    found = fitted(tasks[:30], encoder="wordllama", dimensions=0).kernel()(
        embedded(rows, encoder="wordllama", dimensions=0)
    )
    assert len(set(np.argsort(-found)[:30].tolist()) & {*range(200, 230)}) >= 15, "4 are expected by chance"


def test_what_it_reads() -> None:
    estimator = TargetSimilarity(of="mine", target="wanted")
    assert (estimator.inputs, estimator.fits_on, estimator.takes) == (("mine",), ("wanted",), "vector")
    estimator.check_read("mine", Embedding())
    with pytest.raises(
        RecipeError, match=r"'mine' is made by encoder wordllama with 64 dimensions, .* wordllama with 256"
    ):
        estimator.check_read("mine", Embedding(dimensions=64))
    with pytest.raises(RecipeError, match="'mine' is made by encoder column with 256 dimensions"):
        estimator.check_read("mine", Embedding(of="v", encoder="column", dimensions=256))
    with pytest.raises(ScoreError, match="a vector of 3 values met the target's texts of 64"):
        fitted(["a b"]).kernel()(np.ones((1, 3), np.float32))


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"target": ""}, "target_similarity: target is ''; the name of a target is needed"),
        ({"nearest": 0}, "nearest is 0; a whole number from 1 to 1,000 is needed; the default is 3"),
        ({"encoder": "column"}, "encoder is 'column'; allowed: hashed_ngrams, minilm, wordllama"),
        ({"dimensions": 300}, "dimensions 300 is no width of encoder wordllama"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        TargetSimilarity(**{"target": TARGET, **parameters})


def test_targets_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="none of 0 texts of target 'target' has a vector"):
        fitted([])
    with pytest.raises(InputError, match="none of 2 texts of target 'target' has a vector"):
        fitted(["", "\ud800"])
    fold = TargetVectors("hashed_ngrams", 64)
    fold.unicode = "9.0.0"
    with pytest.raises(ScoreError, match=r"was defined with Unicode 9\.0\.0"):
        fold.add(fold.zero(), ["a"])
    fold = TargetVectors("hashed_ngrams", 64)
    monkeypatch.setattr(target_similarity, "_BYTES", 3 * 256)
    three = fold.add(fold.zero(), ["a", "b", "c", "a"])
    assert (len(three.vectors), three.texts) == (3, 4)
    with pytest.raises(BoundError, match="at least 4 different texts, the bound is 65,000 and 768 bytes"):
        fold.merge(three, fold.add(fold.zero(), ["d"]))
    monkeypatch.setattr(target_similarity, "_TARGETS", 2)
    with pytest.raises(BoundError, match="at least 3 different texts, the bound is 2 and"):
        fold.add(fold.zero(), ["a", "b", "c"])
