"""One spelling of texts that Unicode writes in several ways, and words in scripts that put no blanks between them.

Three forms, each a function of the text alone; ASCII text is only lower-cased, or left as it is:

- `composed`: NFC without invisible characters. For counting characters: NFC and NFD of a text are one.
- `spelling`: compatibility forms and case folded too (NFKC, full case folding). For comparing words.
- `bare`: `spelling` without marks above and below letters. For finding copies, which lose or gain accents.

`words` and `spaced` make a unit of every character, with its marks, in scripts that write words without blanks between
them: Han, kana, Bopomofo, Thai, Lao, Khmer, Myanmar, Tai, Javanese, Balinese, Yi, Tangut, Nushu, Khitan. Korean,
Ethiopic and Tibetan have blanks or marks between words or syllables and stay as they are. Left out: letters of other
scripts that look alike, other digits, and words of several characters, which need a dictionary.

Invisible are format characters (Cf: soft hyphen, zero width space, joiners, direction marks) and what else Unicode says
to ignore by default: variation selectors, fillers. Classes follow the `unicodedata` of the running Python, whose
version is `UNICODE`: a parameter of every score that reads words, because another one gives other values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from unicodedata import category, normalize, unidata_version

from ..errors import ScoreError

#: Version of the tables of characters in this process.
UNICODE: str = unidata_version
#: Letters in these ranges are units of their own.
_SOLID = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x1B00, 0x1B7F),
    (0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x303C), (0x3041, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0xA4CF), (0xA980, 0xA9FF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F),
    (0x16FE0, 0x18DFF), (0x1AFF0, 0x1B2FF), (0x20000, 0x3FFFD),
)  # fmt: skip
#: Ignored by default although no format characters: joiner of graphemes, fillers, variation selectors.
_IGNORED = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF),
)  # fmt: skip
#: Ranges of code points that hold all marks, format characters and letters of `_SOLID` below the planes of Han.
_PLANES = (range(0x20000), range(0xE0000, 0xE1000))


class _Patterns(NamedTuple):
    invisible: re.Pattern[str]
    invisible_or_mark: re.Pattern[str]
    units: re.Pattern[str]
    word: re.Pattern[str]
    wordpunct: re.Pattern[str]


def check_unicode(declared: str) -> None:
    """Raise ScoreError if this process has other tables of characters than the one in which a score was defined.

    Examples
    --------
    >>> check_unicode(UNICODE)
    """
    if declared != UNICODE:
        raise ScoreError(
            f"this Python knows Unicode {UNICODE}, the score was defined with Unicode {declared}, and words depend on "
            "it; give driver and workers the same version of Python, or score again where the workers run"
        )


def _class(points: Iterable[int]) -> str:
    """Return the inside of a character class of `re` for code points, ascending."""
    ranges: list[list[int]] = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    """Return the patterns of all forms; the first call takes about 50 ms."""
    kinds = {point: category(chr(point)) for plane in _PLANES for point in plane}
    ignored = {point for first, last in _IGNORED for point in range(first, last + 1)}
    format_like = sorted(ignored | {point for point, kind in kinds.items() if kind == "Cf"})
    above = {point for point, kind in kinds.items() if kind in ("Mn", "Me")}
    marks = _class(point for point, kind in kinds.items() if kind[0] == "M")
    letters = [p for low, high in _SOLID[:-1] for p in range(low, high + 1) if kinds[p][0] == "L" or kinds[p] == "Nl"]
    solid = _class(letters) + _class(range(_SOLID[-1][0], _SOLID[-1][1] + 1))
    return _Patterns(
        re.compile(f"[{_class(format_like)}]+"),
        re.compile(f"[{_class(sorted({*format_like, *above}))}]+"),
        re.compile(f"[{solid}][{marks}]*|[^{solid}]+"),
        re.compile(rf"[\w{marks}]+"),
        re.compile(rf"[\w{marks}]+|[^\w\s{marks}]+"),
    )


def composed(text: str) -> str:
    """Return the text in NFC without invisible characters.

    Examples
    --------
    >>> composed("e\\u0301te\\u0301 co\\u00adop") == "été coop"
    True
    """
    return text if text.isascii() else normalize("NFC", _patterns().invisible.sub("", text))


def _folded(text: str) -> str:
    """Return the text decomposed and case-folded, compatibility forms too."""
    once = normalize("NFKD", normalize("NFD", text).casefold())
    return normalize("NFKD", once.casefold())


def spaced(text: str) -> str:
    """Return the text with blanks around every character, with its marks, of a script without blanks.

    Examples
    --------
    >>> spaced("Ein 漢字"), spaced("ที่นี่").split()
    ('Ein  漢 字', ['ที่', 'นี่'])
    """
    return text if text.isascii() else " ".join(_patterns().units.findall(text))


def spelling(text: str) -> str:
    """Return the text as words are compared: NFKC, case folded, without invisible characters, `spaced`.

    Examples
    --------
    >>> spelling("Ｓtra\\u00adße"), spelling("CAFÉ") == spelling("cafe\\u0301"), spelling("東京").split()
    ('strasse', True, ['東', '京'])
    """
    if text.isascii():
        return text.lower()
    return spaced(normalize("NFC", _patterns().invisible.sub("", _folded(text))))


def bare(text: str) -> str:
    """Return `spelling(text)` without marks above and below letters.

    Examples
    --------
    >>> bare("Crème brûlée"), bare("cre\\u0300me\\u200b bru\\u0302le\\u0301e")
    ('creme brulee', 'creme brulee')
    """
    if text.isascii():
        return text.lower()
    return spaced(normalize("NFC", _patterns().invisible_or_mark.sub("", _folded(text))))


def words(text: str) -> list[str]:
    """Return the words of a text in one of the forms above: runs of word characters (module `re`) and marks.

    Examples
    --------
    >>> words(spelling("The 3 Cats, 猫三匹。"))
    ['the', '3', 'cats', '猫', '三', '匹']
    """
    return _patterns().word.findall(text)


def wordpunct(text: str) -> list[str]:
    """Return the words of `composed` text, `spaced`, and its runs of other visible characters, in order.

    Examples
    --------
    >>> wordpunct("don't stop: x_1 += 2"), wordpunct("Ça va\\u200b? 好的。")
    (['don', "'", 't', 'stop', ':', 'x_1', '+=', '2'], ['Ça', 'va', '?', '好', '的', '。'])
    """
    return _patterns().wordpunct.findall(spaced(composed(text)))
