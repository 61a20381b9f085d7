"""Held-out texts: sampled by their hash, refused where scores saw them, counted where they stand; draws on Spark."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from lakesift.jobs.commands import report_held_out
from lakesift.jobs.commands.report import report
from lakesift.jobs.commands.report_held_out import held_out_texts
from lakesift.jobs.inputs.opening import open_documents, open_targets
from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.run import run
from lakesift.jobs.selectors.selector import Pool
from lakesift.udfs.errors import InputError
from lakesift.udfs.found_texts import text_key
from tests.jobs.conftest import World
from tests.texts import functions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TEXTS = list({text_key(text): text for text in functions()}.values())  # no two alike in any spelling
#: 60 rows of 50 texts: every tenth text stands twice; even and odd parts have no text in common.
GOALS = [{"n": i, "part": "ab"[i % 50 % 2], "text": TEXTS[i % 50]} for i in range(60)]
PLANTED = TEXTS[1:31:2]
#: 116 documents, 15 of the 25 held-out texts in two spellings, and one that is fitted on.
DOCS = [{"id": f"d{i}", "tag": "abc"[i % 3], "text": text} for i, text in enumerate(TEXTS[60:176])]
DOCS += [
    {"id": f"h{i}", "tag": "a", "text": text}
    for i, text in enumerate([f"  {t.upper()}\u200b" if "%" in t else t for t in PLANTED] + [TEXTS[2]])
]


def recipe(name: str = "held", **changes: Any) -> Recipe:
    raw: dict[str, Any] = {
        "name": name,
        "documents": {"table": "docs"},
        "targets": {"goals": {"table": "goals", "where": "part = 'a'", "held_out": "part = 'b'"}},
        "scores": {"tokens": {"kind": "length_tokens"}, "wanted": {"kind": "ngram_overlap", "target": "goals"}},
        "select": {"kind": "stratified", "column": "tag", "quota": {"a": 30}},
        "budget": {"rows": 30},
        "controls": ["random", "length_matched", {"kind": "top_k", "by": "tokens"}],
        "report": {"shares": ["tag"]},
        "salt": "one",  # the recipes of both orders draw alike
    }
    return parse({**raw, **changes})


@pytest.fixture(scope="module")
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(spark, tmp_path_factory.mktemp("held"))
    made.put("goals", GOALS, files=1)
    made.put("backwards", GOALS[::-1], files=1)
    made.put("docs", DOCS)
    return made


def held_out(world: World, of: Recipe) -> dict[str, list[str]]:
    documents = open_documents(world.lake, of)
    return held_out_texts(documents, open_targets(world.lake, documents))


ALIGNED = {"tokens": {"kind": "length_tokens"}, "near": {"kind": "zipfit", "target": "goals"}}
LEAKS: dict[str, tuple[dict[str, Any], str]] = {
    "the same rows": (
        {"targets": {"goals": {"table": "goals", "where": "part = 'a'", "held_out": "part = 'a'"}}, "scores": ALIGNED},
        "targets.goals: 25 of 25 held-out texts are also among those that scores are fitted on (where: \"part = 'a'\")",
    ),
    "no where:": (
        {"targets": {"goals": {"table": "goals", "held_out": "part = 'a'"}}, "scores": ALIGNED},
        "targets.goals: 25 of 25 held-out texts are also among those that scores are fitted on (without where: every",
    ),
    "other rows with the same texts": (
        {"targets": {"goals": {"table": "goals", "where": "n < 50", "held_out": "n >= 50"}}, "scores": ALIGNED},
        "targets.goals: 10 of 10 held-out texts are also",
    ),
    "another target": (
        {
            "targets": {
                "goals": {"table": "goals", "where": "n < 3"},
                "exam": {"table": "backwards", "held_out": "n < 9"},
            },
            "scores": ALIGNED,
        },
        "targets.exam: 3 of 9 held-out texts are also among those that scores are fitted on (without where: every row",
    ),
}


@pytest.mark.parametrize("case", LEAKS)
def test_held_out_texts_that_scores_saw_are_refused(world: World, case: str) -> None:
    changes, sentence = LEAKS[case]
    with pytest.raises(InputError) as refused:
        held_out(world, recipe(**changes))
    assert str(refused.value).startswith(sentence), refused.value
    assert "\n" not in str(refused.value)
    assert "run again" in str(refused.value)


def test_what_is_only_looked_for_or_not_fitted_on_is_no_leak(world: World) -> None:
    """`ngram_overlap` looks for the whole exam so that it stays out; without a score of its own a target is judged."""
    exam = {"exam": {"table": "goals", "held_out": "part = 'b'"}}
    seen = {"tokens": {"kind": "length_tokens"}, "seen": {"kind": "ngram_overlap", "target": "exam"}}
    texts = held_out(world, recipe(targets=exam, scores=seen))
    assert sorted(texts["exam"]) == sorted(r["text"] for r in GOALS if r["part"] == "b")


@pytest.mark.long
def test_a_report_does_not_depend_on_the_order_of_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of 11 of 30 held-out rows; what is found; what several draws are."""
    monkeypatch.setattr(report_held_out, "HELD_OUT_ROWS", 11)
    first = recipe()
    run(world.lake, first)
    then = report(world.lake, first)
    assert then == report(world.lake, first)
    exam = then.held_out_bits_per_byte["goals"]
    sampled = set(held_out(world, first)["goals"])
    assert exam["held_out_rows"] == 11
    assert exam["held_out_texts"] == len(sampled) <= 11
    assert exam["found_in_documents"] == len(sampled & set(PLANTED)) > 2
    assert exam["worth"] == {"why_not": "11 held-out texts are too few to tell, of 20 at least"}
    chosen = {r["id"] for r in world.sql("SELECT id FROM {selection_held}")}
    in_selection = sampled & {text for i, text in enumerate(PLANTED) if f"h{i}" in chosen}
    assert exam["found_in_selection"] == len(in_selection) > 0
    second = recipe("turned", targets={"goals": {**vars_of(first), "table": "backwards"}})
    world.put("docs", DOCS[::-1], files=1)
    run(world.lake, second)
    now = report(world.lake, second)
    same = {"recipe": "held", "run_id": then.run_id, "notes": then.notes, "selection_version": then.selection_version}
    assert replace(now, **same) == then
    _check_draws(world, first, then)


