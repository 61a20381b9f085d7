"""Buckets of n-grams against a loop over `regex` tokens, classes against `regex` on every code point, cache effects."""

from __future__ import annotations

import hashlib
import pickle
import random
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import regex

from lakesift.udfs.kernels import ngram_buckets as module
from lakesift.udfs.kernels.ngram_buckets import NgramBuckets, ngram_buckets
from lakesift.udfs.kernels.scripts import spelling
from lakesift.udfs.kernels.word_classes import BLANK, OTHER, WORD, table, token_spans
from tests.texts import ODD, functions, human_eval

BUCKETS = 10_000
TOKENS = regex.compile(r"\w+|[^\w\s]+")
#: Lower case that is longer, depends on its neighbours or changes the number of bytes; classes where `re` differs.
HARD = (
    "İstanbul ΟΔΥΣΣΕΥΣ ΣΑΣ Σ. K Å ẞ ǅ Ω",
    "x² y₂ ½ Ⅷ ⓐ🄰 a\u0301 e\u200db \u0301 \x1c\x1d a\x85b\u2028c\u3000d\xa0e",
    "\x00 \x00\x00 a\x00 a",
    "12345678 123456789 1234567812345678 12345678123456789 " + "é" * 31 + " " + "é" * 33,
    *(("ab" * 60)[:n] for n in range(60, 70)),
    "=" * 64 + " " + "=" * 65 + " " + "=" * 650,
    "數學" * 40 + "。🙂🙂 " + "🙂" * 20,
    "a a a  a\na\tb.b..b...",
    "\n",
    "end\n",
)


def words_of(text: str) -> list[str]:
    return [] if "\ud800" in text else TOKENS.findall(spelling(text))


def buckets_of(text: str, buckets: int) -> list[int]:
    """Return the buckets of the words, then of the pairs, one by one."""
    words = words_of(text)
    grams = words + [f"{a} {b}" for a, b in pairwise(words)]
    return [int(hashlib.sha256(gram.encode()).hexdigest(), 16) % buckets for gram in grams]


def sum_of(text: str, values: np.ndarray) -> float:
    """Add from left to right, the words and then the pairs; NaN for nothing."""
    found, total = buckets_of(text, len(values)), 0.0
    for bucket in found:
        total += float(values[bucket])
    return total if found else float("nan")


def ratios(seed: int = 0, buckets: int = BUCKETS) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=buckets)


def texts() -> list[str]:
    return [*ODD, *HARD, *functions(120), *human_eval(10)]


def test_classes_are_those_of_regex_on_every_assigned_code_point() -> None:
    word, blank, classes = regex.compile(r"\w"), regex.compile(r"\s"), table()
    unassigned = regex.compile(r"\p{Cn}")
    wrong = []
    for point in range(0x110000):
        char = chr(point)
        if unicodedata.category(char) != "Cn" and not unassigned.match(char):
            expected = BLANK if blank.match(char) else WORD if word.match(char) else OTHER
            if classes[point] != expected:
                wrong.append(hex(point))
    assert wrong == []
    assert np.bincount(classes, minlength=3)[WORD] > 130_000


def test_spans_are_the_tokens() -> None:
    rows = [text for text in texts() if "\ud800" not in text]
    data, begin, end, counts = token_spans(rows)
    found = [data[b:e].decode() for b, e in zip(begin, end, strict=True)]
    assert found == [word for row in rows for word in words_of(row)]
    assert counts.tolist() == [len(words_of(row)) for row in rows]
    assert [len(part) for part in token_spans([])] == [0, 0, 0, 0]
    assert token_spans(["", ""])[3].tolist() == [0, 0]


def test_by_hand() -> None:
    counts = NgramBuckets(BUCKETS).counts(["To be", "to"])
    # "to" is in bucket 2441, "be" in 8525, "to be" in 8439.
    assert {b: counts[b] for b in np.flatnonzero(counts).tolist()} == {2441: 2, 8525: 1, 8439: 1}


@pytest.mark.parametrize("buckets", [2, 97, BUCKETS, 1_000_000])
def test_equal_to_the_loop(buckets: int) -> None:
    rows, values = texts(), ratios(1, buckets)
    ngrams = NgramBuckets(buckets)
    expected = np.bincount([b for row in rows for b in buckets_of(row, buckets)], minlength=buckets)
    np.testing.assert_array_equal(ngrams.counts(rows), expected)
    assert ngrams.counts(rows).dtype == np.int64
    sums = np.array([sum_of(row, values) for row in rows])
    assert np.isnan(sums).sum() == 5  # "", " ", blanks, a lone surrogate, "\n"
    for _ in range(2):  # cold, then warm
        assert ngrams.sums(rows, values).tobytes() == sums.tobytes()


