"""Lets one writer at a time into a folder lake, by flock on a file in it; each run opens the file, so threads wait too.

The lock ends with its process. After SIGKILL the JVM may still finish a commit: the next writer reads again.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ...udfs.errors import PlatformError

log = logging.getLogger("lakesift")


def ensure_folder(folder: Path) -> Path:
    """Make the folder of a lake if it does not exist, and return it; only writers do.

    Raises
    ------
    PlatformError
        If it cannot be made or written.
    """
    what = f"the lake folder {folder}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlatformError(f"{what} cannot be made ({error.strerror}); give another --lake") from error
    if not os.access(folder, os.W_OK):
        raise PlatformError(f"{what} is not writable; give another --lake or change its mode")
    return folder


@contextmanager
def hold(folder: Path, who: str) -> Iterator[None]:
    """Wait for the lock and say who has it; readers never need it."""
    import fcntl  # not on Windows, where Spark writes no Delta folders either

    with open(folder / ".lakesift.lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log.info("waiting for %s, which holds %s", _holder(file), folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{who} (process {os.getpid()})")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _holder(file: TextIO) -> str:
    """Return who holds the lock, which the holder writes a moment after taking it."""
    for _ in range(20):
        file.seek(0)
        if holder := file.read().strip():
            return holder
        time.sleep(0.05)
    return "another run"