def vars_of(of: Recipe) -> dict[str, str]:
    target = of.targets["goals"]
    return {"where": target.where, "held_out": target.held_out}


def _check_draws(world: World, of: Recipe, then: Any) -> None:
    """The report of `docs` as they were: each of the ten draws made here, by the selector alone."""
    assert then.draws == {"random": 10, "length_matched": 10, "top_k": 1}
    rows = world.lake.read("scores_held").join(world.lake.read("docs").select("id", "tag"), "id")
    tags = {r["id"]: r["tag"] for r in rows.collect()}
    tokens = {r["id"]: r["tokens"] for r in rows.collect()}
    selected = world.lake.read("selection_held").select("id", "rank", "gain", "weight", "copies").toPandas()
    stored = {r["control"] for r in world.sql("SELECT DISTINCT control FROM {controls_held}")}
    assert stored == {"random", "length_matched", "top_k"}
    shares, medians = [], []
    for number in range(1, 11):
        seed = of.seed_of("random", *([number] if number > 1 else []))
        pool = Pool(rows, 30, seed, {}, cast(Any, None), lambda _: None, selected)
        ids = of.controls["random"].select(pool)["id"].tolist()
        if number == 1:
            assert set(ids) == {r["id"] for r in world.sql("SELECT id FROM {controls_held} WHERE control = 'random'")}
        shares.append(np.mean([tags[i] == "a" for i in ids]))
        medians.append(sorted(tokens[i] for i in ids)[14])
    assert len(set(shares)) > 3
    assert then.shares["tag"]["random"]["a"] == pytest.approx(np.mean(shares))
    half = 2.262157162740992 * np.std(shares, ddof=1) * np.sqrt(1.1)
    assert then.plus_minus["shares"]["tag"]["random"]["a"] == pytest.approx(half)
    assert then.quantiles["tokens"]["random"][2] == pytest.approx(np.mean(medians))
    assert then.plus_minus["quantiles"]["tokens"]["top_k"] == [None] * 5
    single = report(world.lake, recipe(report={"shares": ["tag"], "draws": 1}), 1)
    assert single.draws == {"random": 1, "length_matched": 1, "top_k": 1}
    assert single.shares["tag"]["random"]["a"] == pytest.approx(shares[0])
    edited = report(world.lake, recipe(seed=7), 1)
    assert set(edited.draws.values()) == {1}
    assert "one draw of each control is shown: the recipe is another one now" in edited.notes
