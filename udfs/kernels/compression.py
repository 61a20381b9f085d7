"""Compressed sizes: ZIP-FIT alignment to a set of texts (arXiv 2410.18194, section 3) and the compression ratio.

    NCD(x, t) = (C(x+t) - min(C(x), C(t))) / max(C(x), C(t))        A(x) = 1 - mean over t of NCD(x, t)

C is the length in bytes of the whole gzip member, zstd frame or lz4 frame of the UTF-8 text, as in the package zip-fit.
Left out: brotli and lzma (milliseconds a pair), and exact pruning by bounds (measured: at most 1.4x).

gzip sizes come from deflate.py where its C was built: a row is parsed once for all targets. Otherwise they come from
zlib, one call a pair; rows of COPY_FROM bytes and more are fed to deflate once and its state is copied for every target
(stock zlib then yields the same bytes). The values are the same in all cases.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from .codecs import GZIP_WRAPPER, size_function
from .deflate import gzip_sizes_after
from .tokens import utf8

#: Row length in bytes from which copying deflate's state is cheaper than compressing the row again (measured).
COPY_FROM = 1000
#: deflate's MIN_LOOKAHEAD: with window >= input + 262 no match is out of reach, so the window size cannot matter.
_LOOKAHEAD = 262

#: x -> C(x + t) for every target t, and C(x) last.
Sizes = Callable[[bytes], Sequence[int] | NDArray[np.int32]]


def _gzip_by_zlib(level: int, targets: Sequence[bytes]) -> Sizes:
    """Return the sizes of gzip members by zlib alone; a long x is compressed once and its state copied."""
    longest = max(map(len, targets))
    # zlib-ng may cut blocks elsewhere when it is fed in two pieces, so there the whole pair is compressed again.
    copy_from = math.inf if "ng" in zlib.ZLIB_RUNTIME_VERSION else COPY_FROM
    size = size_function("gzip", level)

    def sizes(data: bytes) -> list[int]:
        if len(data) < copy_from:
            return [size(data + target) for target in (*targets, b"")]
        # The smallest window that reaches back over everything: the same bytes, and less state to copy.
        bits = min(max((len(data) + longest + _LOOKAHEAD - 1).bit_length(), 9), 15)
        after = zlib.compressobj(level, zlib.DEFLATED, -bits)
        head = len(after.compress(data)) + GZIP_WRAPPER
        lengths = []
        for target in (*targets, b""):
            state = after.copy()
            lengths.append(head + len(state.compress(target)) + len(state.flush()))
        return lengths

    return sizes


def _gzip_sizes(level: int, targets: Sequence[bytes]) -> Sizes:
    by_c, by_zlib = gzip_sizes_after(level, targets), _gzip_by_zlib(level, targets)
    if by_c is None:
        return by_zlib

    def sizes(data: bytes) -> Sequence[int] | NDArray[np.int32]:
        lengths = by_c(data)
        return by_zlib(data) if lengths is None else lengths

    return sizes


def _parts(data: bytes, limit: int) -> list[bytes]:
    """Cut into the fewest parts of at most `limit` bytes, equally long within one byte; limit 0 is one part."""
    count = -(-len(data) // limit) if limit and data else 1
    cuts = [len(data) * i // count for i in range(count + 1)]
    return [data[a:b] for a, b in pairwise(cuts)]


def _similar(pair_sizes: Floats, row_sizes: Floats | np.float64, target_sizes: Floats) -> Floats:
    """Return 1 - NCD from sizes, element by element, so that a value is the same in a row and in a block of rows."""
    smaller, larger = np.minimum(row_sizes, target_sizes), np.maximum(row_sizes, target_sizes)
    return 1 - (pair_sizes - smaller) / larger


def _prepared(codec: str, level: int, targets: Sequence[str]) -> tuple[Sizes, Floats]:
    """Return the function of sizes after a row, and C(t) of the targets, (m,)."""
    encoded = [text.encode() for text in targets]
    size = size_function(codec, level)
    sizes = _gzip_sizes(level, encoded) if codec == "gzip" else lambda x: [size(x + t) for t in (*encoded, b"")]
    return sizes, np.array([size(data) for data in encoded], dtype=np.float64)


def alignment(
    codec: str, level: int, targets: Sequence[str], chunk_bytes: int = 0, chunk_how: str = "mean"
) -> Callable[[Sequence[str]], Floats]:
    """Return the ZIP-FIT kernel: texts -> A(x), larger is closer to the targets.

    Parameters
    ----------
    codec : {"gzip", "zstd", "lz4"}
    level : int
        See codecs.LEVELS.
    targets : sequence of str, not empty
    chunk_bytes : int, default 0
        Rows of more UTF-8 bytes are cut into equal parts of at most this length (deflate sees only 32 KiB back);
        0 never cuts.
    chunk_how : {"mean", "max"}
        How the A of a row follows from the A of its parts.

    Returns
    -------
    callable
        list of n str -> (n,) float64 in about (-0.1, 1]. The empty text has a value; a text that is not UTF-8 (a lone
        surrogate) is NaN. The mean over targets is correctly rounded, hence the same for any order of targets.
        O(rows x targets) compressions, O(targets) memory.
    """
    sizes_after, target_sizes = _prepared(codec, level, targets)

    def aligned(data: bytes) -> float:
        lengths = np.array(sizes_after(data), dtype=np.float64)
        return math.fsum(_similar(lengths[:-1], lengths[-1], target_sizes).tolist()) / len(target_sizes)

    def score(texts: Sequence[str]) -> Floats:
        values = np.full(len(texts), np.nan)
        for i, data in enumerate(map(utf8, texts)):
            if data is not None:
                parts = [aligned(part) for part in _parts(data, chunk_bytes)]
                values[i] = max(parts) if chunk_how == "max" else math.fsum(parts) / len(parts)
        return values

    return score


def similarities(codec: str, level: int, targets: Sequence[str]) -> Callable[[Sequence[str]], Floats]:
    """Return the kernel of single pairs: texts -> C(x), and 1 - NCD(x, t) for every target.

    Parameters
    ----------
    codec, level, targets
        As in alignment.

    Returns
    -------
    callable
        list of n str -> (n, 1 + m) float64: C(x) in bytes, then the m similarities; all NaN for a text that is not
        UTF-8. `math.fsum` of the similarities to all targets, divided by their number, is `alignment` bit for bit,
        whichever calls the pairs come from.
    """
    sizes_after, target_sizes = _prepared(codec, level, targets)

    def score(texts: Sequence[str]) -> Floats:
        values = np.full((len(texts), len(targets) + 1), np.nan)
        for i, data in enumerate(map(utf8, texts)):
            if data is not None:
                lengths = sizes_after(data)
                values[i, 1:], values[i, 0] = lengths[:-1], lengths[-1]
        # Block by block: temporary arrays of a whole batch would be new pages each time.
        for start in range(0, len(texts), 256):
            block = values[start : start + 256]
            block[:, 1:] = _similar(block[:, 1:], block[:, :1], target_sizes)
        return values

    return score


def ratio(texts: Sequence[str]) -> Floats:
    """Return compressed bytes / raw bytes of UTF-8 texts: zlib level 6, the whole zlib stream.

    Parameters
    ----------
    texts : sequence of n str

    Returns
    -------
    (n,) float64 > 0: small is repetitive, above 1 is incompressible; NaN for an empty text and one that is not UTF-8.

    Examples
    --------
    >>> ratio(["a" * 1000, "ab", ""]).tolist()
    [0.017, 5.0, nan]
    """
    compress, raw = zlib.compress, map(utf8, texts)
    return np.array([len(compress(data, 6)) / len(data) if data else math.nan for data in raw], dtype=np.float64)
