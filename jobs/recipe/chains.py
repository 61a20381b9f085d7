"""`select:` and `controls:` as selectors: each a block, or a list of blocks, one a stage of a chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ...udfs.errors import RecipeError, nearest
from ..selectors.budget import Count, Share
from ..selectors.chain import Chain
from ..selectors.selector import Selector
from ..selectors.stages import Stage
from . import strict

#: How much a stage keeps: keys of its block that are not its selector's.
AMOUNTS = {"rows": Count, "fraction": Share}
Classes = Mapping[str, type[Selector]]


def selector_of(raw: Any, where: str, classes: Classes) -> Selector:
    """Build a selector from its block, or a chain from a list of blocks; a chain of one is the selector itself.

    Raises
    ------
    RecipeError
        If the list is empty, the last stage says how much it keeps, or a stage before it has weights or copies.
    """
    if not isinstance(raw, list):
        return strict.build(raw, where, classes, "selector")
    if not raw:
        raise RecipeError(f"{where} is an empty list; name a selector, or several, one a stage: {nearest('', classes)}")
    stages = [_stage(item, f"{where}, stage {number}", classes) for number, item in enumerate(raw, 1)]
    for number, stage in enumerate(stages, 1):
        place, kind = f"{where}, stage {number}", stage.selector.kind
        amounts = {key: getattr(stage, key) for key in AMOUNTS if getattr(stage, key) is not None}
        if number == len(stages) and amounts:
            key, amount = next(iter(amounts.items()))
            raise RecipeError(
                f"{place}: {key} is {amount}, and the last stage takes the budget; leave it out, and set budget:"
            )
        if len(amounts) > 1:
            raise RecipeError(f"{place} has rows and fraction; leave one of them out")
        if number < len(stages) and stage.selector.weighs:
            raise RecipeError(
                f"{place}: picks of {kind} have weights or copies, which the stage after it would lose; make it the "
                "last stage"
            )
    return Chain(tuple(stages)) if len(stages) > 1 else stages[0].selector


def _stage(raw: Any, where: str, classes: Classes) -> Stage:
    if not isinstance(raw, Mapping):
        return Stage(strict.build(raw, where, classes, "selector"))
    own = _fields(raw.get("kind"), classes)
    given = {key: raw[key] for key in AMOUNTS if key in raw and key not in own}
    block = {key: value for key, value in raw.items() if key not in given}
    amounts = {key: strict.typed(value, AMOUNTS[key], f"{where}: {key}") for key, value in given.items()}
    return Stage(strict.build(block, where, classes, "selector"), **amounts)


def _fields(kind: Any, classes: Classes) -> set[str]:
    return {field.name for field in fields(classes[str(kind)])} if str(kind) in classes else set()


def controls_of(raw: Any, length: str, classes: Classes) -> dict[str, Selector]:
    """Build the controls by name: the kind, with its place in the list if an earlier one has that name.

    Parameters
    ----------
    length : str
        The score that controls measure length by which do not name another.
    """
    if not isinstance(raw, list):
        raise RecipeError(f"controls is {raw!r}; a list such as [random, length_matched] is needed")
    controls: dict[str, Selector] = {}
    for item in raw:
        if isinstance(item, list) and len(item) < 2 and not any(isinstance(stage, Mapping) for stage in item):
            raise RecipeError(
                f"controls names {item!r}; a selector, or a chain of them, is needed; {nearest('', classes)}"
            )
        stages = item if isinstance(item, list) else [item]
        blocks = [stage if isinstance(stage, Mapping) else {"kind": stage} for stage in stages]
        kind = "+".join(str(block.get("kind")) for block in blocks)
        name = kind if kind not in controls else f"{kind}_{len(controls) + 1}"
        blocks = [{"length": length, **b} if "length" in _fields(b.get("kind"), classes) else b for b in blocks]
        controls[name] = selector_of(blocks if isinstance(item, list) else blocks[0], f"controls: {name}", classes)
    return controls
