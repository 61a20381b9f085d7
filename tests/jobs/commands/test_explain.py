"""explain and at over a small lake by hand: every decision, other budgets, old versions, and ids that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import pytest

import lakesift as ls
from lakesift.jobs.commands.other_budget import budget_of
from lakesift.jobs.selectors.near_duplicates import Deita
from lakesift.udfs.errors import InputError, LakeSiftError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

#: Directions in a plane: those of 10 degrees are near-duplicates of those of 0, by a cosine of .985.
ROWS: list[tuple[str, str, float | None, list[float] | None, str]] = [
    ("best", "os", 9.0, [1.0, 0.0], "one two three"),
    ("twin", "os", 8.0, [0.985, 0.174], "one two three"),
    ("second", "re", 7.0, [0.0, 1.0], "one two three"),
    ("third", "re", 6.0, [-1.0, 0.0], "one two three"),
    ("fourth", "re", 5.0, [0.0, -1.0], "one two three"),
    ("late twin", "re", 4.0, [0.0, -1.0], "one two three"),
    ("fifth", "os", 3.0, [0.7, 0.714], "one two three"),
    ("no quality", "os", None, [0.6, 0.8], "one two three"),
    ("no vector", "os", 2.5, None, "one two three"),
    ("short", "os", 99.0, [0.5, 0.5], "one"),
    ("test", "test", 98.0, [0.5, 0.6], "one"),
    ("A'b\n\u202e\"", "re", 2.0, [-0.7, -0.714], "one two three"),
]
COLUMNS = "id string, module string, quality double, direction array<float>, text string"
RAW: dict[str, Any] = {
    "name": "few",
    "documents": {"table": "docs"},
    "scores": {"tokens": {"kind": "length_tokens"}},
    "where": "tokens >= 2 AND module <> 'test'",
    "select": {"kind": "deita", "by": "quality", "vector": "direction", "limit": 0.9},
    "budget": {"rows": 3},
    "controls": [],
    "keep": ["module"],
}
DECIDED = {
    "best": "selected", "twin": "near-duplicate", "second": "selected", "third": "selected",
    "fourth": "below the cut", "late twin": "near-duplicate", "fifth": "below the cut", "no quality": "undefined",
    "no vector": "undefined", "short": "ineligible", "test": "ineligible", ROWS[-1][0]: "below the cut",
}  # fmt: skip


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> ls.Lake:
    made = ls.Lake(str(tmp_path_factory.mktemp("lake")), spark=spark)
    spark.createDataFrame(ROWS, COLUMNS).coalesce(1).write.format("delta").save(made.tables.path("docs"))
    ls.run(made, RAW)
    return made


def test_every_decision_with_its_reason(lake: ls.Lake) -> None:
    before = {table: lake.tables.version(table) for table in lake.tables.tables()}
    found = lake.explain("few", *DECIDED, "BEST", "nobody", "\udc80", "")
    rows = {row.id: row for row in found.rows}
    assert {i: rows[i].decision for i in DECIDED} == DECIDED
    assert [row.id for row in found.rows] == [*DECIDED, "BEST", "nobody", "\udc80", ""]
    said = {i: rows[i].text for i in rows}
    assert said["best"].startswith(
        "'best' is selected: rank 1 of 3 that deita chose from 8, gain 9 where the cut is 6."
    )
    assert rows["second"].change == "a budget below 2 rows"
    assert (rows["twin"].duplicate_of, rows["late twin"].duplicate_of) == ("best", "fourth")
    assert rows["twin"].similarity == pytest.approx(0.985, abs=1e-3)
    assert "comes after 'best', at cosine 0.98" in said["twin"]
    assert "place 4 in the order of deita, which is cut at 3; its gain 5 is 1 below the cut of 6" in said["fourth"]
    assert rows["fourth"].change == "a budget of 4 rows, or a gain above 6"
    assert rows["no quality"].reason == "quality is undefined"
    assert rows["no vector"].reason == "direction is undefined"
    assert said["short"].startswith("'short' is ineligible: where: tokens >= 2 does not hold (tokens is '1').")
    assert "module <> 'test' does not hold (module is 'test')" in said["test"], "every clause that does not hold"
    assert rows["fifth"].nearest == "second", "chosen rows alone, .714 beside .7"
    assert rows["BEST"].decision == "not in the pool"
    assert "it has 'best'" in said["BEST"]
    assert rows["\udc80"].decision == rows[""].decision == rows["nobody"].decision == "not in the pool"
    assert "\n" not in "".join(said.values()), "ids of rows make no lines"
    assert "\u202e" not in str(found), "nor do they turn text round"
    assert [q for n, _, q in rows["short"].scores if n == "tokens"] == [pytest.approx(2 / 12)]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["rows"][0]["decision"] == "selected"
    assert {table: lake.tables.version(table) for table in lake.tables.tables()} == before, "nothing is written"


def test_what_is_decided_is_what_was_selected(lake: ls.Lake) -> None:
    rows = lake.decisions("few").toPandas().set_index("id")
    assert rows["decision"].to_dict() == DECIDED
    assert set(rows.index[rows["decision"] == "selected"]) == set(lake.selection("few").toPandas()["id"])
    other = lake.at("few", 5)
    assert other.picks["id"].tolist() == ["best", "second", "third", "fourth", "fifth"]
    assert (other.rows, other.selected, other.curve.rows[-1][0]) == (5, 3, 6)
    chosen = lake.sql("SELECT id FROM decisions_few WHERE place <= 5 ORDER BY place").to_dict()
    assert [row["id"] for row in chosen] == ["best", "second", "third", "fourth", "fifth"]


def test_a_session_ranks_a_version_once(lake: ls.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = str(lake.explain("few", "fourth"))
    monkeypatch.setattr(Deita, "_compared", lambda *_: pytest.fail("ranked again"))
    picks = lake.at("few", 2).picks
    picks["id"] = "changed"
    assert str(lake.explain("few", "fourth")) == first
    assert lake.at("few", 3).picks["id"].tolist() == ["best", "second", "third"], "nobody changes what is kept"


@pytest.mark.long
def test_other_budgets_are_those_of_a_run_and_old_versions_stay(lake: ls.Lake) -> None:
    shown = {n: lake.at("few", n) for n in (1, 2, 5, 50, 0.3)}
    assert {n: shown[n].rows for n in shown} == {1: 1, 2: 2, 5: 5, 50: 6, 0.3: 4}
    assert "50 rows are wanted, the order has 6" in str(shown[50])
    run = ls.run(lake, {**RAW, "budget": {"rows": 5}})
    ids = run.selection.orderBy("rank").toPandas()["id"].tolist()
    assert shown[5].picks["id"].tolist() == ids == shown[50].picks["id"].tolist()[:5]
    assert lake.at("few", 2).picks["id"].tolist() == ids[:2]
    assert shown[5].curve.rows[-1][0] == 6
    assert json.loads(json.dumps(shown[0.3].to_dict(), allow_nan=False))["picks"][3] == {
        "id": "fourth", "rank": 4, "gain": 5.0,
    }  # fmt: skip
    old = lake.explain("few", "fourth", "new", version=1).rows
    assert [row.decision for row in old] == ["below the cut", "not in the pool"]
    assert lake.explain("few", "fourth").rows[0].decision == "selected"
    for wrong in (0, -3, 1.5, True, float("nan")):
        with pytest.raises(InputError, match=r"the budget is .*; give rows from 1"):
            lake.at("few", wrong)
    with pytest.raises(InputError, match="has no version 77"):
        lake.explain("few", "best", version=77)
    with pytest.raises(InputError, match="version 0 of selection_few does not say"):
        lake.at("few", 2, version=0)
    lake.spark.sql(f"UPDATE {lake.tables.ref('docs')} SET quality = 9.5 WHERE id = 'fifth'")
    lake.spark.sql(f"INSERT INTO {lake.tables.ref('docs')} VALUES ('new', 'os', 1.0, array(1.0, 1.0), 'a b c')")
    before = lake.explain("few", "new", "fifth")
    assert "docs has it since" in before.rows[0].text
    assert before.rows[1].gain == 3.0, "of the documents as the run had them"
    assert "the newest is 2" in " ".join(before.notes)
    for file in lake.read("docs", 0).inputFiles():  # as VACUUM does
        Path(unquote(urlparse(file).path)).unlink()
    assert lake.at("few", 2).picks["id"].tolist() == ids[:2], "a session keeps the order that it ranked"
    new = ls.Lake(lake.tables.root, spark=lake.spark)
    for ask in (lambda: lake.explain("few", "best"), lambda: new.explain("few", "best"), lambda: new.at("few", 2)):
        with pytest.raises(InputError, match="files of what version 2 of selection_few was chosen from are gone"):
            ask()


@pytest.mark.long
def test_a_session_answers_as_a_new_one_does(spark: SparkSession, tmp_path: Path) -> None:
    """Law: whatever changes in the lake between two questions, the second is answered as if it were the first."""
    lake = ls.Lake(str(tmp_path / "lake"), spark=spark)
    docs, chosen = lake.tables.ref("docs"), lake.tables.ref("selection_few")
    few = spark.createDataFrame(ROWS[:9], COLUMNS)
    few.coalesce(1).write.format("delta").save(lake.tables.path("docs"))
    ls.run(lake, RAW)
    changes: dict[str, Callable[[], Any]] = {
        "nothing": lambda: None,
        "other documents": lambda: spark.sql(f"UPDATE {docs} SET quality = 9.5 WHERE id = 'fifth'"),
        "a row by hand": lambda: spark.sql(f"UPDATE {chosen} SET rank = 7 WHERE id = 'best'"),
        "another choice": lambda: ls.run(lake, {**RAW, "budget": {"rows": 4}}),
        "memos in other files": lambda: spark.sql(f"OPTIMIZE {lake.tables.ref('memos')}"),
        "another recipe": lambda: None,
        "an older version": lambda: None,
    }
    for what, change in changes.items():
        change()
        recipe: Any = {**RAW, "budget": {"rows": 2}} if what == "another recipe" else "few"
        version = 1 if what == "an older version" else None
        new = ls.Lake(lake.tables.root, spark=spark)
        for ids in (["best", "fifth"], ["fourth", "nobody"]):
            answers = [str(one.explain(recipe, *ids, version=version)) for one in (lake, new)]
            assert answers[0] == answers[1], what
        assert str(lake.at(recipe, 4, version)) == str(new.at(recipe, 4, version)), what
    Path(str(lake.tables.path("docs"))).rename(tmp_path / "elsewhere")
    few.limit(3).write.format("delta").save(lake.tables.path("docs"))
    with pytest.raises(InputError, match="docs was dropped and made anew"):
        lake.explain("few", "best", version=1)


def test_what_has_no_versions_is_read_again(spark: SparkSession, tmp_path: Path) -> None:
    lake, recipe = ls.Lake(str(tmp_path / "lake"), spark=spark), {**RAW, "documents": {"table": "global_temp.few_rows"}}
    spark.createDataFrame(ROWS[:6], COLUMNS).createOrReplaceGlobalTempView("few_rows")
    ls.run(lake, recipe)
    assert lake.explain(recipe, "fourth").rows[0].decision == "below the cut"
    spark.createDataFrame(ROWS[:4], COLUMNS).createOrReplaceGlobalTempView("few_rows")
    with pytest.raises(InputError, match="was chosen from 6 rows, and 4 can be ranked"):
        lake.explain(recipe, "fourth")
    spark.catalog.dropGlobalTempView("few_rows")


@pytest.mark.parametrize(("text", "budget"), [("300", 300), ("0.03", 0.03), ("3%", 0.03), ("1", 1), ("1.0", 1.0)])
def test_budgets_of_the_command_line(text: str, budget: float) -> None:
    assert budget_of(text) == budget
    assert type(budget_of(text)) is type(budget)


@pytest.mark.parametrize("text", ["", "a", "nan", "inf", "%", "0x10", "1,5", "١"])
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(LakeSiftError, match="the budget is"):
        budget_of(text)
