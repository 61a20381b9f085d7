"""The bar of a step on a terminal: one line, drawn by tqdm, that goes away while lines are printed and at the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from .pace import State
from .text_width import middle, width_of

#: Columns of a terminal that does not say; of the percentage with its blanks; of the bar itself, at least.
UNKNOWN, PERCENT, LEAST_BAR = 80, 8, 4
#: Columns of what is done: where there are fewer it is left out.
LEAST_DOING = 8


class Bar:
    """Shows the state of a step on the last line of a terminal."""

    def __init__(self, stream: TextIO) -> None:
        from tqdm import tqdm

        self._stream, self._lock, self._drawn, self._over = stream, threading.RLock(), False, False
        self._format, self._print = tqdm.format_meter, tqdm.status_printer(stream)
        self._ascii = not (stream.encoding or "").lower().startswith("utf")

    def show(self, state: State) -> None:
        """Draw the line."""
        with self._lock:
            if not self._over:
                with suppress(OSError, ValueError):  # the terminal may be gone
                    self._print(self.line(state, columns_of(self._stream) - 1))
                    self._drawn = True

    def hide(self) -> None:
        """Take the line away."""
        with self.above():
            pass

    @contextmanager
    def above(self) -> Iterator[None]:
        """Take the line away, and draw none inside: lines are printed in its place."""
        with self._lock:
            self._clear()
            yield

    def end(self) -> None:
        """Take the line away and draw no other; from any thread, and also if one that draws does not return."""
        free = self._lock.acquire(timeout=1)
        self._over = True
        self._clear()
        if free:
            self._lock.release()

    def _clear(self) -> None:
        if self._drawn:
            self._drawn = False
            with suppress(OSError, ValueError):
                self._print("")
                self._stream.write("\r")
                self._stream.flush()

    def line(self, state: State, width: int) -> str:
        """Return the line of a state for a terminal of so many columns."""
        left, right = fitted(state, width)
        given: dict[str, Any] = {"prefix": left, "ncols": width, "ascii": self._ascii, "right": right}
        if state.share is None:
            return str(self._format(0, None, 0, bar_format="{desc}  {right}", **given)).rstrip()
        shape = "{desc} {percentage:3.0f} %|{bar}| {right}"
        return str(self._format(min(1.0, state.share), 1, 0, bar_format=shape, **given)).rstrip()


def columns_of(stream: TextIO) -> int:
    """Return the columns of a terminal."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or UNKNOWN
    except (OSError, ValueError):
        return UNKNOWN


def fitted(state: State, width: int) -> tuple[str, str]:
    """Return the words before the bar, and those after it, that fit a width together.

    The first piece, the rows, and the last, the time left, stay longest; the name of the work is shortened, and left
    out.

    Examples
    --------
    >>> state = State("[3/6] compute", "alignment", 0.25, ("500 of 2,000 rows", "10 rows/s", "about 3 min left"))
    >>> fitted(state, 80)
    ('[3/6] compute: alignment', '500 of 2,000 rows, 10 rows/s, 3 min left')
    >>> fitted(state, 60)
    ('[3/6] compute', '500 of 2,000 rows, 3 min left')
    """
    room = width - (1 if state.share is None else PERCENT + LEAST_BAR)
    every = tuple(piece.removeprefix("about ") for piece in state.pieces)  # who sees a bar knows
    for pieces in (every, every[:1] + every[1:][-1:], every[:1]):
        right = ", ".join(pieces)
        free = room - width_of(right) - 1
        doing = free - width_of(state.title) - 2
        if state.doing and doing >= min(LEAST_DOING, width_of(state.doing)):
            return f"{state.title}: {middle(state.doing, doing)}", right
        if free >= width_of(state.title):
            return state.title, right
    return middle(state.title, max(1, free)), right
