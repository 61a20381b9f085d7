"""Made sources: every line is a row that says what the line says, or is rejected with a reason. No Spark."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from lakesift.jobs.sources.packing import unpacked
from lakesift.jobs.sources.record_passes import column_of, counts_by_file, parsed_records
from lakesift.jobs.sources.schema_inference import columns
from lakesift.jobs.sources.source import Dialect, Source
from lakesift.udfs.errors import InputError

SCHEMA = pa.schema([("raw", pa.binary()), ("file", pa.string()), ("start", pa.int64())])
VALUES: list[Any] = [
    *(None, True, 0, -7, 2**53 + 1, 2**63, 0.1, 1e300, "", "007", "é\u2028", "\x00", "NaN", " x "),
    *([], [1, None], [["a"], []], {}, {"k": None}, {"a": {"b": [1]}}, {"free key": 1}, {"K": 1, "k": 2}),
    [{"role": "user", "content": None}, {"role": "x"}],
]
BROKEN = [
    *(b"{", b"}", b"nul", b'{"id": 1', b'{"id": 1}}', b"\xff", b'{"id": "\xe9"}', b'{"id": NaN}', b'{"id": 1e999}'),
    *(b"7", b'{"id": "\\ud800"}', b'{"id": 1, "id": 2}', b'["id"]', b"'", b'{"id": 01}'),
    b'{"id": ' + b"[" * 80 + b"]" * 80 + b"}",
]


def outcome(source: Source, files: dict[str, bytes], by_line: bool) -> tuple[list[dict[str, Any]], int]:
    """Return what the two passes of ingest make of files, and the number of lines that the first has counted."""
    rows = [
        {"raw": part, "file": file, "start": 0 if by_line else None}
        for file, content in files.items()
        for part in (content.split(b"\n") if by_line else [content])
    ]
    batches = pa.Table.from_pylist(rows, SCHEMA).to_batches(max_chunksize=7)
    counts = json.loads(next(counts_by_file(source, batches))["counts"][0].as_py())
    kind = ("struct", columns(counts["rows"], "x", "id"))
    name = column_of("id", kind)
    made = parsed_records(source, kind, name, 1 << 20, batches)
    return [line for out in made for line in out.to_pylist()], counts["lines"]


def agrees(held: Any, said: Any) -> bool:
    """Tell whether a value of a table is that of the line: equal, as text where the column is text, null if absent."""
    if isinstance(held, str) and not isinstance(said, str):
        return bool(json.loads(held) == said)
    if isinstance(held, dict) and isinstance(said, dict):
        return set(said) <= set(held) and all(agrees(value, said.get(key)) for key, value in held.items())
    if isinstance(held, list) and isinstance(said, list):
        return len(held) == len(said) and all(map(agrees, held, said))
    return bool(held == said)


def json_file(draw: random.Random) -> bytes:
    pool = {name: draw.sample(VALUES, draw.randrange(1, 4)) for name in "abc"}
    lines = []
    for i in range(draw.randrange(1, 40)):
        row = {"id": draw.choice([i, str(i), None])} | {
            k: draw.choice(v) for k, v in pool.items() if draw.random() < 0.8
        }
        lines.append(json.dumps(row, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass"))
    for _ in range(draw.randrange(4)):
        lines.insert(draw.randrange(len(lines) + 1), draw.choice([*BROKEN, b"", b" \r"]))
    return b"\xef\xbb\xbf" * draw.randrange(2) + draw.choice([b"\n", b"\r\n"]).join(lines) + b"\n" * draw.randrange(3)


def test_every_line_of_json_is_told() -> None:
    draw = random.Random(11)
    told = rows = 0
    for _ in range(250):
        content = json_file(draw)
        lines = [line for line in content.split(b"\n") if line.removeprefix(b"\xef\xbb\xbf").strip()]
        try:
            found, counted = outcome(Source(("x",), "jsonl"), {"/in/x": content}, by_line=True)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        assert counted == len(found) == len(lines)
        for line, made in zip(lines, found, strict=True):
            if made["reason"] is None:
                said = json.loads(line.decode("utf-8-sig"))
                assert all(agrees(value, said.get(key)) for key, value in made["row"].items()), line
                assert set(said) <= set(made["row"])
                rows += 1
            else:
                assert made["row"] is None
                assert made["raw"]
        told += len(found)
    assert rows > 1_000
    assert told - rows > 200


PACKINGS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, bz2.compress, lzma.compress]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_record_of_csv_is_told(delimiter: str) -> None:
    draw = random.Random(delimiter)
    cells = ["plain", 'a "b"', "x,y", "x;y", "x\ty", "x|y", "two\nlines", "\r\n", "é", " s ", "007", "", "'", "\u2028"]
    for number in range(20):
        width = draw.randrange(2, 5)
        header = [f"c{i}" for i in range(width)]
        rows = [[draw.choice(cells) for _ in header] for _ in range(draw.randrange(5, 30))]
        text = io.StringIO()
        quoting = draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        csv.writer(text, delimiter=delimiter, quoting=quoting).writerows([header, *rows])
        content = draw.choice([b"", b"\xef\xbb\xbf"]) + text.getvalue().encode()
        broken = b"\xff" + delimiter.encode() * width + b"\r\n"
        packed = draw.choice(PACKINGS)(content + broken)
        given = Dialect(delimiter=delimiter) if number % 2 else Dialect()
        found, counted = outcome(Source(("x",), "csv", dialect=given), {"/in/k=07/x": packed}, by_line=False)
        assert counted == len(found) == len(rows) + 1
        expected = [{**{n: c or None for n, c in zip(header, row, strict=True)}, "k": "07"} for row in rows]
        assert [made["row"] for made in found[:-1]] == expected
        assert found[-1]["reason"] == "not UTF-8"


def test_ids_of_two_types_lose_no_row() -> None:
    lines = [b'{"id": %s, "text": "t"}' % (f'"extra-{i}"' if i % 25 == 0 else str(i)).encode() for i in range(100)]
    found, counted = outcome(Source(("x",), "jsonl"), {"/in/x": b"\n".join(lines)}, by_line=True)
    assert counted == 100
    assert [made["row"]["id"] for made in found] == [f"extra-{i}" if i % 25 == 0 else str(i) for i in range(100)]


def test_cells_of_csv_stay_as_they_are_written() -> None:
    content = b'\xef\xbb\xbfid;text\r\n007;"a\r\nb"\r\nNA;"say ""x"""\r\nnull;\r\n'
    found, _ = outcome(Source(("x",), "csv"), {"/in/x": content}, by_line=False)
    assert [made["row"] for made in found] == [
        {"id": "007", "text": "a\r\nb"}, {"id": "NA", "text": 'say "x"'}, {"id": "null", "text": None},
    ]  # fmt: skip


