"""Parses the bytes of CSV files in plain Python: RFC 4180 with a delimiter, a quote and a header that may be given.

Strict: a record of another width is rejected. Cells are strings (a number read from "007" would lose its zeros); an
empty cell is null. A delimiter that is not given is the one of `DELIMITERS` under which the first records are of one
width. Left out: escapes by backslash, encodings other than UTF-8.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from typing import Any

from .parsers import ParsedRecord, utf8
from .source import Dialect

#: Delimiters that are tried, the usual one first.
DELIMITERS = (",", ";", "\t", "|")
#: Records and characters that a delimiter is guessed from.
GUESS_RECORDS, GUESS_CHARS = 20, 1 << 16
USUAL = Dialect()


def csv_records(content: bytes, dialect: Dialect = USUAL) -> Iterator[ParsedRecord]:
    """Yield a record for each line of a CSV file (quotes doubled, newlines inside quotes).

    Examples
    --------
    >>> [r.row or r.reason for r in csv_records(b'id,text\\n1,"a\\nb"\\n2\\n')]
    [{'id': '1', 'text': 'a\\nb'}, '1 fields; the header has 2']
    >>> [r.row for r in csv_records(b"1;a\\n2;b\\n", Dialect(header=("id", "text")))]
    [{'id': '1', 'text': 'a'}, {'id': '2', 'text': 'b'}]
    """
    csv.field_size_limit(sys.maxsize)
    text = content.decode("utf-8", "surrogateescape").lstrip("\ufeff")
    used: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            used.append(line)
            yield line

    reader = csv.reader(lines(), strict=True, **_format(dialect, dialect.delimiter or guessed(text, dialect)))
    header = list(dialect.header) if isinstance(dialect.header, tuple) else None
    while True:
        used.clear()
        try:
            cells, reason = next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            cells, reason = [], f"not CSV: {error}"
        raw = "".join(used).encode("utf-8", "surrogateescape")
        if not cells and not reason:
            continue
        if not reason and utf8(raw) is None:
            reason = "not UTF-8"
        if header is None and dialect.header is False:
            header = [f"column_{i + 1}" for i in range(len(cells))] or None
        elif header is None:
            # After a broken header nothing is a row: the second line must not become the header.
            header = [] if reason else cells
            if not reason:
                continue
        reason = reason or _misfit(header or [], cells)
        row = None if reason else {name: cell or None for name, cell in zip(header or [], cells, strict=True)}
        yield ParsedRecord(row, reason, raw)


def _format(dialect: Dialect, delimiter: str) -> dict[str, Any]:
    quoted = {"quotechar": dialect.quote} if dialect.quote else {"quotechar": None, "quoting": csv.QUOTE_NONE}
    return {"delimiter": delimiter, **quoted}


def delimiter_of(content: bytes, dialect: Dialect) -> str:
    """Return the delimiter of a file: the given one, or the guess."""
    head = content[: 4 * GUESS_CHARS].decode("utf-8", "surrogateescape").lstrip("\ufeff")
    return dialect.delimiter or guessed(head, dialect)


def guessed(text: str, dialect: Dialect) -> str:
    """Return the delimiter under which most of the first records have one width above 1; of equals the usual one.

    Examples
    --------
    >>> guessed("id;text\\n1;a, b\\n2;c\\n", Dialect()), guessed("text\\na;b\\n", Dialect())
    (';', ',')
    """
    head = io.StringIO(text[:GUESS_CHARS], newline="").readlines()
    lines = head if len(text) <= GUESS_CHARS else head[:-1] or head  # the last line may be cut off
    return max(DELIMITERS, key=lambda d: (_fitting(lines, dialect, d), -DELIMITERS.index(d)))


def _fitting(lines: list[str], dialect: Dialect, delimiter: str) -> float:
    """Return the share of the first records that have the width of the first, 0 if that is 1."""
    widths: list[int] = []
    try:
        for cells in csv.reader(lines, strict=True, **_format(dialect, delimiter)):
            if cells:
                widths.append(len(cells))
            if len(widths) == GUESS_RECORDS:
                break
    except csv.Error:
        pass
    return widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0.0


def _misfit(header: list[str], cells: list[str]) -> str:
    if len(cells) != len(header):
        return f"{len(cells)} fields; the header has {len(header)}"
    return "the header names a column twice" if len(set(header)) < len(header) else ""
