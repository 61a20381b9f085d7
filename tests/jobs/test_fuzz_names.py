"""Hostile names: 200 as ids, 200 as columns, and every name of the code's own as column and as score.

Each arrives unchanged and once wherever names go, and nothing of data reaches the terminal as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from lakesift.jobs.cli import main
from lakesift.jobs.commands.diff import diff
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.lake.text_table import printable
from lakesift.jobs.recipe import parse
from lakesift.jobs.recipe.keys import to_yaml
from lakesift.jobs.run import run
from tests.jobs.hostile_names import names
from tests.jobs.made_recipes import SCORES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

IDS = names(200, "ids")
TEXT = "some words of row {} that are no others and are enough of them to be told apart"
HOSTILE: dict[str, Any] = {
    "name": "hostile",
    "documents": {"table": "docs"},
    "scores": {"vector": SCORES["vector"], "cells": SCORES["cells"], "words": "length_tokens",
    "entropy": SCORES["entropy"]},
    "where": "q >= 0",
    "select": {"kind": "stratified", "column": "module", "by": "q"},
    "budget": {"rows": 120},
    "controls": ["random", "length_matched", "k_center", {"kind": "kmq", "cluster": "cells", "quality": "q"}],
    "report": {"shares": ["module"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Documents whose ids, and groups, are hostile; one stands twice, one has no id."""
    root = tmp_path_factory.mktemp("hostile")
    rows = [(name, TEXT.format(i), IDS[i % 5], float(i)) for i, name in enumerate(IDS)]
    rows += [rows[3], (None, "x", "y", 1.0)]  # type: ignore[list-item]
    frame = spark.createDataFrame(rows, "id string, text string, module string, q double")
    frame.coalesce(1).write.format("delta").save(str(root / "docs"))
    return Lake(spark, str(root))


def ids(lake: Lake, table: str) -> list[str]:
    return [row["id"] for row in lake.read(table).select("id").collect()]


@pytest.mark.long
def test_ids_arrive_unchanged_and_once(lake: Lake, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = parse(HOSTILE)
    done = run(lake, recipe)
    assert (done.rows, done.inputs["documents"]["duplicates"], done.inputs["documents"]["null_ids"]) == (120, 1, 1)
    assert sorted(ids(lake, "scores_hostile")) == sorted(IDS) == sorted(ids(lake, "hashes_hostile"))
    assert {i: r for i, r in lake.read("rejected_hostile").collect()} == {  # noqa: C416 - rows of two
        None: "id is null", IDS[3]: "1 more rows with this id and the same content",
    }  # fmt: skip
    chosen = lake.read("selection_hostile").toPandas().set_index("id")
    assert chosen.index.is_unique
    for name, q in chosen["q"].items():
        assert name == IDS[int(q)]
    controls = lake.read("controls_hostile").toPandas()
    for _, part in controls.groupby("control"):
        assert len(part) == 120 == part["id"].nunique()
        assert {*part["id"]} <= {*IDS}
    file, recipe_file = tmp_path / "r.yaml", str(tmp_path / "r.yaml")
    file.write_text(to_yaml(HOSTILE), encoding="utf-8")
    commands = [["export", recipe_file, "--to", to, "--out", str(tmp_path / f"o.{to}")] for to in ("jsonl", "parquet")]
    commands += [["report", recipe_file], ["history", recipe_file], ["plan", recipe_file], ["maintain", "--dry-run"]]
    commands += [
        ["sql", "select id, q from selection_hostile order by id"],
        ["sql", "select id, reason from rejected_hostile"],
    ]
    for command in commands:
        main([*command, "--lake", lake.root])
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text("utf-8").split("\n") if line]
    assert {row["id"]: row["q"] for row in rows} == chosen["q"].to_dict()
    exported = pq.read_table(tmp_path / "o.parquet").to_pydict()
    assert exported["id"] == [row["id"] for row in rows] == list(chosen.sort_values("rank").index)
    # Some get another text, a fifth is gone.
    gone = [name for i, name in enumerate(IDS) if i % 5 == 1]
    edited = [name for i, name in enumerate(IDS) if i % 5 != 1 and i % 2]
    new = [
        (n, "other words" if n in edited else TEXT.format(i), IDS[i % 5], i + 1000.0 * (n in edited))
        for i, n in enumerate(IDS)
        if n not in gone
    ]
    frame = lake.spark.createDataFrame(new, "id string, text string, module string, q double")
    frame.coalesce(1).write.format("delta").mode("overwrite").save(lake.path("docs"))
    again = run(lake, recipe)
    left = {*IDS} - {*gone}
    assert sorted(ids(lake, "scores_hostile")) == sorted(left)
    before, after = {*chosen.index}, {*ids(lake, "selection_hostile")}
    moved = diff(lake, recipe, [])
    assert (moved.went, moved.came, moved.stayed) == (len(before - after), len(after - before), len(before & after))
    assert again.rows == len(after)
    assert moved.went_by_reason["not in the documents any more"] == len(before & {*gone})
    for command in (["diff", recipe_file], ["history", recipe_file], ["report", recipe_file, "--json"]):
        main([*command, "--lake", lake.root])
    _refused(lake, tmp_path)
    out, err = capfd.readouterr()
    for text in (out, err):
        assert printable(text, lines=True) == text
    assert len(out) > 10_000


def _refused(lake: Lake, tmp_path: Path) -> None:
    """Messages name ids in one line of printable characters."""
    docs = lake.read("docs").selectExpr("id", "concat(text, '!') AS text", "module", "q")
    docs.unionByName(lake.read("docs")).createOrReplaceGlobalTempView("twice")
    path = tmp_path / "twice.yaml"
    path.write_text(
        to_yaml({**HOSTILE, "name": "twice", "documents": {"table": "global_temp.twice"}}), encoding="utf-8"
    )
    with pytest.raises(SystemExit) as ended:
        main(["run", str(path), "--lake", lake.root])
    said = str(ended.value.code)
    assert "occur more than once with different content" in said
    assert printable(said) == said
