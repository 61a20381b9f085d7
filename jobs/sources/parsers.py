"""Parses bytes of source files in plain Python: JSON lines, CSV, text; what is no row comes with its reason.

Strict where readers are lenient, because a lenient reader loses text silently: bytes that are not UTF-8, halves of
surrogate pairs, text after the object, a key given twice, a CSV record of another width are all rejected.
Blank lines are no rows and are not counted. CSV cells are strings (a number read from "007" would lose its zeros); an
empty cell is null. Left out: encodings other than UTF-8, CSV without a header.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

#: Objects and lists inside each other, at most.
MAX_DEPTH = 64


class ParsedRecord(NamedTuple):
    """One row, or None with the reason why it is none; `raw` is the bytes in the file."""

    row: dict[str, Any] | None
    reason: str
    raw: bytes


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return row


def utf8(raw: bytes) -> str | None:
    """Return the text of bytes, None if they are not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def json_line(raw: bytes) -> ParsedRecord | None:
    """Return the row of one line, or why it is none; None for a blank line.

    Examples
    --------
    >>> json_line(b'{"id": 1}').row
    {'id': 1}
    >>> json_line(b'{"id": 1} {"id": 2}').reason
    'not JSON: Extra data'
    """
    text = utf8(raw)
    if text is None:
        return ParsedRecord(None, "not UTF-8", raw)
    text = text.lstrip("\ufeff")
    if not text.strip():
        return None
    try:
        row = json.loads(text, object_pairs_hook=_object)
        if text.count("{") + text.count("[") > MAX_DEPTH and _deeper(row, MAX_DEPTH):
            raise RecursionError
        if "\\u" in text:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
        reason = "" if isinstance(row, dict) else "JSON, but not an object"
    except UnicodeEncodeError:
        reason = "an escape is half of a surrogate pair"
    except RecursionError:
        reason = f"nested deeper than {MAX_DEPTH}"
    except ValueError as error:  # that of the parser has a message without the place
        reason = f"not JSON: {getattr(error, 'msg', error)}"
    return ParsedRecord(None if reason else row, reason, raw)


def _deeper(value: Any, left: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inside is not None and (left == 0 or any(_deeper(item, left - 1) for item in inside))


def csv_records(content: bytes) -> Iterator[ParsedRecord]:
    """Yield a record for each line of a CSV file with a header (RFC 4180: quotes doubled, newlines inside quotes).

    Examples
    --------
    >>> [r.row or r.reason for r in csv_records(b'id,text\\n1,"a\\nb"\\n2\\n')]
    [{'id': '1', 'text': 'a\\nb'}, '1 fields; the header has 2']
    """
    csv.field_size_limit(sys.maxsize)
    text = content.decode("utf-8", "surrogateescape").lstrip("\ufeff")
    used: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            used.append(line)
            yield line

    reader = csv.reader(lines(), strict=True)
    header: list[str] | None = None
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
        if header is None:
            # After a broken header nothing is a row: the second line must not become the header.
            header = [] if reason else cells
            if not reason:
                continue
        reason = reason or _misfit(header, cells)
        row = None if reason else {name: cell or None for name, cell in zip(header, cells, strict=True)}
        yield ParsedRecord(row, reason, raw)


def _misfit(header: list[str], cells: list[str]) -> str:
    if len(cells) != len(header):
        return f"{len(cells)} fields; the header has {len(header)}"
    return "the header names a column twice" if len(set(header)) < len(header) else ""


def records(form: str, content: bytes, path: str) -> Iterator[ParsedRecord]:
    """Yield the records of one line (form "jsonl") or of one whole file ("csv", "text"; .gz is unpacked).

    Examples
    --------
    >>> next(records("text", b"abc", "notes/a.txt")).row
    {'path': 'notes/a.txt', 'text': 'abc'}
    """
    if form == "jsonl":
        if line := json_line(content):
            yield line
        return
    if path.endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            yield ParsedRecord(None, f"not gzip: {error}", content)
            return
    if form == "csv":
        yield from csv_records(content)
    elif (text := utf8(content)) is not None:
        yield ParsedRecord({"path": path, "text": text.lstrip("\ufeff")}, "", content)
    else:
        yield ParsedRecord(None, "not UTF-8", content)
