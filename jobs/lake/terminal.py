"""What of a command reaches the terminal: one line for an error, and no character of the data that acts on it."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

from ...udfs.errors import LakeSiftError
from ...udfs.worker_errors import marked_sentence
from .bar import UNKNOWN, Bar
from .interrupts import FAREWELLS
from .log_file import keep
from .progress import display, displayed
from .spark_errors import error_sentence, text_of
from .text_table import printable

if TYPE_CHECKING:
    _Stream = logging.StreamHandler[TextIO]
else:  # Python 3.10 has no types of streams
    _Stream = logging.StreamHandler


def user_message(error: BaseException) -> str | None:
    """Return the sentence for the user inside an error, None if it is not a user's error.

    An error raised in a Python worker arrives as text inside Spark's own exception, between marks.
    """
    return str(error) if isinstance(error, LakeSiftError) else marked_sentence(text_of(error))


def sentence(error: Exception) -> str | None:
    """Return one line for an error that is not LakeSift's fault, None for any other; a file has the rest of Spark's."""
    if message := user_message(error):
        return message
    if (message := error_sentence(error)) is None:
        return None
    return f"{message}; the whole error is in {keep(''.join(traceback.format_exception(error)))}"


def speak_safely() -> None:
    """Let log lines and results be printed so that no character of the data acts on the terminal."""
    handler = Lines(sys.stderr)
    watched = sys.stderr.isatty()
    handler.setFormatter(OneLine("%(message)s" if watched else "%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(handlers=[handler])
    for noise in ("py4j", "SQLQueryContextLogger"):  # they print an error that is told in one sentence
        logging.getLogger(noise).setLevel(logging.CRITICAL + 1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's are its own
            stream.reconfigure(errors="backslashreplace")


class Lines(_Stream):
    """Prints log records above what shows progress, and leaves out those that it shows by itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        by = display()
        if by is None:
            super().emit(record)
        elif not getattr(record, "passing", False):
            with by.above():
                super().emit(record)


@contextmanager
def bar_shown(quiet: bool) -> Iterator[None]:
    """Show the steps inside by a bar on the standard error, if that is a terminal and tqdm is there; a signal ends it.

    The bar has a descriptor of its own: that of the standard error leads elsewhere while Spark starts.
    """
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb" or find_spec("tqdm") is None:
        yield
        return
    terminal = os.dup(sys.stderr.fileno())
    with open(terminal, "w", encoding=sys.stderr.encoding, errors="backslashreplace") as stream:
        bar = Bar(stream)
        FAREWELLS.append(bar.end)
        try:
            with displayed(bar):
                yield
        finally:
            bar.end()
            FAREWELLS.remove(bar.end)


def columns() -> int | None:
    """Return the columns of the terminal that the standard output is, None if it is none."""
    return shutil.get_terminal_size((UNKNOWN, 24)).columns if sys.stdout.isatty() else None


class OneLine(logging.Formatter):
    """Makes a log record one line of printable characters; a traceback below it, and debugging, have their lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line with whatever would act on a terminal escaped."""
        return printable(super().formatMessage(record), lines=record.levelno < logging.INFO)
