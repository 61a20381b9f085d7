"""Counts units of text: UTF-8 bytes, WordPunct tokens (`\\w+|[^\\w\\s]+`, module `re`), whitespace-separated words.

Case is kept. Tokens and words are those of the composed text (kernels/scripts.py), so that NFC and NFD have the same:
marks belong to their letter, invisible characters count nothing, and in scripts without blanks every character is one.
Left out: sub-word units, which need a trained vocabulary; that is a model and not a kernel.
"""

from __future__ import annotations

import re

from . import scripts

#: Characters of a text that models of language read; longer texts are cut.
CHARACTERS = 16_384
#: Maximal runs of word characters, and of other visible characters (nltk's WordPunctTokenizer), of ASCII text.
_ASCII_WORDPUNCT = re.compile(r"\w+|[^\w\s]+")
#: The translation table of the 128 ASCII bytes to b"w" (word), b"p" (other visible) and b" ".
_KINDS = ("w" if re.match(r"\w", chr(i)) else " " if re.match(r"\s", chr(i)) else "p" for i in range(128))
_CLASSES = "".join(_KINDS).encode() + b"p" * 128


def utf8(text: str) -> bytes | None:
    """Return the UTF-8 bytes, or None for a text that UTF-8 cannot hold (a lone surrogate).

    Examples
    --------
    >>> utf8("é"), utf8("\\ud800")
    (b'\\xc3\\xa9', None)
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def byte_count(text: str) -> int:
    """Return the length in UTF-8 bytes; a lone surrogate, which UTF-8 cannot hold, counts three.

    Examples
    --------
    >>> byte_count("naïve"), byte_count(""), byte_count("\\ud800")
    (6, 0, 3)
    """
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def wordpunct(text: str) -> list[str]:
    """Return the WordPunct tokens in order.

    Examples
    --------
    >>> wordpunct("don't stop: x_1 += 2")
    ['don', "'", 't', 'stop', ':', 'x_1', '+=', '2']
    """
    return _ASCII_WORDPUNCT.findall(text) if text.isascii() else scripts.wordpunct(text)


def wordpunct_count(text: str) -> int:
    """Return `len(wordpunct(text))`; for ASCII by counting where the class of character changes, which is faster.

    Examples
    --------
    >>> wordpunct_count("don't stop: x_1 += 2"), wordpunct_count("œuvre, de\u0301jà"), wordpunct_count("好的。")
    (8, 3, 3)
    """
    if not text.isascii():
        return len(scripts.wordpunct(text))
    kinds = b" " + text.encode().translate(_CLASSES)
    return kinds.count(b" w") + kinds.count(b" p") + kinds.count(b"wp") + kinds.count(b"pw")


def whitespace_count(text: str) -> int:
    """Return the number of words between runs of whitespace.

    Examples
    --------
    >>> whitespace_count("don't  stop "), whitespace_count(""), whitespace_count("好的 ok")
    (2, 0, 3)
    """
    return len(text.split() if text.isascii() else scripts.spaced(scripts.composed(text)).split())
