"""Every row is counted once and every shortfall has its cause: budgets, clauses, ids, NaN, warnings; and the report and
diff of a selection are about what it was made from, whatever has happened since.

One lake of 44 rows and one saga: each test goes on from the last.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scipy.stats import spearmanr

from lakesift.jobs import select
from lakesift.jobs.commands.diff import diff
from lakesift.jobs.commands.report import report
from lakesift.jobs.inputs import columns
from lakesift.jobs.inputs.hash_summary import _refuse_unread
from lakesift.jobs.inputs.opening import open_documents
from lakesift.jobs.inputs.tables import selection_table
from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.run import run
from lakesift.udfs.errors import InputError, RecipeError
from tests.jobs.conftest import World

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: d<i> has i tokens; 35 of the 40 have no topic; every tenth has no number q.
ROWS = [
    {"id": f"d{i:02}", "text": "w " * i, "topic": "x" if i < 5 else None, "q": None if i % 10 == 0 else float(i)}
    for i in range(40)
]
WHERE = "id <> 'd39' AND tokens BETWEEN 3 AND 1000 AND (topic IS NULL OR topic = 'x')"


def recipe(name: str = "counted", **changes: Any) -> Recipe:
    raw: dict[str, Any] = {
        "name": name,
        "documents": {"table": "docs"},
        "scores": {"tokens": {"kind": "length_tokens"}},
        "where": WHERE,
        "select": {"kind": "top_k", "by": "q"},
        "budget": {"fraction": 1.0},
        "controls": ["random"],
        "report": {"shares": ["topic"]},
    }
    return parse({**raw, **changes})


@pytest.fixture(scope="module")
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(spark, tmp_path_factory.mktemp("lake"))
    frame = spark.createDataFrame([tuple(r.values()) for r in ROWS], "id string, text string, topic string, q double")
    frame.coalesce(1).write.format("delta").save(str(made.root / "docs"))
    torn = "CAST(X'FF41' AS STRING)"
    rows = f"('nan', 'w w w w', 'x', double('NaN')), ({torn}, 'w', 'x', 1D), (NULL, 'w', 'x', 1D)"
    made.sql(f"INSERT INTO {{docs}} VALUES {rows}, ('torn text', {torn}, 'x', 2D)")
    return made


@pytest.fixture(scope="module")
def first(world: World) -> Manifest:
    return run(world.lake, recipe())


def test_every_row_is_counted_once(world: World, first: Manifest) -> None:
    given, counts = first.inputs["documents"], first.counts
    assert (given["rows"], given["null_ids"], given["duplicates"], counts["documents"]) == (44, 2, 0, 42)
    assert sorted(world.rows("rejected_counted"), key=repr) == [(None, "id is not UTF-8"), (None, "id is null")]
    # d39 goes first, then those with fewer than 3 tokens, an undefined length among them; NaN and null q have no rank.
    assert [rows for _, rows in counts["excluded"]] == [1, 4, 0]
    assert (counts["ineligible"], counts["unranked"], counts["selected"]) == (5, 4, 33)
    assert counts["documents"] == counts["ineligible"] + counts["unranked"] + counts["selected"]
    assert given["rows"] == counts["documents"] + given["null_ids"] + given["duplicates"]
    assert {r["id"] for r in world.sql("SELECT id FROM {selection_counted}")} == {
        r["id"] for r in ROWS if r["q"] is not None and 3 <= len(r["text"]) / 2 < 39
    }
    note = "where: excludes 5 of 42 documents: id <> 'd39': 1, then tokens BETWEEN 3 AND 1000: 4, then (topic IS NULL"
    assert any(n.startswith(note) for n in first.notes), first.notes
    short = "budget is 42 rows (1 of 42 documents), 33 could be selected (5 ineligible, 4 unranked)"
    assert short in first.notes


@pytest.mark.usefixtures("first")
def test_the_report_is_of_what_was_selected_from(world: World) -> None:
    then = report(world.lake, recipe())
    assert set(then.sets) == {"pool", "selection", "random"}
    assert then.shares["topic"]["pool"] == {"(null)": 35 / 42, "x": 7 / 42}
    world.sql("DELETE FROM {docs} WHERE topic IS NULL")
    world.sql("UPDATE {docs} SET topic = 'y'")
    now = report(world.lake, recipe())
    assert (now.shares, now.quantiles, now.rows) == (then.shares, then.quantiles, then.rows)
    assert "documents: version 1 of docs is read, as by the run; the newest is 3" in now.notes


def test_controls_of_another_run_are_left_out(world: World, first: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sql("RESTORE {docs} TO VERSION AS OF 1")
    world.sql("UPDATE {docs} SET text = 'w w w w w w' WHERE id = 'd38'")
    world.sql("DELETE FROM {docs} WHERE id = 'd37'")
    world.sql("INSERT INTO {docs} VALUES ('new', 'w w w w', NULL, 99D)")
    shorter = recipe(budget={"rows": 20}, select={"kind": "top_k", "by": "tokens"})
    with monkeypatch.context() as patch:
        patch.setattr(select, "control_picks", _killed)
        with pytest.raises(KeyboardInterrupt):
            run(world.lake, shorter)
    half = report(world.lake, shorter)
    assert half.sets == ("pool", "selection")
    assert any("was stopped before it made its controls: they are left out" in n for n in half.notes)
    old = report(world.lake, recipe(), 1)
    assert (old.run_id, set(old.sets), old.rows["selection"]) == (first.run_id, {"pool", "selection", "random"}, 33)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_diff_counts_by_reason_and_shows_the_cut(world: World) -> None:
    versions = [c.version for c in world.lake.history("selection_counted") if "run_id" in c.metadata]
    found = diff(world.lake, recipe(select={"kind": "top_k", "by": "tokens"}), sorted(versions))
    assert (found.went, found.came, found.stayed) == (15, 2, 18)
    better, gone, edited = "others rank better", "not in the documents any more", "its text was edited"
    assert found.went_by_reason == {better: 13, gone: 1, edited: 1}
    assert found.came_by_reason == {"others made room": 2}
    assert found.cut == (3.0, 17.0)
    assert sum(found.went_by_reason.values()) == found.went
    text = str(found)
    assert "went: 13 others rank better, 1 " in text
    assert "cut: the least gain was 3, is 17" in text
    assert len(found.went_rows) == 5, "three of a reason at most"
    assert next(r for r in found.went_rows.to_dict() if r["id"] == "d38")["why"] == "its text was edited"


def test_nulls_of_a_stratum_are_a_stratum(world: World) -> None:
    stratified = recipe(
        "strata", where="", controls=[], budget={"tokens": 300, "length": "tokens"},
        select={"kind": "stratified", "column": "topic"},
    )  # fmt: skip
    made = run(world.lake, stratified)
    assert made.counts["unranked"] == 1, "the one without a length"
    used = world.sql("SELECT sum(tokens_used) AS n FROM {selection_strata}")[0]["n"]
    assert 300 - 39 <= used <= 300
    said = f"budget is 300 tokens, {used} are used: the next row, "
    assert any(n.startswith(said) for n in made.notes) == (used < 300)
    wide = run(world.lake, recipe("strata", where="", controls=[], budget={"tokens": 10**6, "length": "tokens"}))
    total = sum(r["tokens"] for r in world.sql("SELECT tokens FROM {selection_strata}"))
    said = f"budget is 1,000,000 tokens, the rows that could be selected have {total:,} (0 ineligible, 6 unranked)"
    assert said in wide.notes


def test_a_row_that_is_too_long_and_an_empty_pool(world: World) -> None:
    longest: dict[str, Any] = {"where": "", "controls": [], "select": {"kind": "top_k", "by": "tokens"}}
    with pytest.raises(InputError, match=r"the budget is 30 tokens and the first row alone, 'd39', has 39 by tokens; "):
        run(world.lake, recipe("strata", **longest, budget={"tokens": 30, "length": "tokens"}))
    cut = recipe("strata", **longest, budget={"tokens": 30, "length": "tokens", "truncate_last": True})
    assert run(world.lake, cut).rows == 1
    nothing = recipe(
        "strata", where="q > 1000 AND q < 10000", controls=[], select={"kind": "stratified", "column": "q"}
    )
    with pytest.raises(InputError, match=r"no row of 42 can be selected \(42 ineligible, 0 unranked\)"):
        run(world.lake, nothing)


def test_a_first_run_that_was_refused_and_vectors_of_some_rows(world: World) -> None:
    """The tables of the refused run get the columns of the edited recipe; rows without vector are unranked.

    SQL that ends on a comment is the SQL before it, wherever it stands.
    """
    with pytest.raises(InputError, match="no row of 42 can be selected"):
        run(world.lake, recipe("some", where="q > 1000", keep={"topics": "topic"}))
    vector = {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 16, "where": "tokens > 20 -- long ones"}
    edited = recipe(
        "some", where="tokens < 30 -- of all", scores={"tokens": {"kind": "length_tokens"}, "vector": vector},
        documents={"table": "docs", "id": "id -- the name", "text": "text -- of it"}, keep={"twice": "q * 2 -- !"},
        select={"kind": "k_center", "vector": "vector"}, budget={"rows": 5}, controls=[],
    )  # fmt: skip
    counts = run(world.lake, edited).counts
    rows = world.sql("SELECT tokens FROM {scores_some}")
    fits = [r["tokens"] for r in rows if r["tokens"] is not None and r["tokens"] < 30]
    expected = (len(rows) - len(fits), sum(t <= 20 for t in fits), 5)
    assert (counts["ineligible"], counts["unranked"], counts["selected"]) == expected
    assert {r["id"] for r in world.sql("SELECT id FROM {selection_some}")} <= {f"d{i}" for i in range(21, 30)}


def test_scores_that_follow_length_say_so(world: World) -> None:
    """Row i is the first i of 40 words, the target the first 5: what comes after them makes a row unlike it."""
    words = [f"{word}{i}" for i, word in enumerate(["tide", "moss", "lamp", "road", "bell"] * 8)]
    world.put("stories", [{"id": f"s{i:02}", "text": " ".join(words[:i])} for i in range(1, 41)])
    world.put("goals", [{"text": " ".join(words[:5])}], files=1)
    made = run(
        world.lake,
        recipe(
            "warned", documents={"table": "stories"}, targets={"goals": {"table": "goals"}}, where="", report={},
            scores={
                "logw": {"kind": "dsir", "target": "goals"}, "alignment": {"kind": "zipfit", "target": "goals"},
                "tokens": "length_tokens",
            },
            select={"kind": "interval", "bounds": {"logw": [None, None], "alignment": [None, None]}},
            budget={"rows": 30},
        ),
    )  # fmt: skip
    scores = world.lake.read("scores_warned").toPandas()
    chosen = world.lake.read("selection_warned").toPandas()
    above, every = int((chosen["logw"] > 0).sum()), int((scores["logw"] > 0).sum())
    assert above < 30
    said = f"logw: {above} of the 30 rows selected have a log weight above 0 ({every} of the eligible have one); "
    assert any(n.startswith(said) for n in made.notes), made.notes
    for name in ("logw", "alignment"):
        rho = spearmanr(scores[name], scores["tokens"]).statistic
        assert abs(rho) > 0.5
        said = f"{name}: its rank correlation with tokens is {rho:.2f} among 40 eligible rows, so it chooses by length"
        assert [("per: token" in n) for n in made.notes if n.startswith(said)] == [name == "logw"], made.notes


def test_files_that_a_session_would_pass_over_are_missed(world: World) -> None:
    documents = open_documents(world.lake, recipe())
    _refuse_unread(documents, 200, 200)
    with pytest.raises(InputError, match="docs has 200 rows, and 100 could be read: data files are missing or damaged"):
        _refuse_unread(documents, 200, 100)
    ids = world.lake.spark.sql("SELECT X'00' AS id, 'a' AS text, 'x' AS topic, 1D AS q")
    ids.createOrReplaceGlobalTempView("binary_ids")
    with pytest.raises(RecipeError, match=r"documents.id: 'id' is binary, and an id is text; write id: hex\(id\)"):
        open_documents(world.lake, recipe(documents={"table": "global_temp.binary_ids"}))


def test_1500_columns_are_checked_in_a_few_analyses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"column {i}" for i in range(1500)]
    wide = world.spark.range(5).selectExpr("CAST(id AS STRING) AS id", "'w w' AS text", *(f"1 AS `{n}`" for n in names))
    wide.createOrReplaceGlobalTempView("wide")
    analyses: list[int] = []
    actual = columns._types
    monkeypatch.setattr(columns, "_types", lambda query, sqls: analyses.append(len(sqls)) or actual(query, sqls))
    keep = {f"k{i}": f"`{name}` + 1" for i, name in enumerate(names)}
    many = recipe(documents={"table": "global_temp.wide"}, where="", select={"kind": "random"}, keep=keep, report={})
    documents = open_documents(world.lake, many)
    assert len(selection_table(many, documents, []).columns) == 1505
    assert len(documents.row_hash) > 1500
    assert max(analyses) == 1500
    assert len(analyses) <= 10, "not one for every column"


def test_equal_rows_do_not_hide_a_change(world: World, tmp_path: Path) -> None:
    """Documents and a target without versions, every row twice; then all texts are others."""
    rows = world.spark.range(6).selectExpr("concat('k', id) AS id", "concat('old text number ', id) AS text")
    paths = {name: str(tmp_path / name) for name in ("pool", "goals")}
    twice: dict[str, Any] = {
        "name": "twice",
        "documents": {"table": f"parquet.`{paths['pool']}`"},
        "targets": {"goals": {"table": f"parquet.`{paths['goals']}`"}},
        "scores": {"alignment": {"kind": "zipfit", "target": "goals"}, "tokens": "length_tokens"},
        "select": {"kind": "top_k", "by": "alignment"},
        "budget": {"rows": 6},
    }
    for path in paths.values():
        rows.unionAll(rows).write.parquet(path)
    before = run(world.lake, parse(twice))
    other = rows.selectExpr("id", "concat('NEW words entirely ', id) AS text")
    other.unionAll(other).write.mode("overwrite").parquet(paths["pool"])
    changed = run(world.lake, parse(twice))
    assert {r["text"][:3] for r in world.sql("SELECT text FROM {selection_twice}")} == {"NEW"}
    assert changed.inputs["documents"]["digest"] != before.inputs["documents"]["digest"]
    other.unionAll(other).write.mode("overwrite").parquet(paths["goals"])
    again = run(world.lake, parse(twice))
    assert again.fingerprints["alignment"] != changed.fingerprints["alignment"]
    assert again.run_id != changed.run_id
