"""One spelling: laws over code points, and units of scripts without blanks counted by hand and beside a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from importlib import util
from unicodedata import category, normalize

import numpy as np
import pytest

from lakesift.udfs.errors import ScoreError
from lakesift.udfs.kernels import entropy, scripts, tokens
from lakesift.udfs.models import wordllama
from lakesift.udfs.scores.length import LengthTokens

#: What Unicode says to ignore by default, beside format characters.
IGNORED = "\u034f\u115f\u1160\u3164\ufe0f\u180b"


def changing() -> list[str]:
    """Return the assigned code points that some normal form, case folding or class changes; few of the Hangul ones."""
    chars = (chr(p) for p in (*range(0x20000), *range(0x2F800, 0x2FA20)) if category(chr(p)) not in ("Cn", "Co", "Cs"))
    kept = [c for c in chars if normalize("NFKD", c) != c or c.casefold() != c or category(c)[0] == "M"]
    return [c for c in kept if not "\uac00" <= c <= "\ud7a3" or ord(c) % 50 == 0]


@pytest.mark.parametrize("form", [scripts.spelling, scripts.bare])
def test_every_way_to_write_a_character_is_one_spelling(form: Callable[[str], str]) -> None:
    others: dict[str, Callable[[str], str]] = {
        **{n: lambda text, n=n: normalize(n, text) for n in ("NFC", "NFD", "NFKC", "NFKD")},  # type: ignore[misc]
        "case": str.casefold,
        "again": form,
    }
    wrong = []
    for char in changing():
        text = f"ab{char}d"
        expected = scripts.words(form(text))
        wrong += [
            (name, hex(ord(char))) for name, other in others.items() if scripts.words(form(other(text))) != expected
        ]
    assert wrong == []


def test_nfc_and_nfd_have_the_same_tokens_and_entropy() -> None:
    texts = [f"ab{char}d {char} x" for char in changing()]
    nfd = [normalize("NFD", text) for text in texts]
    assert list(map(tokens.wordpunct_count, nfd)) == list(map(tokens.wordpunct_count, texts))
    assert list(map(tokens.whitespace_count, nfd)) == list(map(tokens.whitespace_count, texts))
    for unit in ("word", "character", "byte"):
        assert entropy.whole_entropy(nfd, unit).tobytes() == entropy.whole_entropy(texts, unit).tobytes()


@pytest.mark.parametrize("form", [scripts.composed, scripts.spelling, scripts.bare])
def test_invisible_characters_are_gone(form: Callable[[str], str]) -> None:
    invisible = [c for p in range(0x20000) if category(c := chr(p)) == "Cf"] + list(IGNORED)
    assert len(invisible) > 60
    assert [hex(ord(c)) for c in invisible if form(f"aé{c}b") != form("aéb")] == []


@pytest.mark.parametrize(
    ("text", "wordpunct", "words"),
    [
        ("好的。", 3, 3),
        ("我有3个 apples", 5, 5),
        ("カタカナとひらがな", 9, 9),
        ("ที่นี่", 2, 2),  # two letters, each with two marks
        ("สวัสดี", 4, 4),
        ("한국어 문장", 2, 2),
        ("नमस्ते दुनिया", 2, 2),
        ("x\u0302 + y\u0302", 3, 3),
        ("co\u00adop\u200berate", 1, 1),
        ("𠀀𠀁", 2, 2),
    ],
)
def test_units_by_hand(text: str, wordpunct: int, words: int) -> None:
    assert tokens.wordpunct_count(text) == wordpunct == len(tokens.wordpunct(text))
    assert tokens.whitespace_count(text) == words


def test_ascii_is_as_it_was() -> None:
    text = "Don't STOP_1: \x00\x1c x+=2"
    assert scripts.composed(text) == scripts.spaced(text) == text
    assert scripts.spelling(text) == scripts.bare(text) == text.lower()


def test_windows_of_chinese_are_of_characters() -> None:
    assert np.isnan(entropy.window_entropy(["好好好好好"], window=8)).all()
    assert entropy.window_entropy(["好的好的好的好的"], window=8).tolist() == [1.0]


CHINESE = (
    "数据湖中的每一行文本都会得到若干分数,然后由选择器在预算之内挑出一部分行,写成一个新的版本。"
    "如果下个月数据有了变化,只需要重新计算新的行,旧的分数不会再算一遍。这样做既省时间,也便于解释每一行为什么被选中。"
)


@pytest.mark.skipif(util.find_spec("wordllama") is None, reason="wordllama is not installed")
def test_a_named_tokenizer_counts_its_own_tokens() -> None:
    tokenise = wordllama.tokeniser()
    scorer = LengthTokens(tokenizer="wordllama")
    assert scorer.kernel()([CHINESE, "", "to be"]).tolist() == [len(tokenise(t)) for t in (CHINESE, "", "to be")]
    with pytest.raises(ScoreError, match="was declared with model files '0123'"):
        LengthTokens(tokenizer="wordllama", identity="0123").kernel()


def test_another_unicode_is_refused() -> None:
    with pytest.raises(ScoreError, match=r"the score was defined with Unicode 9\.0\.0"):
        LengthTokens(unicode="9.0.0").kernel()
