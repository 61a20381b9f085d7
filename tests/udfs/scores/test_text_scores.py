"""compression_ratio, lengths and information_entropy as scorers: options, undefined values and errors."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from importlib import util

import numpy as np
import pytest

from lakesift.udfs.errors import RecipeError, ScoreError
from lakesift.udfs.models import files, wordllama
from lakesift.udfs.scores.compression_ratio import CompressionRatio
from lakesift.udfs.scores.information_entropy import InformationEntropy
from lakesift.udfs.scores.length import LengthBytes, LengthTokens
from tests.texts import functions


def test_lengths_by_hand() -> None:
    texts = ["", "x = déjà_vu(1)", " \n", "a\ud800"]
    assert LengthBytes().kernel()(texts).tolist() == [0, 16, 2, 4]
    assert LengthTokens().kernel()(texts).tolist() == [0, 6, 0, 2]
    assert LengthTokens(unit="whitespace").kernel()(texts).tolist() == [0, 3, 0, 1]


def test_ratio_falls_with_repetition_and_checks_its_library() -> None:
    once = functions(1)[0]
    plain, repeated, empty = CompressionRatio().kernel()([once, once * 20, ""])
    assert repeated < plain
    assert np.isnan(empty)
    with pytest.raises(ScoreError, match="this worker compresses with 'zlib"):
        dataclasses.replace(CompressionRatio(), library="zlib 0.9").kernel()


def test_entropy_options_reach_the_kernel() -> None:
    text = "a b a b c d c d"
    assert InformationEntropy().kernel()([text]).tolist() == pytest.approx([np.nan], nan_ok=True)
    assert InformationEntropy(window=8).kernel()([text]).tolist() == [2.0]
    # Windows of 4 at stride 1 have the counts 22, 211, 1111, 211, 22.
    assert InformationEntropy(window=4).kernel()([text]).tolist() == [(1 + 1.5 + 2 + 1.5 + 1) / 5]
    assert InformationEntropy(whole=True, normalise="tokens").kernel()([text]).tolist() == [2 / 3]
    assert InformationEntropy(unit="byte", whole=True).kernel()(["abab"]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("cls", "parameters", "sentence"),
    [
        (LengthTokens, {"unit": "word"}, "length_tokens: unit is 'word'; did you mean 'wordpunct'"),
        (InformationEntropy, {"unit": "bytes"}, "information_entropy: unit is 'bytes'; did you mean 'byte'"),
        (InformationEntropy, {"normalise": True}, "normalise is True; allowed: distinct, none, tokens"),
        (InformationEntropy, {"window": 1}, "window is 1; a whole number from 2 is needed; the default is 16"),
        (InformationEntropy, {"window": 16.0}, "window is 16.0; a whole number from 2"),
        (InformationEntropy, {"whole": "yes"}, "whole is 'yes'; true or false is needed"),
    ],
)
def test_wrong_parameters_are_refused(cls: type, parameters: dict[str, object], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        cls(**parameters)


@pytest.mark.skipif(util.find_spec("wordllama") is None, reason="wordllama is not installed")
def test_subword_entropy_counts_the_tokens_of_wordllama() -> None:
    score = InformationEntropy(unit="subword", whole=True)
    assert score.model == files.identity("wordllama")
    tokenise = wordllama.tokeniser()
    texts = ["antidisestablishmentarianism", "the the the the", "", "\ud800"]
    counts = [list(Counter(tokenise(text)).values()) for text in texts[:2]]
    assert len(counts[0]) > 1, "one word, several sub-words"
    expected = [-sum(c / sum(row) * math.log2(c / sum(row)) for c in row) for row in counts]
    found = score.kernel()(texts)
    np.testing.assert_allclose(found[:2], expected, atol=1e-12)
    assert np.isnan(found[2:]).all()
    with pytest.raises(RecipeError, match="unit word reads no model files"):
        InformationEntropy(model="0123")
    with pytest.raises(ScoreError, match="was declared with model files '0123'"):
        InformationEntropy(unit="subword", model="0123").kernel()
