"""Entropies by hand, against SciPy, and the windowed form against a slow readable twin."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from lakesift.udfs.kernels.entropy import whole_entropy, window_entropy
from lakesift.udfs.kernels.scripts import spaced
from tests.texts import ODD, functions, human_eval

UNITS, NORMALISATIONS = ("word", "character", "byte"), ("none", "tokens", "distinct")

TEXTS = [*ODD, *functions(80), *human_eval(5), "the cat sat on the mat " * 3000]


def tokens_of(text: str, unit: str) -> list[object]:
    if unit == "word":
        return list(re.findall(r"\w+|[^\w\s]+", spaced(text)))
    if unit == "character":
        return list(text)
    return [] if any("\ud800" <= c <= "\udfff" for c in text) else list(text.encode())


def slow_entropy(tokens: list[object], normalise: str) -> float:
    n, counts = len(tokens), Counter(tokens).values()
    if n == 0 or (n == 1 and normalise != "none"):
        return math.nan
    bits = float(scipy_entropy(list(counts), base=2))
    if normalise == "none" or len(counts) == 1:
        return bits
    return bits / math.log2(n if normalise == "tokens" else len(counts))


def slow_windows(tokens: list[object], window: int, normalise: str) -> float:
    starts = range(0, len(tokens) - window + 1, max(1, window // 4))
    return float(np.mean([slow_entropy(tokens[i : i + window], normalise) for i in starts])) if starts else math.nan


@pytest.mark.parametrize("normalise", NORMALISATIONS)
@pytest.mark.parametrize("unit", UNITS)
def test_both_forms_equal_the_slow_twin(unit: str, normalise: str) -> None:
    whole = [slow_entropy(tokens_of(text, unit), normalise) for text in TEXTS]
    np.testing.assert_allclose(whole_entropy(TEXTS, unit, normalise), whole, rtol=0, atol=1e-12)
    short, expected = [text[:300] for text in TEXTS[:40]], []
    for window in (16, 2, 7):
        expected = [slow_windows(tokens_of(text, unit), window, normalise) for text in short]
        np.testing.assert_allclose(window_entropy(short, unit, window, normalise), expected, rtol=0, atol=1e-12)
    assert np.isnan(expected).any()
    assert not np.isnan(expected).all()


def test_whole_text_by_hand() -> None:
    # Counts 2, 2, 1, 1 of 6: log2 6 - (2 + 2) / 6.
    bits = math.log2(6) - 4 / 6
    shares = [bits, bits / math.log2(6), bits / 2]
    assert [whole_entropy(["to be or not to be"], "word", n)[0] for n in NORMALISATIONS] == pytest.approx(shares)
    assert whole_entropy(["é"], "byte").tolist() == [1.0]
    assert whole_entropy(["aaaa", "abcd"], "character", "distinct").tolist() == [0.0, 1.0]
    assert np.isnan(whole_entropy(["a"], "word", "tokens")).all()


def test_windows_by_hand() -> None:
    # Windows of 4 at stride 1: abcd 2 bits, bcdd 1.5 bits; the fifth token of the second row ends no further window.
    assert window_entropy(["a b c d d"], window=4).tolist() == [1.75]
    # Windows of 8 at stride 2: eight distinct words 3 bits, then six distinct and a pair: 8 words, 2.75 bits.
    assert window_entropy(["a b c d e f g h i i"], window=8).tolist() == [2.875]
    assert window_entropy(["a b c d e f g h i"], window=8).tolist() == [3.0]
    assert window_entropy(["a " * 40], normalise="distinct").tolist() == [0.0]
    assert np.isnan(window_entropy(["a b c", ""], window=4)).all()
    assert window_entropy([]).shape == (0,)


def test_the_windowed_form_does_not_grow_with_length() -> None:
    sentence = "the quick brown fox jumps over one lazy dog while seven other foxes watch it . "
    once, often = sentence * 2, sentence * 200
    short, long = window_entropy([once, often])
    assert abs(short - long) < 0.1
    assert window_entropy(["a a a a " * 10])[0] == 0.0 < short <= 4.0


def test_a_function_may_stand_for_the_unit() -> None:
    def code_points(text: str) -> list[int]:
        return list(map(ord, text))

    assert whole_entropy(TEXTS, code_points).tobytes() == whole_entropy(TEXTS, "character").tobytes()
    assert window_entropy(TEXTS, code_points).tobytes() == window_entropy(TEXTS, "character").tobytes()
