"""The columns that a recipe names, each with its place in the recipe and what the column must be.

One loop over these checks a recipe against its documents before a run (inputs/columns.py). SQL expressions are not
among them: the analyser reads these itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from ..selectors.needs import Anything, Fitted, Group, Need, Text, Vector, field_of
from ..selectors.selector import Selector
from .recipe import Recipe

#: What a source column must be that a scorer reads, by what the scorer takes.
TAKES: dict[str, type[Need]] = {"text": Text, "vector": Vector, "any": Anything}


@dataclass(frozen=True)
class Use:
    """A name in a recipe, such as "select: kmq: quality"; with `source`, it is a source column, fields do not count."""

    where: str
    need: Need
    source: bool = False


def uses(recipe: Recipe) -> list[Use]:
    """Return every name that stands for a column: in selectors, controls, `report: shares` and scores."""
    return [*_of_selectors(recipe), *_of_scores(recipe), *_of_report(recipe)]


def _of_selectors(recipe: Recipe) -> list[Use]:
    return [
        Use(where_of(place, selector, need), need)
        for place, selector in recipe.selectors().items()
        for need in chain(selector.needs, selector.on_demand)
        if not isinstance(need, Fitted)  # its kind was checked with the recipe
    ]


def where_of(place: str, selector: Selector, need: Need) -> str:
    """Return the place of a name in a selector or control: "select: kmq: quality", "controls: random: by"."""
    kind = "" if place.endswith(f": {selector.kind}") else f": {selector.kind}"
    return f"{place}{kind}: {field_of(selector, need)}"


def _of_scores(recipe: Recipe) -> list[Use]:
    return [
        Use(f"scores.{name}: {score.kind}: of", TAKES[score.takes](column), source=True)
        for name, score in recipe.scores.items()
        for column in score.inputs
        if column in recipe.source_columns()
    ]


def _of_report(recipe: Recipe) -> list[Use]:
    return [Use("report: shares", Group(column), source=True) for column in recipe.shares]
