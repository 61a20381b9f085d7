"""A chain from a recipe to its tables: the rows of its stages by hand, counts by stage, notes, nothing new, diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import lakesift as ls
from lakesift.jobs.commands.diff import diff
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.run import run
from lakesift.udfs.errors import InputError
from tests.jobs.conftest import World, pool

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

ROWS = 120
DEDUP = {"kind": "semdedup", "cluster": "cells", "eps": 0.1}
SCORES = {
    "vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 64},
    "cells": {"kind": "kmeans", "k": 3},
    "tokens": {"kind": "length_tokens"},
}


def chain(name: str, select: Any, **changes: Any) -> Recipe:
    """A recipe over `docs`, of which a third are copies and one has no text."""
    raw = {
        "name": name, "documents": {"table": "docs"}, "scores": SCORES, "select": select, "budget": {"rows": 20},
        "controls": [], "keep": ["module"],
    }  # fmt: skip
    return parse({**raw, **changes})


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(spark, tmp_path_factory.mktemp("chains"))
    docs = [{k: d[k] for k in ("id", "text", "module")} for d in pool(ROWS * 2 // 3)]
    docs += [{**d, "id": f"{d['id']} copy", "text": f"{d['text']} "} for d in docs[: ROWS // 3]]
    world.put("docs", [*docs, {"id": "empty", "text": "", "module": "os"}])
    return world


def ids(lake: World, recipe: Recipe) -> list[str]:
    return [r["id"] for r in lake.lake.read(f"selection_{recipe.name}").orderBy("rank").collect()]


def test_a_chain_runs_and_says_what_each_stage_kept(lake: World) -> None:
    one = chain("two", [DEDUP, {"kind": "facility_location"}], controls=[[DEDUP, "random"]])
    made = run(lake.lake, one)
    first, last = made.counts["stages"]
    assert (first["kind"], first["rows"], first["undefined"]) == ("semdedup", ROWS + 1, 1)
    assert ROWS // 3 <= first["kept"] <= ROWS * 2 // 3, "no copy is left"
    assert last == {"kind": "facility_location", "rows": first["kept"], "undefined": 0, "kept": 20}
    lines = {s.step: (s.rows, s.computed, s.undefined) for s in made.steps}
    assert lines["select, stage 1: semdedup"] == (ROWS + 1, first["kept"], 1)
    assert lines["select, stage 2: facility_location"] == (first["kept"], 20, 0)
    out = ROWS - first["kept"]
    kept = f"stage 1: semdedup kept {first['kept']} of {ROWS + 1} rows (1 unranked, {out} left out)"
    assert f"select, {kept}" in made.notes
    of_control = (
        "controls: semdedup+random, stage 1: semdedup kept "  # another seed keeps other ones of near-duplicates
    )
    assert sum(note.startswith(of_control) for note in made.notes) == 1
    chosen = ids(lake, one)
    assert len({i.removesuffix(" copy") for i in chosen}) == 20
    again = run(lake.lake, one)
    assert again.noop
    assert again.counts == made.counts


@pytest.mark.long
def test_the_stages_as_recipes_by_hand(lake: World) -> None:
    one = chain("two", [DEDUP, {"kind": "facility_location"}])
    run(lake.lake, one)
    run(lake.lake, chain("first", DEDUP, budget={"rows": 10**6}, keep=["text", "module"]))
    second = chain("second", {"kind": "facility_location"}, documents={"table": "selection_first"})
    run(lake.lake, second)
    assert ids(lake, second) == ids(lake, one)
    tokens = {"budget": {"tokens": 400, "length": "tokens"}}
    run(lake.lake, chain("two", [DEDUP, {"kind": "facility_location"}], **tokens))
    run(lake.lake, chain("second", {"kind": "facility_location"}, documents={"table": "selection_first"}, **tokens))
    assert ids(lake, second) == ids(lake, one)
    assert lake.lake.read("selection_two").selectExpr("sum(tokens_used) AS n").collect()[0]["n"] <= 400


@pytest.mark.long
def test_a_first_stage_that_leaves_less_than_the_budget(lake: World) -> None:
    few = chain("few", [{"kind": "random", "rows": 8}, {"kind": "facility_location"}])
    made = run(lake.lake, few)
    out = ROWS + 1 - 8
    assert made.rows in (7, 8)  # the row without a vector may be among those drawn
    if made.rows == 8:
        assert (
            f"budget is 20 rows, 8 could be selected (0 ineligible, 0 unranked, {out} left out by stage 1 (random))"
            in (made.notes)
        )
    nothing = chain("nothing", [{"kind": "random", "rows": 5}, {"kind": "facility_location"}], where="text = ''")
    with pytest.raises(
        InputError, match=rf"no row of {ROWS + 1} can be selected \({ROWS} ineligible, 0 unranked, 1 unr"
    ):
        run(lake.lake, nothing)
    blind = chain("blind", [DEDUP, {"kind": "facility_location"}], where="text = ''")
    with pytest.raises(InputError, match=rf"no row of {ROWS + 1} can be selected \({ROWS} ineligible, 1 unranked\)"):
        run(lake.lake, blind)
    outside = {"kind": "interval", "bounds": {"tokens": [10**6, None]}}
    with pytest.raises(InputError, match="select, stage 2: no row lies inside"):
        run(lake.lake, chain("outside", [DEDUP, outside]))


@pytest.mark.long
def test_values_on_demand_are_of_the_rows_that_reach_the_stage(lake: World) -> None:
    scores = {
        **SCORES,
        "cells": {"kind": "kmeans", "k": 3, "centres": "points"},
        "ratio": {"kind": "compression_ratio"},
    }
    paid = {"kind": "sensitivity", "cluster": "cells", "loss": "ratio", "probes": 2}
    one = chain("paid", [{"kind": "random", "rows": 60}, paid], scores=scores)
    made = run(lake.lake, one)
    assert sum(r["copies"] for r in lake.lake.read("selection_paid").collect()) == 20
    assert any("sum of 'ratio' over " in note for note in made.notes), made.notes
    fit: dict[str, Any] = {
        "scores": {"fit": {"kind": "zipfit", "target": "goals"}, "tokens": {"kind": "length_tokens"}},
        "targets": {"goals": {"table": "docs", "where": "module = 'm1'"}},
    }
    race = {"kind": "zipfit_race", "by": "fit"}
    for select in ([{**race, "rows": 30}, "random"], [{"kind": "random", "rows": 50}, race]):
        assert run(lake.lake, chain("raced", select, **fit)).rows == 20


@pytest.mark.long
def test_plan_history_diff_and_recipe_know_chains(spark: SparkSession, tmp_path: Path) -> None:
    world = World(spark, tmp_path)
    world.put("docs", [{k: d[k] for k in ("id", "text", "module")} for d in pool(60)])
    lake = ls.Lake(str(tmp_path), spark=spark)
    one = chain("two", [DEDUP, {"kind": "facility_location"}])
    planned = ls.plan(lake, one)
    assert {"select, stage 1 semdedup", "select, stage 2 facility_location"} <= {
        line["holds"] for line in planned.to_dict()["memory"]
    }
    run(world.lake, one)
    other = chain("two", [{**DEDUP, "eps": 0.9}, {"kind": "facility_location"}])
    made = run(world.lake, other)
    kept = made.counts["stages"][0]["kept"]
    assert kept < 60
    told = diff(world.lake, other, [])
    assert told.stages[0].startswith("stage 1, semdedup: kept ")
    assert told.stages[0].endswith(f" of 60 rows, keeps {kept} of 60")
    assert set(told.went_by_reason) <= {
        "semdedup left it out, or others rank better", "semdedup left it out, or the selection is smaller"
    }  # fmt: skip
    assert "select.1.eps 0.1 -> 0.9" in str(lake.history("two"))
    assert "eps: 0.9" in str(lake.recipe("two"))
