"""compare over a small lake by hand: overlaps, figures and rows, selections that cannot be compared, and its words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lakesift as ls
from lakesift.jobs.commands.compare import named, pair_of, refuse_number
from lakesift.jobs.commands.comparison import Compared, Comparison
from lakesift.jobs.commands.page.content import Example
from lakesift.udfs.errors import InputError, LakeSiftError
from tests.jobs.commands.test_report_page import HOSTILE, OURS, Elements

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: d<i> has i + 1 tokens, quality i, and `other` 19 - i but for the first two rows, which have none.
RAW: dict[str, Any] = {
    "name": "long",
    "documents": {"table": "docs"},
    "scores": {"tokens": {"kind": "length_tokens"}},
    "where": "quality >= 4",
    "select": {"kind": "top_k", "by": "quality"},
    "budget": {"rows": 5},
    "controls": ["random"],
    "report": {"shares": ["module"]},
}
SHORT = {**RAW, "name": "short", "where": "", "select": {"kind": "top_k", "by": "other"}, "controls": []}
SHORT |= {"budget": {"rows": 14}, "report": {}}
#: Scores that are called like columns of a comparison.
SHORT |= {"scores": {**RAW["scores"], "set": {"kind": "length_bytes"}, "rows": {"kind": "length_tokens"}}}


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> ls.Lake:
    made = ls.Lake(str(tmp_path_factory.mktemp("lake")), spark=spark)
    rows = spark.range(20).selectExpr(
        "concat('d', id) AS id", "trim(repeat('a\u00e9 ', CAST(id + 1 AS INT))) AS text", "id AS quality",
        "IF(id % 2 = 0, 'even', '<b>odd\u202e') AS module", "IF(id < 2, NULL, 19 - id) AS other",
    )  # fmt: skip
    rows.coalesce(1).write.format("delta").save(made.tables.path("docs"))
    for raw in (RAW, SHORT):
        ls.run(made, raw)
    return made


@pytest.fixture(scope="module")
def later(lake: ls.Lake) -> ls.Lake:
    """A second version of `long`, of three rows."""
    ls.run(lake, {**RAW, "budget": {"rows": 3}})
    return lake


@pytest.mark.long
def test_overlaps_figures_and_rows_by_hand(lake: ls.Lake) -> None:
    """long@1 is d15 to d19, short@1 d2 to d15; 16 rows could be chosen by both."""
    before = {table: lake.tables.version(table) for table in lake.tables.tables()}
    found = lake.compare("long@1", "short")
    one, two = found.selections
    assert [s.label for s in found.selections] == ["long@1", "short@1"]
    assert [(s.could, s.rows, s.only_here) for s in found.selections] == [(16, 5, 4), (18, 14, 13)]
    assert (one.chosen_by, one.control, two.control) == ("top_k", "random of long@1", "")
    (pair,) = found.pairs
    assert (pair.both, pair.only_first, pair.only_second, pair.choosable) == (1, 4, 13, 16)
    # Of 16 rows long has 5 and short 12, so that they share 1 at least: 12 of 4,368 pairs of draws share no more.
    assert (pair.expected, pair.low, pair.high, pair.verdict) == (3.75, 2, 5, "less than by chance")
    assert (pair.jaccard, pair.expected_jaccard) == (pytest.approx(1 / 18), pytest.approx(3.75 / 15.25))
    totals = {n: (t["rows"], t["tokens"]) for n, t in found.totals.items()}
    assert (totals["long@1"], totals["short@1"]) == ((5, 16 + 17 + 18 + 19 + 20), (14, sum(range(3, 17))))
    assert totals["random of long@1"][0] == 5
    assert found.totals["short@1"]["rows (tokens)"] == totals["short@1"][1]
    assert found.scores["set"]["long@1"] == (5, 71.0, 67.0, 71.0, 75.0), "looked up where the score is"
    assert found.totals["long@1"]["bytes"] == sum(4 * n - 1 for n in range(16, 21))
    assert [*found.scores["tokens"]] == ["pool", "long@1", "short@1", "random of long@1"]
    assert found.scores["tokens"]["pool"] == (20, 10.5, 5.0, 10.0, 15.0)
    assert found.scores["tokens"]["long@1"] == (5, 18.0, 17.0, 18.0, 19.0)
    assert found.shares["module"]["short@1"] == {"even": 0.5, "<b>odd\u202e": 0.5}, "whoever names the column"
    assert [(e.id, e.rank) for e in found.examples["short@1"]] == [(f"d{i}", i - 1) for i in range(2, 12)]
    assert [(e.id, e.rank) for e in found.examples["long@1"]] == [(f"d{19 - i}", i + 1) for i in range(4)]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["pairs"][0]["verdict"] == "less than by chance"
    said = str(found)
    assert "comparison of long@1 and short@1, chosen from docs" in said
    assert "note: short@1 has no random control: name it under controls: and run again" in said
    assert "\u202e" not in said
    assert "<b>odd\\u202e" in said
    assert before == {table: lake.tables.version(table) for table in lake.tables.tables()}


@pytest.mark.long
@pytest.mark.parametrize(
    ("selections", "said"),
    [
        ((), "compare takes two selections or more, and 0 is named"),
        (("long",), "and 1 is named; name recipes or versions"),
        (("long",) * 9, "9 selections are more than the 8"),
        (("long", "long@1"), "long@1 is compared with itself: a name without a version is the newest"),
        (("long", "long@7"), "selection_long has no version 7; it has 0 to 1"),
        (("long", "long@0"), "version 0 of selection_long does not say what it was made from"),
        (("long@x", "short"), "names the version 'x'; give a recipe, or one with a version, a whole number"),
        (("long@-1", "short"), "names the version '-1'"),
        (("long", "short@\u00b2"), "names the version '\u00b2'"),
        (("long", "@1"), "names the version '1'"),
        (("long", "x' or 1=1\x1b[2J"), "there is no recipe"),
        (("long", {**RAW, "name": "never"}), "there is no selection of never in"),
    ],
)
def test_what_cannot_be_compared_is_said(lake: ls.Lake, selections: tuple[Any, ...], said: str) -> None:
    with pytest.raises(LakeSiftError) as caught:
        lake.compare(*selections)
    assert said in str(caught.value)


@pytest.mark.long
def test_versions_of_one_recipe(later: ls.Lake) -> None:
    """long@2 is d17 to d19; all three share no row, and all of its rows are among those of long@1."""
    found = later.compare("long@1", "short", ("long", 2))
    assert [(s.rows, s.only_here) for s in found.selections] == [(5, 1), (14, 13), (3, 0)]
    versions, last = found.pairs[1:]
    assert (versions.both, versions.expected, versions.high) == (3, 15 / 16, 2), "all three: 10 of 560 draws"
    assert [p.verdict for p in (versions, last)] == ["more than by chance", "less than by chance"]
    assert [*found.scores["tokens"]] == ["pool", "long@1", "short@1", "long@2", "random of long@1", "random of long@2"]
    assert found.examples["long@2"] == ()
    assert "no row was chosen by long@2 alone" in str(found)


@pytest.mark.long
def test_other_documents_other_ids_no_rows_and_vacuumed_versions(later: ls.Lake) -> None:
    lake, spark = later, later.spark
    lake.read("docs").where("quality > 2").write.format("delta").save(lake.tables.path("others"))
    ls.run(lake, {**SHORT, "name": "elsewhere", "documents": {"table": "others"}})
    with pytest.raises(InputError, match=r"long@2 was chosen from docs and elsewhere@1 from others: rows are told"):
        lake.compare("long", "elsewhere")
    ls.run(lake, {**SHORT, "name": "renamed", "documents": {"table": "docs", "id": "concat('x', id)"}, "keep": []})
    with pytest.raises(InputError, match=r"the ids of long@2 are 'id' and those of renamed@1 \"concat\('x', id\)\""):
        lake.compare("long", "renamed")
    spark.sql(f"INSERT INTO {lake.tables.ref('docs')} VALUES ('d20', 'a new one', 20, 'even', -1)")
    ls.run(lake, {**RAW, "budget": {"rows": 3}})
    found = lake.compare("long@2", "long@3")
    assert [(p.both, p.only_first, p.only_second, p.choosable) for p in found.pairs] == [(2, 1, 1, 16)]
    assert [*found.scores["tokens"]][:2] == ["pool of long@2", "pool of long@3"]
    assert (found.scores["tokens"]["pool of long@2"][0], found.scores["tokens"]["pool of long@3"][0]) == (20, 21)
    assert any("long@2 was chosen from version 0 of docs and long@3 from version 1" in note for note in found.notes)
    spark.sql(f"DELETE FROM {lake.tables.ref('selection_short')}")
    with pytest.raises(InputError, match="short@2 has no row, so that there is nothing to compare"):
        lake.compare("long", "short")
    for file in Path(lake.tables.path("selection_long")).glob("*.parquet"):
        file.unlink()
    with pytest.raises(InputError, match=r"files of .*long@1 or long@2.* are gone: VACUUM removes them"):
        lake.compare("long@1", "long@2")


def test_selections_by_name() -> None:
    assert [named(t) for t in ("kmq", "kmq@3", "a@b/mine.yaml", "s3://b@c/mine.yaml@12")] == [
        ("kmq", None), ("kmq", 3), ("a@b/mine.yaml", None), ("s3://b@c/mine.yaml", 12),
    ]  # fmt: skip
    for text in ("kmq@", "kmq@1.0", "kmq@ 1", "@", "kmq@1_0"):
        with pytest.raises(InputError, match="a whole number"):
            named(text)
    refuse_number(["a", "b"])


def test_rows_that_one_alone_could_choose_are_no_matter_of_chance() -> None:
    disjoint = pair_of({(1, 1): 5, (2, 2): 5, (1, 0): 5}, ["a@1", "b@1"], 0, 1)
    assert (disjoint.choosable, disjoint.expected, disjoint.low, disjoint.high) == (0, 0.0, 0, 0)
    assert disjoint.verdict == "as by chance"
    same = pair_of({(7, 5): 10, (7, 0): 990, (2, 2): 3}, ["a@1", "b@1", "c@1"], 0, 2)
    assert (same.jaccard, same.verdict, round(same.expected, 3)) == (1.0, "more than by chance", 0.1)


def comparison(bad: str) -> Comparison:
    labels = ["a@1", "b@2"]
    selections = tuple(Compared(n, n[0], 1, "feed", "top_k", None, 10, 3, 2, f"random of {n}") for n in labels)
    sets = ["pool", *labels, "random of a@1", "random of b@2"]
    return Comparison(
        documents=bad,
        selections=selections,
        pairs=(pair_of({(3, 0): 6, (3, 1): 2, (3, 2): 2, (3, 3): 1}, labels, 0, 1),),
        totals={name: {"rows": 3, "copies": 4, "bytes": 12, bad: None} for name in sets[1:]},
        scores={bad: {name: (3, 1.0, 0.5, 1.0, None if name == "pool" else 1.5) for name in sets}, "none": {}},
        shares={bad: {name: {bad: 0.75, "x": 0.25} for name in sets}},
        examples={"a@1": (Example(bad, 1, None, bad, len(bad)),), "b@2": (Example("x", 1, None, None, 0),)},
        notes=(bad,),
    )


ALL_AT_ONCE = "".join(text for text in HOSTILE if len(text) < 1000)


@pytest.mark.parametrize("bad", [ALL_AT_ONCE, *(pytest.param(t, marks=pytest.mark.long) for t in HOSTILE)])
def test_no_text_acts_on_terminal_or_browser(bad: str) -> None:
    pytest.importorskip("matplotlib")
    found = replace(comparison(bad), notes=())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\u2066\u200f\ud800]", str(found))
    page = found.to_html()
    assert page == found.to_html(), "the same bytes again"
    elements = Elements(page)
    assert elements.tags <= OURS
    assert not [a for a, _ in elements.attributes if a.startswith("on")]
    links = [v for a, v in elements.attributes if a in ("href", "src", "xlink:href")]
    assert all(v is not None and v.startswith("#") for v in links)
