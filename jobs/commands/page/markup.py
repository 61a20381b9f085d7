"""The pieces of a page. Every text that comes from data passes `escaped`: nothing of it is read as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from ...lake.text_table import printable

#: Characters that are shown of a name or id, of a cell, of any other line, and of a passage of lines.
NAME_CHARS, CELL_CHARS, LINE_CHARS, PASSAGE_CHARS = 100, 400, 4_000, 100_000


def escaped(text: object) -> str:
    """Return a text on one line that HTML shows as it is, with characters that act on a display as escapes.

    Examples
    --------
    >>> escaped("<b>\\x1b[1m")
    '&lt;b&gt;\\\\x1b[1m'
    """
    return html.escape(printable(shortened(str(text), LINE_CHARS)), quote=True)


def name(text: object) -> str:
    """Return a name or id, escaped, of at most NAME_CHARS characters."""
    return escaped(shortened(str(text), NAME_CHARS))


def shortened(text: str, most: int) -> str:
    """Return the beginning of a text that is too long, with an ellipsis.

    Examples
    --------
    >>> shortened("abc", 3), shortened("abcd", 3)
    ('abc', 'ab…')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def passage(text: str) -> str:
    """Return a text of several lines, escaped; its own direction stays inside of its box."""
    plain = shortened(text, PASSAGE_CHARS).replace("\r\n", "\n").replace("\t", "    ")
    return f'<pre dir="auto">{html.escape(printable(plain, lines=True), quote=True)}</pre>'


def paragraph(text: str, style: str = "") -> str:
    """Return a paragraph of a text that is escaped here."""
    return f'<p class="{style}">{escaped(text)}</p>' if style else f"<p>{escaped(text)}</p>"


def section(title: str, *parts: str, style: str = "") -> str:
    """Return a section; its parts are HTML."""
    opened = f'<section class="{style}">' if style else "<section>"
    return f"{opened}<h2>{escaped(title)}</h2>{''.join(parts)}</section>"


def folded(title: str, *parts: str) -> str:
    """Return parts of HTML that a click opens."""
    return f"<details><summary>{escaped(title)}</summary>{''.join(parts)}</details>"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table; cells are texts, escaped here, or `Html`; cells of numbers are at the right."""
    top = "".join(f"<th>{escaped(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


def number(value: float | None, digits: int = 4) -> str:
    """Return a number as people write it; "" for None.

    Examples
    --------
    >>> number(13392), number(0.18196), number(1234567.5), number(None)
    ('13,392', '0.182', '1,234,568', '')
    """
    if value is None:
        return ""
    if float(value).is_integer() or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def percent(share: float | None) -> str:
    """Return a share in percent.

    Examples
    --------
    >>> percent(0.0374), percent(0.00031), percent(0.0), percent(1.0)
    ('3.7\\xa0%', '0.031\\xa0%', '0\\xa0%', '100\\xa0%')
    """
    if share is None:
        return ""
    value = 100 * share
    return f"{f'{value:.1f}'.removesuffix('.0') if value >= 1 or not value else f'{value:.2g}'}\xa0%"


def _cell(value: Any) -> str:
    if isinstance(value, Html):
        return f"<td>{value}</td>"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="number">{number(value)}</td>'
    return f"<td>{escaped(shortened(str('' if value is None else value), CELL_CHARS))}</td>"
