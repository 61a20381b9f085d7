"""Passes over a column of names: in how many rows each stands, and which of them a model does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from ..arrays import Ints, Ragged
from ..scorer import Fold
from ._label_model import NAME_CHARACTERS, NAMES_BYTES, plain_name

#: Rows by name; elements that were null; names that were too long.
Counted = tuple[dict[str, int], int, int]
#: Rows with a name that is not known, and these names.
Newer = tuple[int, set[str]]


def ragged(column: Any, delimiter: str) -> Ragged:
    """Return the names of each row as they stand in it: lists, or texts that are cut at the delimiter."""
    return Ragged.of([text.split(delimiter) for text in column]) if delimiter else column


def codes(rows: Ragged, known: Callable[[str], int], fold_case: bool) -> tuple[Ints, Ints]:
    """Return row and code of every distinct code from 0 in a row, ascending: a name is looked up once a batch."""
    code_of = {name: known(plain_name(name, fold_case)) for name in dict.fromkeys(rows.values)}
    code = np.fromiter((code_of[name] for name in rows.values), np.int64, len(rows.values))
    row = np.repeat(np.arange(len(rows)), np.diff(rows.offsets))
    width = max(code.max(initial=0) + 1, 1)
    row, code = np.divmod(np.unique((row * width + code)[code >= 0]), width)
    return row, code


class NameCounts(Fold[Counted]):
    """In how many rows each name stands."""

    ragged: ClassVar[bool] = True
    limit_bytes = NAMES_BYTES
    remedy = "a graph takes 50,000 names: fit on fewer rows with fit_where, then least drops what is rare"

    def __init__(self, delimiter: str, fold_case: bool) -> None:
        self.delimiter, self.fold_case = delimiter, fold_case

    def zero(self) -> Counted:
        """Return no names."""
        return {}, 0, 0

    def add(self, state: Counted, *columns: Any) -> Counted:
        """Add a batch of rows."""
        rows = ragged(columns[0], self.delimiter)
        seen: dict[str, int] = {}
        _, code = codes(rows, lambda name: seen.setdefault(name, len(seen)) if name else -1, self.fold_case)
        counts = np.bincount(code, minlength=len(seen)).tolist()
        kept = {name: n for name, n in zip(seen, counts, strict=True) if len(name) <= NAME_CHARACTERS}
        return self.merge(state, (kept, rows.nulls, len(seen) - len(kept)))

    def merge(self, a: Counted, b: Counted) -> Counted:
        """Return the sums, names in order, so that equal states have equal bytes."""
        counts = a[0].copy()
        for name, rows in b[0].items():
            counts[name] = counts.get(name, 0) + rows
        return dict(sorted(counts.items())), a[1] + b[1], a[2] + b[2]


class Unknown(Fold[Newer]):
    """Rows that carry a name which is not known, and such names, the first thousand of them."""

    ragged: ClassVar[bool] = True
    MOST = 1_000

    def __init__(self, names: Iterable[str], delimiter: str, fold_case: bool) -> None:
        self.names, self.delimiter, self.fold_case = frozenset(names), delimiter, fold_case

    def zero(self) -> Newer:
        """Return nothing."""
        return 0, set()

    def add(self, state: Newer, *columns: Any) -> Newer:
        """Add a batch of rows."""
        seen: dict[str, int] = {}

        def number(name: str) -> int:
            return -1 if not name or name in self.names else seen.setdefault(name[:NAME_CHARACTERS], len(seen))

        row, _ = codes(ragged(columns[0], self.delimiter), number, self.fold_case)
        return self.merge(state, (len(np.unique(row)), set(seen)))

    def merge(self, a: Newer, b: Newer) -> Newer:
        """Return both; of the names the first in order."""
        return a[0] + b[0], set(sorted(a[1] | b[1])[: self.MOST])
