"""Chains of selectors in recipes, without Spark: what a list stands for, what is refused, what single ones keep."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import yaml

from lakesift.jobs.inputs.memory import check_memory, held_by_driver, not_fitting
from lakesift.jobs.recipe import Recipe, keys_of, load, parse, shipped
from lakesift.jobs.recipe.keys import to_yaml, tuned_keys
from lakesift.jobs.recipe.resolved import changed_keys, resolved_keys
from lakesift.jobs.recipe.uses import uses_of_selectors
from lakesift.jobs.selectors.chain import Chain
from lakesift.jobs.selectors.coverage import FacilityLocation
from lakesift.jobs.selectors.near_duplicates import SemDeDup
from lakesift.jobs.selectors.random_draw import Random
from lakesift.jobs.selectors.stages import Stage
from lakesift.udfs.digests import digest
from lakesift.udfs.errors import BoundError, RecipeError
from lakesift.udfs.scorer import parameters
from tests.jobs.made_recipes import made

DEDUP, COVER = {"kind": "semdedup", "cluster": "cells", "eps": 0.1}, {"kind": "facility_location"}
MATCHED = {"kind": "length_matched", "length": "tokens"}
SCORES = {
    "vector": {"kind": "embedding"},
    "cells": {"kind": "kmeans", "k": 10},
    "tokens": {"kind": "length_tokens"},
    "ratio": {"kind": "compression_ratio"},
}
RAW: dict[str, Any] = {
    "name": "two", "documents": {"table": "docs"}, "scores": SCORES, "select": [DEDUP, COVER], "budget": {"rows": 9},
    "controls": ["random"],
}  # fmt: skip


def recipe(select: Any, **changes: Any) -> Recipe:
    return parse({**RAW, "select": select, **changes})


def digest_without_chains(of: Recipe) -> str:
    """The digest of a recipe before there were chains: run ids of earlier runs follow from it."""
    objects = {k: [v.kind, v.revision, type(v).__name__, parameters(v)] for k, v in of.scores.items()}
    picks = {k: [v.kind, asdict(v)] for k, v in {"": of.selector, **of.controls}.items()}
    plain = [asdict(of.documents), {k: asdict(t) for k, t in of.targets.items()}, asdict(of.budget)]
    more = [asdict(of.start)] if of.start else []
    more += [{"refine": of.refine.digest()}] if of.refine else []
    seeds = [of.seed, of.seed_of(of.salt or f"{of.name} {of.selector.kind}")]
    conditions = [of.where, of.score_where]
    return digest([of.name, plain, objects, conditions, picks, of.keep, seeds, of.keep_versions, *more])


@pytest.mark.parametrize("name", shipped())
def test_a_single_selector_is_what_it_was_and_a_chain_of_one_is_it(name: str) -> None:
    raw = keys_of(name)
    one = load(name)
    if isinstance(one.selector, Chain):
        assert digest_without_chains(one) != one.digest()
        return
    assert one.digest() == digest_without_chains(one)
    listed = parse({**raw, "select": [raw["select"]]})
    assert listed == one
    assert listed.digest() == one.digest()
    assert listed.selector_salt == f"{one.name} {one.selector.kind}"
    assert resolved_keys(listed) == resolved_keys(one)
    assert isinstance(resolved_keys(one)["select"], dict)


def test_the_shipped_chain_is_dedup_at_cosine_09_then_cover() -> None:
    assert load("coverage").selector == Chain((Stage(SemDeDup("cells", eps=0.1)), Stage(FacilityLocation())))
    qdit = load("coverage", ("select.2.quality=tokens", "select.2.alpha=0.5")).stages[1].selector
    assert qdit == FacilityLocation(quality="tokens", alpha=0.5)


def test_a_chain_is_written_and_read_again() -> None:
    stages = [{"kind": "random", "rows": 50}, {**DEDUP, "fraction": 0.5}, "kmeans_random"]
    stages[2] = {"kind": "kmeans_random", "cluster": "cells"}
    one = recipe(stages, controls=["random", [DEDUP, "random"], [DEDUP, "random"], [{"kind": "top_k", "by": "ratio"}]])
    assert list(one.controls) == ["random", "semdedup+random", "semdedup+random_3", "top_k"]
    again = parse(yaml.safe_load(to_yaml(resolved_keys(one))))
    assert again == one
    assert again.digest() == one.digest()
    assert [(s.rows, s.fraction) for s in one.stages] == [(50, None), (None, 0.5), (None, None)]
    others = [
        recipe(stages[::-1][1:] + stages[2:], controls=[]),
        recipe([{**stages[0], "rows": 51}, *stages[1:]], controls=[]),
        recipe([{"kind": "random", "fraction": 0.5}, *stages[1:]], controls=[]),
        recipe(stages, controls=[]),
        recipe(stages[1:], controls=[]),
        recipe(stages[2:], controls=[]),
    ]
    assert len({r.digest() for r in [one, *others]}) == len(others) + 1


def test_everything_that_a_stage_reads_is_read() -> None:
    one = recipe([{"kind": "top_k", "by": "ratio", "rows": 50}, DEDUP, {**COVER, "quality": "tokens"}], controls=[])
    assert one.columns_used() == {"ratio", "cells", "vector", "tokens"}
    places = {use.where for use in uses_of_selectors(one)}
    assert {"select, stage 1: top_k: by", "select, stage 3: facility_location: quality"} <= places
    assert (one.selector.prefix_stable, one.selector.redraws, one.selector.wants(7)) == (True, False, 7)
    paid = recipe([DEDUP, {"kind": "sensitivity", "cluster": "cells", "loss": "ratio"}])
    assert paid.on_demand_only() == {"ratio"}
    assert not paid.selector.prefix_stable
    races = {"scores": {"fit": {"kind": "zipfit", "target": "goals"}}, "targets": {"goals": {"table": "goals"}}}
    raced = recipe([{"kind": "random", "rows": 50}, {"kind": "zipfit_race", "by": "fit"}], **races)
    assert {name for name, _, _ in raced.extra_columns} == {"score_exact", "score_sd"}
    first = recipe([{"kind": "zipfit_race", "by": "fit", "rows": 20}, "random"], **races)
    assert first.extra_columns == ()
    assert recipe(["random", {"kind": "top_k", "by": "ratio"}]).stages[0] == Stage(Random())
    matched = recipe("random", controls=[[DEDUP, "length_matched"]]).controls["semdedup+length_matched"]
    assert matched.needs[0].name == "tokens"


def test_any_selector_is_a_last_stage() -> None:
    for number in range(20):
        keys = made(number)
        single = parse(keys)
        one = parse({**keys, "select": [{"kind": "random", "fraction": 0.9}, keys["select"]]})
        assert one.stages == (Stage(Random(), fraction=0.9), Stage(single.selector))
        assert one.columns_used() == single.columns_used()
        assert one.columns_on_demand() == single.columns_on_demand()
        assert one.extra_columns == single.extra_columns
        assert parse(resolved_keys(one)).digest() == one.digest() != single.digest()


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"select": []}, ["select is an empty list", "allowed: ", "facility_location"]),
    ({"select": [{}]}, ["select, stage 1 is {}"]),
    ({"select": [DEDUP, {"kind": "facility_locaton"}]}, ["select, stage 2 has", "did you mean 'facility_location'?"]),
    ({"select": [DEDUP, [COVER]]}, ["select, stage 2 is [{'kind': 'facility_location'}]", "write {kind: ...}"]),
    ({"select": [DEDUP, None]}, ["select, stage 2 is None"]),
    ({"select": [{**DEDUP, "epz": 1}, COVER]}, ["select, stage 1 has the unknown key 'epz'", "did you mean 'eps'?"]),
    ({"select": [{**DEDUP, "eps": 3}, COVER]}, ["select, stage 1 (semdedup): eps is 3"]),
    ({"select": [DEDUP, {**COVER, "alpha": 0.5}]}, ["select, stage 2: facility_location: alpha is 0.5 without"]),
    ({"select": [{**DEDUP, "rows": 0}, COVER]}, ["select, stage 1: rows is 0", "a whole number from 1"]),
    ({"select": [{**DEDUP, "rows": None}, COVER]}, ["select, stage 1: rows is None"]),
    ({"select": [{**DEDUP, "fraction": 1.5}, COVER]}, ["select, stage 1: fraction is 1.5", "above 0 and at most 1"]),
    ({"select": [{**DEDUP, "rows": 5, "fraction": 0.5}, COVER]}, ["select, stage 1 has rows and fraction"]),
    ({"select": [DEDUP, {**COVER, "rows": 5}]}, ["select, stage 2: rows is 5, and the last stage takes the budget"]),
    ({"select": [{**DEDUP, "fraction": 0.5}]}, ["select, stage 1: fraction is 0.5, and the last stage takes"]),
    ({"select": [DEDUP, MATCHED]}, ["select, stage 2: length_matched matches another selection"]),
    ({"select": [MATCHED, DEDUP]}, ["select, stage 1: length_matched matches another selection"]),
    (
        {"select": [{"kind": "sensitivity", "cluster": "cells", "loss": "ratio"}, COVER]},
        ["select, stage 1: picks of sensitivity have weights or copies", "make it the last stage"],
    ),
    (
        {"select": [{"kind": "kmq", "cluster": "cells", "quality": "ratio", "replacement": True}, COVER]},
        ["select, stage 1: picks of kmq have weights or copies"],
    ),
    (
        {"select": [DEDUP, {"kind": "mig", "labels": "nosuch"}]},
        ["select, stage 2: mig: labels names 'nosuch', which is no score", "a score of kind labels or tags is needed"],
    ),
    (
        {"select": [DEDUP, {"kind": "zipfit_race", "by": "ratio"}]},
        ["select, stage 2: zipfit_race: by names 'ratio'", "a score of kind zipfit is needed"],
    ),
    (
        {"select": [DEDUP, {"kind": "sensitivity", "cluster": "cells", "loss": "ratio"}],
         "budget": {"tokens": 9, "length": "tokens"}},
        ["budget: tokens needs", "sensitivity has none"],
    ),
    ({"controls": [[]]}, ["controls names []", "allowed: "]),
    ({"controls": [["random"]]}, ["['random']", "allowed: "]),
    ({"controls": [[DEDUP, "randum"]]}, ["controls: semdedup+randum, stage 2 has", "did you mean 'random'?"]),
    ({"controls": [[DEDUP, {"kind": "random", "rows": 5}]]}, ["controls: semdedup+random, stage 2: rows is 5"]),
    ({"tune": {"label": "m"}}, ["tune: select is a chain of semdedup, then facility_location; tune searches"]),
    ({"start": {"selection": "x"}}, ["start: select is a chain of semdedup, then facility_location, which takes no"]),
    (
        {"refine": {"reward": {"kind": "column", "column": "tokens"}}},
        ["refine: select is a chain of semdedup, then facility_location, which has no clusters"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "held"), WRONG, ids=lambda v: str(v)[:60])
def test_wrong_chains_say_which_stage_is_wrong(changes: dict[str, Any], held: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        parse({**RAW, **changes})
    sentence = str(caught.value)
    assert all(part in sentence for part in held), sentence
    assert "\n" not in sentence


def test_a_stage_is_set_by_its_number() -> None:
    one = load(RAW, ("select.1.eps=0.2", "select.2.mode=cells", "controls.1={kind: random, by: tokens}"))
    assert [s.selector for s in one.stages] == [SemDeDup("cells", eps=0.2), FacilityLocation(mode="cells")]
    assert one.controls["random"] == Random("tokens")
    assert load(RAW, ("select.1.rows=50",)).stages[0].rows == 50
    assert load(RAW, ("select=random",)).selector == Random()
    assert load(RAW, ("select=[{kind: random, rows: 50}, {kind: top_k, by: ratio}]",)).stages[0].rows == 50
    assert load(RAW, ("select.2={kind: random}",)).stages[1].selector == Random()
    for setting in ("select.kind=random", "select.0.eps=0.2", "select.3.eps=0.2", "select.-1.eps=0.2", "select.x=1"):
        with pytest.raises(
            RecipeError, match=r"--set select\.\S+: .* is no item of a list of 2; name one by its number"
        ):
            load(RAW, (setting,))
    assert RAW["select"] == [DEDUP, COVER], "what was given is not changed"


def test_history_names_the_stage_that_was_edited() -> None:
    keys = [resolved_keys(recipe(s)) for s in ([DEDUP, COVER], [{**DEDUP, "eps": 0.2}, {**COVER, "mode": "cells"}])]
    assert changed_keys(*keys) == ["select.1.eps 0.1 -> 0.2", "select.2.mode 'auto' -> 'cells'"]
    assert "select.1.kind none -> 'semdedup'" in changed_keys(resolved_keys(recipe("random")), keys[0])


def test_a_tuned_recipe_of_a_chain_of_one_is_written() -> None:
    scores = {**SCORES, "entropy": {"kind": "information_entropy"}}
    raw = {**RAW, "scores": scores, "select": [{"kind": "interval", "bounds": {"entropy": ["q0.1", "q0.9"]}}]}
    raw["tune"] = {"label": "m"}
    keys = tuned_keys(raw, parse(raw), {"entropy": ["q0.2", "q0.8"]})
    assert parse(keys).selector.bounds == {"entropy": ["q0.2", "q0.8"]}  # type: ignore[attr-defined]


def test_the_driver_holds_what_the_stage_before_lets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakesift.jobs.inputs.memory.machine_bytes", lambda: 10**15)
    most, top, dense = 10_000, {"kind": "top_k", "by": "ratio"}, {"kind": "facility_location", "mode": "dense"}
    bounded = recipe([{**top, "rows": 1000}, {"kind": "k_center"}], controls=[])
    check_memory(bounded, 10 * most)
    assert not_fitting(bounded, 10 * most) == []
    held = {h.what: h.bytes for h in held_by_driver(bounded, 10 * most) if h.what.startswith("select")}
    assert held == {"select, stage 2 k_center": 1000 * (4 * 256 + 200) + 1000 * 150}
    open_ended = recipe([{"kind": "interval", "bounds": {"ratio": ["q0", "q0.5"]}}, dense], controls=[])
    check_memory(open_ended, 10 * most)  # nobody knows how many rows the first stage leaves
    assert "select, stage 2 facility_location holds at most" in not_fitting(open_ended, 10 * most)[0]
    with pytest.raises(BoundError, match="select, stage 1 facility_location holds at most"):
        check_memory(recipe([{**dense, "rows": 9}, COVER], controls=[]), most + 1)
    with pytest.raises(BoundError, match=r"controls: facility_location\+random, stage 1 .* holds at most"):
        check_memory(recipe("random", controls=[[{**dense, "rows": 9}, "random"]]), most + 1)
