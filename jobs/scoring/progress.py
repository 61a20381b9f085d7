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


class Pace:
    """Rows, or other units, done so far, how fast, and how long the rest takes.

    The first unit pays for what happens once (workers, models, compiled code), so that later ones are counted alone
    as soon as there are some.
    """

    def __init__(self, total: int, unit: str = "rows") -> None:
        self._total, self._unit, self._start = total, unit, time.monotonic()
        self._first: tuple[float, int] | None = None

    def after(self, rows: int) -> str:
        """Return the line for a finished unit: "5,000 of 20,000 rows, 120 rows/s, about 2 min left"."""
        now = time.monotonic()
        since, before = self._first or (self._start, 0)
        self._first = self._first or (now, rows)
        rate = (rows - before) / max(now - since, 0.001)
        digits = 0 if rate >= 10 else 1
        pace = f"{rows:,} of {self._total:,} {self._unit}, {rate:,.{digits}f} {self._unit}/s"
        left = (self._total - rows) / rate if rate else 0
        return f"{pace}, about {duration(left)} left" if left >= 1 else pace


class Phases:
    """Logs phases of long work: called with the phase, how many units are done and of how many."""

    def __init__(self, what: str, every: float = 10.0) -> None:
        self._what, self._every, self._said = what, every, 0.0
        self._paces: dict[str, Pace] = {}

    def __call__(self, phase: str, done: int, of: int) -> None:
        """Log a line, at most one in `every` seconds but for the last of a phase."""
        pace = self._paces.setdefault(phase, Pace(of, "steps"))
        line = pace.after(done)
        if done == of or time.monotonic() - self._said > self._every:
            self._said = time.monotonic()
            log.info("  %s, %s: %s", self._what, phase, line)


def duration(seconds: float) -> str:
    """Return seconds in the unit that reads best.

    Examples
    --------
    >>> duration(42.4), duration(300), duration(9000)
    ('42 s', '5 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
