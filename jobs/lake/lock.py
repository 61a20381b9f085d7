"""One writer at a time in a folder lake: flock on a file in it, one open a run, so that threads exclude each other too.

The lock dies with its process. After SIGKILL the JVM may still finish a commit: whoever comes next reads again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("lakesift")


@contextmanager
def hold(folder: Path, who: str) -> Iterator[None]:
    """Wait for the lock, saying for whom; readers never need it."""
    import fcntl  # not on Windows, where Spark writes no Delta folders either

    with open(folder / ".lakesift.lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            log.info("waiting for %s, which holds %s", file.read().strip() or "another run", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{who} (process {os.getpid()})")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