def test_neighbours_blocks_and_the_cache_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, values = texts(), ratios()
    expected = NgramBuckets(BUCKETS).sums(rows, values)
    order = random.Random(2).sample(range(len(rows)), len(rows))
    ngrams = NgramBuckets(BUCKETS)
    assert ngrams.sums([rows[i] for i in order], values).tobytes() == expected[order].tobytes()
    assert np.array([ngrams.sums([row], values)[0] for row in rows]).tobytes() == expected.tobytes()
    monkeypatch.setattr(module, "BLOCK_CHARACTERS", 700)
    monkeypatch.setattr(module, "PIECE", 61)
    monkeypatch.setattr(module, "FIRST_SLOTS", 128)
    for most in (128, 1024, 1 << 20):  # starts anew all the time, now and then, grows
        monkeypatch.setattr(module, "MOST_SLOTS", most)
        ngrams = NgramBuckets(BUCKETS)
        for _ in range(2):
            assert ngrams.sums(rows, values).tobytes() == expected.tobytes()
        assert len(ngrams._cache.keys) <= most
        assert 2 * ngrams._cache.used <= len(ngrams._cache.keys)
    assert len(ngrams._cache.keys) > 1024


def test_slots_that_many_keys_want() -> None:
    cache = module._Cache(64)
    keys = np.array([(63 << 58) + i for i in range(1, 31)], np.uint64)  # all want the last slot
    cache.put(keys, np.arange(30, dtype=np.int32))
    np.testing.assert_array_equal(cache.buckets[cache.slots(keys)], np.arange(30))
    assert cache.keys[cache.slots(np.array([(63 << 58) + 99], np.uint64))].tolist() == [0]
    larger = cache.with_room(10)
    assert (len(larger.keys), larger.used) == (128, 30)
    np.testing.assert_array_equal(larger.buckets[larger.slots(keys)], np.arange(30))


def test_keys_tell_tokens_apart() -> None:
    draw = random.Random(3)
    made = {"".join(draw.choices("ab\x00é", k=draw.randint(1, 40))) for _ in range(5_000)}
    made |= {char * n for char in "ab\x00" for n in range(1, 200)}
    made |= {"".join(draw.sample("abcdefgh", 8)) + tail for tail in ("", "x", "abcdefghi") for _ in range(3_000)}
    made |= {"a" * n + "b" for n in range(1, 200)} | {"b" + "a" * n for n in range(1, 200)}  # the ends of 8 bytes
    parts = [token.encode() for token in sorted(made)]
    end = np.cumsum([len(part) for part in parts])
    keys = module._token_keys(b"".join(parts), end - [len(part) for part in parts], end)
    assert len(np.unique(keys)) == len(parts) > 10_000


def test_an_interrupted_call_leaves_the_cache_right(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, values = functions(20), ratios()
    ngrams, left = NgramBuckets(BUCKETS), iter(range(500))

    def stops(gram: bytes) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return hashlib.sha256(gram)

    with monkeypatch.context() as patch:
        patch.setattr(module, "sha256", stops)
        with pytest.raises(KeyboardInterrupt):
            ngrams.sums(rows, values)
    assert ngrams.sums(rows, values).tobytes() == NgramBuckets(BUCKETS).sums(rows, values).tobytes()


def test_threads_may_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, values, ngrams = functions(40), ratios(), NgramBuckets(BUCKETS)
    expected, slots = NgramBuckets(BUCKETS).sums(rows, values), module._Cache.slots
    inside, crowds = [0], []

    def slow(cache: module._Cache, keys: module.Keys) -> np.ndarray:
        inside[0] += 1
        time.sleep(0.002)
        crowds.append(inside[0])
        found = slots(cache, keys)
        inside[0] -= 1
        return found

    monkeypatch.setattr(module._Cache, "slots", slow)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: ngrams.sums(rows[i:], values), range(8)))
    assert all(part.tobytes() == expected[i:].tobytes() for i, part in enumerate(found))
    assert set(crowds) == {1}, "two threads were at the cache at once"


def test_it_pickles_without_its_cache() -> None:
    ngrams = ngram_buckets(BUCKETS)
    ngrams.counts(functions(20))
    assert len(pickle.dumps(ngrams)) < 200
    assert pickle.loads(pickle.dumps(ngrams)) is ngrams
