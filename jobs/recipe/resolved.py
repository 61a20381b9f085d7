"""A recipe as the keys it could be written with, every default among them: read again, they are the same recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from ...udfs.scorer import parameters
from ..selectors.chain import stages_of
from ..selectors.selector import Selector
from .recipe import Recipe

#: Characters of a value that a sentence about a changed key shows.
SHOWN = 60


def resolved_keys(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as JSON values; what it leaves out because that is the default is left out, too."""
    scores = {name: {"kind": s.kind, **parameters(s)} for name, s in recipe.scores.items()}
    for name, sql in recipe.score_where.items():
        scores[name]["where"] = sql
    body: dict[str, Any] = {
        "name": recipe.name,
        "documents": _table(recipe.documents),
        "targets": {name: _table(target) for name, target in recipe.targets.items()},
        "scores": scores,
        "where": recipe.where,
        "select": _selector(recipe.selector),
        "budget": {k: v for k, v in values(recipe.budget).items() if v not in (None, "")},
        "controls": [_selector(control) for control in recipe.controls.values()],
        "report": {"shares": list(recipe.shares), "draws": recipe.draws},
        "seed": recipe.seed,
        "keep_versions": recipe.keep_versions,
    }
    body |= {} if recipe.keep is None else {"keep": recipe.keep}
    body |= {"salt": recipe.salt} if recipe.salt else {}
    body |= {"start": values(recipe.start)} if recipe.start else {}
    body |= {"tune": values(recipe.tune)} if recipe.tune else {}
    if recipe.refine:
        reward = recipe.refine.reward
        body["refine"] = {**values(recipe.refine), "reward": {"kind": reward.kind, **values(reward)}}
    return dict(json.loads(json.dumps(_given(body), default=str)))


def values(item: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name."""
    return {f.name: getattr(item, f.name) for f in fields(item)}


def _selector(selector: Selector) -> Any:
    """Return the block of a selector; of a chain the list of them, with what each stage keeps."""
    blocks = []
    for stage in stages_of(selector):
        amounts = {"rows": stage.rows, "fraction": stage.fraction}
        given = {key: amount for key, amount in amounts.items() if amount is not None}
        blocks.append({"kind": stage.selector.kind, **values(stage.selector), **given})
    return blocks if len(blocks) > 1 else blocks[0]


def _table(block: Any) -> dict[str, Any]:
    keys = {k: v for k, v in values(block).items() if k != "source" and v != ""}
    if block.source:
        defaults = dict(_flat(asdict(type(block.source)())))
        source = {k.split(".")[-1]: v for k, v in _flat(asdict(block.source)) if v != defaults.get(k)}
        keys["from"] = source
    return keys


def _given(value: Any) -> Any:
    """Return nested keys without those that hold nothing."""
    if isinstance(value, Mapping):
        return {k: _given(v) for k, v in value.items() if v is not None}
    return [_given(v) for v in value] if isinstance(value, list | tuple) else value


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return "budget.rows 500 -> 400" for every key that differs between two recipes; "none" stands for no such key.

    Examples
    --------
    >>> changed_keys({"budget": {"rows": 500}, "where": ""}, {"budget": {"fraction": 0.03}, "where": "a > 1"})
    ['budget.rows 500 -> none', "where '' -> 'a > 1'", 'budget.fraction none -> 0.03']
    """
    old, new = dict(_flat(before)), dict(_flat(after))
    return [f"{key} {_shown(old, key)} -> {_shown(new, key)}" for key in {**old, **new} if old.get(key) != new.get(key)]


def _flat(keys: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in keys.items():
        if isinstance(value, list) and value and all(isinstance(item, Mapping | list) for item in value):
            value = {str(number): item for number, item in enumerate(value, 1)}  # as --set names them
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _shown(keys: Mapping[str, Any], key: str) -> str:
    text = repr(keys[key]) if key in keys else "none"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
