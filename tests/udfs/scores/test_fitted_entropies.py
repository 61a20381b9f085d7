"""ngram_entropy and semantic_entropy as estimators: cross-fitting, bounds, landmarks, clusters."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lakesift.udfs.errors import BoundError, InputError, RecipeError, ScoreError
from lakesift.udfs.scores import ngram_entropy
from lakesift.udfs.scores.ngram_entropy import NgramEntropy, NgramEntropyScorer
from lakesift.udfs.scores.semantic_entropy import SemanticEntropy, SemanticEntropyScorer
from tests.texts import functions, instructions


def fit_on(texts: Sequence[str], **parameters: Any) -> NgramEntropyScorer:
    """Fit on a pool of texts."""
    return NgramEntropy(**parameters).fit(lambda f, _: f.add(f.zero(), texts))


def test_copies_in_the_pool_do_not_make_a_text_fluent() -> None:
    pool = functions(120)
    once, often = fit_on(pool).kernel(), fit_on([*pool, *pool[:3] * 100]).kernel()
    for name, values in once(pool).items():
        assert values.tobytes() == often(pool)[name].tobytes()


def test_a_text_is_scored_by_the_half_that_never_saw_it() -> None:
    pool = functions(120)
    scorer = fit_on(pool)
    assert scorer == fit_on(pool[::-1])
    swapped = NgramEntropyScorer.of_tables("text", 0, scorer.tables()[::-1]).kernel()(pool)["nll_bits"]
    assert (swapped < scorer.kernel()(pool)["nll_bits"]).mean() > 0.9, "each half knows its own texts by heart"


@pytest.mark.parametrize(("name", "share"), [("functions", 0.8), ("gpteacher/roleplay", 0.95)])
def test_fluent_is_below_the_same_words_shuffled(name: str, share: float) -> None:
    pool = [" ".join(text.split()) for text in functions(3000)] if name == "functions" else instructions(name)
    if not pool:
        pytest.skip("../shared/data is not here")
    draw, scorer = np.random.default_rng(0), fit_on(pool).kernel()
    plain = [text for text in pool if len(text.split()) >= 20][:200]
    shuffled = [" ".join(draw.permutation(text.split())) for text in plain]
    assert (scorer(plain)["nll_bits"] < scorer(shuffled)["nll_bits"]).mean() >= share


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 0), ("a", 1), ("       ", 7), ("?!?!?!?!", 8), ("\ud800 is no text", np.nan), ("ü" * 20_000, 32_768)],
)
def test_odd_rows(text: str, size: float) -> None:
    found = fit_on(functions(40)).kernel()([text])
    np.testing.assert_equal(found["bytes_scored"][0], size)
    assert bool(np.isfinite(found["ngram_entropy_bits"][0])) == (size >= 8)
    np.testing.assert_equal(found["truncated"][0], np.nan if np.isnan(size) else float(len(text) > 16_384))


def test_what_cannot_be_fitted() -> None:
    for pool in ([], ["one text alone"], ["\ud800"]):
        with pytest.raises(InputError, match="distinct texts, and each of the two models needs some"):
            fit_on(pool)


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram_entropy, "STATE_BYTES", 10_000)
    with pytest.raises(BoundError, match=r"the tables of 1,500,000 bytes take .* lower fit_bytes"):
        fit_on(functions(60))


def test_the_sample_is_the_texts_with_the_smallest_hashes() -> None:
    pool = functions(400)
    small = fit_on(pool, fit_bytes=20_000)
    assert len(small.grams) < len(fit_on(pool).grams)
    fold = ngram_entropy.Distinct(10_000)
    for half in fold.add(fold.zero(), pool):
        sizes = np.cumsum([len(text) for _, text in half])
        assert sizes[-1] >= 10_000 > sizes[-2]
        assert [key for key, _ in half] == sorted(key for key, _ in half)


def vectors(n: int = 300, d: int = 16) -> Any:
    """Return float32 vectors with a row of zeros and one with NaN at the end."""
    x = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    x[-2], x[-1] = 0, np.nan
    return x


def fit_semantic(x: Any, **parameters: Any) -> SemanticEntropyScorer:
    """Fit on vectors, with clusters by the sign of their first value."""
    cells = np.array([{"cluster": int(row[0] > 0), "distance_sq": 0.0} for row in x])
    columns = {"h": np.arange(len(x)), "vector": x, "cells": cells}
    return SemanticEntropy(**parameters).fit(lambda f, _: f.add(f.zero(), *(columns[n] for n in f.reads)))


def test_zero_and_nan_vectors_are_undefined_and_no_landmarks() -> None:
    x = vectors()
    scorer = fit_semantic(x)
    assert scorer.summary() == {"landmarks": 298}
    found = scorer.kernel()(x)
    assert np.isnan(found).tolist() == [False] * 298 + [True] * 2
    assert (found[:298] <= np.log2(297) + 1e-9).all()


def test_centres_are_the_mean_directions_of_clusters() -> None:
    x = vectors()[:298]
    scorer = fit_semantic(x, form="centres", clusters="cells")
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    means = np.array([unit[x[:, 0] <= 0].sum(axis=0), unit[x[:, 0] > 0].sum(axis=0)])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(scorer.landmarks, expected, atol=1e-3)
    assert (scorer.kernel()(x) <= 1).all()


def test_what_cannot_be_fitted_semantically() -> None:
    with pytest.raises(InputError, match="no document has a defined vector 'vector'"):
        fit_semantic(vectors()[-2:])
    with pytest.raises(BoundError, match="lower landmarks"):
        fit_semantic(vectors(5000, 1024), landmarks=5000)
    for parameters in ({"form": "centres"}, {"clusters": "cells"}):
        with pytest.raises(RecipeError, match="form centres, and no other, names a score of kind kmeans"):
            SemanticEntropy(**parameters)  # type: ignore[arg-type]
    with pytest.raises(ScoreError, match="a vector of 8 values met landmarks of 16"):
        fit_semantic(vectors()).kernel()(vectors(4, 8))


def test_nfc_and_nfd_are_copies_of_one_text() -> None:
    pool = [f"l'élève distrait n° {i} écoutait la leçon à l'école" for i in range(60)]
    scorer = fit_on(pool)
    nfd = [unicodedata.normalize("NFD", text) for text in pool]
    assert fit_on(nfd) == scorer
    for ours, theirs in zip(scorer.kernel()(pool).values(), scorer.kernel()(nfd).values(), strict=True):
        assert ours.tobytes() == theirs.tobytes()
