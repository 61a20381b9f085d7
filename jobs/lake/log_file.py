"""The file for what is too long for a terminal: what Spark's JVM prints, and the traceback behind an error's sentence.

It lies in the folder for temporary files, is readable by its owner only, and is taken away at the end of the process
unless a sentence names it.
"""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from .interrupts import LEFTOVERS

#: What a program prints above the line that says why it failed.
_ERRORS = ("Error: ", "Exception in thread", "Error occurred", "Exception: ", "error: ", "OutOfMemoryError")


@cache
def log_file() -> Path:
    """Return the file, which is made the first time."""
    descriptor, name = tempfile.mkstemp(prefix="lakesift-", suffix=".log")
    os.close(descriptor)
    path = Path(name)
    LEFTOVERS.add(path)
    atexit.register(_remove)
    return path


def keep(text: str) -> Path:
    """Add a text to the file, which then outlives the process; returns the file."""
    path = log_file()
    with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{text.rstrip()}\n")
    LEFTOVERS.discard(path)
    return path


def _remove() -> None:
    if log_file() in LEFTOVERS:
        log_file().unlink(missing_ok=True)


@contextmanager
def printing_to_it() -> Iterator[None]:
    """Let programs that are started inside print to the file, now and later: a child inherits where it prints to."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a notebook's streams, or none
            stream.flush()
    try:
        kept = [os.dup(1), os.dup(2)]
    except OSError:  # a service without streams
        yield
        return
    descriptor = os.open(log_file(), os.O_WRONLY | os.O_APPEND)
    try:
        for stream_number in (1, 2):
            os.dup2(descriptor, stream_number)
        yield
    finally:
        for stream_number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, stream_number)
            os.close(before)
        os.close(descriptor)


def reason() -> str:
    """Return the first lines of the file that say why a program failed, else its last line; "" for an empty file."""
    lines = [line.strip() for line in log_file().read_text(encoding="utf-8", errors="replace").splitlines()]
    lines = [line for line in lines if line]
    first = next((i for i, line in enumerate(lines) if any(word in line for word in _ERRORS)), None)
    if first is None:
        return (lines[-1:] or [""])[0]
    more = lines[first + 1 : first + 2] if lines[first].endswith("of VM") else []  # Java says why below
    return " ".join([lines[first], *more])
