"""Which of some known texts stand among the rows of a table, in the spelling in which decontamination compares.

A text stands there if a row has just its words, one after the other: case, accents, signs, blanks, compatibility forms
and invisible characters make no difference (`bare` of kernels/scripts.py); a text without a word is compared as it is.
Left out: rows that hold a known text among other words, which the score ngram_overlap finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import Flags
from .kernels.scripts import UNICODE, bare, check_unicode, words
from .kernels.tokens import utf8
from .scorer import Fold


def text_key(text: str) -> bytes:
    """Return 16 bytes that two texts share if they have the same words; b"" for text that is not UTF-8.

    Examples
    --------
    >>> text_key("Crème  brûlée!") == text_key("CREME BRULEE"), text_key("...") == text_key("?"), text_key("\\ud800")
    (True, False, b'')
    """
    if utf8(text) is None:
        return b""
    spelled = " ".join(words(bare(text))) or text
    return hashlib.blake2b(spelled.encode(), digest_size=16).digest()


class FoundTexts(Fold[Flags]):
    """Which keys are those of a row, and of a chosen row: (2, k) bool.

    Parameters
    ----------
    keys : sequence of bytes
        Distinct `text_key` of k known texts.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.places = {key: place for place, key in enumerate(keys)}
        self.unicode = UNICODE

    def zero(self) -> Flags:
        """Return that none is found."""
        return np.zeros((2, len(self.places)), dtype=np.bool_)

    def add(self, state: Flags, *columns: Any) -> Flags:
        """Add texts, and whether their rows are chosen; ScoreError where Python knows another Unicode than here."""
        check_unicode(self.unicode)
        found = state.copy()
        for text, chosen in zip(*columns, strict=True):
            place = self.places.get(text_key(text))
            if place is not None:
                found[0, place] = True
                found[1, place] |= bool(chosen)
        return found

    def merge(self, a: Flags, b: Flags) -> Flags:
        """Return what either has found."""
        either: Flags = a | b
        return either
