"""Odd names at every place that takes a name: they work, or are refused in one sentence before any Spark job."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakesift.jobs.commands.export import export
from lakesift.jobs.inputs.opening import open_documents
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from lakesift.udfs.errors import InputError, LakeSiftError, PlatformError, RecipeError
from lakesift.udfs.quoting import named_as, parts_of, quoted, quoted_name

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAMES = [
    "meta.score", "a.b.c", "my words", "select", "from", "order", "null", "true", "x'y", 'x"y', "x;y", "x--y", "x/*y",
    "a`b", "`", "`a.b`", "{x}", "%s", "$1", "1st", "naïve", "数", "_x", "a=b", "tab\there", "x\\y", "id.x", "ID2", "*",
    "q` || java_method('java.lang.System','setProperty','x','y') || `id",
]  # fmt: skip


def test_every_name_has_a_spelling_that_names_it() -> None:
    for name in NAMES:
        assert parts_of(named_as(name)) == [name]
        assert parts_of(f"{quoted_name(name)}.{quoted_name('x.y')}") == [name, "x.y"]
        assert quoted(named_as(name)) == quoted_name(name)


def raw(**changes: Any) -> dict[str, Any]:
    documents = {"table": "global_temp.odd_names"}
    return {"name": "odd", "documents": documents, "select": {"kind": "random"}, "budget": {"rows": 1}, **changes}


def outcome(lake: Lake, **changes: Any) -> str:
    """Return "" if a recipe is accepted, else the sentence; any other error than a sentence is raised."""
    try:
        open_documents(lake, parse(raw(**changes)))
    except LakeSiftError as error:
        return str(error)
    return ""


def test_columns_of_odd_names_work_wherever_a_column_is_named(spark: SparkSession, tmp_path: Path) -> None:
    columns = ", ".join(f"{i} AS {quoted_name(name)}" for i, name in enumerate(NAMES))
    spark.sql(f"SELECT 'a' AS id, 'words' AS text, {columns}").createOrReplaceGlobalTempView("odd_names")
    lake, table = Lake(spark, str(tmp_path)), raw()["documents"]
    context = spark.sparkContext
    context.setJobGroup("odd names", "odd names")
    spelled = [named_as(name) for name in NAMES]
    legal = [name for name in NAMES if not any(c in name for c in " ,;{}()\n\t=")]
    assert outcome(lake, keep=legal, select={"kind": "interval", "bounds": {name: [0, None] for name in spelled}}) == ""
    assert outcome(lake, keep=["text"], report={"shares": NAMES}) == ""
    assert outcome(lake, keep=["text"], where=" AND ".join(f"{quoted_name(name)} >= 0" for name in NAMES)) == ""
    renamed = {f"k{i}": quoted_name(name) for i, name in enumerate(NAMES)}
    assert outcome(lake, keep=renamed) == ""
    assert outcome(lake, keep=["text"], documents={**table, "id": quoted_name("a`b"), "text": quoted_name("x'y")}) == ""
    for name in ("meta.score", "a.b.c", "id.x"):  # fields, without backticks: the sentence names the spelling
        said = outcome(lake, keep=["text"], select={"kind": "top_k", "by": name})
        assert f"did you mean '`{name}`'?" in said, said
    for name in NAMES:
        if name not in legal:
            assert "has a character that Delta refuses" in outcome(lake, keep=[name]), name
    for place in ("by", "nothing.such", "`open", "a..b", ".", "`a`b`"):
        assert outcome(lake, keep=["text"], select={"kind": "top_k", "by": place}) != ""
    spark.sql("SELECT X'ff41' AS id, 'words' AS text, array(1) AS list").createOrReplaceGlobalTempView("odd_names")
    assert "documents.id: 'id' is binary, and an id is text; write id: hex(id)" in outcome(lake)
    assert outcome(lake, keep=["text"], documents={**table, "id": "hex(id)"}) == ""
    assert "documents.id: 'list' is array<int>" in outcome(lake, keep=["text"], documents={**table, "id": "list"})
    assert list(context.statusTracker().getJobIdsForGroup("odd names")) == []
    for name in ("spark.jobGroup.id", "spark.job.description"):
        context.setLocalProperty(name, None)
    spark.catalog.dropGlobalTempView("odd_names")


@pytest.mark.parametrize("name", NAMES)
def test_labels_targets_and_tables_of_odd_names_are_one_sentence_or_work(name: str) -> None:
    source = {"files": ["a.jsonl"]}
    places: list[dict[str, Any]] = [
        {"name": name},
        {"scores": {name: {"kind": "length_tokens"}}},
        {"targets": {name: {"table": "t"}}},
        {"documents": {"table": name, "from": source}},
        {"controls": [name]},
        {"select": {"kind": name}},
    ]
    for place in places:
        said = ""
        try:
            parse(raw(**place))
        except RecipeError as error:
            said = str(error)
        assert "\n" not in said


def test_labels_that_differ_in_case_only_are_refused() -> None:
    scores = {"size": {"kind": "length_bytes"}, "Size": {"kind": "length_tokens"}}
    with pytest.raises(RecipeError, match="'Size' cannot be a name, it is the name of the score 'size'"):
        parse(raw(scores=scores))
    with pytest.raises(RecipeError, match="keep names 'a' twice"):
        parse(raw(keep=["a", "a"]))


def test_lakes_of_odd_names(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my `lake` é [1] {x} #%41", "we:ird", "./lake.v2"):
        lake = Lake(spark, name)
        with lake.lock("a test"):
            spark.range(1).write.format("delta").save(lake.path("t"))
        assert (lake.read("t").count(), lake.version("t"), lake.tables()) == (1, 0, ["t"]), name
    with pytest.raises(
        PlatformError, match=r"read as catalog.schema, and Spark has no catalog 'lake'.* write ./lake.v3"
    ):
        Lake(spark, "lake.v3").lock("a test")
    assert Lake(spark, "lake.v2").local
    Path("spark_catalog.default").mkdir()
    with pytest.raises(
        PlatformError, match=r"is both a folder here and a schema of the catalog; write ./spark_catalog"
    ):
        Lake(spark, "spark_catalog.default")


LINES = [
    {"id": "a", "text": "first", "meta.score": 0.5, "x'y": 1, "at": "2024-05-06", "messages": [
        {"role": "user", "content": "add 2 and 3"},
        {"role": "assistant", "content": None, "tool_calls": [{"name": "add", "arguments": {"x": 2, "y": 3}}]},
    ]},
    {"id": "b", "text": "second", "meta.score": 0.9, "x'y": 2, "note": "only here", "at": None, "messages": [
        {"role": "assistant", "content": "x", "tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}}]},
    ]},
    {"id": 7, "text": "third", "meta.score": 0.1, "x'y": 3, "at": None, "messages": []},
]  # fmt: skip


def test_what_is_exported_is_what_was_read(spark: SparkSession, tmp_path: Path) -> None:
    """One run from files with odd columns to an export, which is read again."""
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
    lake = Lake(spark, str(tmp_path / "lake"))
    kept = ("text", "meta.score", "x'y", "at", "messages", "note")
    keep = {name: quoted_name(name) for name in kept}
    keep |= {"when": "timestamp'2024-05-06 07:08:09.123456'", "nan": "IF(id = 'a', double('NaN'), `meta.score`)"}
    recipe = parse({
        "name": "round",
        "documents": {"table": "pool", "from": {"files": [str(pool)]}},
        "where": "`x'y` < 9",
        "select": {"kind": "top_k", "by": "`meta.score`"},
        "budget": {"rows": 3},
        "controls": ["random"],
        "report": {"shares": ["x'y"]},
        "keep": keep,
    })  # fmt: skip
    run(lake, recipe)
    out = tmp_path / "out.jsonl.gz"
    said = export(lake, "round", "jsonl", str(out))
    assert "note: NaN or infinity in nan is written as null, in 1 rows" in str(said)
    rows = [json.loads(line) for line in gzip.decompress(out.read_bytes()).decode().splitlines()]
    assert [row["id"] for row in rows] == ["b", "a", "7"]
    by_id = {row["id"]: row for row in rows}
    for line in LINES:
        row = by_id[str(line["id"])]
        assert {k: v for k, v in row.items() if k in line or k in kept} == {**line, "id": str(line["id"])}
        assert row["when"] == "2024-05-06T07:08:09.123456Z"
    assert (by_id["a"]["nan"], by_id["b"]["nan"]) == (None, 0.9)
    export(lake, "round", "jsonl", str(tmp_path / "folder"))
    again = parse({
        "name": "again",
        "documents": {"table": "again", "from": {"files": [str(tmp_path / "folder")]}},
        "select": {"kind": "random"},
        "budget": {"rows": 3},
    })  # fmt: skip
    from lakesift.jobs.ingest import ingest
    from lakesift.jobs.lake.manifest import Manifest

    ingest(lake, again, Manifest("x", "h"))
    columns = [quoted_name(name) for name in ("id", *kept)]
    old, new = (
        sorted(map(repr, lake.read(table).selectExpr(*columns).toPandas().to_dict("records")))
        for table in ("selection_round", "again")
    )
    assert old == new
    for name, sentence in (
        ("x.csv", "is no name of what is written"),
        ("x.parquet.gz", "is no name of what is written"),
    ):
        with pytest.raises(InputError, match=sentence):
            export(lake, "round", "jsonl", str(tmp_path / name))
