"""hashed_ngrams: counts words and pairs of words in a fixed number of columns chosen by hash; needs no model.

Feature hashing with signs (Weinberger et al. 2009, arXiv 0902.2206). Words are those of the text in its one spelling
(kernels/scripts.py): case folded, single characters in scripts without blanks. A unit that occurs c times counts
sqrt(c): sublinear as log is, and the same bits on every machine; ours. Left out: weights by rarity, which would need
the other rows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..arrays import Hashes
from ..kernels.hashing import mix_in_place, splitmix64
from ..kernels.scripts import spelling, words

WIDTH = 256
#: A unit is the number of its row and 40 bits of its hash in one uint64: a sort then brings equal units together.
_BITS = np.uint64(40)
_MASK = np.uint64((1 << 40) - 1)


def _units(texts: Sequence[str]) -> Hashes:
    """Return row << 40 | hash for every word and every pair of words, ascending."""
    of_rows = [words(spelling(text)) for text in texts]
    lengths = [len(row) for row in of_rows]
    h = np.array([zlib.crc32(word.encode()) for row in of_rows for word in row], dtype=np.uint64)
    row = np.repeat(np.arange(len(texts), dtype=np.uint64), lengths)
    inside = row[1:] == row[:-1]  # a pair may not run into the next row
    pairs = (h[:-1] << np.uint64(32) | h[1:])[inside]
    units = np.concatenate([splitmix64(h), mix_in_place(pairs)]) & _MASK
    keyed: Hashes = np.concatenate([row, row[1:][inside]]) << _BITS | units
    keyed.sort()
    return keyed


def load(dimensions: int) -> Callable[[Sequence[str]], NDArray[np.float64]]:
    """Return n texts, all UTF-8 -> (n, dimensions) float64; a row without words is NaN.

    Examples
    --------
    >>> encode = load(8)
    >>> float(abs(encode(["to to to to"])).sum()) == 4**0.5 + 3**0.5, encode(["?!"])[0, :2].tolist()
    (True, [nan, nan])
    """

    def encode(texts: Sequence[str]) -> NDArray[np.float64]:
        keyed = _units(texts)
        first = np.flatnonzero(np.diff(keyed, prepend=~keyed[:1]))  # of each run of equal units
        counts = np.diff(first, append=len(keyed))
        unit, row = keyed[first] & _MASK, (keyed[first] >> _BITS).astype(np.int64)
        column = (unit >> np.uint64(1)) % np.uint64(dimensions)
        value = np.where(unit & np.uint64(1), 1.0, -1.0) * np.sqrt(counts)
        # bincount adds in order, which is by hash within a row, so a sum does not depend on the other rows.
        total = np.bincount(row * dimensions + column.astype(np.int64), value, len(texts) * dimensions)
        vectors = total.astype(np.float64, copy=False).reshape(len(texts), dimensions)
        vectors[np.bincount(row, minlength=len(texts)) == 0] = np.nan
        return vectors

    return encode
