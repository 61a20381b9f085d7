"""The columns that a recipe names, each with its place in the recipe and what the column must be.

One loop over these checks a recipe against its documents before a run (inputs/columns.py). SQL expressions are not
among them: the analyser reads these itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import DataFrame

from ...udfs.quoting import quoted_name
from ..selectors.needs import Anything, Fitted, Group, Names, Need, Number, Text, Vector, all_of, defined_if, field_of
from .recipe import Recipe

#: What a column must be that a scorer or reward reads, by what it takes.
TAKES: dict[str, type[Need]] = {"text": Text, "vector": Vector, "names": Names, "number": Number, "any": Anything}


@dataclass(frozen=True)
class Use:
    """A name in a recipe, such as "select: kmq: quality"; with `source`, it is a source column, fields do not count."""

    where: str
    need: Need
    source: bool = False


def uses(recipe: Recipe) -> list[Use]:
    """Return every name that stands for a column: in selectors, controls, the reward, `report: shares` and scores."""
    # The kind of what is fitted was checked with the recipe.
    of_selectors = [use for use in uses_of_selectors(recipe) if not isinstance(use.need, Fitted)]
    of_scores = [
        Use(f"scores.{name}: {score.kind}: of", TAKES[score.takes_of(column)](column), source=True)
        for name, score in recipe.scores.items()
        for column in score.inputs
        if column in recipe.source_columns()
    ]
    of_reward = []
    if recipe.refine:
        reward = recipe.refine.reward
        of_reward = [Use(f"refine: reward {reward.kind}", TAKES[word](n)) for n, word in reward.needs.items()]
    of_report = [Use("report: shares", Group(c), source=True) for c in recipe.shares]
    return [*of_selectors, *of_scores, *of_reward, *of_report]


def rankable_if(rows: DataFrame, recipe: Recipe) -> list[tuple[str, str]]:
    """Return what the selector, of a chain the first stage, needs of a row, and under a token budget its length.

    Each is a name and SQL of whether it is defined.
    """
    conditions = defined_if(rows, recipe.stages[0].selector.needs, recipe.scores)
    if recipe.budget.tokens:
        conditions.append((recipe.budget.length, f"{quoted_name(recipe.budget.length)} IS NOT NULL"))
    return conditions


def rankable_sql(rows: DataFrame, recipe: Recipe) -> str:
    """Return SQL of whether a row has all of these."""
    return all_of(sql for _, sql in rankable_if(rows, recipe))


def uses_of_selectors(recipe: Recipe) -> Iterator[Use]:
    """Yield the names in selector and controls, at places such as "select: kmq: quality", "controls: random: by"."""
    for place, selector in recipe.selectors().items():
        kind = "" if place.endswith(f": {selector.kind}") else f": {selector.kind}"
        for need in (*selector.needs, *selector.on_demand):
            yield Use(f"{place}{kind}: {field_of(selector, need)}", need)
