"""Made files of JSON, CSV and text, with what each record says; nothing of the code that is tested is used."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from typing import Any

from .oddities import BOM, ENDINGS, Kind, MadeFile, Record, Row, file_name, packed

# -- JSON ------------------------------------------------------------------------------------------------------------

VALUES: list[Any] = [
    *(None, True, False, 0, -7, 2**53 + 1, 2**63 - 1, 2**63, 10**400, 0.1, -0.0, 1e300, 5e-324, "", "007", " x "),
    *("é\u2028\u2029\x85", "\x00\x1f\x7f", "NaN", "null", "\ufeff", "\U0001f600", "a\r\nb", "x" * 70_000, "'; DROP--"),
    *([], [1, None], [["a"], []], {}, {"k": None}, {"a": {"b": [1]}}, {"free key": 1}, {"K": 1, "k": 2}, {"": 0}),
    *([{"role": "user", "content": None}, {"role": "x"}], {"x`y": {"a.b": 1}}, [[[[[]]]]], [{"a": 1}, 2, "c"]),
]
#: Names of columns that a table can have, which SQL, JSON paths or our own frames might take for something else.
NAMES = [
    *("a.b", "select", "o'clock", 'q"q', "--", "été", "列", "$", "a/b", "a\\b", "%41", "[0]", "*", "null", "row"),
    *("file", "reason", "raw", "lakesift_line", "_metadata", "value", "at", "fields", "item", "0", "\x07", "😀"),
    *("count", "struct", "number", "input_file_name", "#", "@x", "a\\'b", "$x", "true", "1.5", "<b>", "a\rb"),
    *("\u2028", "é\u0301", "noted"),
]  # fmt: skip
BROKEN = [
    *(b"{", b"}", b"nul", b'{"id": 1', b'{"id": 1}}', b"\xff", b'{"id": "\xe9"}', b'{"id": NaN}', b'{"id": 1e999}'),
    *(b"7", b'{"id": "\\ud800"}', b'{"id": 1, "id": 2}', b'["id"]', b"'", b'{"id": 01}', b'{"id": -Infinity}', b"\x00"),
    *(b'{"id": ' + b"[" * 80 + b"]" * 80 + b"}", b'{"id": ' + b"9" * 5000 + b"}", b'{"id": "a\tb"}', b"BZh91AY"),
    *(b'{"\\ud800": 1}', b"{'id': 1}", b'{"id": 1,}', b"// no", b'{"id": 1e-999}', '{"id": 1}'.encode("utf-16")),
    *(b"\x1f\x8b", b"{}{}"),
]  # fmt: skip
IDS: list[Callable[[int], Any]] = [int, str, lambda i: i / 2, lambda i: f"é{i}", lambda _: None, lambda i: [i], bool]


def json_row(draw: random.Random, mark: str, index: int, id_name: str) -> Row:
    row: Row = {id_name: draw.choice(IDS)(index)} if draw.random() < 0.9 else {}
    row |= {"mark": mark, "n": index if draw.random() < 0.98 else "many"}
    row |= {"chat": [{"role": "user", "content": mark}, {"role": "tool", "args": {"x": index}}]} if index % 2 else {}
    row |= {draw.choice(NAMES): draw.choice(VALUES) for _ in range(draw.randrange(4))}
    if draw.random() < 0.001:
        row |= {f"wide{i}": i for i in range(700)}
    if draw.random() < 0.02:
        row["deep"] = json.loads("[" * 40 + str(index) + "]" * 40)
    items = list(row.items())
    draw.shuffle(items)
    return dict(items)


def json_file(draw: random.Random, number: int, index: int, kind: Kind) -> MadeFile:
    rows = [json_row(draw, f"{number}-{index}-{i}", i, kind.id_column) for i in range(draw.randrange(1, 14))]
    texts = [json.dumps(row, ensure_ascii=draw.random() < 0.5).encode("utf-8") for row in rows]
    records = [Record(row, text) for row, text in zip(rows, texts, strict=True)]
    layout = draw.choice(["lines"] * 6 + ["array", "pretty", "objects", "arrays", "first key", "old lines", "empty"])
    if layout == "lines":
        content = _lines(draw, records)
    elif layout == "array":
        records.append(Record(None, draw.choice([b"7", b'"text"', b"null", b"[[]]"])))
        content = b"[" + b" ,\n".join(r.raw or b"" for r in records) + b"]" + b"\n" * draw.randrange(2)
    elif layout == "pretty":
        content = json.dumps(rows, indent=draw.choice([1, 2, "\t"])).encode()
    elif layout == "objects":
        content = draw.choice([b"\n", b"\r\n\n"]).join(json.dumps(row, indent=2).encode() for row in rows)
    elif layout == "arrays":
        content = b"\n".join(b"[" + text + b"]" for text in texts)
    elif layout == "first key" and len(texts[0]) < 20_000:
        content = b"\n".join(b"{ " + json.dumps(row, indent=2).encode()[1:].lstrip() for row in rows)
    elif layout in ("first key", "old lines"):
        content = b"\r".join(texts) + b"\r" * draw.randrange(2)
    else:
        records, content = [], draw.choice([b"", b"\n", BOM, b" \r\n\n", b"[]", b"[\n]\n"])
    if draw.random() < 0.2 and layout != "lines" and content[:3] != BOM:
        content = BOM + content
    body, ending = packed(draw, content, draw.choice(ENDINGS["jsonl"]))
    return MadeFile(file_name(draw, number, index, ending), body, records)


def _lines(draw: random.Random, records: list[Record]) -> bytes:
    """JSON lines with broken and blank ones between; the records are changed to how they stand in the file."""
    for _ in range(draw.choice([0, 0, 1, 3])):
        # A file that begins like a whole array is read as one: the first line stays a row.
        records.insert(draw.randrange(1, len(records) + 1), Record(None, draw.choice(BROKEN)))
    end = draw.choice([b"\n", b"\r\n"])
    content = b""
    for i, record in enumerate(records):
        raw = (BOM if draw.random() < (0.3 if i == 0 else 0.05) else b"") + (record.raw or b"")
        content += raw + end + draw.choice([b"", b"", b"", b"\n", b" \t\r\n"])
        record.raw = raw + end[:-1]
    if draw.random() < 0.3 and records[-1].raw:
        content, records[-1].raw = content.rstrip(b"\r\n \t"), records[-1].raw.rstrip(b"\r")
    return content


# -- CSV and text ----------------------------------------------------------------------------------------------------

CELLS = [
    "plain",
    "007",
    "",
    "'",
    "é\u2028",
    " s ",
    "NA",
    "null",
    "1e999",
    "\ufeff",
    "-",
    "=1+1",
    "x" * 5000,
    "\\",
    "\x85",
]
QUOTED = ['a "b"', "x,y", "x;y", "x\ty", "x|y", "two\nlines", "\r\n", "\r", '"', "\n\n"]
COLUMNS = ["mark", "id", "text", "Größe", "a.b", "select", "o'clock", "--", "row", "file", "_metadata", "$"]


def csv_file(draw: random.Random, number: int, index: int, kind: Kind) -> MadeFile:
    delimiter = kind.delimiter or draw.choice(",;\t|")
    columns = ["mark", "id", *draw.sample(COLUMNS[2:], draw.randrange(4))]
    if isinstance(kind.header, tuple):
        columns = list(kind.header)
    elif not kind.header:
        columns = [f"column_{i + 1}" for i in range(4)]
    cells = CELLS + (QUOTED if kind.quote else [])
    rows = [
        [f"{number}-{index}-{i}", draw.choice([str(i), f"é{i}", ""]), *(draw.choice(cells) for _ in columns[2:])]
        for i in range(draw.randrange(0 if kind.header is True else 1, 12))
    ]
    text, ends = io.StringIO(), draw.choice(["\n", "\r\n", "\r"])
    plain = not any(sign in cell for row in rows for cell in row for sign in "\r\n")
    quoted: Row = {"quotechar": kind.quote, "quoting": csv.QUOTE_MINIMAL if plain else csv.QUOTE_ALL}
    form: Row = quoted if kind.quote else {"quoting": csv.QUOTE_NONE, "quotechar": None}
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ends, **form)
    writer.writerows([columns, *rows] if kind.header is True else rows)
    records = [Record({n: c or None for n, c in zip(columns, row, strict=True)}) for row in rows]
    content, end = text.getvalue().encode(), ends.encode()
    # Records of another width stand last, where they do not change what the delimiter is guessed to be.
    for _ in range(draw.choice([0, 0, 1, 2]) if len(rows) > 2 else 0):
        raw = draw.choice([b"\xff" + delimiter.encode() * (len(columns) - 1), b"only", delimiter.encode() * 9]) + end
        content += raw
        records.append(Record(None, raw))
    if kind.quote and len(rows) > 2 and draw.random() < 0.2:
        raw = kind.quote.encode() + b"open" + end + b"never closed" + end
        content += raw
        records.append(Record(None, raw))
    elif kind.header is True and draw.random() < 0.1:
        content, records = draw.choice([b"", BOM, b"\n\n"]), []
    body, ending = packed(draw, BOM * draw.randrange(2) + content, draw.choice(ENDINGS["csv"]))
    return MadeFile(file_name(draw, number, index, ending), body, records)


def text_file(draw: random.Random, number: int, index: int, _: Kind) -> MadeFile:
    text = draw.choice([*CELLS, *QUOTED, "# A\r\n\x00b", "[1]", "{", "Å" * 9, "plain\n" * 999])
    content = text.encode()
    broken = draw.random() < 0.2
    if broken:
        content += draw.choice([b"\xff", b"\xc3", b"\xed\xa0\x80"])
    body, ending = packed(draw, BOM * draw.randrange(2) + content, draw.choice(ENDINGS["text"]))
    made = MadeFile(file_name(draw, number, index, ending), body)
    made.records = [Record(None, None) if broken else Record({"text": text.lstrip("\ufeff")})]
    return made
