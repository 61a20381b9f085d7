"""What is read is what is there: files found in whichever way they are written, columns of folders, odd files."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakesift.jobs.sources.csv_parser import csv_records, delimiter_of
from lakesift.jobs.sources.local_files import absolute, local_paths
from lakesift.jobs.sources.parsers import json_line, json_values
from lakesift.jobs.sources.schema_inference import columns, count_types
from lakesift.jobs.sources.source import Dialect, Source
from lakesift.udfs.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def put(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(root: Path, *entries: str, form: str = "jsonl") -> set[str]:
    """The files that entries below a folder mean, relative to it."""
    paths = (path for entry in entries for path in local_paths(str(root / entry), form))
    return {path.relative_to(root).as_posix() for path in paths}


# -- which files: no Spark -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows in a folder, in a folder that is linked, beside what is no data."""
    root = tmp_path_factory.mktemp("tree")
    for name in ("in/p1.jsonl", "in/a/p2.json", "in/a/x=1/p3.ndjson.gz", "in/_x=2/p4.jsonl.zst", "in/a b/é [1].jsonl"):
        put(root / name)
    for name in (
        "README.md",
        "_SUCCESS",
        ".part.jsonl",
        "_temporary/0/q.jsonl",
        "a/_temporary/0/r.jsonl",
        "a/.h/s.jsonl",
    ):
        put(root / "in" / name)
    put(root / "elsewhere/p5.jsonl")
    put(root / "elsewhere/deep/p6.jsonl")
    (root / "in/linked").symlink_to(root / "elsewhere")
    (root / "in/p7.jsonl").symlink_to(root / "elsewhere/p5.jsonl")
    return root


def test_a_folder_its_patterns_and_its_parts_are_the_same_files(tree: Path) -> None:
    every = {
        "in/p1.jsonl", "in/a/p2.json", "in/a/x=1/p3.ndjson.gz", "in/_x=2/p4.jsonl.zst", "in/a b/é [1].jsonl",
        "in/linked/p5.jsonl", "in/linked/deep/p6.jsonl", "in/p7.jsonl",
    }  # fmt: skip
    spellings = [
        ["in"], ["in/"], ["./in"], ["in/../in"], ["in/*"], ["in/**"], ["in/**/*"], ["i?"], ["[i]n/*"], ["in", "in/*"],
        ["in/p1.jsonl", "in/a", "in/_x=2", "in/a b", "in/linked", "in/p7.jsonl"],
        ["in/p*.jsonl", "in/a*", "in/_x=*", "in/l*"],
    ]  # fmt: skip
    for entries in spellings:
        assert found(tree, *entries) == every, entries


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ("in/*.md", {"in/README.md"}),  # a pattern that says so takes files of other endings
        ("in/_temporary/*/*.jsonl", {"in/_temporary/0/q.jsonl"}),  # written out
        ("in/*/_temporary/**/*.jsonl", {"in/a/_temporary/0/r.jsonl"}),
        ("in/README.md", {"in/README.md"}),
        ("in/a b/é [1].jsonl", {"in/a b/é [1].jsonl"}),  # no pattern where a file is called so
    ],
)
def test_what_is_written_out_is_taken(tree: Path, entry: str, names: set[str]) -> None:
    assert found(tree, entry) == names


