"""Lays rows out as a text table for the terminal: what history, diff, sql, maintain, plan and list print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


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
    lines = [tuple(head), *(tuple(_cell(value) for value in row) for row in body)]
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
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
