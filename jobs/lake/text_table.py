"""Rows with names of columns that know how to be shown: as a text table, as HTML in a notebook, as JSON values."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

#: Characters that act on a terminal or on the order of text: controls, marks of direction, separators of lines, halves
#: of pairs. The joiners of emoji and of Persian are none of them.
_ACTING = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


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
    """A small result: `columns` name the values of each row; `str` is the text table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __str__(self) -> str:
        """Return the text table."""
        return text_table(self.columns, self.rows)

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


def rows_of(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Rows:
    """Return `Rows` of any sequences."""
    return Rows(tuple(columns), tuple(tuple(row) for row in rows))


def text_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table with a rule under the head; columns of numbers are right-aligned, None is empty.

    Examples
    --------
    >>> print(text_table(("kind", "rows"), [("a", 1200), ("b", None)]))
    kind   rows
    -----------
    a     1,200
    b
    """
    body = list(rows)
    number = [all(_is_number(v) for row in body if (v := row[i]) is not None) for i in range(len(head))]
    lines = [tuple(map(printable, head)), *(tuple(_cell(value) for value in row) for row in body)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]

    def lay(line: tuple[str, ...]) -> str:
        cells = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(line, widths, number, strict=True))
        return "  ".join(cells).rstrip()

    texts = [lay(line) for line in lines]
    return "\n".join([texts[0], "-" * max(map(len, texts)), *texts[1:]])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(str(value))
