"""Progress of long steps, on the log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("lakesift")


@contextmanager
def heartbeat(what: str, every: float = 15.0) -> Iterator[None]:
    """Log every few seconds that work goes on, while one Spark job runs."""
    over, start = threading.Event(), time.monotonic()

    def beat() -> None:
        while not over.wait(every):
            log.info("  %s, unit running for %.0f s", what, time.monotonic() - start)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
