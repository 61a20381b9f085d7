"""Shannon entropy in bits of a text's own tokens, over the whole text or as the mean over windows.

    H = log2 n - (1/n) sum over distinct tokens of c log2 c            c = count among n tokens

The windowed form (ours; the definition behind EUDS, arXiv 2602.17465, is not public) takes every full window of w
tokens at stride w // 4, so that length hardly matters; the whole-text form grows with length. A value depends on its
own row alone, to the last bit: sums run in row order. Tokens are those of the composed text (kernels/scripts.py): NFC
and NFD of a text are one. For sub-word units the caller gives a tokeniser as a function: a trained vocabulary is a
model, not a kernel.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scripts import composed
from .tokens import utf8, wordpunct

#: Tokens of one block of texts: enough to amortise numpy's calls, few enough to stay in cache.
_BLOCK_TOKENS = 1 << 14

Ids = NDArray[Any]
#: What tokens are: a name, or a function from a text to its token ids.
Unit = str | Callable[[str], Sequence[int]]


@lru_cache(maxsize=4096)
def _c_log_c(c: int) -> float:
    return c * math.log2(c)


def _counts(unit: Unit) -> Callable[[str], Iterable[int]]:
    """Return text -> counts of its distinct tokens, in an order that depends on the text alone."""
    if unit == "word":
        return lambda text: Counter(wordpunct(text)).values()
    if unit == "character":
        return lambda text: Counter(composed(text)).values()
    if not isinstance(unit, str):
        return lambda text: Counter(unit(composed(text))).values()

    def of_bytes(text: str) -> list[int]:
        by_byte = np.bincount(np.frombuffer(utf8(composed(text)) or b"", np.uint8))
        counts: list[int] = by_byte[by_byte > 0].tolist()
        return counts

    return of_bytes


def _bits(counts: Iterable[int], normalise: str) -> float:
    n, distinct = sum(counts), sum(1 for _ in counts)
    if n == 0 or (n == 1 and normalise != "none"):
        return math.nan
    # fsum: sum() itself rounds differently from Python 3.12 on.
    bits = max(math.log2(n) - math.fsum(map(_c_log_c, counts)) / n, 0.0)
    if normalise == "none" or distinct == 1:
        return bits
    return min(bits / math.log2(n if normalise == "tokens" else distinct), 1.0)


def whole_entropy(texts: Sequence[str], unit: Unit = "word", normalise: str = "none") -> NDArray[np.float64]:
    """Return the entropy of all tokens of each text.

    Parameters
    ----------
    texts : sequence of n str
    unit : {"word", "character", "byte"}, or callable
        WordPunct tokens, code points, UTF-8 bytes, or a function from a text to its token ids.
    normalise : {"none", "tokens", "distinct"}
        Divide by log2 of the number of tokens or of distinct tokens; a text of one repeated token is then 0.

    Returns
    -------
    (n,) float64: bits in [0, log2 tokens], or a share in [0, 1]. NaN without a token, for one token if normalised,
    and in bytes for a text that is not UTF-8.

    Examples
    --------
    >>> whole_entropy(["to be or not to be", "a a a a", ""]).round(3).tolist()
    [1.918, 0.0, nan]
    >>> whole_entropy(["abcd", "aabb"], "character").tolist()
    [2.0, 1.0]
    """
    counts = _counts(unit)
    return np.array([_bits(counts(text), normalise) for text in texts], dtype=np.float64)


def _ids(unit: Unit) -> Callable[[str], Ids]:
    """Return text -> token ids, equal for equal tokens; ids of words are comparable within one such function only."""
    if unit == "word":
        id_of: defaultdict[str, int] = defaultdict(count().__next__)

        def of_words(text: str) -> Ids:
            words = wordpunct(text)
            return np.fromiter(map(id_of.__getitem__, words), np.int32, len(words))

        return of_words
    if unit == "character":
        return lambda text: np.frombuffer(composed(text).encode("utf-32-le", "surrogatepass"), np.uint32)
    if not isinstance(unit, str):
        return lambda text: np.array(unit(composed(text)), np.int32)
    return lambda text: np.frombuffer(utf8(composed(text)) or b"", np.uint8)


def _blocks(texts: Sequence[str], unit: Unit) -> Iterator[list[Ids]]:
    """Yield the ids of consecutive texts in blocks, so that memory does not grow with the batch."""
    ids, block, size = _ids(unit), [], 0
    for text in texts:
        block.append(ids(text))
        size += len(block[-1])
        if size >= _BLOCK_TOKENS:
            yield block
            ids, block, size = _ids(unit), [], 0  # new ids, so that the table of words stays small
    if block:
        yield block


def _window_bits(windows: Ids, normalise: str) -> NDArray[np.float64]:
    """Return the entropy of each row of (m, w) ids, from the lengths of runs of equal ids after sorting."""
    number, width = windows.shape
    ordered = np.sort(windows, axis=1)
    starts = np.ones((number, width), dtype=bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=starts[:, 1:])
    at = np.flatnonzero(starts)
    table = np.array([0.0, *map(_c_log_c, range(1, width + 1))])
    runs, owner = table[np.diff(at, append=starts.size)], at // width
    bits: NDArray[np.float64] = np.maximum(math.log2(width) - np.bincount(owner, runs, number) / width, 0.0)
    if normalise == "none":
        return bits
    distinct = np.bincount(owner, minlength=number)
    # One distinct token has 0 bits; dividing by log2 2 keeps it 0.
    divisor = np.full(number, width) if normalise == "tokens" else np.maximum(distinct, 2)
    share: NDArray[np.float64] = np.minimum(bits / np.log2(divisor), 1.0)
    return share


def window_entropy(
    texts: Sequence[str], unit: Unit = "word", window: int = 16, normalise: str = "none"
) -> NDArray[np.float64]:
    """Return the mean entropy of the full windows of `window` tokens at stride max(1, window // 4).

    Parameters
    ----------
    texts, unit, normalise
        As in whole_entropy; `normalise` applies to each window.
    window : int >= 2, default 16
        In tokens of `unit`. Tokens after the last full window do not count.

    Returns
    -------
    (n,) float64: bits in [0, log2 window], or a share in [0, 1]. NaN for a text with fewer tokens than one window,
    and in bytes for a text that is not UTF-8. O(tokens) time, memory bounded by the longest text.

    Examples
    --------
    >>> window_entropy(["a b c d", "a b c c", "a b c"], window=4).tolist()
    [2.0, 1.5, nan]
    """
    stride, means = max(1, window // 4), []
    for block in _blocks(texts, unit):
        lengths = np.fromiter(map(len, block), np.int64, len(block))
        number = np.where(lengths >= window, (lengths - window) // stride + 1, 0)
        owner = np.repeat(np.arange(len(block)), number)
        if not len(owner):
            means.append(np.full(len(block), np.nan))
            continue
        within = np.arange(len(owner)) - (np.cumsum(number) - number)[owner]
        first = (np.cumsum(lengths) - lengths)[owner] + stride * within
        windows = np.lib.stride_tricks.sliding_window_view(np.concatenate(block), window)[first]
        total = np.bincount(owner, _window_bits(windows, normalise), len(block))
        means.append(np.divide(total, number, out=np.full(len(block), np.nan), where=number > 0))
    return np.concatenate(means) if means else np.empty(0)
