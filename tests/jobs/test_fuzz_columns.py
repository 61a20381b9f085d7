"""Hostile names of columns and scores: 200 texts, and every name that the code gives to columns of its own.

Each names what it names wherever a recipe takes a name, and is kept and exported as it is, or is refused by a sentence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakesift.jobs.commands.export import export
from lakesift.jobs.commands.report import report
from lakesift.jobs.inputs.opening import open_documents
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.lake.tuning import settings
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.recipe.parse import RESERVED
from lakesift.jobs.run import run
from lakesift.udfs.errors import RecipeError
from lakesift.udfs.quoting import named_as, quoted_name, quoted_text
from tests.jobs.hostile_names import columns, internal
from tests.jobs.made_recipes import SCORES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TEXT = "some words of row {} that are no others and are enough of them to be told apart"
COLUMNS = columns(200, "columns")
#: For the SQL of the tests, which has names with ${x}.
AS_WRITTEN = {"spark.sql.variable.substitute": "false"}


def wide(table: str = "global_temp.hostile_columns", **changes: Any) -> Recipe:
    raw: dict[str, Any] = {
        "name": "wide",
        "documents": {"table": table},
        "select": {"kind": "random"},
        "budget": {"rows": 2},
    }
    return parse({**raw, "keep": ["text"], **changes})


@pytest.mark.long
def test_columns_are_named_wherever_columns_are_named(spark: SparkSession, tmp_path: Path) -> None:
    """All in conditions, kept columns and bounds as far as these are checked; a fifth in a run and its report."""
    values = ", ".join(f"{i} + CAST(x AS INT) AS {quoted_name(name)}" for i, name in enumerate(COLUMNS))
    fields = ", ".join(f"{quoted_text(name)}, {i}" for i, name in enumerate(COLUMNS[:60]))
    given = f"concat('n', x) AS lakesift_id, 'words' AS text, named_struct({fields}) AS odd_struct, {values}"
    with settings(spark, AS_WRITTEN):
        frame = spark.sql(f"SELECT {given} FROM VALUES ('0'), ('1'), ('2') AS t(x)")
        frame.createOrReplaceGlobalTempView("hostile_columns")
    lake, own = Lake(spark, str(tmp_path / "lake")), [n for n in COLUMNS if n.lower() not in ("id", "x", "text")]
    documents = {"table": "global_temp.hostile_columns", "id": "lakesift_id"}

    def naming(part: list[str]) -> Recipe:
        return wide(
            documents=documents, keep={f"k{i}": quoted_name(name) for i, name in enumerate(part)},
            where=" AND ".join(f"{quoted_name(name)} >= 0" for name in part), report={"shares": part[:5]},
            select={"kind": "interval", "bounds": {named_as(name): [0, None] for name in part[:200:40]}},
        )  # fmt: skip

    named = {*open_documents(lake, naming(own)).named}
    assert {*own} <= named <= {*own, "id", "text"}  # words of a quoted name count as named
    for name in own[::9]:  # one by one: a name that hides another must not hide it here
        opened = open_documents(lake, wide(documents=documents, select={"kind": "top_k", "by": named_as(name)}))
        assert name in opened.named, name
    for name in COLUMNS[:60:4]:
        select = {"kind": "stratified", "column": f"odd_struct.{quoted_name(name)}"}
        assert open_documents(lake, wide(documents=documents, select=select)).named == ("odd_struct",)
    some = own[::5]
    done = run(lake, naming(some))
    assert (done.counts["documents"], done.counts["ineligible"], done.rows) == (3, 0, 2)
    for row in lake.read("selection_wide").collect():
        for i, name in enumerate(some):
            assert row[f"k{i}"] == COLUMNS.index(name) + int(row["id"][1:]), name
    assert set(report(lake, naming(some)).shares) == {*some[:5]}


@pytest.mark.long
def test_kept_columns_keep_their_names(spark: SparkSession, tmp_path: Path) -> None:
    """Those that Delta takes, from a Delta table to a selection and files; the others are refused by name."""
    legal = [
        n
        for n in COLUMNS
        if not any(c in n for c in " ,;{}()\n\t=") and n.lower() not in (*RESERVED, "text", "length_bytes")
    ]
    lake = Lake(spark, str(tmp_path / "lake"))
    values = ", ".join(f"{i} AS {quoted_name(name)}" for i, name in enumerate(legal))
    with settings(spark, AS_WRITTEN):
        spark.sql(f"SELECT 'a' AS id, 'words' AS text, {values}").write.format("delta").save(lake.path("docs"))
    kept = wide("docs", keep=None)
    run(lake, kept)
    row = lake.read("selection_wide").first()
    assert row is not None
    assert {name: row[name] for name in legal} == {name: i for i, name in enumerate(legal)}
    export(lake, "wide", "jsonl", str(tmp_path / "o.jsonl"))
    exported = json.loads((tmp_path / "o.jsonl").read_text("utf-8"))
    assert {name: exported[name] for name in legal} == {name: i for i, name in enumerate(legal)}
    for name in set(COLUMNS) - set(legal) - {*RESERVED, "text", "length_bytes"}:
        if name.lower() not in (*RESERVED, "text", "length_bytes"):
            with pytest.raises(RecipeError) as error:
                open_documents(lake, wide("docs", keep={name: "1"}))
            assert "has a character that Delta refuses" in str(error.value), name


# -- the code's own names ----------------------------------------------------------------------------------------------

INTERNAL = internal()


def _own(number: int, of: int) -> list[str]:
    return [n for n in INTERNAL if n.lower() not in RESERVED][number::of]


#: Columns that every case has: its selectors name them.
NAMED = ("missing", "rows", "row_hash", "h", "value", "s0", "mean")


@pytest.mark.long
@pytest.mark.parametrize("number", range(6))
def test_columns_called_as_the_code_calls_its_own(spark: SparkSession, tmp_path: Path, number: int) -> None:
    """In conditions of run and score, strata, bounds, kept columns and the report."""
    own = list(dict.fromkeys([*NAMED, *(n for n in INTERNAL if n not in ("id", "text"))][number::6] + list(NAMED)))
    lake = Lake(spark, str(tmp_path / "lake"))
    values = ", ".join(f"CAST(x AS INT) AS {quoted_name(name)}" for name in own)
    given = f"concat('n', x) AS id, concat('words of ', x, ' more') AS text, {values}"
    rows = spark.sql(f"SELECT {given} FROM VALUES ('0'), ('1'), ('2'), ('1') AS t(x)")
    rows.write.format("delta").save(lake.path("docs"))  # n1 stands twice
    usable = [n for n in own if n not in RESERVED]
    recipe = wide(
        "docs", keep={f"k{i}": quoted_name(n) for i, n in enumerate(own)}, report={"shares": own[:9]},
        scores={"measured": {"kind": "length_tokens", "where": " AND ".join(f"{quoted_name(n)} < 9" for n in usable)}},
        where=" AND ".join(f"{quoted_name(n)} >= 1" for n in usable if n != "content_hash"),
        select={"kind": "interval", "bounds": {n: [0, None] for n in ("missing", "value", "s0", "mean")},
        "stratum": "row_hash"},
        controls=[{"kind": "stratified", "column": "missing", "by": "h"}, {"kind": "random", "by": "rows"},
        "length_matched"],
    )  # fmt: skip
    done = run(lake, recipe)
    assert (done.counts["documents"], done.counts["ineligible"], done.rows) == (3, 1, 2)
    assert all(
        row[f"k{i}"] == int(row["id"][1:]) for row in lake.read("selection_wide").collect() for i in range(len(own))
    )
    report(lake, recipe)


LISTS = (
    "missing",
    "rows",
    "row_hash",
    "hash_text",
    "content_hash",
    "fingerprint",
    "value",
    "vector",
    "numbers",
    "seconds",
    "differs",
)


@pytest.mark.long
def test_scores_read_columns_called_as_the_code_calls_its_own(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    lists = ", ".join(f"array('tag', concat('t', x)) AS {quoted_name(n)}" for n in (*LISTS, "plain"))
    spark.sql(
        f"SELECT concat('n', x) AS id, 'words' AS text, {lists} FROM VALUES ('0'), ('1'), ('1'), ('2') AS t(x)"
    ).write.format("delta").save(lake.path("docs"))
    scores = {f"of_{n}": {"kind": "labels", "of": n, "encoder": "hashed_ngrams", "least": 1} for n in (*LISTS, "plain")}
    run(lake, wide("docs", scores=scores))
    found = lake.read("scores_wide").collect()
    assert len(found) == 3
    for row in found:
        assert all(row[f"of_{n}"] == row["of_plain"] and row["of_plain"] for n in LISTS)
    with pytest.raises(RecipeError, match="reads 'h', which is what a fit calls the hash of the id; rename it"):
        wide("docs", scores={"x": {"kind": "labels", "of": "h"}})


PLAIN_SCORES = [
    "vector",
    "cells",
    "entropy",
    "words",
    "ratio",
    "topics",
    "asked",
    "loss",
    *(f"more_{i}" for i in range(4)),
]


@pytest.mark.long
@pytest.mark.parametrize("number", range(12))
def test_scores_called_as_the_code_calls_its_columns(spark: SparkSession, tmp_path: Path, number: int) -> None:
    """Scores under other names: the same rows at the same ranks, by the same values, and a report of them."""
    lake = Lake(spark, str(tmp_path / "lake"))
    rows = [(f"d{i:02}", TEXT.format(i) * (1 + i % 3), ["a", f"t{i % 4}"], f"m{i % 3}") for i in range(24)]
    spark.createDataFrame(rows, "id string, text string, tags array<string>, module string").write.format("delta").save(
        lake.path("docs")
    )
    taken = [n for n in _own(number, 12) if n not in ("h", "text")]
    found = []
    for labels in (PLAIN_SCORES, list(dict.fromkeys([*taken, *PLAIN_SCORES]))[: len(PLAIN_SCORES)]):
        v, cells, entropy, words, ratio, topics, asked, loss, *more = labels
        recipe = parse({
            "name": "own", "documents": {"table": "docs"}, "budget": {"rows": 9},
            "scores": {
                v: SCORES["vector"], cells: {"kind": "kmeans", "k": 3, "of": v}, entropy: SCORES["entropy"],
                words: "length_tokens",
                ratio: "compression_ratio", topics: SCORES["topics"], loss: {"kind": "compression_ratio"},
                asked: {"kind": "information_entropy", "window": 3, "where": f"`{words}` > 3 AND module <> 'm2'"},
                **dict.fromkeys(more, "length_bytes"),
            },
            "where": f"`{words}` > 2 AND `{entropy}` > 0 AND `{more[0]}` > 1",
            "select": {"kind": "stratified", "column": cells, "by": ratio},
            "controls": [
                {"kind": "kmq", "cluster": cells, "quality": entropy}, {"kind": "k_center", "vector": v},
                {"kind": "interval", "bounds": {n: ["q0.1", "q1"] for n in (ratio, entropy)}, "combine": "mean_rank"},
                {"kind": "mig", "labels": topics, "quality": entropy}, {"kind": "top_k", "by": f"{cells}.distance_sq"},
                {"kind": "sensitivity", "cluster": cells, "loss": loss, "probes": 2}, {"kind": "random", "by": more[1]},
                {"kind": "semdedup", "cluster": cells, "vector": v, "by": asked}, {"kind": "length_matched",
                "length": words},
            ],
        })  # fmt: skip
        run(lake, recipe)
        told = report(lake, recipe)
        selected = [
            (r["id"], r["rank"], r["gain"], r[entropy], r[asked])
            for r in lake.read("selection_own").orderBy("rank").collect()
        ]
        controls = sorted((r["control"], r["rank"], r["id"]) for r in lake.read("controls_own").collect())
        found.append((selected, controls, told.rows, told.quantiles[entropy], told.correlation_with_length[ratio]))
    assert found[0] == found[1], taken
