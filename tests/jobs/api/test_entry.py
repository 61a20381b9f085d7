"""The Python API: public names, results as objects over one small lake, the same through the command line as JSON."""

from __future__ import annotations

import inspect
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lakesift as ls
from lakesift.jobs import cli
from lakesift.udfs.errors import InputError, RecipeError
from tests.jobs.conftest import World

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RAW: dict[str, Any] = {
    "name": "noted",
    "documents": {"table": "docs"},
    "scores": {"tokens": {"kind": "length_tokens"}, "ratio": {"kind": "compression_ratio"}},
    "where": "tokens >= 20",
    "select": {"kind": "top_k", "by": "ratio"},
    "budget": {"rows": 10},
    "controls": ["random"],
}


@pytest.fixture(scope="module")
def lake(world: World) -> ls.Lake:
    return ls.Lake(str(world.root), spark=world.spark)


@pytest.fixture(scope="module")
def result(lake: ls.Lake) -> Any:
    return ls.run(lake, RAW)


def test_public_names() -> None:
    assert dir(ls) == ls.__all__ == ["Lake", "advise", "estimate", "plan", "recipe", "refine", "run", "score", "tune"]
    methods = {n for n, _ in inspect.getmembers(ls.Lake, callable) if not n.startswith("_")}
    assert methods == {
        "advise", "at", "compare", "decisions", "diff", "estimate", "explain", "export", "export_model", "history",
        "maintain", "read", "recipe", "register", "report", "rounds", "selection", "sql",
    }  # fmt: skip
    for thing in (*(getattr(ls, n) for n in ls.__all__), *(getattr(ls.Lake, n) for n in methods)):
        signature = inspect.signature(thing)
        assert thing.__doc__, thing
        assert all(p.annotation is not p.empty for n, p in signature.parameters.items() if n != "self"), thing
    with pytest.raises(AttributeError, match=f"has no attribute 'rum'; it has {', '.join(ls.__all__)}"):
        ls.rum  # noqa: B018


