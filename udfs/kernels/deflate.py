"""Exact lengths of raw deflate streams for one text followed by each of many, by our own C where it was built.

ZIP-FIT needs len(deflate(x + t)) for one x and many t. zlib parses x again for every t, or copies 270 KB of state, and
writes bits that nobody reads; native/deflate_sizes.c does neither. It decides as zlib does, tie for tie, so no value
depends on which of the two ran. A file is loaded only if it has the SHA-256 that setup.py wrote beside it: a truncated
one would end the process. What it computes is checked against the zlib that is loaded: before first use, and after that
with one whole compression a row (one in 32 pairs where a row has fewer). zlib is used instead where there was no C
compiler at installation, where the file is not whole, in a zip for --py-files, with another deflate than stock zlib's,
and with LAKESIFT_DEFLATE=zlib in the environment.
"""

from __future__ import annotations

import ctypes
import hashlib
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

#: Where the C is built.
NATIVE = Path(__file__).parent / "native"
#: One pair a row is compared with zlib; where rows have fewer pairs than this, about one pair in this many.
CHECKED = 32
#: Longer texts are never passed on: the C answers "unknown" far below this length.
LONGEST = 1 << 20
_WORDS = b"the quick brown fox jumps over a lazy dog while nine extra jolly wizards vex".split()
#: Text whose size differs between the levels 1 to 6 of zlib, and so would with another deflate.
PROBE = b" ".join(_WORDS[(i * i * 7 + i // 3) % len(_WORDS)] + b"%d" % (i * i % 997) for i in range(900))

#: x -> (n + 1,) lengths in bytes of deflate(x + t) for the n texts, then of deflate(x); -1 where it has no answer.
Lengths = Callable[[bytes], NDArray[np.int32]]


def _is_whole(path: Path) -> bool:
    """Return whether a file has the SHA-256 that stands beside it."""
    try:
        return (
            hashlib.sha256(path.read_bytes()).hexdigest() == path.with_name(f"{path.name}.sha256").read_text().strip()
        )
    except (OSError, UnicodeDecodeError):
        return False


@cache
def _library() -> Any:
    """Return the C function, or None."""
    for path in sorted(NATIVE.glob("deflate_sizes*.so")):
        if not _is_whole(path):
            continue
        try:
            function = ctypes.CDLL(str(path)).lakesift_deflate_sizes
        except (OSError, AttributeError):
            continue
        number, text, array = ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
        function.argtypes, function.restype = [number, text, number, text, array, number, array], number
        return function
    return None


def lengths(level: int, texts: Sequence[bytes]) -> Lengths | None:
    """Return the C code as a function of x, unchecked, or None where it was not built.

    Parameters
    ----------
    level : int
        1 to 9.
    texts : sequence of n bytes
        At most 2 GiB together.

    Raises
    ------
    MemoryError
        From the function, if it cannot allocate 0.4 MB.

    Examples
    --------
    >>> after = lengths(1, [b"abc", b"abcabc"])
    >>> [5, 8, 2] if after is None else after(b"").tolist()
    [5, 8, 2]
    """
    function, joined = _library(), b"".join(texts)
    if function is None:
        return None
    ends = np.cumsum([len(text) for text in texts], dtype=np.int32)

    def lengths_of(data: bytes) -> NDArray[np.int32]:
        sizes = np.full(len(texts) + 1, -1, dtype=np.int32)
        if len(data) <= LONGEST and function(
            level, data, len(data), joined, ends.ctypes.data, len(texts), sizes.ctypes.data
        ):
            raise MemoryError("no memory for the state of deflate")
        return sizes

    return lengths_of


def gzip_sizes_after(level: int, texts: Sequence[bytes]) -> Callable[[bytes], NDArray[np.int32] | None] | None:
    """Return x -> sizes in bytes of the gzip members of x + t for the n texts, then of x; None if zlib must be used.

    Returns
    -------
    callable or None
        None where the C was not built, is switched off, or differs from the zlib that is loaded here. The callable
        returns (n + 1,) int32, or None for a row with a pair that is too long for it: above 32 506 bytes, or 16 382
        symbols.

    Raises
    ------
    ScoreError
        From the callable, if a size differs from zlib's; which pairs are compared is said at CHECKED.
    """
    if os.environ.get("LAKESIFT_DEFLATE") == "zlib":
        return None
    sizes_of, probed = lengths(level, texts), lengths(level, [*texts, PROBE])
    if sizes_of is None or probed is None:
        return None
    by_zlib = size_function("gzip", level)
    one_in = max(len(texts), CHECKED)
    for probe, length in zip([*texts, PROBE], probed(b"").tolist(), strict=False):
        if length >= 0 and length + GZIP_WRAPPER != by_zlib(probe):
            return None

    def sizes(data: bytes) -> NDArray[np.int32] | None:
        gzip_sizes = sizes_of(data)
        if gzip_sizes.min() < 0:
            return None
        gzip_sizes += GZIP_WRAPPER
        at = zlib.crc32(data) % one_in  # by content, so that a row is checked the same way in any batch
        if at < len(texts) and gzip_sizes[at] != (expected := by_zlib(data + texts[at])):
            raise ScoreError(
                f"a pair of {len(data)} and {len(texts[at])} bytes has gzip size {gzip_sizes[at]} by our C and "
                f"{expected} by zlib {zlib.ZLIB_RUNTIME_VERSION} at level {level}, where both must be equal; set "
                "LAKESIFT_DEFLATE=zlib in the environment of driver and workers, score again, and report the text"
            )
        return gzip_sizes

    return sizes
