"""Exact lengths of raw deflate streams for one text followed by each of many: our own C, where it was built.

ZIP-FIT asks for len(deflate(x + t)) for one x and many t. zlib parses x anew for every t, or copies 270 KB of state,
and writes bits that nobody reads; native/deflate_sizes.c does neither. It decides as zlib does, tie for tie, so nothing
depends on which of the two ran: it is compared with the zlib that is loaded before it is used, and with one whole
compression in 32 or oftener after that. Left out: where there was no C compiler at installation, in a zip for
--py-files, with another deflate than stock zlib's, and with LAKESIFT_DEFLATE=zlib in the environment.
"""

from __future__ import annotations

import ctypes
import os
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScoreError
from .codecs import GZIP_WRAPPER, size_function

#: One pair of a row is compared with zlib where a row has so many pairs; with fewer, of so many of the rows.
CHECKED = 32
#: Longer texts are never handed over: the C answers "unknown" far below.
LONGEST = 1 << 20
_WORDS = b"the quick brown fox jumps over a lazy dog while nine extra jolly wizards vex".split()
#: Text on which levels 1 to 6 of zlib differ, and so would another deflate.
PROBE = b" ".join(_WORDS[(i * i * 7 + i // 3) % len(_WORDS)] + b"%d" % (i * i % 997) for i in range(900))

#: x -> (n + 1,) lengths in bytes of deflate(x + t) for the n texts, then of deflate(x); -1 where it has no answer.
Lengths = Callable[[bytes], NDArray[np.int32]]


@cache
def _library() -> Any:
    """Return the C function, or None."""
    for path in sorted((Path(__file__).parent / "native").glob("deflate_sizes*.so")):
        try:
            function = ctypes.CDLL(str(path)).lakesift_deflate_sizes
        except (OSError, AttributeError):
            continue
        number, text, array = ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
        function.argtypes, function.restype = [number, text, number, text, array, number, array], number
        return function
    return None


def lengths(level: int, texts: Sequence[bytes]) -> Lengths | None:
    """Return the C as a function of x, unchecked, or None where it was not built.

    Parameters
    ----------
    level : int
        1 to 9.
    texts : sequence of n bytes
        At most 2 GiB together.

    Raises
    ------
    MemoryError
        From the function, when 0.4 MB are not to be had.

    Examples
    --------
    >>> after = lengths(1, [b"abc", b"abcabc"])
    >>> [5, 8, 2] if after is None else after(b"").tolist()
    [5, 8, 2]
    """
    function, whole = _library(), b"".join(texts)
    if function is None:
        return None
    ends = np.cumsum([len(text) for text in texts], dtype=np.int32)

    def lengths_of(data: bytes) -> NDArray[np.int32]:
        found = np.full(len(texts) + 1, -1, dtype=np.int32)
        if len(data) <= LONGEST and function(
            level, data, len(data), whole, ends.ctypes.data, len(texts), found.ctypes.data
        ):
            raise MemoryError("no memory for the state of deflate")
        return found

    return lengths_of


def gzip_sizes_after(level: int, texts: Sequence[bytes]) -> Callable[[bytes], NDArray[np.int32] | None] | None:
    """Return x -> sizes in bytes of the gzip members of x + t for the n texts, then of x; None: ask zlib.

    Returns
    -------
    callable or None
        None where the C was not built, is switched off, or differs from the zlib that is loaded here. The callable
        returns (n + 1,) int32, or None for a row of which one pair is out of its reach: above 32 506 bytes, or 16 382
        symbols.

    Raises
    ------
    ScoreError
        From the callable, if a size differs from zlib's: one of CHECKED pairs is compared, one a row if there are more.
    """
    if os.environ.get("LAKESIFT_DEFLATE") == "zlib":
        return None
    sizes_of, probed = lengths(level, texts), lengths(level, [*texts, PROBE])
    if sizes_of is None or probed is None:
        return None
    by_zlib = size_function("gzip", level)
    turns = max(len(texts), CHECKED)
    for probe, length in zip([*texts, PROBE], probed(b"").tolist(), strict=False):
        if length >= 0 and length + GZIP_WRAPPER != by_zlib(probe):
            return None

    def sizes(data: bytes) -> NDArray[np.int32] | None:
        found = sizes_of(data)
        if found.min() < 0:
            return None
        found += GZIP_WRAPPER
        at = zlib.crc32(data) % turns
        if at < len(texts) and found[at] != (expected := by_zlib(data + texts[at])):
            raise ScoreError(
                f"a pair of {len(data)} and {len(texts[at])} bytes has gzip size {found[at]} by our C and {expected} "
                f"by zlib {zlib.ZLIB_RUNTIME_VERSION} at level {level}, where both must be equal; set "
                "LAKESIFT_DEFLATE=zlib in the environment of driver and workers, score again, and report the text"
            )
        return found

    return sizes
