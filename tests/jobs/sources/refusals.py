"""Made sources that cannot be ingested as they are, each with a pattern of the sentence that names the cause."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .oddities import PACKERS, Kind

#: Writes files below a folder; returns what is ingested and the pattern of the sentence. With "" it may be rows, too.
Refusal = Callable[[random.Random, Path], tuple[Kind, list[str], str]]
GOOD = {"jsonl": b'{"id": 1, "text": "a"}\n', "csv": b"id,text\n1,a\n", "text": b"a\n"}


def put(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _parquet(table: Any, **how: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **how)
    return out.getvalue()


def broken_packing(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    form, (ending, pack) = draw.choice(sorted(GOOD)), draw.choice([p for p in PACKERS.items() if p[0]])
    content = pack(b"".join(b'{"id": %d, "text": "%x"}\n' % (i, draw.getrandbits(64)) for i in range(300)))
    cut = content[: draw.randrange(12, len(content) - 1)]
    behind = content + draw.choice([b"garbage", content[3:40], b"\xff" * 9])
    put(folder, f"x.{form}{ending}", draw.choice([cut, cut, behind]))
    put(folder, f"good.{form}", GOOD[form])
    return Kind(form, "id" if form != "text" else "path"), ["."], rf"x\.{form}{ending}.* cannot be (read|unpacked) to"


ILLEGAL = [*" ,;{}()\n\t=`", ""]


def illegal_name(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    sign = draw.choice(ILLEGAL)
    name, form = f"a{sign}b" if sign else "", draw.choice(["jsonl", "csv", "parquet"])
    if form == "parquet":
        put(folder, "x.parquet", _parquet(pa.table({"id": ["1"], name: [1]})))
    elif form == "csv":
        put(folder, "x.csv", b'id,"' + name.encode() + b'"\n1,2\n')
    else:
        put(folder, "x.jsonl", b'{"id": 1, "' + name.encode("unicode_escape") + b'": 2}\n')
    return Kind(form, delimiter="," if form == "csv" else ""), ["."], r"the column '.*' is empty or holds one of: space"


def two_cases(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    form = draw.choice(["jsonl", "csv", "parquet", "folders"])
    one, two = draw.choice([("text", "Text"), ("é", "É"), ("id2", "ID2")])
    if form == "parquet":
        for i, name in enumerate((one, two)):
            put(folder, f"{i}.parquet", _parquet(pa.table({"id": [str(i)], name: [1]})))
        return Kind(form), ["."], ""  # Spark reads the two as one column
    if form == "csv":
        put(folder, "x.csv", f"id,{one},{two}\n1,2,3\n".encode())
    elif form == "jsonl":
        put(folder, "x.jsonl", f'{{"id": 1, "{one}": 1}}\n{{"id": 2, "{two}": 1}}\n'.encode())
    else:
        form = "jsonl"
        for name in (one, two):
            put(folder, f"{name}=1/x.jsonl", GOOD["jsonl"].replace(b"text", b"body"))
    return Kind(form), ["."], "differ in case only"


def own_column(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    name = draw.choice(["lakesift_file", "LakeSift_File"])
    put(folder, "x.jsonl", f'{{"id": 1, "{name}": 1}}\n'.encode())
    return Kind("jsonl"), ["."], "hold a column 'lakesift_file', which ingest writes itself"


def no_parquet(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    good = _parquet(pa.table({"id": [str(i) for i in range(500)], "text": [os.urandom(9).hex() for _ in range(500)]}))
    middle = bytearray(good)
    middle[40:400] = b"\xff" * 360
    content = draw.choice([b"", good[:-9], good[9:], b"PAR1" + b"\0" * 99 + b"PAR1", bytes(middle), GOOD["jsonl"]])
    put(folder, "x.parquet", content)
    put(folder, "good.parquet", _parquet(pa.table({"id": ["good"]})))
    return Kind("parquet"), ["."], r"x\.parquet.* cannot be read|cannot be read as Parquet: .*x\.parquet"


def odd_type(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    tables: list[tuple[Any, dict[str, Any], str]] = [
        (pa.array([1], pa.timestamp("ns")), {}, "nanoseconds"),
        (pa.array([1], pa.time64("us")), {}, "(has type time|Parquet)"),
        (pa.array([1], pa.time32("ms")), {}, "(has type time|Parquet)"),
        (pa.array([1], pa.decimal256(50, 2)), {}, "(precision|decimal|DECIMAL|Parquet)"),
        (pa.array([1.5], pa.float16()), {}, "(FLOAT16|Parquet|has type)"),
        (pa.array([None], pa.null()), {}, ""),
        (pa.array([1], pa.duration("us")), {}, ""),
        (pa.array(["a"] * 9), {"compression": "brotli"}, "(?i)brotli"),
    ]
    column, how, sentence = draw.choice(tables)
    ids = pa.array([str(i) for i in range(len(column))])
    put(folder, "x.parquet", _parquet(pa.table({"id": ids, "odd": column}), **how))
    return Kind("parquet"), ["."], sentence


def two_types(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    one, two = draw.sample([pa.array([1]), pa.array(["a"]), pa.array([1.5]), pa.array([[1]]), pa.array([{"a": 1}])], 2)
    for i, column in enumerate((one, two)):
        put(folder, f"{i}.parquet", _parquet(pa.table({"id": [str(i)], "odd": column})))
    return Kind("parquet"), ["."], "cannot be read as Parquet.*one column has one type in all of them"


def same_name(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    form = draw.choice(["csv", "parquet"])
    if form == "csv":
        put(folder, "x.csv", b"id,a,a\n1,2,3\n")
        return Kind("csv"), ["."], "the header names a column twice"
    table = pa.Table.from_arrays([pa.array(["1"])] * 3, names=["id", "a", "a"])
    put(folder, "x.parquet", _parquet(table))
    return Kind("parquet"), ["."], r"(?i)x\.parquet.*already.exist|Parquet.*(duplicate|a)"


def hidden_parquet(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    name = draw.choice(["_x.parquet", ".x.parquet", "a:b.parquet"])
    put(folder, name, _parquet(pa.table({"id": ["1"]})))
    put(folder, "good.parquet", _parquet(pa.table({"id": ["2"]})))
    return Kind("parquet"), [name, "good.parquet"], "and Spark opens no Parquet file of such a name; rename it"


def no_rows(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    contents = {
        "hold no row": [b"", b"\n\n", b"\xef\xbb\xbf", b"[]", PACKERS[".gz"](b""), PACKERS[".bz2"](b""), b" \r\n"],
        "none of the [0-9]+ lines .* is a row: ": [
            b"{\n",
            b"7\n",
            b"\xff\n",
            b'{"id": 1}'.ljust(9, b"x") * 2,
            b"<html>",
        ],
        r"hold no column: every row is \{\}": [b"{}\n{}\n", b"[{}]"],
    }
    sentence = draw.choice(sorted(contents))
    put(folder, draw.choice(["x.jsonl", "x.jsonl.gz", "x.json.bz2", "x:y.jsonl"]), draw.choice(contents[sentence]))
    return Kind("jsonl"), ["."], sentence


def no_files(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    put(folder, "in/x.jsonl", GOOD["jsonl"])
    case = draw.randrange(7)
    if case == 0:
        (folder / "in/loop").symlink_to(folder)
        return Kind("jsonl"), ["."], "leads back to a folder above it, a loop"
    if case == 1:
        (folder / "in/gone.jsonl").symlink_to(folder / "nowhere")
        return Kind("jsonl"), ["."], "gone.jsonl is a link that leads nowhere"
    if case == 2:
        put(folder, os.fsdecode(b"in/latin-\xe9.jsonl"), GOOD["jsonl"])
        return Kind("jsonl"), ["."], "is not UTF-8, which Spark cannot open; rename it"
    if case == 3:
        put(folder, draw.choice(["in/a.jsonl.zip", "in/a.jsonl.tar.gz", "in/a.jsonl.7z"]), b"PK")
        return Kind("jsonl"), ["."], "is an archive, which is not unpacked here"
    if case == 4:
        return Kind("csv"), ["in"], "holds no csv file"
    if case == 5:
        return Kind("jsonl"), ["in/*.csv"], "no file matches"
    os.mkfifo(folder / "in/pipe.jsonl")
    return Kind("jsonl"), ["in/pipe.jsonl"], "is no file"


def wrong_id(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    form = draw.choice(["jsonl", "csv", "parquet"])
    put(folder, f"x.{form}", GOOD[form] if form != "parquet" else _parquet(pa.table({"id": ["1"], "text": ["a"]})))
    sql = draw.choice(["key", "id.a", "lower(", "`i d`", "text text text", "no_such_function(id)"])
    return Kind(form, sql), ["."], r"the id .* of table .* is no expression over the columns of .*\(id, text\)"


def too_wide(draw: random.Random, folder: Path) -> tuple[Kind, list[str], str]:
    if draw.random() < 0.5:
        put(folder, "x.jsonl", b'{"id": 1' + b"".join(b', "c%d": 1' % i for i in range(1000)) + b"}\n")
        return Kind("jsonl"), ["."], "hold 1,001 columns; at most 1000 are allowed"
    rows = b"".join(b'{"id": %d, "map": {"%032x": 1}}\n' % (i, draw.getrandbits(128)) for i in range(30_000))
    put(folder, "x.jsonl", rows)
    return Kind("jsonl"), ["."], "hold more distinct fields than 1,000,000 bytes can name; write mappings as text"


REFUSALS: list[Refusal] = [
    *(broken_packing, illegal_name, two_cases, own_column, no_parquet, odd_type, two_types, same_name, hidden_parquet),
    *(no_rows, no_files, wrong_id, too_wide, broken_packing, illegal_name, odd_type, no_parquet, no_files),
]
