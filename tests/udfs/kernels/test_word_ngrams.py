"""Keys of word n-grams against sets of tuples of words, and shares computed by hand."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import numpy as np
import pytest

from lakesift.udfs.kernels import word_ngrams
from lakesift.udfs.kernels.scripts import bare
from lakesift.udfs.kernels.word_ngrams import keys, overlap
from tests.texts import ODD, functions, human_eval


def _ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    words = re.findall(r"\w+", bare(text))
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _known(targets: Sequence[str], n: int) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """Return the n-grams of the targets, and the whole texts of fewer words."""
    whole = {tuple(re.findall(r"\w+", bare(text))) for text in targets}
    return {gram for text in targets for gram in _ngrams(text, n)}, {text for text in whole if 0 < len(text) < n}


def _twin(known: tuple[set[tuple[str, ...]], set[tuple[str, ...]]], text: str, n: int) -> float:
    own, words = _ngrams(text, n), tuple(re.findall(r"\w+", bare(text)))
    hits = sum(gram in known[0] for gram in own)
    for short in known[1]:
        hits += sum(gram == short for gram in _ngrams(text, len(short))) if len(short) >= 5 else words == short
    return min(1.0, hits / max(len(own), 1))


def test_shares_by_hand() -> None:
    share = overlap(keys(["The cat sat, on the mat.", "one two"], 3), 3)
    rows = ["the CAT sat", "on the mat the cat", "cat sat", "", "one two on the mat", "sat on the sat on the"]
    np.testing.assert_array_equal(share(rows), [1, 1 / 3, 0, 0, 1 / 3, 1 / 2])


def test_an_ngram_never_spans_two_rows() -> None:
    assert len(keys(["a b", "c d", "", "e"], 3).ngrams) == 0
    np.testing.assert_array_equal(overlap(keys(["a b c d"], 3), 3)(["a b", "c d", "b c", "d"]), [0, 0, 0, 0])


@pytest.mark.parametrize("n", [1, 2, 5, 13, 40])
def test_equal_to_sets_of_tuples_on_real_text(n: int) -> None:
    targets = human_eval(40)
    known = _known(targets, n)
    draw, rows = random.Random(n), functions(150)
    for text in targets[:20]:  # contaminated rows: a piece of a target inside a function
        words, host = text.split(" "), draw.choice(rows)
        start = draw.randrange(len(words))
        rows.append(f"{host}\n{' '.join(words[start : start + 30])}\n{host[:50]}")
    held = keys(targets, n)
    assert len(held.ngrams) == len(known[0])
    assert sum(map(len, held.short.values())) == len(known[1])
    expected = [_twin(known, row, n) for row in rows]
    np.testing.assert_array_equal(overlap(held, n)(rows), expected)
    assert 0 < np.mean(np.array(expected) > 0) < 1 or n in (1, 40)


def test_odd_texts() -> None:
    shares = overlap(keys(ODD, 1), 1)(ODD)
    for text, share in zip(ODD, shares.tolist(), strict=True):
        if "\ud800" in text:
            assert np.isnan(share)
        else:
            assert share == (1.0 if _ngrams(text, 1) else 0.0)


def test_short_texts_by_hand() -> None:
    held = keys(["one two three four five six", "a b", "a b c d e f g h i j k l m"], 13)
    rows = [
        "x One two, three four five six y",
        "one two three four five",
        "A, b!",
        "a b c",
        "one two three four five six " * 9,
    ]
    np.testing.assert_array_equal(overlap(held, 13)(rows), [1, 0, 1, 0, 9 / 42])
    assert (held.texts, held.whole, held.without) == (3, 2, 0)


def test_a_small_cache_of_words_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def shares(rows: Sequence[str]) -> bytes:
        return overlap(keys(human_eval(5), 2), 2)(rows).tobytes()

    rows = [*functions(20), *human_eval(8)]
    before = shares(rows)
    monkeypatch.setattr(word_ngrams, "_KNOWN_WORDS", 3)
    assert shares(rows) == before
