"""Made recipes, without Spark: valid ones are read alike however they are written; spoilt ones are one sentence."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml

from lakesift.jobs.recipe import load, parse
from lakesift.jobs.recipe.keys import to_yaml
from lakesift.jobs.recipe.resolved import resolved_keys
from lakesift.udfs.errors import RecipeError
from tests.jobs.made_recipes import made
from tests.jobs.spoilt_recipes import LATE, spoilt

#: Recipes that every run of the tests reads; `made_recipes` and `spoilt_recipes` have as many as one asks for.
COUNT = 40


def written(keys: dict[str, Any], number: int) -> str:
    """Return YAML of the keys in one of several styles, with comments and an anchor."""
    draw = random.Random(f"style {number}")
    style: dict[str, Any] = {
        "default_flow_style": draw.choice((True, False, None)),
        "width": draw.choice((20, 80, 10**6)),
    }
    text = yaml.safe_dump(keys, sort_keys=False, allow_unicode=draw.random() < 0.5, **style)
    return draw.choice(("", "---\n", "# a comment\n\n")) + text + draw.choice(("", "# the end\n"))


def test_a_recipe_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    for number in range(COUNT):
        keys = made(number)
        recipe = parse(keys)
        path = tmp_path / "r.yaml"
        path.write_text(written(keys, number), encoding="utf-8")
        assert load(str(path)).digest() == recipe.digest(), number
        path.write_text(to_yaml(resolved_keys(recipe)), encoding="utf-8")
        assert load(str(path)).digest() == recipe.digest(), number


def test_what_the_recipe_alone_shows_is_refused_in_one_sentence() -> None:
    told = 0
    for number in range(2 * COUNT):
        case = spoilt(number)
        if not case.early:
            continue
        try:
            load(case.keys, case.settings)
        except RecipeError as error:
            assert "\n" not in str(error), (number, case.how)  # noqa: PT017
            assert len(str(error)) < 2000, (number, case.how)  # noqa: PT017
            told += 1
        else:
            raise AssertionError(f"case {number} is accepted: {case.how}")
    assert told > COUNT // 2
    assert LATE
