"""64-bit keys of word n-grams, and the share of a row's n-grams that are in a set of keys.

A word is a maximal run of word characters (module `re`), lower-cased; an n-gram is n consecutive words of one row,
whatever is between them. Its key is sum of B^(n-1-i) h(w_i) mod 2^64 with h the 8-byte BLAKE2b of the word's UTF-8:
two n-grams share a key with probability 2^-64, which is not checked. Keys depend on the words alone.

A batch is processed as one array of words, n multiplications a word; only h is looked up word by word.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

import numpy as np

from ..arrays import Floats, Hashes, Ints
from .tokens import utf8

WORDS = re.compile(r"\w+")
#: B: odd, so that multiplication by it is a bijection modulo 2^64.
_BASE = np.uint64(0x9E3779B97F4A7C15)
#: Words whose hash is cached, about 100 bytes each; beyond that the cache is emptied.
_KNOWN_WORDS = 500_000


class _Hashes(dict[str, int]):
    """Word -> h, computed when a word is first met."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _KNOWN_WORDS:
            self.clear()
        value = self[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        return value


def _of_rows(texts: Sequence[str], n: int, hashes: _Hashes) -> tuple[Hashes, Ints]:
    """Return the keys of all n-grams in order of rows, and the number of n-grams of each row."""
    words = [WORDS.findall(text.lower()) for text in texts]
    lengths = np.array([len(row) for row in words], dtype=np.int64)
    h = np.array([hashes[word] for row in words for word in row], dtype=np.uint64)
    counts: Ints = np.maximum(lengths - n + 1, 0)
    if len(h) < n:
        return np.empty(0, np.uint64), counts
    windows = len(h) - n + 1
    keys = np.zeros(windows, np.uint64)
    for i in range(n):  # the polynomial by Horner's rule
        keys = keys * _BASE + h[i : i + windows]
    # A window that begins in the last n - 1 words of a row runs into the next one.
    ends = np.repeat(np.cumsum(lengths), lengths)[:windows]
    return keys[np.arange(windows) + n <= ends], counts


def keys(texts: Sequence[str], n: int) -> Hashes:
    """Return the distinct keys of the texts' n-grams, ascending; a text that is not UTF-8 has none.

    Examples
    --------
    >>> len(keys(["Sing a song, sing a song"], 3)), len(keys(["sing a"], 3))
    (3, 0)
    """
    return np.unique(_of_rows([text for text in texts if utf8(text) is not None], n, _Hashes())[0])


def overlap(known: Hashes, n: int) -> Callable[[Sequence[str]], Floats]:
    """Return texts -> share of each text's n-grams (repetitions counted) that are among `known`.

    Parameters
    ----------
    known : (m,) uint64, ascending
    n : int
        Words of an n-gram.

    Returns
    -------
    callable
        list of r str -> (r,) float64 in [0, 1]; 0 for fewer than n words, NaN for a text that is not UTF-8.

    Examples
    --------
    >>> share = overlap(keys(["a song of sixpence"], 2), 2)
    >>> share(["A song, of ravens", "sixpence", "a song"]).round(3).tolist()
    [0.667, 0.0, 1.0]
    """
    hashes = _Hashes()

    def share(texts: Sequence[str]) -> Floats:
        broken = np.array([utf8(text) is None for text in texts], dtype=bool)
        of_rows, counts = _of_rows(["" if bad else text for text, bad in zip(texts, broken, strict=True)], n, hashes)
        at = np.minimum(np.searchsorted(known, of_rows), max(len(known) - 1, 0))
        is_known = known[at] == of_rows if len(known) else np.zeros(len(of_rows), dtype=bool)
        row = np.repeat(np.arange(len(texts)), counts)
        hits = np.bincount(row, is_known, minlength=len(texts))
        return np.where(broken, np.nan, hits / np.maximum(counts, 1))

    return share
