"""How far work is, how fast it goes, and how long the rest takes, in words."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class State:
    """What a step is doing now: `share` of it is done, None if that is not known; `pieces` say it in words."""

    title: str
    doing: str
    share: float | None
    pieces: tuple[str, ...]

    @property
    def line(self) -> str:
        """It on one line of a log; the rate stands in the lines of finished units."""
        percent = () if self.share is None else (f"{100 * self.share:.0f} %",)
        others = (piece.removeprefix("about ") for piece in self.pieces[1:] if not piece.endswith("/s"))
        return f"{self.title}: {', '.join((*filter(None, [self.doing]), self.pieces[0], *percent, *others))}"


class Pace:
    """Rows, or other units, done so far, how fast, and how long the rest takes.

    The first unit pays for what happens once (workers, models, compiled code), so that later ones are counted alone
    as soon as there are some.
    """

    def __init__(self, total: int, unit: str = "rows") -> None:
        self.total, self._unit, self._start = total, unit, time.monotonic()
        self._first: tuple[float, int] | None = None

    def after(self, rows: int) -> str:
        """Return the line for a finished unit: "5,000 of 20,000 rows, 120 rows/s, about 2 min left"."""
        line = ", ".join(self.pieces(rows))
        self._first = self._first or (time.monotonic(), rows)
        return line

    def pieces(self, rows: int, about: str = "") -> tuple[str, ...]:
        """Return rows done, rate, and what is left if that is a second or more; of none the seconds since the start.

        `about` opens an estimate.
        """
        now = time.monotonic()
        since, before = self._first or (self._start, 0)
        if self._first and rows <= before:  # the unit that ends the first
            since, before = self._start, 0
        done = f"{about}{rows:,} of {self.total:,} {self._unit}"
        if not rows:  # a rate of nothing says nothing
            return done, duration(now - since)
        rate = (rows - before) / max(now - since, 0.001)
        digits = 0 if rate >= 10 else 1
        left = (self.total - rows) / rate if rate else 0
        pieces = done, f"{rate:,.{digits}f} {self._unit}/s"
        return (*pieces, f"about {duration(left)} left") if left >= 1 else pieces


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
