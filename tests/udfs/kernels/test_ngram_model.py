"""The byte n-gram model: a distribution, by hand, equal to a slow twin, and what `equal bytes` means."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from lakesift.udfs.errors import InputError, LakeSiftError
from lakesift.udfs.kernels.ngram_model import bits_per_byte, cut, fit, held_out_bits_per_byte, probabilities, reader

D = 0.75


def twin(texts: Sequence[bytes], order: int) -> Callable[[bytes, int], float]:
    """Interpolated Kneser-Ney from its definition: sets of left contexts, recursion over histories."""
    occurrences: Counter[bytes] = Counter()
    before: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for text in texts:
        for end in range(1, len(text) + 1):
            for n in range(1, min(order, end) + 1):
                start = end - n
                occurrences[text[start:end]] += 1
                before[text[start:end]].add(text[start - 1 : start] if start else b"start")

    def probability(history: bytes, byte: int) -> float:
        n = len(history) + 1
        counts = [
            occurrences[history + bytes([b])] if n == order else len(before[history + bytes([b])]) for b in range(256)
        ]
        shorter = probability(history[1:], byte) if history else 1 / 256
        if not sum(counts):
            return shorter
        kept = max(counts[byte] - D, 0) + D * sum(c > 0 for c in counts) * shorter
        return kept / sum(counts)

    return probability


def test_by_hand() -> None:
    """Trained on "aab": P(b | a) with two bigrams after a; below it a was preceded by start and a, b by a."""
    unigram_b = (1 - D) / 3 + D * 2 / 3 / 256
    bigram_b = (1 - D) / 2 + D * 2 / 2 * unigram_b
    first_a = (2 - D) / 3 + D * 2 / 3 / 256
    got = probabilities(fit([b"aab"], order=2), [b"ab", b"zb"])
    unigram_z = D * 2 / 3 / 256
    np.testing.assert_allclose(got, [first_a, bigram_b, unigram_z, unigram_b], rtol=1e-15)


@pytest.mark.parametrize("order", [1, 2, 5, 8])
def test_is_a_distribution_over_the_256_bytes(order: int) -> None:
    model = fit(["déjà vu, déjà lu".encode(), b"", b"\x00\xff" * 9, b"x"], order)
    for history in (b"", b"d", "déjà".encode(), b"\xff\x00\xff\x00\xff\x00\xff", b"never seen"):
        texts = [history + bytes([b]) for b in range(256)]
        last = probabilities(model, texts).reshape(256, -1)[:, -1]
        assert last.min() > 0
        assert last.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 5, 8])
def test_equals_the_slow_twin(order: int) -> None:
    rng = random.Random(order)
    draw = [bytes(rng.choices(b"abc\xff", k=rng.randrange(12))) for _ in range(60)]
    train, test = draw[:40], [*draw[40:], b"unseen"]
    probability = twin(train, order)
    expected = [probability(text[max(0, i - order + 1) : i], text[i]) for text in test for i in range(len(text))]
    np.testing.assert_allclose(probabilities(fit(train, order), test), expected, rtol=1e-12)


def test_a_reader_reads_each_model_as_if_it_were_the_only_one() -> None:
    texts = [b"abracadabra", b"", b"cadabra " * 5]
    models = [fit([b"abra" * 4]), fit([]), fit([b"cadab", b"rac"]), fit([b"abra" * 4])]
    read = reader(texts)
    assert [read(model).tolist() for model in models] == [probabilities(model, texts).tolist() for model in models]


def test_fit_depends_on_the_texts_not_on_their_order() -> None:
    texts = [b"one two", b"two three", b"", b"three one", b"one two"]
    probe = [b"one two three"]
    np.testing.assert_array_equal(probabilities(fit(texts), probe), probabilities(fit(texts[::-1]), probe))
    assert not np.array_equal(probabilities(fit(texts), probe), probabilities(fit([b"".join(texts)]), probe))


def test_bits_fall_with_more_text_of_the_same_kind_and_repetition_is_learnt() -> None:
    rng = random.Random(3)
    rows = [" ".join(rng.choices(["alpha", "beta", "gamma", "delta"], k=20)) for _ in range(200)]
    small, large = (held_out_bits_per_byte(rows[:150], rows[150:], budget) for budget in (500, 10_000))
    assert large < small < 8
    assert large == pytest.approx(2 * 20 / 112, abs=0.15)  # four equal words: 2 bits each, 112 bytes a row
    assert bits_per_byte(fit([b"ab" * 500], 2), ["ab" * 50]) < 0.2


def test_cut_is_exact_in_bytes_and_refuses_too_little_text() -> None:
    assert cut(["né", "", "xyz"], 5) == ["né".encode(), b"", b"xy"]
    assert cut(["né"], 2) == [b"n\xc3"]
    assert cut(["a"], 0) == []
    with pytest.raises(InputError, match="hold 3 bytes, fewer than the budget of 4"):
        cut(["né"], 4)
    same = [held_out_bits_per_byte(train, ["abcab"], 6) for train in (["abcabc"], ["abcabc", "zzz"], ["abcabczzz"])]
    assert len(set(same)) == 1


def test_edges() -> None:
    assert bits_per_byte(fit([]), ["é"]) == 8.0
    assert math.isnan(bits_per_byte(fit([b"a"]), ["", ""]))
    for order in (0, 9):
        with pytest.raises(LakeSiftError, match="1 to 8"):
            fit([b"a"], order)
