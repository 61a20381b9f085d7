"""What a kernel's process does about its heap: nothing that changes a value."""

from __future__ import annotations


def keep_heap() -> None:
    """Free one large block, so that glibc keeps memory that was freed instead of returning it to the system.

    Its thresholds follow the largest mapped block ever freed, up to 32 MB. Without this, depending on what else lies on
    the heap, temporary arrays and the states of compressors are mapped, faulted in and given back on every call: 17 or
    28 microseconds a pair with zlib, 24 or 32 a row of entropies. At most some 60 MB of freed memory stay here.

    Examples
    --------
    >>> keep_heap()
    """
    block = bytearray(30 << 20)
    del block
