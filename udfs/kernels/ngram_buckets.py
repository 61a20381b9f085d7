"""Hashes words and pairs of words into buckets: counts per bucket, and sums of a table over a row's n-grams.

An n-gram is a WordPunct token of the text in its one spelling (kernels/word_classes.py) or two neighbours of one row
joined by one blank; its bucket is SHA-256 of its UTF-8, read as one big-endian integer, modulo the number of buckets.
Repetitions count. Source: DSIR, arXiv 2302.03169, section 4, and its package data-selection 1.0.3, with which the
buckets agree where the spelling is the lower-cased text. Left out: n-grams of three words and more.

SHA-256 is computed once for an n-gram; after that its bucket is looked up under a 64-bit key of its bytes, for all
n-grams of a block at once. Two n-grams share a key with probability 2^-64, about 3e-8 for a million of them; the later
one would then get the bucket of the earlier. This is not checked. Apart from it, values do not depend on earlier rows.

Memory: a cache of at most 2 million n-grams, 50 MB, which is emptied when it is full; and about 50 bytes per byte of a
block of rows, which has 2^18 characters or one row.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b, sha256

import numpy as np
from numpy.typing import NDArray

from ..arrays import Clusters, Floats, Hashes, Ints
from .hashing import GOLDEN, mix_in_place
from .tokens import utf8
from .word_classes import token_spans

#: Characters of a block: few enough for its arrays to stay in cache.
BLOCK_CHARACTERS = 1 << 18
#: Slots of the cache, 12 bytes each, at first and at most (at most half are used); n-grams looked up at once.
FIRST_SLOTS, MOST_SLOTS, PIECE = 1 << 18, 1 << 22, 1 << 16
#: Tokens of more bytes are hashed one by one: they are rare, and the others then take at most eight steps.
_LONG = 64

#: Mask of 8 bytes (little-endian) of which only the first i belong to the token.
_FIRST_BYTES = np.array([(1 << 8 * i) - 1 for i in range(9)], np.uint64)


def _token_keys(data: bytes, begin: Ints, end: Ints) -> Hashes:
    """Return a 64-bit key of each token, 8 bytes a step."""
    words = np.ndarray(len(data) + 1, "<u8", data + bytes(8), strides=(1,))  # the 8 bytes from each position on
    length = end - begin
    keys = mix_in_place((words[begin] & _FIRST_BYTES[np.minimum(length, 8)]) ^ (length.astype(np.uint64) * GOLDEN))
    more = np.flatnonzero(length > 8)
    for step in range(8, _LONG, 8):
        part = words[begin[more] + step] & _FIRST_BYTES[np.minimum(length[more] - step, 8)]
        keys[more] = mix_in_place(keys[more] ^ part)
        more = more[length[more] > step + 8]
    for i in more.tolist():
        keys[i] = int.from_bytes(blake2b(data[begin[i] : end[i]], digest_size=8).digest(), "little")
    return keys


class _Cache:
    """Key -> bucket by open addressing with linear probing. Key 0 marks an empty slot."""

    def __init__(self, slots: int) -> None:
        self.keys, self.buckets, self.used = np.zeros(slots, np.uint64), np.zeros(slots, np.int32), 0

    def slots(self, keys: Hashes) -> NDArray[np.intp]:
        """Return the slot of each key, or the empty one where it would be put."""
        shift, last = np.uint64(65 - len(self.keys).bit_length()), len(self.keys) - 1
        at = (keys >> shift).astype(np.intp)
        in_slot = self.keys[at]
        taken = np.flatnonzero((in_slot != keys) & (in_slot != 0))  # by another key: try the next slot
        while len(taken):
            at[taken] = (at[taken] + 1) & last
            in_slot = self.keys[at[taken]]
            taken = taken[(in_slot != keys[taken]) & (in_slot != 0)]
        return at

    def put(self, keys: Hashes, buckets: Clusters) -> None:
        """Add distinct keys that it does not hold; half the slots must stay empty."""
        waiting = np.arange(len(keys))
        while len(waiting):
            at = self.slots(keys[waiting])
            self.keys[at], self.buckets[at] = keys[waiting], buckets[waiting]
            waiting = waiting[self.keys[at] != keys[waiting]]  # where several keys want one slot, the last one gets it
        self.used += len(keys)

    def with_room(self, count: int) -> _Cache:
        """Return a cache with room for `count` more keys: itself, one of twice the slots, or an empty one."""
        if 2 * (self.used + count) <= len(self.keys):
            return self
        if len(self.keys) >= MOST_SLOTS:
            return _Cache(len(self.keys))
        larger = _Cache(2 * len(self.keys))
        used = self.keys != 0
        larger.put(self.keys[used], self.buckets[used])
        return larger.with_room(count)


class NgramBuckets:
    """Finds the buckets of the uni- and bigrams of texts. Pickles without its cache.

    Parameters
    ----------
    buckets : int

    Examples
    --------
    >>> ngrams = NgramBuckets(10_000)
    >>> np.flatnonzero(ngrams.counts(["To be", "to"])).tolist(), int(ngrams.counts(["To be", "to"]).max())
    ([2441, 8439, 8525], 2)
    >>> ngrams.sums(["to be or not to be", "", "to"], np.ones(10_000)).tolist()
    [11.0, nan, 1.0]
    """

    def __init__(self, buckets: int) -> None:
        self.buckets = buckets
        self._cache = _Cache(FIRST_SLOTS)
        self._lock = threading.Lock()  # two threads that fill the cache at once would corrupt it

    def __reduce__(self) -> tuple[Callable[[int], NgramBuckets], tuple[int]]:
        """Pickle the number of buckets alone."""
        return ngram_buckets, (self.buckets,)

    def counts(self, texts: Sequence[str]) -> Ints:
        """Return how many n-grams of all the texts fall into each bucket, (buckets,) int64.

        Texts that are not UTF-8 have none.
        """
        total = np.zeros(self.buckets, np.int64)
        for start, stop in _blocks(texts):
            total += np.bincount(self._of_rows(texts[start:stop])[1], minlength=self.buckets)
        return total

    def sums(self, texts: Sequence[str], table: Floats, per_token: bool = False) -> Floats:
        """Return for each text the sum of table[bucket] over its n-grams, added in the order of the text.

        Parameters
        ----------
        texts : sequence of r str
        table : (buckets,) float64
        per_token : bool, default False
            Divide by the number of tokens.

        Returns
        -------
        (r,) float64
            NaN for a text without tokens and for one that is not UTF-8.
        """
        sums = np.empty(len(texts))
        for start, stop in _blocks(texts):
            row, bucket, counts = self._of_rows(texts[start:stop])
            added = np.bincount(row, table[bucket], minlength=stop - start)  # adds one by one
            sums[start:stop] = np.where(counts > 0, added / np.maximum(counts, 1) if per_token else added, np.nan)
        return sums

    def _of_rows(self, texts: Sequence[str]) -> tuple[Ints, Clusters, Ints]:
        """Return row and bucket of every n-gram, the single words first, and the number of tokens of each row."""
        try:
            data, begin, end, counts = token_spans(texts)
        except UnicodeEncodeError:
            data, begin, end, counts = token_spans(["" if utf8(text) is None else text for text in texts])
        row = np.repeat(np.arange(len(texts)), counts)
        pair_starts = np.flatnonzero(row[1:] == row[:-1])  # the first words of pairs
        single = _token_keys(data, begin, end)
        pairs = single[pair_starts] * GOLDEN + single[pair_starts + 1]
        keys = np.maximum(np.concatenate([single, pairs]), np.uint64(1))  # key 0 marks an empty slot

        def buckets_of(places: Ints) -> list[int]:
            """Return the buckets of the n-grams at some positions of `keys`."""
            pair = places >= len(begin)
            first = places.copy()
            first[pair] = pair_starts[places[pair] - len(begin)]
            last = first + pair
            spans = zip(*(part.tolist() for part in (begin[first], end[first], begin[last], end[last])), strict=True)
            grams = (data[a:b] if a == c else data[a:b] + b" " + data[c:d] for a, b, c, d in spans)
            return [int.from_bytes(sha256(gram).digest(), "big") % self.buckets for gram in grams]

        return np.concatenate([row, row[pair_starts]]), self._looked_up(keys, buckets_of), counts

    def _looked_up(self, keys: Hashes, buckets_of: Callable[[Ints], list[int]]) -> Clusters:
        """Return the bucket of each key; `buckets_of` is called for one position of every key not in the cache."""
        buckets = np.empty(len(keys), np.int32)
        for start in range(0, len(keys), PIECE):
            piece = keys[start : start + PIECE]
            with self._lock:
                self._cache = cache = self._cache.with_room(len(piece))
                at = cache.slots(piece)
                missing = np.flatnonzero(cache.keys[at] != piece)
                if len(missing):
                    new, first = np.unique(piece[missing], return_index=True)
                    cache.put(new, np.array(buckets_of(missing[first] + start), np.int32))
                    at[missing] = cache.slots(piece[missing])
                buckets[start : start + PIECE] = cache.buckets[at]
        return buckets


@lru_cache(maxsize=2)
def ngram_buckets(buckets: int) -> NgramBuckets:
    """Return the one NgramBuckets of that many buckets in this process, so that all passes share a cache.

    Examples
    --------
    >>> ngram_buckets(100) is ngram_buckets(100)
    True
    """
    return NgramBuckets(buckets)


def _blocks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows with at most BLOCK_CHARACTERS together, or of one row."""
    start = size = 0
    for i, text in enumerate(texts):
        if size and size + len(text) > BLOCK_CHARACTERS:
            yield start, i
            start, size = i, 0
        size += len(text) + 1
    if start < len(texts):
        yield start, len(texts)
