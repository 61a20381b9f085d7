"""Unpacks compressed files by their first bytes, whatever they are called: gzip, bzip2, xz, Zstandard.

Left out: archives of several files (zip, tar, 7z), which are refused by name in local_files.py.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import pyarrow as pa

from ...udfs.errors import InputError

#: First bytes of packed files, with the name of the packing.
MAGIC = {b"\x1f\x8b\x08": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
#: Bytes that are read at a time.
BLOCK = 1 << 20
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowInvalid)


def packing_of(head: bytes) -> str:
    """Return how bytes are packed, by the first ten of them; "" if they are not.

    Examples
    --------
    >>> packing_of(gzip.compress(b"a")), packing_of(bz2.compress(b"a")), packing_of(b"BZhou"), packing_of(b"plain")
    ('gzip', 'bzip2', '', '')
    """
    name = next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")
    # The text "BZh..." is no archive: a block begins with the digits of pi, an empty one with those of its root.
    return "" if name == "bzip2" and head[4:10] not in (b"1AY&SY", b"\x17rE8P\x90") else name


def unpacked(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """Yield the bytes of a stream in blocks, unpacked if it is packed.

    Raises
    ------
    InputError
        If it ends too early or is broken.
    """
    head = stream.read(10)
    packing, whole = packing_of(head), _Joined(head, stream)
    openers: dict[str, Callable[[Any], Iterator[bytes]]] = {"gzip": _gzip, "bzip2": _bzip2, "xz": _xz, "zstd": _zstd}
    try:
        yield from openers.get(packing, _blocks)(whole)
    except BROKEN as error:
        raise InputError(f"{name} cannot be unpacked to its end ({packing}: {error}); fetch the file again") from None


def lines_of(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines of bytes that come in blocks, without their newlines.

    Examples
    --------
    >>> list(lines_of(iter([b"a\\nb", b"c\\r\\n", b"", b"d"])))
    [b'a', b'bc\\r', b'd']
    """
    parts: list[bytes] = []
    for block in blocks:
        first, *rest = block.split(b"\n")
        parts.append(first)
        if rest:
            yield b"".join(parts)
            yield from rest[:-1]
            parts = [rest[-1]]
    if last := b"".join(parts):
        yield last


def _blocks(stream: Any) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block


def _gzip(stream: Any) -> Iterator[bytes]:
    return _blocks(gzip.GzipFile(fileobj=stream))


def _bzip2(stream: Any) -> Iterator[bytes]:
    return _members(stream, bz2.BZ2Decompressor)


def _xz(stream: Any) -> Iterator[bytes]:
    return _members(stream, lzma.LZMADecompressor)


def _zstd(stream: Any) -> Iterator[bytes]:
    return _blocks(pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd"))


def _members(stream: Any, decompressor: Callable[[], Any]) -> Iterator[bytes]:
    """Yield what packed members one after another hold; zeros between and after them are padding.

    Python's own readers take a broken member for garbage after the last one, and leave it out without a word.
    """
    member, block = decompressor(), stream.read(BLOCK)
    while block:
        if member.eof and not (block := block.lstrip(b"\0")):
            block = stream.read(BLOCK)
            continue
        member = decompressor() if member.eof else member
        yield member.decompress(block, BLOCK)
        while not (member.eof or member.needs_input):
            yield member.decompress(b"", BLOCK)
        block = member.unused_data or stream.read(BLOCK)
    if not member.eof:
        raise EOFError("it ends before its end-of-stream marker")


class _Joined(io.RawIOBase):
    """A stream from its first byte, of which the first few were read already."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self.head, self.rest = head, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size is None or size < 0:
            taken, self.head = self.head, b""
            return taken + self.rest.read()
        taken, self.head = self.head[:size], self.head[size:]
        return taken or self.rest.read(size)

    def readinto(self, buffer: Any) -> int:
        taken = self.read(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)
