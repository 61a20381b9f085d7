"""What of a command reaches the terminal: one line for an error, and no character of the data that acts on it."""

from __future__ import annotations

import io
import logging
import sys
import traceback

from ...udfs.errors import LakeSiftError
from ...udfs.worker_errors import marked_sentence
from .log_file import keep
from .spark_errors import error_sentence, text_of
from .text_table import printable


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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(handlers=[handler])
    for noise in ("py4j", "SQLQueryContextLogger"):  # they print an error that is told in one sentence
        logging.getLogger(noise).setLevel(logging.CRITICAL + 1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's are its own
            stream.reconfigure(errors="backslashreplace")


class OneLine(logging.Formatter):
    """Makes a log record one line of printable characters; a traceback below it, and debugging, have their lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line with whatever would act on a terminal escaped."""
        return printable(super().formatMessage(record), lines=record.levelno < logging.INFO)
