"""Counts of tokens and bytes against the regular expression and the encoder themselves."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from lakesift.udfs.kernels import tokens
from tests.texts import ODD, functions

SLOW = re.compile(r"\w+|[^\w\s]+")


def test_counts_equal_the_tokens_found() -> None:
    ascii_pairs = ["".join(p) for p in itertools.product(map(chr, range(128)), repeat=2)]
    draw = random.Random(1)
    noise = [
        "".join(chr(draw.choice((32, 46, 97, 0xB2, 0x85, 0x3000, 0x1F642))) for _ in range(20)) for _ in range(200)
    ]
    plain = [text for text in ODD if "数" not in text]  # scripts without blanks: test_scripts.py
    for text in [*ascii_pairs, *noise, *plain, *functions(200)]:
        assert tokens.wordpunct_count(text) == len(SLOW.findall(text)) == len(tokens.wordpunct(text))


@pytest.mark.parametrize(
    ("text", "wordpunct", "words", "size"),
    [
        ("", 0, 0, 0),
        ("a", 1, 1, 1),
        (" \n", 0, 0, 2),
        ("x+=y_2!", 4, 1, 7),
        ("déjà vu.", 3, 2, 10),
        ("🙂 \ud800", 2, 2, 8),
    ],
)
def test_by_hand(text: str, wordpunct: int, words: int, size: int) -> None:
    assert tokens.wordpunct_count(text) == wordpunct
    assert tokens.whitespace_count(text) == words
    assert tokens.byte_count(text) == size