def test_importing_the_package_loads_neither_spark_nor_jobs() -> None:
    """A Python worker imports `lakesift` with every scorer."""
    import subprocess
    import sys

    code = (
        "import sys, lakesift, lakesift.udfs.scorer; print([m for m in sys.modules if 'jobs' in m or m == 'pyspark'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_result_is_frames_and_says_itself(lake: ls.Lake, result: Any) -> None:
    assert not result.noop
    assert result.rows == result.selection.count() == 10
    assert result.scores.count() == 300
    assert {r["control"] for r in result.controls.collect()} == {"random"}
    assert str(result).splitlines()[-1] == f"run {result.run_id}: 10 rows in selection_noted, version 1"
    assert "<td>selection_noted</td>" in result._repr_html_()
    names = [step["step"] for step in result.steps.to_dict()]
    assert names == [
        "hashes", "compute", "score tokens", "score ratio", "publish", "select", "controls", "record",
    ]  # fmt: skip
    assert json.loads(json.dumps(result.to_dict()))["run_id"] == result.run_id
    report = result.report()
    assert report.sets == ("pool", "selection", "random")
    assert report.rows["pool"] == 300
    assert report.quantiles["ratio"]["selection"][2] >= report.quantiles["ratio"]["pool"][2]
    assert json.loads(json.dumps(report.to_dict()))["counts"]["selected"] == 10
    assert repr(lake) == f"Lake({lake.tables.root!r})"


def test_frames_are_pinned_at_what_the_run_wrote(lake: ls.Lake, result: Any) -> None:
    again = ls.run(lake, ls.recipe(RAW, budget={"rows": 5}))
    assert (again.selection.count(), result.selection.count()) == (5, 10)
    assert lake.selection(RAW).count() == 5
    assert lake.selection(RAW, 1).count() == 10
    assert [r["rows"] for r in lake.history(RAW).to_dict()][:2] == [5, 10]
    diff = lake.diff(RAW)
    assert (diff.went, diff.came, diff.stayed) == (5, 0, 5)
    assert ls.run(lake, RAW).rows == 10
    assert ls.run(lake, RAW).noop


@pytest.mark.usefixtures("result")
def test_plan_sql_score_and_export(lake: ls.Lake, tmp_path: Path) -> None:
    plan = ls.plan(lake, ls.recipe(RAW, name="other"))
    assert plan.nothing_new == ""
    assert {row["step"] for row in plan.steps.to_dict()} >= {"hashes", "score tokens", "select"}
    assert "CREATE TABLE IF NOT EXISTS" in plan.ddl
    names = lake.register()
    assert {"docs", "scores_noted", "compression_ratio"} <= set(names)
    joined = lake.spark.sql(
        "SELECT max(abs(ratio - compression_ratio(text))) AS d FROM docs JOIN scores_noted USING (id)"
    )
    assert joined.collect()[0]["d"] == 0
    frame = lake.read("docs").withColumn("tokens", ls.score("length_tokens")("text"))
    assert frame.join(lake.read("scores_noted"), ["id", "tokens"], "left_semi").count() == 300
    assert lake.sql("SELECT count(*) AS n FROM docs").to_dict() == [{"n": 300}]
    assert lake.export(RAW, "jsonl", str(tmp_path / "rows.jsonl")).rows == len(
        (tmp_path / "rows.jsonl").read_text().splitlines()
    )


def test_wrong_calls_are_sentences(lake: ls.Lake) -> None:
    with pytest.raises(RecipeError, match="zipfit is fitted on tables first; put it under scores: of a recipe"):
        ls.score("zipfit", target="x")
    with pytest.raises(RecipeError, match="until is 'scroe'; allowed: ingest, score, select"):
        ls.run(lake, RAW, until="scroe")
    with pytest.raises(RecipeError, match="takes no overrides"):
        ls.recipe(ls.recipe(RAW), budget={"rows": 1})
    with pytest.raises(InputError, match="this run, until score, has no selection_scored"):
        ls.run(lake, {**RAW, "name": "scored"}, until="score").selection  # noqa: B018


def test_a_session_is_adopted_and_never_stopped(spark: SparkSession, world: World) -> None:
    before = spark.sparkContext.applicationId
    made = ls.Lake(str(world.root))
    assert made.spark.sparkContext.applicationId == before
    del made
    assert spark.range(3).count() == 3


@pytest.mark.usefixtures("result")
def test_every_command_speaks_json(
    lake: ls.Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`main` prints one JSON value whatever the command, and text without --json."""
    import yaml

    monkeypatch.setattr(logging.getLogger("lakesift"), "level", logging.WARNING)
    file = tmp_path / "noted.yaml"
    file.write_text(yaml.safe_dump(RAW))
    place = ["--lake", lake.tables.root]
    commands = {
        "run": [str(file), *place], "score": [str(file), *place], "select": [str(file), *place],
        "ingest": [str(file), *place], "report": [str(file), *place, "--out", str(tmp_path / "report.json")],
        "plan": [str(file), *place], "history": [str(file), *place], "diff": [str(file), *place],
        "export": [str(file), *place, "--to", "jsonl", "--out", str(tmp_path / "out.jsonl")],
        "maintain": [*place, "--dry-run"], "sql": ["SELECT 1 AS one", *place], "list": ["scores"],
        "encoders": ["list"], "recipe": ["noted", *place], "explain": [str(file), "nobody", *place],
        "at": [str(file), "1", *place], "advise": [str(file), *place],
    }  # fmt: skip
    elsewhere = {"tune", "refine", "compare"}  # tests/jobs/test_tune.py, test_refine.py, and below
    assert set(commands) == set(cli.COMMANDS) - elsewhere
    for command, words in commands.items():
        cli.main([command, *words, "--json"])
        assert json.loads(capsys.readouterr().out) is not None, command
    assert json.loads((tmp_path / "report.json").read_text())["recipe"] == "noted"
    cli.main(["history", str(file), *place])
    assert capsys.readouterr().out.split()[:3] == ["version", "time", "(UTC)"]


SUBSET: dict[str, Any] = {
    "name": "subset_of_docs",
    "documents": {"table": "docs"},
    "targets": {"goals": {"table": "goals", "where": "n % 2 = 0", "held_out": "n % 2 = 1"}},
    "scores": {
        "vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 32},
        "cells": {"kind": "kmeans", "k": 5},
        "near": {"kind": "target_similarity", "target": "goals", "encoder": "hashed_ngrams", "dimensions": 32},
        "tokens": {"kind": "length_tokens"},
    },
    "where": "tokens >= 20",
    "select": {"kind": "kmeans_random", "cluster": "cells", "strata": True},
    "budget": {"rows": 60},
    "keep": ["module"],
}


@pytest.mark.usefixtures("result")
def test_a_subset_estimates_the_mean_of_the_pool(lake: ls.Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A score that is known for all rows, and a rate, through frames of Spark and pandas; what is refused."""
    made = ls.run(lake, SUBSET)
    pool = made.scores.where("tokens >= 20").toPandas()
    subset = made.selection.toPandas()
    strata = pool["cells"].map(lambda cell: str(cell["cluster"]))
    assert (subset["cells"].map(lambda cell: str(cell["cluster"])) == subset["stratum"]).all()
    per_row = strata.value_counts() / subset["stratum"].value_counts()
    assert subset["weight"].to_numpy() == pytest.approx(per_row.loc[subset["stratum"]].to_numpy())
    known = lake.read("models").where("kind = 'target_similarity'").toPandas()
    assert known["fingerprint"].tolist() == [made.manifest.fingerprints["near"]], (
        "what reads a score has its fingerprint"
    )
    assert any(note.startswith("60 rows of 5 strata") and f"over {len(pool)} rows" in note for note in made.notes)
    everything = lake.estimate(SUBSET, made.scores, ["near", "tokens"])
    for name in ("near", "tokens"):
        found = everything[name]
        assert abs(found.mean - pool[name].mean()) < 4 * found.error
        assert found == pytest.approx(ls.estimate(subset[name], subset["stratum"], subset["weight"]), rel=1e-12)
    measured = subset[["id"]].assign(wrong=subset["tokens"] > 100, note="x").sample(frac=1, random_state=0)
    assert lake.estimate("subset_of_docs", measured, version=1)["wrong"].rows == len(pool)
    assert [line["value"] for line in everything.to_dict()] == ["near", "tokens"]
    assert str(lake.estimate(SUBSET, made.selection, ["near"])).splitlines()[0].split()[:2] == ["value", "mean"]
    for frame, columns, said in (
        (measured[1:], (), f"1 of 60 rows of the subset have no value, such as {measured['id'].iloc[0]!r}"),
        (measured.iloc[[0, *range(60)]], (), f"id {measured['id'].iloc[0]!r} was measured more than once"),
        (measured.assign(loss=float("nan")), ("loss",), "is nan, as of 60 rows of selection_subset_of_docs"),
        (measured, ("rong",), "'rong' is no column; did you mean 'wrong'"),
        (measured, ("note",), "'note' is no column of numbers; allowed: wrong"),
        (measured[["id", "note"]], (), "none of numbers; add what was measured"),
        (measured[["wrong"]], (), "the frame has the columns wrong; it needs id"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            lake.estimate(SUBSET, frame, columns)
    with pytest.raises(InputError, match="selection_noted has no column stratum, so no error follows"):
        lake.estimate(RAW, measured)
    cli.main(["compare", "noted", "subset_of_docs", "--lake", lake.tables.root, "--json"])
    compared = json.loads(capsys.readouterr().out)
    chosen = {row["id"] for row in lake.selection("noted").collect()}
    assert compared["pairs"][0]["both"] == len(chosen & set(subset["id"]))