def test_spark_gets_no_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows name files as Spark spells them: "..", also behind a link, is what the system says."""
    root = Path(os.path.realpath(tmp_path))
    put(root / "in/p.jsonl")
    put(root / "far/in/q.jsonl")
    (root / "far/deep").mkdir()
    (root / "here").mkdir()
    (root / "link").symlink_to(root / "far/deep")
    monkeypatch.chdir(root / "here")
    places = {"../in": "in/p.jsonl", "../link/../in": "far/in/q.jsonl", "../here/../in/p*": "in/p.jsonl"}
    for entry, file in places.items():
        (path,) = local_paths(entry, "jsonl")
        assert absolute(path) == root / file, entry


def test_links_and_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    def refused(entry: str, sentence: str, form: str = "jsonl") -> None:
        with pytest.raises(InputError, match=sentence) as error:
            local_paths(str(tmp_path / entry), form)
        assert "\n" not in str(error.value)

    put(tmp_path / "loop/a/p.jsonl")
    (tmp_path / "loop/a/back").symlink_to(tmp_path / "loop")
    for entry in ("loop", "loop/*", "loop/**", "loop/**/*.jsonl", "lo*"):
        refused(entry, "the link .*back leads back to a folder above it, a loop; remove the link")
    put(tmp_path / "gone/p.jsonl")
    (tmp_path / "gone/q.jsonl").symlink_to(tmp_path / "nowhere")
    refused("gone", "q.jsonl is a link that leads nowhere")
    refused("gone/q.jsonl", "is no file: a link that leads nowhere")
    put(tmp_path / "zip/p.jsonl.zip")
    put(tmp_path / "zip/q.jsonl")
    for entry in ("zip", "zip/*", "zip/p.jsonl.zip", "z*/p*"):
        refused(entry, "p.jsonl.zip is an archive, which is not unpacked here")
    put(tmp_path / "tar/p.csv.tar.gz")
    refused("tar", "p.csv.tar.gz is an archive", "csv")
    os.mkfifo(tmp_path / "pipe.jsonl")
    refused("pipe.jsonl", "is no file")
    put(tmp_path / "other/notes.txt")
    refused("other", "holds no jsonl file .* write in 'from: files:'")
    refused("no*.jsonl", "no file matches")
    latin = os.fsdecode(b"latin-\xe9.jsonl")
    put(tmp_path / "names" / latin)
    refused("names", r"latin-.* is not UTF-8, which Spark cannot open; rename it")


# -- JSON and CSV: no Spark ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": NaN}', "not JSON: NaN is no number of JSON"),
        (b'{"a": [Infinity]}', "not JSON: Infinity is no number of JSON"),
        (b'{"a": {"b": -Infinity}}', "not JSON: -Infinity is no number of JSON"),
        (b'{"a": 1e999}', "not JSON: a double cannot hold 1e999"),
        (b'{"a": -1E+400}', "not JSON: a double cannot hold -1E+400"),
        (b'{"a": 1e-999}', "not JSON: a double cannot hold 1e-999"),
        (b'{"a": ' + b"9" * 400 + b".0}", "not JSON: a double cannot hold " + "9" * 40),
        (b'{"a": 0e999, "b": "1e999 NaN", "c": 1e300, "d": 0.0e-999}', ""),
    ],
)
def test_numbers_that_no_double_holds_are_rejected(line: bytes, reason: str) -> None:
    record = json_line(line)
    assert record is not None
    assert record.reason == reason


ROWS = [{"id": 0, "text": "a [x], {y}"}, {"id": 1, "text": "é\n\u2028"}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS), json.dumps(ROWS, indent=2), "\ufeff" + json.dumps(ROWS, indent=1) + "\r\n\n",
        "\n".join(json.dumps(row, indent=2) for row in ROWS), "\n".join(json.dumps([row]) for row in ROWS),
    ],
)  # fmt: skip
def test_arrays_and_objects_over_many_lines_are_rows(text: str) -> None:
    records = list(json_values(text.encode()))
    assert [r.row for r in records] == ROWS
    assert [json.loads(r.raw) for r in records] == ROWS


def test_a_broken_array_keeps_its_rows_and_names_the_rest() -> None:
    cases = {
        b'[{"id": 0}, 1, {"id": NaN}, {"id": 1, "id": 2}]': [
            "", "JSON, but not an object", "not JSON: NaN is no number of JSON", "not JSON: the key 'id' occurs twice",
        ],
        b'[{"id": 0},\n{"id": 1': ["", "not JSON: Expecting ',' delimiter in line 2"],
        b'[{"id": 0} {"id": 1}]': ["", "not JSON: Expecting ',' delimiter in line 1"],
        b'[{"id": 0}': ["", "not JSON: the array has no end; is the file whole?"],
        b"[]": [],
        b"[" * 9000: ["nested deeper than 64"],
    }  # fmt: skip
    for content, reasons in cases.items():
        assert [r.reason for r in json_values(content)] == reasons, content[:40]


def test_ids_are_text_whatever_their_json_type() -> None:
    def kind(values: list[Any], sql: str = "id") -> Any:
        counts: dict[str, Any] = {}
        for value in values:
            count_types(counts, {"id": value, "n": value})
        return dict(columns(counts, "x", sql))

    assert kind([1] * 99 + ["extra"]) == {"id": "string", "n": "bigint"}
    assert (
        kind([1] * 99 + [True])["id"] == kind([1] * 99 + [1.5])["id"] == kind([1] * 99 + [{"a": 1}])["id"] == "string"
    )
    assert kind([1.5])["id"] == "string"
    assert kind([1, 2, None])["id"] == "bigint"
    assert kind([1] * 99 + ["x"], "concat('p', ID)") == {"id": "string", "n": "bigint"}
    assert kind([1] * 99 + ["x"], "my_id")["id"] == "bigint"


@pytest.mark.parametrize(
    ("content", "dialect", "delimiter", "row"),
    [
        ("id;text\n1;a, b\n", Dialect(), ";", {"id": "1", "text": "a, b"}),
        ("id\ttext\n1\ta;b, c\n2\td\n", Dialect(), "\t", {"id": "1", "text": "a;b, c"}),
        ("id|text\n1|a\n", Dialect(), "|", {"id": "1", "text": "a"}),
        ('id,text\n1,"a;b\n;c"\n', Dialect(), ",", {"id": "1", "text": "a;b\n;c"}),
        ("text\na;b\n", Dialect(), ",", {"text": "a;b"}),
        ("id,text\n1,'a,b'\n", Dialect(quote="'"), ",", {"id": "1", "text": "a,b"}),
        ('id;text\n1;"a" b\n', Dialect(quote=""), ";", {"id": "1", "text": '"a" b'}),
        ("1;a\n2;b\n", Dialect(header=("id", "text")), ";", {"id": "1", "text": "a"}),
        ("1,a\n", Dialect(header=False), ",", {"column_1": "1", "column_2": "a"}),
        ("id;t,u\n1;x,y\n", Dialect(delimiter=","), ",", {"id;t": "1;x", "u": "y"}),
    ],
)
def test_dialects(content: str, dialect: Dialect, delimiter: str, row: dict[str, str]) -> None:
    assert delimiter_of(content.encode(), dialect) == delimiter
    assert next(csv_records(content.encode(), dialect)).row == row


# -- through Spark, joined into a few reads -------------------------------------------------------------------------


def rows_of(spark: SparkSession, source: Source) -> tuple[dict[str, dict[str, Any]], dict[str, str], tuple[str, ...]]:
    """The rows of a source by id, reasons of the others by raw text, and notes."""
    from lakesift.jobs.sources.reader import read

    lines = read(spark, source, "id")
    parsed = [row.asDict(recursive=True) for row in lines.parsed.collect()]
    assert lines.count == len(parsed)
    rows = {str(p["row"]["id"]): p["row"] for p in parsed if p["reason"] is None}
    return rows, {p["raw"]: p["reason"] for p in parsed if p["reason"] is not None}, lines.notes


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_folders_give_columns_of_text_however_they_are_named(spark: SparkSession, tmp_path: Path, form: str) -> None:
    expected = {}
    for shard, lang in (("007", "no"), ("010", "en"), ("50%", "a%2Fb"), ("__HIVE_DEFAULT_PARTITION__", "true")):
        path = tmp_path / f"in/shard={shard}/lang={lang}/deep/part-0.{form}"
        path.parent.mkdir(parents=True)
        if form == "parquet":
            pq.write_table(pa.table({"id": [shard], "text": ["x"], "big": pa.array([2**64 - 1], pa.uint64())}), path)
        else:
            path.write_text(f'{{"id": "{shard}", "text": "x"}}\n' if form == "jsonl" else f"id,text\n{shard},x\n")
        expected[shard] = (None if "HIVE" in shard else shard, lang.replace("%2F", "/"))
    # Which files a spelling means is in the tests above; the columns come from a file's path alone.
    entries = ("in/shard=0*", *(f"in/shard={shard}" for shard in list(expected)[2:]))
    rows, _, notes = rows_of(spark, Source(tuple(str(tmp_path / e) for e in entries), form))
    assert {k: (r["shard"], r["lang"]) for k, r in rows.items()} == expected
    assert "columns shard, lang, as text" in notes[-1]
    assert form != "parquet" or {r["big"] for r in rows.values()} == {2**64 - 1}


def test_odd_files_give_their_rows_or_say_why(spark: SparkSession, tmp_path: Path) -> None:
    def line(name: str) -> bytes:
        return json.dumps({"id": name, "text": "x"}).encode() + b"\n"

    zstd = pa.compress(line("zst") * 2, codec="zstd", asbytes=True)
    files = {
        "dump_2024-05-01T12:30:00.jsonl": line("colon"),
        "a:b/c d.jsonl": line("folder"),
        "a:b/c[d].jsonl": line("pattern"),
        "données/pièce-名.jsonl": line("letters"),
        "z.jsonl.zst": zstd,
        "x.jsonl.xz": lzma.compress(line("xz")),
        "b.jsonl.bz2": bz2.compress(line("bz2")),
        "g.jsonl.gz": gzip.compress(line("gz")),
        "plain.jsonl.gz": line("plain"),
        "no-ending.jsonl": gzip.compress(line("gzip inside")),
        "one.json": json.dumps([{"id": "one", "text": "x"}]).encode(),
        "pretty.json": json.dumps([{"id": "pretty", "text": "x"}, 7], indent=2).encode(),
        "packed.json.gz": gzip.compress(json.dumps([{"id": "packed", "text": "x"}], indent=2).encode()),
        "colon:array.json": json.dumps([{"id": "colon array", "text": "x"}], indent=2).encode(),
        "jq.json": b'{\n "id": "jq",\n "text": "x"\n}\n',
        "first.json": b'{ "id": "first",\n "text": "x"\n}\n',
        "old.jsonl": line("old 1").strip() + b"\r" + line("old 2"),
        "wrong.jsonl.gz": bz2.compress(line("bz2 inside")),
        "empty.jsonl.bz2": b"",
        "_hidden.jsonl": line("named"),
        "numbers.jsonl": b'{"id": 7}\n{"id": NaN}\n{"id": 1e999}\n',
    }
    for name, content in files.items():
        put(tmp_path / "j" / name, content)
    rows, rejected, _ = rows_of(spark, Source((str(tmp_path / "j"), str(tmp_path / "j/_hidden.jsonl")), "jsonl"))
    assert set(rows) == {
        "colon", "folder", "letters", "zst", "xz", "bz2", "gz", "gzip inside", "one", "pretty", "packed", "colon array",
        "jq", "7", "plain", "first", "old 1", "old 2", "bz2 inside", "named", "pattern",
    }  # fmt: skip
    assert rejected == {
        "7": "JSON, but not an object",
        '{"id": NaN}': "not JSON: NaN is no number of JSON",
        '{"id": 1e999}': "not JSON: a double cannot hold 1e999",
    }
    cells = b"id;text\n1;a, b\n"
    for name, content in {"c.csv.bz2": bz2.compress(cells), "c:d.csv": cells.replace(b"1;", b"2;")}.items():
        put(tmp_path / "c" / name, content)
    put(tmp_path / "c/e.csv.xz", lzma.compress(b"id,text\n3,c\n"))
    rows, rejected, notes = rows_of(spark, Source((str(tmp_path / "c"),), "csv"))
    assert ({k: r["text"] for k, r in rows.items()}, rejected) == ({"1": "a, b", "2": "a, b", "3": "c"}, {})
    assert "the delimiter is guessed to be ';' in 2 of the files; 'from: delimiter:' sets it" in notes[0]


@pytest.mark.parametrize(
    ("form", "name", "content", "sentence"),
    [
        ("parquet", "p.parquet", b"PAR1 cut short", "p.parquet cannot be read as Parquet: it does not begin and end"),
        ("parquet", "p.parquet", b"", "p.parquet cannot be read as Parquet: it is empty; fetch it again"),
        ("parquet", "a:b.parquet", b"PAR1PAR1", "has a colon in its name, and Spark opens no Parquet file of such a"),
        ("csv", "c.csv.xz", lzma.compress(os.urandom(999))[:500], "c.csv.xz cannot be unpacked to its end .xz: "),
        ("jsonl", "c.jsonl.gz", gzip.compress(os.urandom(9999))[:5000], "c.jsonl.gz cannot be read to the end"),
        ("jsonl", "c.jsonl.zst", b"\x28\xb5\x2f\xfd...", "c.jsonl.zst cannot be unpacked to its end"),
    ],
)
def test_a_broken_file_is_named(
    spark: SparkSession, tmp_path: Path, form: str, name: str, content: bytes, sentence: str
) -> None:
    from lakesift.jobs.sources.reader import read

    put(tmp_path / name, content)
    if form == "parquet":
        pq.write_table(pa.table({"id": ["good"]}), tmp_path / "good.parquet")
    else:
        put(tmp_path / f"good.{form}", b'{"id": 1}\n' if form == "jsonl" else b"id\n1\n")
    with pytest.raises(InputError, match=sentence) as error:
        read(spark, Source((str(tmp_path),), form))
    assert "\n" not in str(error.value)
