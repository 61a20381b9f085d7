"""The table of rules as cases: which advice follows from which facts, with evidence, in keys that a recipe takes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakesift.jobs.commands.advice.advice import Advice, advice_of
from lakesift.jobs.commands.advice.blocks import in_recipe, with_block
from lakesift.jobs.commands.advice.calibration import BANDS, TARGET_BANDS, band_of, target_band_of
from lakesift.jobs.commands.advice.candidates import BLOCKS
from lakesift.jobs.commands.advice.facts import Facts, Likeness, Quality
from lakesift.jobs.commands.advice.rules import AGAINST, CHOICES, Figure, against, choice_of
from lakesift.jobs.recipe import parse, shipped
from lakesift.jobs.recipe.keys import keys_of
from lakesift.udfs.errors import PlatformError

POOL = Facts("r", "top_k", 80_000, 60_000, 4_000, 500, 0.2, 0.15)
KEYS: dict[str, Any] = {
    "name": "r",
    "documents": {"table": "docs"},
    "targets": {"t": {"table": "goals", "held_out": "id < 9"}, "u": {"table": "others"}},
    "scores": {"tokens": {"kind": "length_tokens"}, "judge": {"kind": "compression_ratio"}},
    "select": {"kind": "top_k", "by": "judge"},
    "budget": {"rows": 500},
}


def target(typical: float, reach: float = 1.0) -> tuple[Likeness, ...]:
    return (Likeness("u", 50, 2.0, 2.0), Likeness("t", 100, typical, reach))


CASES: dict[str, tuple[Facts, Any]] = {
    "nothing": (POOL, "coverage"),
    "few rows": (replace(POOL, budget=19), "fewer than 20 rows"),
    "as many as are enough": (replace(POOL, budget=20), "coverage"),
    "copies": (replace(POOL, near_95=0.6), "coverage"),
    "a judge": (replace(POOL, qualities=(Quality("judge", 0.3, 0.09, 0.1),)), "coverage by quality"),
    "length as a judge": (replace(POOL, qualities=(Quality("judge", 0.3, 0.09, -0.7),)), "coverage"),
    "a judge that says nothing": (replace(POOL, qualities=(Quality("judge", 0.0, 0.0, None),)), "coverage"),
    "likeness is no judge": (replace(POOL, qualities=(Quality("judge", 0.3, 0.09, 0.1, False),)), "coverage"),
    "a far target": (replace(POOL, targets=target(0.3)), "a target"),
    "a far target, much": (replace(POOL, targets=target(0.3), budget=6_000), "a target"),
    "a far target, few rows": (
        replace(POOL, targets=target(0.3), budget=9),
        "a target",
    ),
    "a near target": (replace(POOL, targets=target(0.7)), "a target"),
    "the pool's own kind": (replace(POOL, targets=target(0.95), near_95=0.1), "a pool of the target's kind"),
    "its own kind with copies": (replace(POOL, targets=target(0.95), near_95=0.4), "coverage"),
    "a target of one text": (replace(POOL, targets=(Likeness("t", 1, None, None),)), "coverage"),
    "an estimate": (replace(POOL, estimates=True, targets=target(0.3), budget=5), "estimate"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_case_has_its_rule_and_keys_that_a_recipe_takes(name: str) -> None:
    facts, rule = CASES[name]
    given = advice_of(facts, parse(KEYS))
    assert given.rule == rule
    keys = with_block(KEYS, given.block, "advised")
    again = parse(keys)
    assert again.name == "advised"
    assert yaml.safe_load(given.yaml)["select"] == given.block.select
    assert in_recipe(choice_of(facts).block(facts), again).scores == {}, "the scores are those that it has now"
    assert advice_of(facts, again).same
    assert not given.same or keys["select"] == KEYS["select"]


def test_every_rule_is_reached_and_has_evidence() -> None:
    reached = {rule for _, rule in CASES.values()}
    left = {rule.name for rule in CHOICES} - reached
    assert left <= {"random is as good"}  # reached where a band of the calibration has no certain gain
    for facts, rule in CASES.values():
        expect = next(r for r in CHOICES if r.name == rule).expect(facts)
        assert "python -m tests.bench" in str(expect)
        assert not isinstance(expect, Figure) or expect.pools >= 10
    assert all(rule.command.startswith("python -m tests.bench ") for rule in AGAINST)


def test_the_documentation_has_every_rule_in_its_order() -> None:
    page = (Path(__file__).parents[4] / "docs" / "commands.md").read_text(encoding="utf-8")
    lines = page.split("| rule | holds where | it advises |")[1].split("\n\n")[0].splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == [rule.name for rule in CHOICES]


def test_random_is_a_legal_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    level = [band._replace(gain=-0.01, half_width=0.02) for band in BANDS]
    monkeypatch.setattr("lakesift.jobs.commands.advice.calibration.BANDS", tuple(level))
    given = advice_of(POOL, parse(KEYS))
    assert (given.rule, given.block.select) == ("random is as good", {"kind": "random"})


def test_bands_leave_no_pool_out_and_do_not_overlap() -> None:
    for typical in (-0.2, 0.0, 0.64, 0.65, 0.9, 3.0):
        for share in (1e-6, 0.04, 0.05, 1.0):
            assert target_band_of(typical, share) in TARGET_BANDS
    for near in (0.0, 0.05, 0.1, 0.29, 0.3, 0.99, 1.0):
        for rows in (1, 19, 20, 49, 50, 10_000_000):
            fit = [b for b in BANDS if b.near_from <= near < b.near_below and b.rows_from <= rows < b.rows_below]
            assert fit == [band_of(near, rows)]
    assert all(b.pools >= 10 and b.half_width > 0 and 0 <= b.worse <= 1 for b in BANDS)
    assert math.isinf(max(b.rows_below for b in BANDS))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(POOL, dsir=(("logw", -0.97),)), "logw ranks by shortness"),
        (replace(POOL, kind="kmq", qualities=(Quality("q", 0.1, 0.01, 0.0),)), "kmq with weights"),
        (replace(POOL, qualities=(Quality("tokens", 0.7, 0.5, 1.0, False),)), "top_k by tokens"),
        (replace(POOL, kind="sensitivity", estimates=True, loss=("ratio", 0.3)), "R2 of ratio by cluster is 0.30"),
        (replace(POOL, targets=target(0.3), budget=6_000), "after a filter by relevance"),
        (replace(POOL, targets=target(0.95)), "all of the pool is of the target's kind"),
        (POOL, "k_center for training"),
    ],
)
def test_what_not_to_use(facts: Facts, words: str) -> None:
    assert any(words in said for said, _ in against(facts))


def test_nothing_is_said_against_what_was_not_found_wanting() -> None:
    clean = replace(POOL, dsir=(("logw", -0.2),), qualities=(Quality("q", 0.8, 0.6, 0.1),))
    assert [said.split()[0] for said, _ in against(clean)] == ["k_center"]
    assert against(replace(clean, kind="kmeans_random", estimates=True)) == []


def test_rows_saved_follow_r2() -> None:
    given = advice_of(replace(POOL, estimates=True, loss=("ratio", 0.75)), parse(KEYS))
    assert given.expect.startswith("4.0 times fewer rows")


def test_a_recipe_keeps_its_own_names_and_takes_none_that_is_taken() -> None:
    far = replace(POOL, targets=target(0.3), budget=6_000)
    own = {"words": {"kind": "embedding"}, "near": {"kind": "target_similarity", "of": "words", "target": "t"}}
    recipe = parse({**KEYS, "scores": {**KEYS["scores"], **own}})
    assert in_recipe(BLOCKS["target_similarity"](far), recipe) == ({}, {"kind": "top_k", "by": "near"})
    other = {"vector": {"kind": "embedding", "encoder": "hashed_ngrams"}, "near": {"kind": "length_bytes"}}
    recipe = parse({**KEYS, "scores": {**KEYS["scores"], **other}})
    block = in_recipe(BLOCKS["target_similarity"](far), recipe)
    assert list(block.scores) == ["vector_2", "near_2"]
    assert block.scores["near_2"]["of"] == "vector_2"
    assert block.select == {"kind": "top_k", "by": "near_2"}


@pytest.mark.parametrize("name", shipped())
def test_every_block_fits_every_shipped_recipe(name: str) -> None:
    raw = keys_of(name)
    try:
        recipe = parse(raw)
    except PlatformError as error:
        pytest.skip(str(error))
    named = next(iter(recipe.targets), "")
    facts = replace(POOL, targets=(Likeness(named, 9, 0.3, 1.0),) if named else ())
    for method, block in BLOCKS.items():
        if named or method in ("random", "coverage"):
            parse(with_block(raw, in_recipe(block(facts), recipe), "advised"))


def test_text_and_json_have_facts_keys_and_evidence() -> None:
    facts = replace(CASES["a far target"][0], lengths=(("judge", 0.2),), dsir=(("logw", -0.97),))
    given: Advice = advice_of(facts, parse(KEYS), ("a note",))
    text = str(given)
    flat = " ".join(text.split())
    for words in ("typical 0.30", ".15 of the rows", "kind: dsir", "bits per byte against random", "a note"):
        assert words in flat
    assert max(map(len, text.splitlines())) <= 110
    assert given.to_dict()["facts"]["near_95"] == 0.15
    assert given.to_dict()["block"]["select"] == {"kind": "top_k", "by": "logw"}
