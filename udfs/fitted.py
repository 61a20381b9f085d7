"""FittedScore: a score of a run that can be computed."""

from __future__ import annotations

from dataclasses import dataclass

from .scorer import Scorer


def input_name(name: str) -> str:
    """Return the column in which rows carry an input: no score, hash or id is called so, whatever a table's column is.

    Examples
    --------
    >>> input_name("id"), input_name("missing")
    ('input id', 'input missing')
    """
    return f"input {name}"


@dataclass(frozen=True)
class FittedScore:
    """A score of a run that can be computed: its name, its fitted scorer, and what its values are kept under.

    `hash_column` is the column of `hashes_<recipe>` with the hash of everything it reads in the end; `where` is its
    own condition, "" where it is computed for all documents; `current_at` is the version of `memos` at which no value
    of it was missing, if that is known.
    """

    name: str
    scorer: Scorer
    fingerprint: str
    hash_column: str
    where: str = ""
    current_at: int | None = None
