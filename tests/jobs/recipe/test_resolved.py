"""A recipe and the keys that a manifest keeps of it are the same recipe, for all that are shipped."""

from __future__ import annotations

import pytest
import yaml

from lakesift.jobs.recipe import load, parse, shipped
from lakesift.jobs.recipe.keys import to_yaml
from lakesift.jobs.recipe.resolved import changed_keys, resolved_keys


@pytest.mark.parametrize("name", shipped())
def test_what_a_manifest_keeps_makes_the_recipe_again(name: str) -> None:
    recipe = load(name)
    keys = resolved_keys(recipe)
    again = parse(yaml.safe_load(to_yaml(keys)))
    assert again.digest() == recipe.digest()
    assert (again.shares, again.tune) == (recipe.shares, recipe.tune)
    assert resolved_keys(again) == keys
    assert changed_keys(keys, keys) == []


def test_every_change_is_named_once() -> None:
    first = resolved_keys(load("zipfit_code"))
    second = resolved_keys(
        load("zipfit_code", ("budget={fraction: 0.03}", "where=tokens > 7", "scores.bytes=length_bytes", "seed=1"))
    )
    assert set(changed_keys(first, second)) == {
        "budget.rows 500 -> none",
        "budget.fraction none -> 0.03",
        f"where {first['where']!r} -> 'tokens > 7'",
        "scores.bytes.kind none -> 'length_bytes'",
        "scores.bytes.of none -> 'text'",
        "seed 42 -> 1",
    }
