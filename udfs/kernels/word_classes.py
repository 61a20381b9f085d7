"""Finds the WordPunct tokens of a batch as spans of bytes, by the class of each code point: blank, word or other.

Tokens are the maximal runs of one class that is not blank, which is `\\w+|[^\\w\\s]+` with \\w and \\s as the module
`regex` has them (nltk's WordPunctTokenizer from 3.10 on). They follow Unicode: letters, marks, decimal digits, letter
numbers, connecting punctuation, the two joiners and the circled and squared Latin letters make words. The module `re`,
which kernels/tokens.py uses, differs: there "²" is a word character, a combining accent is not, and the separators
U+001C to U+001F are blank.

Texts are read in their one spelling (kernels/scripts.py): case folded, compatibility forms alike, characters as tokens
in scripts without blanks. Classes follow the `unicodedata` of the running Python; a code point that it has not assigned
is "other".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from ..arrays import Ints
from .scripts import spelling

BLANK, WORD, OTHER = 0, 1, 2

_OF_CATEGORY = {
    **dict.fromkeys(["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pc"], WORD),
    **dict.fromkeys(["Zs", "Zl", "Zp"], BLANK),
    **dict.fromkeys(
        ["No", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cc", "Cf", "Cs", "Co", "Cn"], OTHER
    ),
}
#: Control characters that are blank. U+001C to U+001F are not blank here, although str.isspace() is true for them.
_BLANK_CONTROLS = (0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85)
#: Zero width (non-)joiner; letters that are symbols by category: circled, squared, negative circled, negative squared.
_ALSO_WORDS = (
    range(0x200C, 0x200E), range(0x24B6, 0x24EA), range(0x1F130, 0x1F14A), range(0x1F150, 0x1F16A),
    range(0x1F170, 0x1F18A),
)  # fmt: skip
#: Planes of 65 536 code points that have assigned ones; the others are empty or for private use.
_PLANES = (0, 1, 2, 3, 14)


@lru_cache(maxsize=1)
def table() -> NDArray[np.uint8]:
    """Return the classes of all code points, (0x110000,) uint8; the first call takes about 20 ms.

    Examples
    --------
    >>> [int(table()[ord(c)]) for c in "a_9é ²+"]
    [1, 1, 1, 1, 0, 2, 2]
    """
    classes = np.full(0x110000, OTHER, np.uint8)
    for plane in _PLANES:
        points = range(plane << 16, (plane + 1) << 16)
        of_plane = bytes(map(_OF_CATEGORY.__getitem__, map(category, map(chr, points))))
        classes[points.start : points.stop] = np.frombuffer(of_plane, np.uint8)
    classes[list(_BLANK_CONTROLS)] = BLANK
    for letters in _ALSO_WORDS:
        classes[letters.start : letters.stop] = WORD
    classes.setflags(write=False)
    return classes


def token_spans(texts: Sequence[str]) -> tuple[bytes, Ints, Ints, Ints]:
    """Return the byte spans of the tokens of texts in their one spelling, without Python code per token.

    Parameters
    ----------
    texts : sequence of r str
        All UTF-8: no lone surrogates.

    Returns
    -------
    data : bytes
        UTF-8 of the texts as `scripts.spelling` has them, a line feed after each.
    begin, end : (t,) int64
        Token i is data[begin[i]:end[i]]; in order of the texts.
    counts : (r,) int64
        Tokens of each text.

    Examples
    --------
    >>> data, begin, end, counts = token_spans(["Don't", "", "stop!?"])
    >>> [data[b:e].decode() for b, e in zip(begin, end)], counts.tolist()
    (['don', "'", 't', 'stop', '!?'], [3, 0, 2])
    """
    # Row by row, not after joining, because the length of a row changes.
    spelled = [spelling(text) for text in texts]
    joined = "\n".join([*spelled, ""])
    data = joined.encode()
    stops = np.cumsum([len(text) + 1 for text in spelled], dtype=np.int64)
    if not joined:
        return data, stops, stops, stops
    points = None if len(data) == len(joined) else np.frombuffer(joined.encode("utf-32-le"), "<u4")
    of_ascii = table()[:256].tobytes()  # only ASCII text is translated, so the upper half is never used
    classes = np.frombuffer(data.translate(of_ascii), np.uint8) if points is None else table()[points]
    turns = np.flatnonzero(classes[1:] != classes[:-1]) + 1
    begin, end = np.concatenate([[0], turns]), np.concatenate([turns, [len(classes)]])
    visible = classes[begin] != BLANK
    begin, end = begin[visible], end[visible]
    counts = np.diff(np.searchsorted(begin, stops), prepend=0)
    if points is not None:  # from code points to bytes
        wide = (points > 0x7F).astype(np.int8) + (points > 0x7FF) + (points > 0xFFFF)
        added = np.cumsum(wide, dtype=np.int64)
        begin, end = begin + np.where(begin > 0, added[begin - 1], 0), end + added[end - 1]
    return data, begin, end, counts
