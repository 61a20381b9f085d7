"""Progress of a command: which step of how many, rows done, how fast, and how long the rest takes.

A step is `shown` while it lasts; work inside of it says how far it is by a `Meter`. Each second the display, a bar on a
terminal (bar.py), is told; without one a line goes to the log every 15 seconds. Between two finished units of work
the rows done are estimated by the share of Spark's tasks that are done, where Spark tells it: not on Connect.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from .pace import Pace, State, duration
from .text_table import printable

log = logging.getLogger("lakesift")

#: Seconds between two looks of the display, two lines of the log, and of lines of work that ends often.
TICK_SECONDS, LINE_SECONDS, OFTEN_SECONDS = 1.0, 15.0, 10.0
#: Marks records that a display shows by itself.
PASSING = {"passing": True}


class Display(Protocol):
    """What shows progress on a terminal."""

    def show(self, state: State) -> None:
        """Show the state of a step instead of what was shown before."""

    def hide(self) -> None:
        """Take away what is shown."""

    def above(self) -> AbstractContextManager[None]:
        """Take away what is shown, and show nothing inside: lines are printed."""


@dataclass
class Step:
    """A step that is shown: since when, and what it does; `inner` steps that are shown instead of it."""

    title: str
    since: float = field(default_factory=time.monotonic)
    meter: Meter | None = None
    inner: int = 0

    def state(self, tasks: tuple[int, int]) -> State:
        """Return what it is doing, by the tasks of Spark that are done, and all of them: (0, 0) if that is unknown."""
        done, total = tasks
        if self.meter is not None and not self.meter.over:
            return self.meter.state(self.title, done / total if total else 0.0)
        pieces = (duration(time.monotonic() - self.since), *([f"{done:,} of {total:,} tasks"] if total else []))
        return State(self.title, "", done / total if total else None, pieces)


#: What shows progress; None where lines of the log do.
_display: list[Display] = []
_stages: ContextVar[tuple[str, ...]] = ContextVar("stages", default=())
_step: ContextVar[Step | None] = ContextVar("step", default=None)


@contextmanager
def displayed(by: Display | None) -> Iterator[None]:
    """Let a display show the steps inside."""
    if by is None:
        yield
        return
    _display.append(by)
    try:
        yield
    finally:
        _display.remove(by)
        by.hide()


def display() -> Display | None:
    """Return what shows progress, None if lines do."""
    return _display[-1] if _display else None


@contextmanager
def stages(*names: str) -> Iterator[None]:
    """Number the steps inside by these names, in order."""
    token = _stages.set(names)
    try:
        yield
    finally:
        _stages.reset(token)


@contextmanager
def shown(name: str, stage: str = "", lines: bool = True) -> Iterator[Step]:
    """Show a step while it lasts, as "[2/6] hashes" if its stage is one of `stages`; `lines` are logged, too."""
    names, outer = _stages.get(), _step.get()
    place = f"[{names.index(stage) + 1}/{len(names)}] " if stage in names else ""
    step = Step(printable(f"{place}{name}"))
    if lines:
        log.info("%s", step.title, extra=PASSING)
    token, over = _step.set(step), threading.Event()
    watched = _display or (lines and log.isEnabledFor(logging.INFO))
    ticking = threading.Thread(target=_tick, args=(step, over, lines), daemon=True) if watched else None
    if outer:
        outer.inner += 1
    try:
        if ticking:
            ticking.start()
        yield step
    finally:
        over.set()
        if ticking:
            ticking.join(2 * TICK_SECONDS)
        if outer:
            outer.inner -= 1
        _step.reset(token)
        if by := display():
            by.hide()


def _tick(step: Step, over: threading.Event, lines: bool) -> None:
    said = time.monotonic()
    while not over.wait(TICK_SECONDS):
        by, due = display(), lines and time.monotonic() - said >= LINE_SECONDS
        if step.inner or not (by or due):  # nobody would see what Spark is asked for
            continue
        state = step.state(tasks_of_spark())
        if step.inner or over.is_set():  # Spark may have taken its time to answer
            continue
        if by:
            by.show(state)
        if due:
            said = time.monotonic()
            log.info("  %s", state.line, extra=PASSING)


def tasks_of_spark() -> tuple[int, int]:
    """Return how many tasks of the stages that run now are done, and of how many; (0, 0) where Spark does not tell."""
    try:
        # Only classic Spark has a context in this process: pyspark is asked if somebody has loaded it.
        context = sys.modules["pyspark"].SparkContext._active_spark_context
        tracker = context.statusTracker()
        found = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        return sum(s.numCompletedTasks for s in found if s), sum(s.numTasks for s in found if s)
    except Exception:  # no Spark, Spark Connect, or Spark that is ending
        return 0, 0


class Meter:
    """How far a part of a step is: `done` of a pace's total, and `until` where the present unit of work will end."""

    def __init__(self, doing: str, total: int, unit: str = "rows") -> None:
        self._doing, self._pace, self._done, self._most = printable(doing), Pace(total, unit), 0, 0
        self._until, self._said = 0, 0.0
        if step := _step.get():
            step.meter = self

    @property
    def over(self) -> bool:
        """Whether all is done; the step may go on with other work."""
        return self._done >= self._pace.total

    def begins(self, until: int) -> None:
        """Note that a unit of work begins that ends at so many rows, about."""
        self._until = min(until, self._pace.total)

    def ends(self, done: int, often: bool = False) -> None:
        """Note that so many rows are done, and log it; of work that ends `often` now and then, and at its end."""
        self._done = self._most = done
        line = self._pace.after(done)
        if not often or done >= self._pace.total or time.monotonic() - self._said > OFTEN_SECONDS:
            self._said = time.monotonic()
            log.info("  %s: %s", self._doing, line, extra=PASSING)

    def state(self, title: str, share: float) -> State:
        """Return how far it is, where `share` of the tasks of the present unit is done; it never goes back."""
        at = self._done + int(share * max(0, self._until - self._done))
        at = self._most = max(at, self._most)
        pieces = self._pace.pieces(at, "about " if at > self._done else "")
        return State(title, self._doing, at / self._pace.total if self._pace.total else None, pieces)


class Phases:
    """Meters of the phases of long work: called with the phase, how many units are done and of how many."""

    def __init__(self, what: str) -> None:
        self._what, self._meters = what, dict[str, Meter]()

    def __call__(self, phase: str, done: int, of: int) -> None:
        """Note how far a phase is; its lines are few."""
        if phase not in self._meters:
            self._meters[phase] = Meter(f"{self._what}, {phase}", of, "steps")
        self._meters[phase].ends(done, often=True)
