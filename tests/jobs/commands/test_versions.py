"""plan, history, diff, export and sql over one small lake whose selection was made twice: d<i> has i + 2 tokens."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import pytest
import yaml

import lakesift as ls
from lakesift.jobs.commands.diff import diff
from lakesift.jobs.commands.export import export
from lakesift.jobs.commands.history import history
from lakesift.jobs.commands.plan import plan, warnings
from lakesift.jobs.commands.predicted_costs import Rate, rates_of_scores
from lakesift.jobs.commands.probe import Measures
from lakesift.jobs.commands.sql import SHOWN_ROWS, query
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.run import run
from lakesift.jobs.selectors import coverage
from lakesift.udfs.errors import BoundError, InputError, RecipeError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HUMAN_EVAL = {"table": "corpus", "id": "task_id", "text": "prompt", "from": {"sample": "human_eval"}}
RAW: dict[str, Any] = {
    "name": "longest",
    "documents": {"table": "docs"},
    "scores": {"tokens": {"kind": "length_tokens"}},
    "where": "module <> 'test'",
    "select": {"kind": "top_k", "by": "tokens"},
    "budget": {"rows": 5},
}


@dataclass
class Made:
    """The lake after two runs, and what `plan` said before the first and after the second."""

    lake: Lake
    recipe: Recipe
    before: str
    ddl: str
    tables_after_plan: list[str]
    after: str


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Made:
    lake, recipe = Lake(spark, str(tmp_path_factory.mktemp("lake"))), parse(RAW)
    docs = lake.ref("docs")
    spark.range(20).selectExpr(
        "concat('d', id) AS id", "repeat('wört ', CAST(id + 2 AS INT)) AS text", "'os' AS module",
        "named_struct('year', id, 'tags', array(id, NULL)) AS meta",
    ).coalesce(1).write.format("delta").save(lake.path("docs"))  # fmt: skip
    planned, tables = plan(lake, recipe), lake.tables()
    run(lake, recipe)
    spark.sql(f"DELETE FROM {docs} WHERE id = 'd17'")
    spark.sql(
        f"UPDATE {docs} SET text = CASE id WHEN 'd19' THEN 'short' ELSE text END, "
        "module = CASE id WHEN 'd18' THEN 'test' ELSE module END WHERE id IN ('d18', 'd19')"
    )
    spark.sql(f"INSERT INTO {docs} SELECT 'new', repeat('wört ', 40), 'os', NULL")
    run(lake, recipe)
    return Made(lake, recipe, str(planned), planned.ddl, tables, str(plan(lake, recipe)))


def plain(words: list[str]) -> str:
    """Return a line without the text of its row."""
    return " ".join(word for word in words if word != "wört")


def lines(text: str) -> list[list[str]]:
    """Return the words of each line."""
    return [line.split() for line in text.splitlines()]


def test_plan_says_what_would_happen_and_makes_nothing(made: Made) -> None:
    assert made.tables_after_plan == ["docs"]
    said = lines(made.before)
    assert ["documents", made.lake.ref("docs"), "0", "20"] in said
    assert any(w[:2] == ["score", "tokens"] and "all documents" in " ".join(w) for w in said)
    assert sum(w[-4:] == ["made", "by", "the", "run"] for w in said) == 7
    assert "order: desc" in made.before, "defaults are written out"
    assert made.ddl.count("CREATE TABLE IF NOT EXISTS") == 7
    assert "`meta` struct<year:bigint,tags:array<bigint>>" in made.ddl


def test_plan_of_what_stands_edited_and_not_there_yet(made: Made) -> None:
    assert "is up to date: a run would do nothing" in made.after
    other = lines(str(plan(made.lake, parse({**RAW, "budget": {"rows": 6}}))))
    assert [w[-1] for w in other if w[:1] in (["hashes"], ["score"], ["publish"])] == ["unchanged"] * 3
    assert ["select", "selection_longest", "written"] in other
    absent = parse({**RAW, "name": "fresh", "documents": HUMAN_EVAL, "where": ""})
    planned = plan(made.lake, absent)
    assert "sample human_eval" in str(planned)
    ddl = planned.ddl
    assert "corpus_rejected" in ddl
    assert "plan again after ingest" in ddl
    with pytest.raises(InputError, match="there is no table nowhere"):
        plan(made.lake, parse({**RAW, "documents": {"table": "nowhere"}}))


def rough(recipe: Recipe) -> dict[str, Rate]:
    """Return what scores say of themselves."""
    return rates_of_scores(recipe, {}, Measures())


def test_an_object_store_is_for_one_driver(made: Made) -> None:
    bucket = object.__new__(Lake)  # a lake in a bucket cannot be opened here
    bucket.spark, bucket.root = made.lake.spark, "s3a://bucket/lake"
    assert "one driver at a time" in warnings(bucket, made.recipe, None, None, rough(made.recipe))[0]
    assert warnings(made.lake, made.recipe, None, None, rough(made.recipe)) == []


def test_a_costly_score_is_said_and_warned_of(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = parse({**RAW, "scores": {"tokens": {"kind": "length_tokens"}, "bytes": {"kind": "length_bytes"}}})
    assert warnings(made.lake, slow, None, 10**6, rough(slow)) == []
    monkeypatch.setattr(type(slow.scores["bytes"]), "seconds_per_row", 0.25)
    assert warnings(made.lake, slow, None, 10**5, rough(slow)) == []
    said = "the score bytes takes about 69 CPU-hours for 1,000,000 documents; a where: of its own, or a selector"
    assert warnings(made.lake, slow, None, 10**6, rough(slow))[0].startswith(said)


CLUSTERED: dict[str, Any] = {
    "name": "clustered",
    "documents": {"table": "docs"},
    "scores": {
        "tokens": {"kind": "length_tokens"},
        "vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 16},
        "cells": {"kind": "kmeans", "k": 3},
        "many": {"kind": "kmeans", "k": 40},
    },
    "select": {"kind": "k_center"},
    "budget": {"rows": 5},
    "controls": [],
}


def test_a_probe_measures_what_no_run_has_and_writes_nothing(made: Made) -> None:
    recipe, before = parse(CLUSTERED), {t: made.lake.version(t) for t in made.lake.tables()}
    planned = plan(made.lake, recipe, with_probe=True)
    assert {t: made.lake.version(t) for t in made.lake.tables()} == before
    costs = {row[0]: row[1:] for row in planned.costs.rows}
    for name in ("vector", "cells"):
        rows, micro, seconds, _, how = costs[name]
        assert (rows, how) == (20, "a probe of 20 rows")
        assert seconds == pytest.approx(20 * micro / 1e6, abs=0.01)
    assert costs["tokens"][0] is None, "another recipe has them, of which documents only a run sees"
    assert costs["tokens"][1] > 0
    assert costs["many"][1] is None
    assert "could not fit it (k 40 is above the" in costs["many"][-1]
    assert "20 rows were scored as a probe, nothing was written" in str(planned)
    read = json.loads(json.dumps(planned.to_dict()))
    assert [line["name"] for line in read["costs"]] == ["tokens", "vector", "cells", "many", "all"]
    assert {line["holds"] for line in read["memory"]} >= {"select k_center", "the selection"}
    assert read["sizes"][0]["bytes read"] == made.lake.size("docs")


def test_rows_that_do_not_fit_are_refused_before_a_job(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(coverage.MOST_ROWS, "dense", 10)
    tables, clustered = made.lake.tables(), {**CLUSTERED, "select": {"kind": "facility_location", "mode": "dense"}}
    for attempt in (plan, run):
        with pytest.raises(
            BoundError, match=r"select facility_location holds at most 10 rows .* there are 20: select from fewer"
        ):
            attempt(made.lake, parse(clustered))
    assert made.lake.tables() == tables
    fewer = plan(made.lake, parse({**clustered, "where": "module = 'os'"}))
    assert any("holds at most 10 rows" in warning for warning in fewer.warnings)


def test_history_says_what_changed(made: Made) -> None:
    rows = lines(str(history(made.lake, made.recipe.name)))[2:]
    assert [(r[0], r[4]) for r in rows[:2]] == [("2", "5"), ("1", "5")]
    assert " ".join(rows[0]).endswith("documents: version 0 to 3 (1 added, 1 deleted, 1 edited)"), (
        "d18's text is as it was"
    )
    assert rows[0][3] != rows[1][3], "another run id"
    assert " ".join(rows[1]).endswith("WRITE first run")
    with pytest.raises(InputError, match=r"no selection_other in .*; make it: lakesift run other"):
        history(made.lake, "other")


def test_history_names_the_keys_that_were_edited_and_the_lake_has_the_recipe(
    spark: SparkSession, tmp_path: Path
) -> None:
    lake = ls.Lake(str(tmp_path / "lake"), spark=spark)
    docs = spark.range(9).selectExpr(
        "concat('d', id) AS id", "repeat('wört ', CAST(id + 2 AS INT)) AS text", "'os' AS module"
    )
    docs.write.format("delta").save(lake.tables.path("docs"))
    first = ls.run(lake, RAW)
    spark.sql(f"DELETE FROM {lake.tables.ref('docs')} WHERE id = 'd0'")
    ls.run(lake, {**RAW, "budget": {"fraction": 0.5}, "where": "tokens > 3"})
    changed = lake.history("longest").to_dict()[0]["changed"]
    assert changed.startswith(
        "recipe: budget.rows 5 -> none, where \"module <> 'test'\" -> 'tokens > 3', budget.fraction none -> 0.5; "
    )
    assert changed.endswith("documents: version 0 to 1 (1 deleted)")
    kept = lake.recipe("longest", 1)
    assert (kept.version, kept.run_id, kept.keys["budget"]["rows"]) == (1, first.run_id, 5)
    assert parse(yaml.safe_load(str(kept))).digest() == parse(RAW).digest()
    assert lake.recipe("longest").keys["where"] == "tokens > 3"
    with pytest.raises(InputError, match="has no version 7; it has 0 to 2"):
        lake.recipe("longest", 7)
    with pytest.raises(RecipeError, match="there is no recipe 'longer'"):
        lake.history("longer")
    assert lake.diff("longest").to_version == 2
    report = lake.report("longest")
    lake.report("longest")
    kept_reports = lake.read("reports").collect()
    assert [(r["recipe"], r["selection_version"], r["text"]) for r in kept_reports] == [("longest", 2, str(report))]
    assert json.loads(kept_reports[0]["body"]) == report.to_dict()
    manifest = json.loads(lake.read("runs").orderBy("sequence").collect()[0]["manifest"])
    assert manifest["resolved"] == kept.keys
    assert manifest["versions"]["numpy"]
    assert {"host", "spark.app.id"} <= set(manifest["made_by"])
    assert "1 deleted" in str(lake.history("longest"))
    with pytest.raises(InputError, match="'DELETE' is no word of a statement that only reads"):
        lake.sql("DELETE FROM docs")
    assert lake.read("docs").count() == 8
    lake.sql("DELETE FROM docs WHERE id = 'd1'", may_write=True)
    assert lake.sql("WITH a AS (SELECT count(*) AS n FROM docs) SELECT * FROM a").to_dict() == [{"n": 7}]


def test_diff_names_the_score_that_moved_each_row(made: Made) -> None:
    told = str(diff(made.lake, made.recipe, []))
    assert "version 1 to 2: 3 rows went, 3 came, 2 stayed, 2 of these at another rank" in told
    assert "went: 1 its text was edited, 1 not eligible any more, 1 not in the documents any more" in told
    assert "came: 2 others made room, 1 new in the documents" in told
    assert "cut: the least gain was 17, is 15" in told
    assert "wört " * 12 in told, "60 characters of the text"
    assert "wört " * 13 not in told
    rows = {w[0]: plain(w[1:]) for w in lines(told) if w and w[0][0] in "dn"}
    assert rows == {
        "d19": "1 21 1 its text was edited",
        "d18": "2 20 20 not eligible any more",
        "d17": "3 19 not in the documents any more",
        "new": "1 40 new in the documents",
        "d14": "4 16 16 others made room",
        "d13": "5 15 15 others made room",
    }
    back = {w[0]: plain(w[1:]) for w in lines(str(diff(made.lake, made.recipe, [2, 1]))) if w}
    assert (back["d18"], back["d14"]) == ("2 20 20 eligible now", "4 16 16 others rank better")


def test_diff_of_two_budgets(spark: SparkSession, tmp_path: Path) -> None:
    lake, recipes = Lake(spark, str(tmp_path / "lake")), [parse({**RAW, "budget": {"rows": n}}) for n in (2, 3)]
    docs = spark.range(5).selectExpr("concat('d', id) AS id", "repeat('wört ', CAST(id + 2 AS INT)) AS text")
    docs.selectExpr("*", "'os' AS module").write.format("delta").save(lake.path("docs"))
    for recipe in recipes:
        run(lake, recipe)
    told = [lines(str(diff(lake, recipes[1], versions)))[-1] for versions in ([1, 2], [2, 1])]
    said = [plain(line) for line in told]
    assert said == ["d2 3 4 4 the selection is larger", "d2 3 4 4 the selection is smaller"]


def test_diff_of_wrong_versions(made: Made) -> None:
    for versions, said in (([9], "no version 9; it has 0 to 2"), ([0, 1, 2], "3 versions were given")):
        with pytest.raises(InputError, match=said):
            diff(made.lake, made.recipe, versions)


def test_export_to_one_file_keeps_order_types_and_what_is_there(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "a folder" / "chosen.jsonl"
    said = str(export(made.lake, made.recipe.name, "jsonl", str(out)))
    assert said == f"wrote 5 rows of selection_longest, version 2, to {out}"
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(r["id"], r["rank"]) for r in rows] == [("new", 1), ("d16", 2), ("d15", 3), ("d14", 4), ("d13", 5)]
    assert rows[0]["meta"] is None
    assert rows[1]["meta"] == {"year": 16, "tags": [16, None]}
    assert rows[0]["text"] == "wört " * 40
    assert [p.name for p in out.parent.iterdir()] == ["chosen.jsonl"], "no parts are left"
    content = out.read_bytes()
    with pytest.raises(InputError, match="exists already; nothing is overwritten"):
        export(made.lake, made.recipe.name, "jsonl", str(out))
    assert out.read_bytes() == content


def test_export_of_an_old_version_to_a_folder(made: Made, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    export(made.lake, made.recipe.name, "parquet", str(tmp_path / "old"), 1)
    assert pq.read_table(tmp_path / "old")["id"].to_pylist() == ["d19", "d18", "d17", "d16", "d15"]
    for to, out, version, said in (
        ("parquet", "x.jsonl", None, "make them agree"),
        ("jsonl", "s3://b/x.jsonl", None, "only folders are written there"),
        ("jsonl", "x", 7, "no version 7; it has 0 to 2"),
        ("jsonl", "x", 0, "version 0 of selection_longest has no rows"),
    ):
        with pytest.raises(InputError, match=said):
            export(made.lake, made.recipe.name, to, out, version)


def test_a_version_whose_files_are_gone_is_said_to_be(made: Made, tmp_path: Path) -> None:
    lake, name = Lake(made.lake.spark, str(tmp_path / "lake")), f"selection_{made.recipe.name}"
    shutil.copytree(made.lake.root, lake.root)
    for file in lake.read(name, 1).inputFiles():  # as VACUUM does after keep_versions days
        Path(unquote(urlparse(file).path)).unlink()
    said = f"files of version 1.* of {name} are gone: VACUUM removes them .* take a newer version"
    for to in ("jsonl", "parquet"):
        with pytest.raises(InputError, match=said):
            export(lake, made.recipe.name, to, str(tmp_path / "old"), 1)
        with pytest.raises(InputError, match=said):
            export(lake, made.recipe.name, to, str(tmp_path / f"old.{to}"), 1)
        assert [p.name for p in tmp_path.iterdir()] == ["lake"], "nothing is left"
    with pytest.raises(InputError, match=r"files of version 1 or 2 of .* are gone"):
        diff(lake, made.recipe, [])
    export(lake, made.recipe.name, "jsonl", str(tmp_path / "new.jsonl"))


def test_query_joins_tables_by_name_with_scorers_as_functions(made: Made) -> None:
    sql = (
        "select d.*, s.tokens, length_bytes(d.text) as bytes, d.id from docs d join scores_longest s using (id) "
        "where s.tokens >= 17 order by tokens desc"
    )
    head, _, first, *_, count = str(query(made.lake, sql)).splitlines()
    assert head.split() == ["id", "text", "module", "meta", "tokens", "bytes", "id"]
    assert first.startswith("new  " + ("wört " * 16)[:79] + "…")
    assert first.split()[-4:] == ["NULL", "40", "240", "new"]
    assert count == "(4 rows)"
    assert "there are more" in str(query(made.lake, f"select id from range({SHOWN_ROWS + 1})"))
    assert "there are more" not in str(query(made.lake, f"select id from range({SHOWN_ROWS})"))


@pytest.mark.parametrize(
    ("sql", "said"),
    [("select * from corpus", "`corpus`.*tables of the lake: .*docs"), ("selec 1", "selec"), ("select 1/0", "ZERO")],
)
def test_a_wrong_query_is_one_sentence(made: Made, sql: str, said: str) -> None:
    with pytest.raises(InputError, match=f"the query fails: .*{said}") as caught:
        query(made.lake, sql)
    assert "\n" not in str(caught.value)
