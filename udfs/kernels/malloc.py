"""How a worker's memory allocator is set before its first kernel: for speed alone, no value changes."""

from __future__ import annotations


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for reuse instead of returning it to the system after every call.

    glibc maps large blocks one by one, with a threshold that follows the largest mapped block ever freed, up to 32 MB:
    freeing one block of 30 MB raises it for good. Otherwise, depending on the layout of the heap, temporary arrays and
    the states of compressors are mapped, faulted in and given back on every call: 17 or 28 microseconds a pair with
    zlib, 24 or 32 a row of entropies. At most about 60 MB of freed memory stay with the process.

    Examples
    --------
    >>> keep_freed_memory()
    """
    bytearray(30 << 20)  # freed at once