@pytest.mark.parametrize("by_line", [True, False])
def test_json_whatever_ends_its_lines_and_wherever_its_first_object_ends(by_line: bool) -> None:
    """Files with \\r alone; objects whose first key stands in the line of the brace; numbers too long to be read."""
    rows = [{"id": i, "text": "a\r\n{", "more": {"x": [i]}} for i in range(3)]
    lines = [json.dumps(row).encode() for row in rows]
    found, counted = outcome(Source(("x",), "jsonl"), {"/in/x": b"\r".join(lines)}, by_line)
    assert ([made["row"] for made in found], counted) == (rows, 3)
    spread = b"\n".join(b'{ "id"' + json.dumps(row, indent=1).encode().split(b'"id"', 1)[1] for row in rows)
    assert whole(spread)
    assert [made["row"] for made in outcome(Source(("x",), "jsonl"), {"/in/x": spread}, False)[0]] == rows
    broken = b'{"id": 0,\n' + b"\n".join(lines)
    assert not whole(broken)
    found, _ = outcome(Source(("x",), "jsonl"), {"/in/x": broken}, by_line)
    assert [made["row"] for made in found] == [None, *rows]
    digits = b'[{"id": 0}, {"id": 1, "n": ' + b"7" * 5000 + b'}, {"id": 2}]'
    found, _ = outcome(Source(("x",), "jsonl"), {"/in/x": digits}, False)
    assert [made["reason"] for made in found] == [
        None, "not JSON: a whole number of 5,000 digits; at most 4,300 are read", None,
    ]  # fmt: skip


def whole(content: bytes) -> bool:
    """Whether the first pass over lines of a file says that it must be read whole."""
    rows = [{"raw": line, "file": "x", "start": 0} for line in content.split(b"\n")]
    counts = next(counts_by_file(Source(("x",), "jsonl"), pa.Table.from_pylist(rows, SCHEMA).to_batches()))
    return bool(json.loads(counts["counts"][0].as_py())["whole"])


def test_packed_members_are_read_to_the_end_or_refused() -> None:
    """Members one after another and padding are read; what is cut or broken is never left out without a word."""
    draw = random.Random(7)
    content = bytes(draw.choices(b"abc\n", k=50_000))
    for pack in (*PACKINGS[1:], lambda data: pa.compress(data, codec="zstd", asbytes=True)):
        packed = pack(content)
        assert b"".join(unpacked(io.BytesIO(packed + pack(b"") + pack(b"second")), "x")) == content + b"second"
        damaged = packed + packed[:2] + b"?" + packed[3:]
        for broken in (packed[:-1], packed[:-5], packed[: len(packed) // 2], packed[:12], damaged):
            with pytest.raises(InputError, match=r"x cannot be unpacked to its end .*; fetch the file again"):
                list(unpacked(io.BytesIO(broken), "x"))


def test_many_reasons_are_counted_as_one() -> None:
    lines = [b'{"id": %d, "key %d": 1, "key %d": 2}' % (i, i, i) for i in range(2_000)]
    rows = [{"raw": line, "file": "x", "start": 0} for line in lines]
    counts = next(counts_by_file(Source(("x",), "jsonl"), pa.Table.from_pylist(rows, SCHEMA).to_batches()))
    told = json.loads(counts["counts"][0].as_py())
    assert (told["lines"], sum(told["rejected"].values()), len(told["rejected"])) == (2_000, 2_000, 101)
