"""Labels, their graph and mig in whole runs: tables, newer names, an earlier choice, layouts, wrong inputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import polars as pl
import pytest

import lakesift as ls
from lakesift.jobs.commands.sql import query
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.run import run
from lakesift.udfs.errors import BoundError, InputError, LakeSiftError, RecipeError
from lakesift.udfs.kernels import label_graph
from tests.jobs.conftest import World, pool

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAMES = [
    "math",
    "algebra",
    "geometry",
    "cooking",
    "cakes",
    "baking",
    "law",
    "courts",
    "travel",
    "trains",
    "planes",
    "é",
]
TOPICS: dict[str, Any] = {"kind": "labels", "of": "names", "encoder": "hashed_ngrams", "merge": 0.0}
VECTOR: dict[str, Any] = {"kind": "embedding", "encoder": "hashed_ngrams"}


def rows(count: int = 120) -> list[dict[str, Any]]:
    """Documents with names, rarer and rarer ones, some with none, one null; and a quality."""
    draw = np.random.default_rng(5)
    made = pool(count)
    for i, row in enumerate(made):
        row["names"] = [NAMES[j] for j in np.unique(draw.zipf(1.5, i % 5).clip(max=len(NAMES)) - 1)]
        row["quality"] = float(draw.integers(0, 9)) / 4
    made[min(3, count - 1)]["names"] = None
    return made


def mine(name: str = "mig", **changes: Any) -> Recipe:
    raw = {
        "name": name,
        "documents": {"table": "docs"},
        "scores": {"topics": TOPICS, "tokens": "length_tokens"},
        "select": {"kind": "mig", "labels": "topics", "quality": "quality"},
        "budget": {"rows": 20},
        "keep": ["names"],
    }
    return parse({**raw, **changes})


@pytest.fixture
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(spark, tmp_path_factory.mktemp("mig"))
    made.put("docs", rows())
    return made


def chosen(world: World, name: str = "mig") -> list[str]:
    return [r["id"] for r in world.sql(f"SELECT id FROM {{selection_{name}}} ORDER BY rank")]


def lines(manifest: Manifest) -> dict[str, int | None]:
    return {s.step: s.computed for s in manifest.steps}


def test_labels_are_tables_that_anybody_reads(world: World) -> None:
    made = run(world.lake, mine())
    names = query(world.lake, "SELECT label, name, rows, merged FROM label_names ORDER BY label").rows.rows
    counts = {name: sum(name in (r["names"] or []) for r in rows()) for name in NAMES}
    known = {name: n for name, n in counts.items() if n >= 2}
    assert [(name, n) for _, name, n, _ in names] == sorted(known.items(), key=lambda x: (-x[1], x[0]))
    edges = query(world.lake, "SELECT count(*) FROM label_edges WHERE a < b AND weight > 0").rows.rows[0][0]
    model = pl.read_delta(str(world.root / "models")).filter(pl.col("fingerprint") == made.fingerprints["topics"])
    graph = nx.Graph()
    graph.add_weighted_edges_from((e["a"], e["b"], e["weight"]) for e in model["edges"].item())
    assert (graph.number_of_edges(), model["labels"].item().struct.field("name").to_list()) == (
        edges,
        [name for _, name, _, _ in names],
    )
    number = {name: label for label, name, _, _ in names}
    scores = {r["id"]: r["topics"] for r in world.sql("SELECT id, topics FROM {scores_mig}")}
    assert scores == {
        r["id"]: None if r["names"] is None else sorted(number[n] for n in r["names"] if n in number) for r in rows()
    }
    assert made.counts["undefined"]["topics"] == 1
    assert any(
        note.startswith(f"topics: {len(number)} labels of {len(number)} names, {edges} edges") for note in made.notes
    )
    assert any(note.startswith("information by picks: ") for note in made.notes)
    one = world.sql("SELECT * FROM {selection_mig} ORDER BY rank")[0]
    assert one["topics"] == scores[one["id"]], "a selection holds its labels"
    assert (one["information"], one["names"]) == (pytest.approx(one["information"]), one["names"])
    assert run(world.lake, mine()).noop
    said = str(ls.run(ls.Lake(str(world.root), world.spark), mine()).report())
    assert "note: information by picks: " in said
    assert "; the knee is at " in said
    assert "topics" in str(ls.plan(ls.Lake(str(world.root), world.spark), mine(budget={"rows": 21})))


@pytest.mark.long
def test_newer_names_are_told_and_taken_in_by_a_refit(world: World) -> None:
    first = run(world.lake, mine())
    more = [{**row, "id": f"new-{i}", "names": names} for i, (row, names) in enumerate(zip(rows(3), NEW, strict=True))]
    world.put("docs", more, mode="append")
    again = run(world.lake, mine())
    assert lines(again)["score topics"] == 3
    assert again.fingerprints["topics"] == first.fingerprints["topics"]
    note = next(n for n in again.notes if "newer than the model" in n)
    assert "2 of them carry 1 names that the model does not know; lakesift run --refit makes a new one" in note
    values = {r["id"]: r["topics"] for r in world.sql("SELECT id, topics FROM {scores_mig} WHERE id LIKE 'new-%'")}
    assert [len(values[f"new-{i}"]) for i in range(3)] == [1, 0, 1]
    refitted = run(world.lake, mine(), refit=True)
    assert lines(refitted)["score topics"] == 123
    names = [r[0] for r in query(world.lake, "SELECT name FROM label_names").rows.rows]
    assert "sailing" in names


NEW = [["math", "sailing"], ["sailing"], ["math"]]


@pytest.mark.long
def test_a_table_of_models_that_is_older_gets_the_columns(world: World) -> None:
    run(world.lake, mine("plain", scores={"cells": {"kind": "kmeans", "k": 2}, "vector": VECTOR, "topics": TOPICS}))
    table = f"delta.`{world.root / 'models'}`"
    frame = world.spark.read.table(table).drop("labels", "edges").where("kind = 'kmeans'")
    frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").saveAsTable(table)
    assert "labels" not in world.spark.read.table(table).columns
    run(world.lake, mine("later", scores={"topics": {**TOPICS, "least": 3}, "tokens": "length_tokens"}))
    kinds = {r["kind"]: r["labels"] is None for r in world.sql("SELECT kind, labels FROM {models}")}
    assert kinds == {"kmeans": True, "labels": False}


@pytest.mark.long
def test_going_on_from_an_earlier_choice(world: World) -> None:
    run(world.lake, mine("long", budget={"rows": 30}))
    run(world.lake, mine("short", budget={"rows": 12}))
    made = run(world.lake, mine("rest", budget={"rows": 18}, start={"selection": "short"}, controls=["random"]))
    assert chosen(world, "short") + chosen(world, "rest") == chosen(world, "long")
    state = world.lake.state("selection_short")
    assert made.inputs["start"] == {"table": state.ref, "version": 1, "data_version": state.data_version}
    assert made.counts["chosen_before"] == 12
    control = {r["id"] for r in world.sql("SELECT id FROM {controls_rest}")}
    assert not control & set(chosen(world, "short"))
    assert run(world.lake, mine("rest", budget={"rows": 18}, start={"selection": "short"}, controls=["random"])).noop
    planned = ls.plan(ls.Lake(str(world.root), world.spark), mine("rest", start={"selection": "short", "version": 1}))
    assert planned.resolved["start"] == {"selection": "short", "version": 1}
    assert ("start", world.lake.ref("selection_short"), "1", 12, "") in planned.reads.rows
    run(world.lake, mine("short", budget={"rows": 10}))  # a newer version: the rest is another
    other = run(world.lake, mine("rest", budget={"rows": 18}, start={"selection": "short"}, controls=["random"]))
    assert other.run_id != made.run_id
    pinned = run(world.lake, mine("rest", budget={"rows": 18}, start={"selection": "short", "version": 1}))
    assert chosen(world, "short") + chosen(world, "rest") == chosen(world, "long")[:10] + chosen(world, "long")[12:]
    assert pinned.counts["chosen_before"] == 12


def test_ids_of_another_pool_are_counted_and_named(world: World) -> None:
    world.put("selection_other", [{"id": i} for i in ("doc-00001", "nowhere", "doc-00003")])  # the last has no labels
    made = run(world.lake, mine(start={"selection": "other"}))
    note = next(n for n in made.notes if n.startswith("start: "))
    assert "2 of 3 rows of " in note
    assert "cannot be ranked here, such as 'doc-00003', 'nowhere': they do not count as chosen" in note
    assert made.counts["chosen_before"] == 1
    assert "doc-00001" not in chosen(world)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"start": {"selection": "nothing"}},
            r"start: there is no table .*selection_nothing.*; run the recipe that makes",
        ),
        ({"start": {"selection": "mig"}}, "start: the newest version of the recipe's own selection changes with every"),
        ({"start": {"selection": "mig", "version": 7}}, r"start: .*selection_mig.* has no version 7; its newest is 1"),
        ({"start": {"selection": "mig", "version": -1}}, "version is -1; a whole number from 0 is needed"),
        ({"start": {"version": 1}}, "start has no 'selection'|start.*selection"),
        (
            {"start": {"selection": "x"}, "select": {"kind": "random"}},
            "start: select is of kind random, .*; kinds that do: facility_location, k_center, mig",
        ),
        (
            {"scores": {"topics": {**TOPICS, "of": "module"}}},
            "labels: of names 'module', which is string; names are needed",
        ),
        ({"scores": {"topics": {**TOPICS, "of": "quality"}}}, "labels: of names 'quality', which is double; names are"),
        (
            {"scores": {"topics": {**TOPICS, "delimiter": ","}}},
            "of names 'names', which is array<string>; text is needed",
        ),
        (
            {"select": {"kind": "mig", "labels": "tokens"}},
            "labels names 'tokens', which is of kind length_tokens; a score",
        ),
        ({"select": {"kind": "mig", "labels": "topics", "alpha": -1}}, "alpha is -1; a number from 0 is needed"),
        (
            {"scores": {"vector": VECTOR, "topics": {"kind": "tags", "vocabulary": "nowhere"}}},
            "there is no target 'nowhere'",
        ),
        ({"scores": {"vector": VECTOR, "topics": {"kind": "tags"}}}, "'vector' is made by encoder hashed_ngrams"),
    ],
)
def test_wrong_recipes(changes: dict[str, Any], said: str, world: World) -> None:
    if changes.get("start", {}).get("selection") == "mig":
        run(world.lake, mine())
    with pytest.raises((RecipeError, InputError), match=said) as caught:
        run(world.lake, mine(**changes))
    assert "\n" not in str(caught.value)


def _with(names: Any) -> list[dict[str, Any]]:
    return [{**row, "names": names(i)} for i, row in enumerate(rows(40))]


@pytest.mark.parametrize(
    ("names", "error", "said"),
    [
        (lambda _: [" "], InputError, "labels: column 'names' has no name, and least is 2: no label is left"),
        (
            lambda i: [f"only {i}"],
            InputError,
            "has 40 names, the most frequent of which stands in 1 rows, and least is 2",
        ),
        (lambda i: ["ok", "x" * 1_000_000] if i == 7 else ["ok"], InputError, "1 names of more than 1,000 characters"),
    ],
)
def test_columns_without_labels(names: Any, error: type[LakeSiftError], said: str, world: World) -> None:
    world.put("docs", _with(names))
    with pytest.raises(error, match=said) as caught:
        run(world.lake, mine())
    assert "\n" not in str(caught.value)


def test_odd_rows(world: World) -> None:
    """Null elements, repeated names, ten thousand names in a row, a giant component, no edge at all."""
    wide = [f"n{i % 500}" for i in range(10_000)]
    odd = {0: ["math", None, "math"], 1: wide, 2: wide, 3: [], 4: [None]}
    world.put("docs", _with(lambda i: odd.get(i, ["math", "law"])))
    made = run(world.lake, mine(budget={"rows": 100}))
    assert any("1 null elements" in n or "2 null elements" in n for n in made.notes)
    sizes = {r["id"]: r["n"] for r in world.sql("SELECT id, size(topics) AS n FROM {scores_mig}")}
    assert [sizes[f"doc-{i:05d}"] for i in range(6)] == [1, 500, 500, 0, 0, 2]
    assert len(chosen(world)) == 40, "more picks than rows"
    gains = [r["gain"] for r in world.sql("SELECT gain FROM {selection_mig} ORDER BY rank")]
    assert gains == sorted(gains, reverse=True)
    world.put("docs", rows())
    for threshold, edges in ((0.0, True), (1.0, False)):
        made = run(world.lake, mine(scores={"topics": {**TOPICS, "encoder": "wordllama", "threshold": threshold}}))
        assert any(" 0 edges" in n for n in made.notes) != edges


def test_too_many_edges_are_one_sentence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_graph, "EDGES", 3)
    monkeypatch.setattr(label_graph.neighbour_graph, "__defaults__", (None, None, 3))
    with pytest.raises(BoundError, match="edges"):
        run(world.lake, mine(scores={"topics": {**TOPICS, "threshold": 0.0, "encoder": "wordllama"}}))


@pytest.mark.parametrize(
    ("quality", "said"),
    [(-1.0, "is -1.0; a finite number from 0"), pytest.param(math.inf, "is inf; a finite", marks=pytest.mark.long)],
)
def test_qualities_that_are_none(quality: float, said: str, world: World) -> None:
    world.put("docs", [{**row, "quality": quality if i == 7 else 1.0} for i, row in enumerate(rows())])
    with pytest.raises(InputError, match=f"mig: 'quality' of id 'doc-00007' {said}"):
        run(world.lake, mine())


@pytest.mark.long
def test_quality_zero_everywhere_is_an_order_by_hash(world: World) -> None:
    world.put("docs", [{**row, "quality": 0.0} for row in rows()])
    run(world.lake, mine())
    by_hash = world.sql("SELECT id FROM {docs} WHERE names IS NOT NULL ORDER BY xxhash64(id, 42L), id LIMIT 20")
    assert chosen(world) == [r["id"] for r in by_hash]


def test_a_budget_in_tokens_and_gain_per_token(world: World) -> None:
    changes: dict[str, Any] = {"budget": {"tokens": 600, "length": "tokens"}}
    run(world.lake, mine(**changes))
    run(
        world.lake,
        mine("per", **changes, select={"kind": "mig", "labels": "topics", "quality": "quality", "per": "tokens"}),
    )
    sums = "sum(tokens_used) AS t, count(*) AS n, max(information) AS e"
    whole, per = (world.sql(f"SELECT {sums} FROM {{selection_{name}}}")[0] for name in ("mig", "per"))
    assert max(whole["t"], per["t"]) <= 600
    assert per["n"] > whole["n"]
    assert per["e"] > whole["e"]


@pytest.mark.long
def test_the_same_ids_from_any_layout_and_batch(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = []
    for files, batch in ((1, 10_000), (7, 3), (50, 10_000)):
        world = World(spark, tmp_path_factory.mktemp(f"layout{files}"))
        world.put("docs", rows()[::-1] if files == 7 else rows(), files=files)
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(batch))
        try:
            run(world.lake, mine())
        finally:
            spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
        found.append((world.rows("selection_mig"), world.rows("scores_mig")))
    assert found[0] == found[1] == found[2]


@pytest.mark.long
def test_tags_of_a_pool_and_of_a_vocabulary(world: World) -> None:
    world.put("goals", [{"text": name} for name in ("parse a date", "open a file", "read a line", "open a file")])
    tags = {"kind": "tags", "encoder": "hashed_ngrams", "floor": 0.0, "least": 5, "terms": 50, "merge": 0.0}
    scores = {"vector": VECTOR, "topics": tags, "tokens": "length_tokens"}
    own = run(world.lake, mine("own", scores=scores))
    assert any(note.startswith("topics: 50 labels of 50 names") for note in own.notes)
    vocabulary = {**scores, "topics": {**tags, "vocabulary": "goals"}}
    run(world.lake, mine("given", scores=vocabulary, targets={"goals": {"table": "goals"}}))
    names = [r[0] for r in query(world.lake, "SELECT name FROM label_names ORDER BY label").rows.rows]
    assert names == ["open a file", "parse a date", "read a line"]
    assert len(chosen(world, "given")) == 20
