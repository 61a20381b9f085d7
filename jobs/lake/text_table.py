"""Rows with names of columns that know how to be shown: as a text table, as HTML in a notebook, as JSON values.

On a terminal a table fits its width: long names are shortened in the middle, sentences folded inside of their column,
and where that is not enough columns stand below each other. Figures and short texts are never shortened.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .text_width import folded, middle, padded, width_of

#: Characters that act on a terminal or on the order of text: controls, marks of direction, separators of lines, halves
#: of pairs. The joiners of emoji and of Persian are none of them.
_ACTING = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

#: Columns of a terminal that tables keep to; None where nobody looks at one.
_terminal: ContextVar[int | None] = ContextVar("terminal", default=None)
#: Columns between two columns of a table; the least width of a terminal; what is no wider is never shortened.
GAP, LEAST_TERMINAL, LEAST = 2, 40, 20


def printable(text: str, lines: bool = False) -> str:
    """Return text with every character that would act on a terminal as an escape; with `lines`, newlines stay.

    Examples
    --------
    >>> print(printable("a\\x1b[2Jb\\nnote: forged"))
    a\\x1b[2Jb\\nnote: forged
    """
    return _ACTING.sub(lambda match: match[0] if lines and match[0] == "\n" else _escape(match[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


@dataclass(frozen=True)
class Rows:
    """A small result: `columns` name the values of each row; `str` is the text table, of `whole` cells or of any."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    whole: bool = False

    def __str__(self) -> str:
        """Return the text table."""
        return text_table(self.columns, self.rows, self.whole)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return one mapping a row: JSON values where the cells are."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(printable(c))}</th>" for c in self.columns)
        cells = ("".join(f"<td>{html.escape(_cell(v))}</td>" for v in row) for row in self.rows)
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{c}</tr>' for c in cells)}</table>"


def rows_of(columns: Sequence[str], rows: Iterable[Sequence[Any]], whole: bool = False) -> Rows:
    """Return `Rows` of any sequences."""
    return Rows(tuple(columns), tuple(tuple(row) for row in rows), whole)


@contextmanager
def fitting(width: int | None) -> Iterator[None]:
    """Let tables that are made inside fit a terminal of so many columns; None: they are as wide as they are."""
    token = _terminal.set(None if width is None else max(width, LEAST_TERMINAL))
    try:
        yield
    finally:
        _terminal.reset(token)


def text_table(head: Sequence[str], rows: Iterable[Sequence[Any]], whole: bool = False) -> str:
    """Return a table with a rule under the head; columns of numbers are right-aligned, None is empty.

    Parameters
    ----------
    whole : bool
        On a terminal cells that are too wide are folded at blanks, not shortened.

    Examples
    --------
    >>> print(text_table(("kind", "rows"), [("a", 1200), ("b", None)]))
    kind   rows
    -----------
    a     1,200
    b
    >>> with fitting(40):
    ...     print(text_table(("id", "rows"), [("a/very/long/name/of/a/folder/with/file.py", 1200)]))
    id                                  rows
    ----------------------------------------
    a/very/long/name…der/with/file.py  1,200
    """
    body = list(rows)
    number = [all(_is_number(v) for row in body if (v := row[i]) is not None) for i in range(len(head))]
    lines = [tuple(map(printable, head)), *(tuple(_cell(value) for value in row) for row in body)]
    natural = [max(width_of(line[i]) for line in lines) for i in range(len(head))]
    blocks = []
    for columns in _blocks(natural, _terminal.get()):
        widths = _widths([natural[i] for i in columns], _terminal.get())
        right = [number[i] for i in columns]
        texts = [_laid([line[i] for i in columns], widths, right, whole) for line in lines]
        rule = "-" * max(width_of(text) for part in texts for text in part)
        blocks.append("\n".join([*texts[0], rule, *(text for part in texts[1:] for text in part)]))
    return "\n\n".join(blocks)


def _laid(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], whole: bool) -> list[str]:
    """Return the lines of one row, one unless cells are folded."""
    parts = [_fitted(cell, width, whole) for cell, width in zip(cells, widths, strict=True)]
    laid = []
    for height in range(max(map(len, parts), default=1)):
        here = (part[height] if height < len(part) else "" for part in parts)
        line = (padded(c, w, r) for c, w, r in zip(here, widths, right, strict=True))
        laid.append((" " * GAP).join(line).rstrip())
    return laid


def _blocks(natural: Sequence[int], most: int | None) -> list[list[int]]:
    """Return the columns of the tables that stand below each other; the first column opens each."""
    blocks: list[list[int]] = [[0] if natural else []]
    for i in range(1, len(natural)):
        least = [min(natural[j], LEAST) for j in (*blocks[-1], i)]
        if most is not None and sum(least) + GAP * (len(least) - 1) > most and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(i)
    return blocks


def _widths(natural: Sequence[int], most: int | None) -> list[int]:
    """Return the widths of columns beside each other: what is wider than LEAST is cut alike until all fit."""
    if most is None or sum(natural) + GAP * (len(natural) - 1) <= most:
        return list(natural)
    room = most - GAP * (len(natural) - 1)
    cap = next((c for c in range(most, 1, -1) if sum(min(n, c) for n in natural) <= room), 1)
    widths = [min(n, cap) for n in natural]
    for i, n in enumerate(natural):  # what is left over
        widths[i] += max(0, min(n - widths[i], room - sum(widths)))
    return widths


def _fitted(text: str, width: int, whole: bool) -> list[str]:
    """Return the lines of a cell."""
    return folded(text, width) if whole and width_of(text) > width else [middle(text, width)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(str(value))
