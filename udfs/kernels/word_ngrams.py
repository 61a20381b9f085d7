"""64-bit keys of word n-grams, and the share of a row's n-grams that are in a set of keys.

Words are those of the text without case, marks and invisible characters, compatibility forms alike, and single
characters in scripts without blanks (`bare` of kernels/scripts.py); an n-gram is n consecutive words of one row,
whatever is between them. Its key is sum of B^(n-1-i) h(w_i) mod 2^64 with h the 8-byte BLAKE2b of the word's UTF-8: two
n-grams share a key with probability 2^-64, which is not checked. Keys depend on the words alone.

A text of fewer than n words has one key, of all its words. It is found in a row that holds these words one after the
other; with fewer than CONTAINED words only in a row of just these: "Yes." stands in too many rows.

A batch is processed as one array of words, n multiplications a word; only h is looked up word by word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Flags, Floats, Hashes, Ints
from .scripts import bare, words
from .tokens import utf8

#: B: odd, so that multiplication by it is a bijection modulo 2^64.
_BASE = np.uint64(0x9E3779B97F4A7C15)
#: Words whose hash is cached, about 100 bytes each; beyond that the cache is emptied.
_KNOWN_WORDS = 500_000
#: Fewest words of a text shorter than n that is looked for inside of longer rows.
CONTAINED = 5


class _Hashes(dict[str, int]):
    """Word -> h, computed when a word is first met."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _KNOWN_WORDS:
            self.clear()
        value = self[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        return value


class _Rows(NamedTuple):
    """The hashes of the words of all rows, one row after the other, and how many words each row has."""

    h: Hashes
    lengths: Ints

    def grams(self, wanted: Collection[int]) -> Iterator[tuple[int, Hashes, Ints]]:
        """Yield m, the keys of all m-grams in order of rows, and the row of each, for the `wanted` m, ascending."""
        row = np.repeat(np.arange(len(self.lengths)), self.lengths)
        ends = np.repeat(np.cumsum(self.lengths), self.lengths)
        keys = np.zeros(len(self.h), np.uint64)
        for m in range(1, min(max(wanted), len(self.h)) + 1):  # the polynomial by Horner's rule
            places = len(self.h) - m + 1
            keys = keys[:places] * _BASE + self.h[m - 1 :]
            if m in wanted:
                inside = np.arange(places) + m <= ends[:places]  # not what runs into the next row
                yield m, keys[inside], row[:places][inside]


def _of_rows(texts: Sequence[str], hashes: _Hashes) -> _Rows:
    of_rows = [words(bare(text)) for text in texts]
    h = np.array([hashes[word] for row in of_rows for word in row], dtype=np.uint64)
    return _Rows(h, np.array([len(row) for row in of_rows], dtype=np.int64))


class Keys(NamedTuple):
    """What texts are found by: `ngrams` (m,) uint64 ascending; `short`, by number of words the keys of shorter texts.

    `texts` were read, of which `whole` are shorter than n and `without` have no word or are not UTF-8, and no key.
    """

    ngrams: Hashes
    short: Mapping[int, Hashes]
    texts: int = 0
    whole: int = 0
    without: int = 0


def _distinct(values: Hashes) -> Hashes:
    """Return the distinct values, ascending; np.unique hashes whole numbers, which is slow for millions of them."""
    ordered: Hashes = np.sort(values)
    return ordered[np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))]


def keys(texts: Sequence[str], n: int) -> Keys:
    """Return the distinct keys of the texts' n-grams, and of whole texts that are shorter.

    Examples
    --------
    >>> found = keys(["Sing a song, sing a song", "Sing a...", ""], 3)
    >>> len(found.ngrams), {words: len(key) for words, key in found.short.items()}, found.without
    (3, {2: 1}, 1)
    """
    read = _of_rows([text for text in texts if utf8(text) is not None], _Hashes())
    lengths, short, ngrams = read.lengths, {}, np.empty(0, np.uint64)
    for m, grams, row in read.grams(range(1, n + 1)):
        if m == n:
            ngrams = _distinct(grams)
        elif (whole := lengths[row] == m).any():
            short[m] = _distinct(grams[whole])
    whole_texts = int(((lengths > 0) & (lengths < n)).sum())
    return Keys(ngrams, short, len(texts), whole_texts, len(texts) - int((lengths > 0).sum()))


def merged(a: Keys, b: Keys) -> Keys:
    """Return the keys of the texts of both.

    Examples
    --------
    >>> both = merged(keys(["to be"], 3), keys(["to be", "or not to be"], 3))
    >>> len(both.ngrams), len(both.short[2]), both.texts, both.whole
    (2, 1, 3, 2)
    """
    none = np.empty(0, np.uint64)
    lengths = sorted({*a.short, *b.short})
    short = {m: _distinct(np.concatenate([a.short.get(m, none), b.short.get(m, none)])) for m in lengths}
    counts = (x + y for x, y in zip(a[2:], b[2:], strict=True))
    return Keys(_distinct(np.concatenate([a.ngrams, b.ngrams])), short, *counts)


def _among(known: Hashes, grams: Hashes) -> Flags:
    """Return which keys are among ascending ones."""
    if not len(known):
        return np.zeros(len(grams), dtype=np.bool_)
    found: Flags = known[np.minimum(np.searchsorted(known, grams), len(known) - 1)] == grams
    return found


def overlap(known: Keys, n: int) -> Callable[[Sequence[str]], Floats]:
    """Return texts -> share of each text's n-grams (repetitions counted) that are among `known`.

    A short text of `known` that a row holds counts as one of the row's n-grams; the share is at most 1.

    Parameters
    ----------
    known : Keys
    n : int
        Words of an n-gram.

    Returns
    -------
    callable
        list of r str -> (r,) float64 in [0, 1]; 0 for fewer than n words without a short text, NaN for a text that is
        not UTF-8.

    Examples
    --------
    >>> share = overlap(keys(["a song of sixpence"], 2), 2)
    >>> share(["A song, of ravens", "sixpence", "a song"]).round(3).tolist()
    [0.667, 0.0, 1.0]
    >>> overlap(keys(["What is the capital of France?"], 13), 13)(["Q: what is the CAPITAL of France"]).tolist()
    [1.0]
    """
    hashes = _Hashes()

    def share(texts: Sequence[str]) -> Floats:
        broken = np.array([utf8(text) is None for text in texts], dtype=bool)
        read = _of_rows(["" if bad else text for text, bad in zip(texts, broken, strict=True)], hashes)
        hits = np.zeros(len(texts))
        for m, grams, row in read.grams({n, *known.short}):
            if m == n:
                hits += np.bincount(row, _among(known.ngrams, grams), len(texts))
            else:
                found = _among(known.short[m], grams) & ((m >= CONTAINED) | (read.lengths[row] == m))
                hits += np.bincount(row, found, len(texts))
        shares = np.minimum(hits / np.maximum(read.lengths - n + 1, 1), 1)
        return np.where(broken, np.nan, shares)

    return share
