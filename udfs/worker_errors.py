"""Errors that Python workers raise on purpose, told from everything else that a message of Spark may hold.

What a worker raises reaches the driver as text inside an exception of Spark's, beside values of data and messages of
other libraries, any of which could read like an error of LakeSift. So a worker puts the sentence between two marks, a
random number that the driver ships with the task.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from typing import TypeVar

from .errors import LakeSiftError

T = TypeVar("T")
#: Of this process; workers take the driver's from their task.
MARK = secrets.token_hex(8)


def marked(mark: str, batches: Iterable[T]) -> Iterator[T]:
    """Yield what the batches yield; the sentence of an error that LakeSift raises meanwhile gets marks."""
    try:
        yield from batches
    except LakeSiftError as error:
        raise type(error)(f"[{mark}] {error} [{mark}]") from error


def marked_sentence(text: str) -> str | None:
    """Return the sentence that a worker of this driver raised, on one line; None if the text holds none.

    Examples
    --------
    >>> marked_sentence(f"ScoreError: [{MARK}] it is infinite [{MARK}]")
    'it is infinite'
    >>> marked_sentence("ScoreError: what a row says")
    """
    found = re.search(rf"\[{MARK}\] (.*?) \[{MARK}\]", text, re.S)
    return re.sub(r"\s*[\r\n]+\s*", " ", found[1]) if found else None
