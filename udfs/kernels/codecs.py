"""Compressed sizes by gzip, zstd and lz4: allowed codecs and levels, the version of the library, the size function.

Sizes depend on the build of the native library (zlib, zstd, lz4), so its version is a parameter of every score that
uses one. zstandard and lz4 are optional packages (the extra `codecs`). Left out: brotli and lzma (milliseconds a text).
"""

from __future__ import annotations

import importlib
import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import PlatformError, RecipeError, ScoreError, nearest

#: Codec -> the levels that compress: gzip 0 only stores, zstd 0 and lz4 0 are aliases of a default.
LEVELS = {"gzip": range(1, 10), "zstd": range(1, 23), "lz4": range(1, 13)}
#: A gzip member is raw deflate and 18 bytes: header 10, trailer 8.
GZIP_WRAPPER = 18
#: The cheapest call that compresses, and the bytes that a gzip member has in addition: raw deflate, or before Python
#: 3.11, whose zlib.compress has no wbits, a zlib stream (raw deflate and 6 bytes; its checksum takes 1 to 2 % longer).
deflated: Callable[[bytes, int], bytes]
if sys.version_info >= (3, 11):
    deflated, GZIP_EXTRA = partial(zlib.compress, wbits=-15), GZIP_WRAPPER
else:
    deflated, GZIP_EXTRA = zlib.compress, GZIP_WRAPPER - 6


def check_codec(codec: str, level: int) -> None:
    """Raise RecipeError unless `codec` is known and `level` is one at which it compresses.

    Examples
    --------
    >>> check_codec("gzip", 0)
    Traceback (most recent call last):
    ...
    lakesift.udfs.errors.RecipeError: level 0 does not compress with gzip, so the score would rank by length alone; \
allowed levels: 1 to 9; set level: 1
    """
    if codec not in tuple(LEVELS):
        raise RecipeError(f"codec {codec!r} is unknown; {nearest(str(codec), LEVELS)}")
    allowed = LEVELS[codec]
    if type(level) is not int or level not in allowed:
        stores = type(level) is int and level == 0 and codec == "gzip"
        fact = "does not compress with gzip, so the score would rank by length alone" if stores else f"is not {codec}'s"
        raise RecipeError(f"level {level!r} {fact}; allowed levels: {allowed[0]} to {allowed[-1]}; set level: 1")


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise PlatformError(
            f"the package {package}, which this codec needs, is not installed here; "
            "run pip install 'lakesift[codecs]' on the driver and the workers, or set codec: gzip"
        ) from error


def library_version(codec: str = "gzip") -> str:
    """Return name and version of the native library that computes the sizes here, e.g. "zlib 1.2.13".

    Raises
    ------
    PlatformError
        If the package of zstd or lz4 is not installed.
    """
    if codec == "gzip":
        return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    if codec == "zstd":
        return "zstd " + ".".join(str(n) for n in _module("zstandard").ZSTD_VERSION)
    return f"lz4 {_module('lz4').library_version_string()}"


def check_library(codec: str, wanted: str) -> None:
    """Raise ScoreError if this process has another compression library than the one the score was defined with."""
    loaded = library_version(codec)
    if loaded != wanted:
        raise ScoreError(
            f"this worker compresses with {loaded!r}, the score was fitted with {wanted!r}, and sizes depend on the "
            "build; give driver and workers the same Python image, or fit again where the workers run"
        )


def size_function(codec: str, level: int) -> Callable[[bytes], int]:
    """Return C: bytes -> length in bytes of the gzip member, zstd frame or lz4 frame.

    Examples
    --------
    >>> import gzip
    >>> size_function("gzip", 1)(b"abcabc") == len(gzip.compress(b"abcabc", 1))
    True
    """
    if codec == "gzip":
        return lambda data: len(deflated(data, level)) + GZIP_EXTRA
    if codec == "zstd":
        zstd = _module("zstandard").ZstdCompressor(level=level).compress
        return lambda data: len(zstd(data))
    lz4 = _module("lz4.frame").compress
    return lambda data: len(lz4(data, compression_level=level))
