"""at and explain of a recipe whose budget is in tokens: what a run with that many chooses, by hand and by runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import lakesift as ls
from lakesift.udfs.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

#: Tokens by id, in order of quality: they end at 5, 8, 16, 18, 27, 31, 32.
TOKENS = {"a": 5, "b": 3, "c": 8, "d": 2, "e": 9, "f": 4, "g": 1}
RAW: dict[str, Any] = {
    "name": "few",
    "documents": {"table": "docs"},
    "scores": {"tokens": {"kind": "length_tokens"}},
    "select": {"kind": "top_k", "by": "quality"},
    "budget": {"tokens": 17, "length": "tokens"},
    "controls": [],
}
SELECTORS: dict[str, dict[str, Any]] = {
    "top_k": {"by": "quality"}, "random": {}, "interval": {"bounds": {"quality": [-30, 40]}},
    "deita": {"by": "quality", "vector": "direction", "limit": 0.99}, "facility_location": {"vector": "direction"},
}  # fmt: skip


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> ls.Lake:
    made = ls.Lake(str(tmp_path_factory.mktemp("lake")), spark=spark)
    rows = [(name, 9.0 - i, " ".join(["word"] * n)) for i, (name, n) in enumerate(TOKENS.items())]
    rows += [("unranked", None, "a b c")]
    docs = spark.createDataFrame(rows, "id string, quality double, text string")
    docs.write.format("delta").save(made.tables.path("docs"))
    ls.run(made, RAW)
    return made


def test_the_longest_prefix_that_fits(lake: ls.Lake) -> None:
    shown = {tokens: lake.at("few", tokens=tokens) for tokens in (5, 17, 18, 26, 32, 500)}
    assert {n: "".join(shown[n].picks["id"]) for n in shown} == {
        5: "a", 17: "abc", 18: "abcd", 26: "abcd", 32: "abcdefg", 500: "abcdefg",
    }  # fmt: skip
    assert [shown[n].tokens for n in shown] == [5, 16, 18, 18, 32, 32]
    assert str(shown[26]).startswith("4 rows with 18 tokens, more than the 3 of selection_few, version 1; nothing is")
    assert "budget is 26 tokens, 18 are used: the next row, 'e', has 9" in str(shown[26])
    assert "budget is 500 tokens, the rows that could be selected have 32 (the order ends there)" in str(shown[500])
    assert "note:" not in str(shown[18]), "all are used"
    told = json.loads(json.dumps(shown[5].to_dict(), allow_nan=False))
    assert (told["tokens"], told["picks"]) == (5, [{"id": "a", "rank": 1, "gain": 9.0, "tokens_used": 5}])
    assert (lake.at("few", 2).tokens, lake.at("few").rows) == (None, 3)
    with pytest.raises(InputError, match=r"the budget is 4 tokens and the first row alone, 'a', has 5 by tokens"):
        lake.at("few", tokens=4)


def test_what_would_have_to_change_is_told_in_tokens(lake: ls.Lake) -> None:
    assert {row.id: row.change for row in lake.explain("few", "a", "b", "d", "g").rows} == {
        "a": "a where: that excludes it", "b": "a budget below 8 tokens",
        "d": "a budget of 18 tokens, or a gain above 7", "g": "a budget above 31 tokens, or a gain above 7",
    }  # fmt: skip


def test_a_budget_in_rows_counts_no_tokens(lake: ls.Lake) -> None:
    ls.run(lake, {**RAW, "name": "rows", "budget": {"rows": 2}})
    with pytest.raises(InputError, match="the budget of rows is not in tokens: it names no length"):
        lake.at("rows", tokens=9)


@pytest.mark.long
@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize("kind", sorted(SELECTORS))
def test_other_tokens_are_those_of_a_run(spark: SparkSession, tmp_path: Path, kind: str, truncate: bool) -> None:
    """Law: at has the ids, and the tokens of each, of a run with that budget; explain tells the least budgets."""
    lake = ls.Lake(str(tmp_path / "lake"), spark=spark)
    docs = spark.range(60).selectExpr(
        "CONCAT('r', id) AS id",
        "CAST(hash(id) % 50 AS DOUBLE) AS quality",
        "REPEAT('word ', 1 + CAST(pmod(hash(id, 1), 9) AS INT)) AS text",
        "ARRAY(FLOAT(SIN(id)), FLOAT(COS(id))) AS direction",
    )
    docs.write.format("delta").save(lake.tables.path("docs"))
    recipe = {**RAW, "select": {"kind": kind, **SELECTORS[kind]}}
    recipe["budget"] = {"tokens": 60, "length": "tokens", "truncate_last": truncate}
    ls.run(lake, recipe)
    places = lake.decisions("few").where("place IN (2, 5, 11)").orderBy("place").toPandas()
    told = lake.explain("few", *places["id"]).rows
    least = [int(row.change.split(" tokens")[0].split()[-1].replace(",", "")) for row in told]
    assert least == sorted(set(least))
    for place, tokens in zip(places["place"], least, strict=True):
        assert lake.at("few", tokens=tokens).rows == place
        assert lake.at("few", tokens=tokens - 1).rows == place - 1
    for tokens in (37, 150):
        shown = lake.at("few", tokens=tokens).picks
        again = ls.run(lake, {**recipe, "budget": {**recipe["budget"], "tokens": tokens}})
        chosen = again.selection.orderBy("rank").toPandas()
        assert shown["id"].tolist() == chosen["id"].tolist()
        if truncate:
            assert shown["tokens_used"].tolist() == chosen["tokens_used"].tolist()
