"""Errors that a user can act on: one sentence with the fact, the offending value, the allowed ones and the next step.

The command line prints the sentence without a traceback; in Python they are ordinary exceptions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LakeSiftError(Exception):
    """Base of every error that LakeSift raises on purpose."""


class RecipeError(LakeSiftError):
    """The recipe is wrong; raised before any Spark job starts."""


class InputError(LakeSiftError):
    """A table or file holds something that cannot be selected from as it is."""


class ScoreError(LakeSiftError):
    """A scorer produced a value that is not allowed in tables, or its native library differs between machines."""


class BoundError(LakeSiftError):
    """Something would exceed a stated memory bound."""


class PlatformError(LakeSiftError):
    """Java, Spark, Delta or the lake folder is missing or unusable."""


class ConflictError(LakeSiftError):
    """Other writers committed first in every one of the bounded number of retries."""


#: Most names that a message lists.
LISTED = 40


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return "did you mean 'x'? allowed: a, b, x" for an unknown name; of many names only the first are listed.

    Examples
    --------
    >>> nearest("tabel", ["table", "id"])
    "did you mean 'table'? allowed: id, table"
    >>> nearest("zzz", ["b", "a"])
    'allowed: a, b'
    >>> nearest("x7", (f"x{i:02}" for i in range(60)))[-16:]
    'x39, and 20 more'
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    listed = [*names[:LISTED], *([f"and {len(names) - LISTED} more"] if len(names) > LISTED else [])]
    return f"{hint}allowed: {', '.join(listed) or 'none'}"
