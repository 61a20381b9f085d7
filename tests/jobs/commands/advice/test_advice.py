"""advise over tables: the same sample for any partitioning, facts by own computation, measuring, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lakesift
from lakesift.jobs.commands.advice import sampled_rows
from lakesift.jobs.commands.advice.advice import advise
from lakesift.jobs.commands.advice.gathered import gather
from lakesift.jobs.recipe import parse
from lakesift.udfs.errors import InputError, LakeSiftError, RecipeError
from tests.jobs.conftest import World, pool, recipe
from tests.texts import human_eval

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GOALS = [{"n": n, "prompt": text} for n, text in enumerate(human_eval(80))]
TARGETS = {"goals": {"table": "goals", "text": "prompt", "where": "n % 2 = 0", "held_out": "n % 2 = 1"}}


@pytest.fixture(scope="module")
def advised(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(spark, tmp_path_factory.mktemp("advised") / "lake")
    made.put("docs", [{**row, "judged": float(i % 7)} for i, row in enumerate(pool(300))])
    made.put("goals", GOALS)
    return made


def made(**changes: Any) -> Any:
    return recipe("told", targets=TARGETS, **changes)


@pytest.mark.long
def test_facts_and_advice_of_a_small_lake(advised: World) -> None:
    """One pass over the command: where: over a score and a column, facts by own computation, JSON."""
    told = made(where="tokens >= 20 AND module <> 'm4' AND ratio < 0.9", budget={"fraction": 0.1})
    given = advise(advised.lake, told, loss="judged")
    facts = given.facts
    assert facts.documents == 300
    assert 0 < facts.sampled == facts.eligible < 240
    assert facts.budget == 30
    assert given.rule == "estimate"
    assert facts.loss is not None
    assert facts.loss[0] == "judged"
    assert dict(facts.lengths)["ratio"] < 0
    assert facts.target is not None
    assert facts.target.texts == 40
    assert json.loads(json.dumps(given.to_dict()))["rule"] == "estimate"
    assert "trials" not in advised.versions()


@pytest.mark.long
def test_the_sample_is_the_same_for_any_partitioning_and_repeated_ids(spark: SparkSession, tmp_path: Path) -> None:
    rows = pool(300)
    repeated = [*rows, *rows[:50]]
    found = []
    for files, some in ((1, rows), (7, list(reversed(rows))), (3, repeated)):
        world = World(spark, tmp_path / f"lake{files}")
        world.put("docs", some, files=files)
        world.put("goals", GOALS)
        gathered = gather(world.lake, made(), 120)
        found.append((gathered.sampled.ids, gathered.sampled.texts, gathered.facts.near_95, gathered.facts.targets))
        assert len(set(gathered.sampled.ids)) == 120
        assert "".join(sorted(gathered.sampled.numbers)) == "alignmentratiotokens"
    assert found[0] == found[1]
    assert found[0][0] == found[2][0]
    more = gather(world.lake, made(), 200).sampled.ids
    assert more[:120] == found[0][0], "a larger sample begins with the smaller one"


@pytest.mark.long
def test_measuring_takes_what_helps_writes_its_recipe_and_keeps_trials(advised: World, tmp_path: Path) -> None:
    out = tmp_path / "chosen.yaml"
    told = made(budget={"rows": 30})
    for _ in range(2):  # the second time finds its trials
        given = lakesift.advise(lakesift.Lake(str(advised.root), advised.spark), told, measure=True, out=str(out))
    measured = given.measured
    assert measured is not None
    methods = {row[0]: row for row in measured.table.rows}
    assert set(methods) == {"random", "coverage", "zipfit", "dsir per token", "target_similarity"}
    lines = advised.lake.read("trials").where("learner = 'byte_5gram'").toPandas()
    assert len(lines) == 2 * (5 + 4)
    test = lines[lines["split"] == "test"].groupby("method")["metric"].mean()
    assert all(test[m] == pytest.approx(row[3]) for m, row in methods.items())
    assert measured.choice in measured.verdict
    parsed = lakesift.recipe(str(out))
    assert parsed.name == "told_advised"
    kinds = {"random": "random", "coverage": "semdedup+facility_location"}
    assert parsed.selector.kind == kinds.get(measured.choice, "top_k")
    assert measured.verdict[:40] in out.read_text()


@pytest.mark.long
def test_memos_are_read_where_a_score_is_slow(advised: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told = made()
    monkeypatch.setattr(sampled_rows, "SECONDS", 0.03)  # 40 targets take .0004 a row
    given = advise(advised.lake, told)
    assert any("alignment is not in the facts" in note for note in given.notes)
    with pytest.raises(InputError, match="where: reads the score alignment"):
        advise(advised.lake, made(where="alignment > -9"))
    lakesift.run(lakesift.Lake(str(advised.root), advised.spark), told, "score")
    after = gather(advised.lake, told, 4_000).sampled
    monkeypatch.setattr(sampled_rows, "SECONDS", 1e9)
    computed = gather(advised.lake, told, 4_000).sampled
    assert after.unknown == {}
    for name, values in computed.numbers.items():
        assert np.array_equal(after.numbers[name], values, equal_nan=True), name


FEW = {"goals": {"table": "goals", "text": "prompt", "where": "n >= 30", "held_out": "n < 10"}}
OWN = {"goals": {"table": "docs", "where": "module = 'none'", "held_out": "module = 'm2'"}}
NONE = {"goals": {"table": "goals", "text": "prompt"}}


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "asked", "words"),
    [
        ({"where": "tokens > 1000000"}, {}, "none of 300 documents that were drawn is let in"),
        ({"where": "module = 'none'"}, {}, "has no rows for which module = 'none' holds"),
        ({}, {"rows": 0}, "rows is 0"),
        ({}, {"rows": 20_001}, "rows is 20001"),
        ({}, {"loss": "judge"}, "'judge' is no score or column; did you mean 'judged'"),
        ({}, {"loss": "module"}, "'module' is string, not a number"),
        ({"targets": NONE}, {"measuring": True}, "has no held-out rows, and a choice measured on the pool's own rows"),
        ({"targets": FEW}, {"measuring": True}, "there are 10 different held-out texts; 20 that are not in the pool"),
        ({"targets": OWN}, {"measuring": True}, "of them stand among the documents"),
    ],
)
def test_bad_input(advised: World, changes: dict[str, Any], asked: dict[str, Any], words: str) -> None:
    with pytest.raises(LakeSiftError) as found:
        advise(advised.lake, recipe("told", **{"targets": TARGETS, **changes}), **asked)
    assert isinstance(found.value, InputError | RecipeError)
    assert words in str(found.value)


@pytest.mark.long
def test_odd_pools_have_advice(spark: SparkSession, tmp_path: Path) -> None:
    """Fewer rows than the sample, no target, one score, null texts, a target without text."""
    world = World(spark, tmp_path / "lake")
    rows: list[dict[str, Any]] = [{**row, "text": None if i % 3 else row["text"]} for i, row in enumerate(pool(40))]
    world.put("docs", rows)
    world.put("goals", [{"n": n, "prompt": ""} for n in range(30)])
    plain = {"name": "plain", "documents": {"table": "docs"}, "select": {"kind": "random"}, "budget": {"rows": 60}}
    given = advise(world.lake, parse(plain))
    assert (given.facts.sampled, given.rule) == (40, "coverage")
    assert any("all will be taken" in note for note in given.notes)
    assert advise(world.lake, parse({**plain, "budget": {"rows": 5}})).same, "random is what the recipe does"
    goals = {"goals": {"table": "goals", "text": "prompt"}}
    empty = advise(world.lake, parse({**plain, "targets": goals}))
    assert any("fewer than two different texts" in note for note in empty.notes)
    tokens = advise(world.lake, parse({**plain, "budget": {"tokens": 1_000, "length": "tokens"},
                                       "scores": {"tokens": {"kind": "length_tokens"}}}))  # fmt: skip
    assert 1 <= tokens.facts.budget < 40
