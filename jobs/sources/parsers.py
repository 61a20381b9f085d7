"""Parses bytes of JSON files in plain Python: one object a line, or arrays and objects over many lines.

Strict where readers are lenient, because a lenient reader loses text silently: bytes that are not UTF-8, halves of
surrogate pairs, text after the object, a key given twice, NaN, Infinity and numbers beyond a double are rejected.
Blank lines are no rows and are not counted. Left out: encodings other than UTF-8.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

#: Objects and lists inside each other, at most.
MAX_DEPTH = 64
#: Digits of a whole number, at most: Python reads longer ones, if at all, in quadratic time.
MAX_DIGITS = 4_300
#: Only text with one of these can hold a number that no double holds.
_FAR = re.compile(r"[eE][+-]?\d{3}|\d{309}")
_SPACE = re.compile(r"[\s\ufeff]*")


class ParsedRecord(NamedTuple):
    """One row, or None with the reason why it is none; `raw` is the bytes in the file."""

    row: dict[str, Any] | None
    reason: str
    raw: bytes


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)[:40]!r} occurs twice")
    return row


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _double(text: str) -> float:
    value = float(text)
    if math.isinf(value) or (value == 0 and re.search("[1-9]", re.split("[eE]", text)[0])):
        raise ValueError(f"a double cannot hold {text[:40]}")
    return value


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a whole number of {len(text):,} digits; at most {MAX_DIGITS:,} are read")
    return int(text)


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
    >>> json_line(b'{"id": 1} {"id": 2}').reason, json_line(b'{"id": 1e999}').reason
    ('not JSON: Extra data', 'not JSON: a double cannot hold 1e999')
    """
    text = utf8(raw)
    if text is None:
        return ParsedRecord(None, "not UTF-8", raw)
    text = text.lstrip("\ufeff")
    if not text.strip():
        return None
    try:
        numbers: dict[str, Any] = {"parse_float": _double, "parse_int": _whole} if _FAR.search(text) else {}
        row = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, **numbers)
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


def line_records(raw: bytes) -> Iterator[ParsedRecord]:
    """Yield the record of one line, none if it is blank; several where \\r alone ends the lines of the file.

    Examples
    --------
    >>> [r.row for r in line_records(b'{"id": 0}\\r{"id": 1}\\r')]
    [{'id': 0}, {'id': 1}]
    """
    record = json_line(raw)
    if record and record.reason == "not JSON: Extra data" and b"\r" in raw.strip():
        yield from json_values(raw)
    elif record:
        yield record


def spans_lines(lines: Sequence[bytes]) -> bool:
    """Tell from its first lines that are not blank whether a JSON file is an array, or has objects over many lines.

    Examples
    --------
    >>> [spans_lines([line]) for line in (b'[{"id": 0},', b" [", b"{", b'{"id": 0}', b'{"id": 0,')]
    [True, True, True, False, False]
    >>> spans_lines([b'{"id": 0,', b' "n": {}}']), spans_lines([b'{"id": 0,', b'{"id": 0}']), spans_lines([])
    (True, False, False)
    """
    first = lines[0].removeprefix(b"\xef\xbb\xbf").strip() if lines else b""
    if first.startswith(b"[") or first == b"{":
        return True
    if len(lines) < 2 or not first.startswith(b"{"):
        return False
    try:
        text = b"\n".join([first, *lines[1:]]).decode("utf-8")
        end = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode(text)[1]
    except (ValueError, RecursionError):
        return False
    return end > len(first.decode("utf-8"))


def json_values(content: bytes) -> Iterator[ParsedRecord]:
    """Yield a record for each object of a JSON file, whatever its lines: one after another, or items of arrays.

    What follows a place that is not JSON is one rejected record.

    Examples
    --------
    >>> [r.row or r.reason for r in json_values(b'[{"id": 0},\\n {"id":\\n 1}, 2]')]
    [{'id': 0}, {'id': 1}, 'JSON, but not an object']
    >>> [r.row or r.reason for r in json_values(b'{\\n"id": 0\\n}\\n[{"id": 1}, {"id"')]
    [{'id': 0}, {'id': 1}, "not JSON: Expecting ':' delimiter in line 4"]
    """
    text = utf8(content)
    if text is None:
        yield ParsedRecord(None, "not UTF-8", content)
        return
    # Only where a value ends is of interest here; numbers are made of its text by json_line.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    at, inside, after_item = _blank(text, 0), False, False
    while at < len(text):
        sign = text[at]
        if not inside and sign == "[":
            inside, after_item, at = True, False, _blank(text, at + 1)
        elif inside and sign == "]":
            inside, at = False, _blank(text, at + 1)
        elif inside and after_item and sign == ",":
            after_item, at = False, _blank(text, at + 1)
        else:
            try:
                if inside and after_item:
                    raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
                end = decoder.raw_decode(text, at)[1]
            except (ValueError, RecursionError) as error:
                yield _rest(text, at, error)
                return
            if record := json_line(text[at:end].encode("utf-8")):
                yield record
            after_item, at = True, _blank(text, end)
    if inside:
        yield ParsedRecord(None, "not JSON: the array has no end; is the file whole?", b"")


def _blank(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _rest(text: str, at: int, error: Exception) -> ParsedRecord:
    if isinstance(error, RecursionError):
        reason = f"nested deeper than {MAX_DEPTH}"
    else:
        line = text.count("\n", 0, getattr(error, "pos", at)) + 1
        reason = f"not JSON: {getattr(error, 'msg', error)} in line {line}"
    return ParsedRecord(None, reason, text[at:].encode("utf-8"))
