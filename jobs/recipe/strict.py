"""Strict building of dataclasses from YAML: unknown keys, wrong types and missing values are errors in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, TypeVar

import yaml

from ...udfs.constraints import hints_of, is_needed, refusal
from ...udfs.errors import RecipeError, nearest

T = TypeVar("T")


def yaml_of(text: str, name: str) -> dict[str, Any]:
    """Parse YAML into a mapping or say in one sentence where it fails."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise RecipeError(f"{name} holds {type(raw).__name__}, not a block of keys; start with 'name: ...'")
    return raw


def block(raw: Any, where: str, allowed: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a mapping that has only `allowed` keys and all `needed` ones, else raise RecipeError."""
    if not isinstance(raw, Mapping):
        raise RecipeError(f"{where} is {raw!r}; a block with keys {', '.join(allowed)} is needed")
    for key in raw:
        if key not in allowed:
            raise RecipeError(f"{where} has the unknown key {key!r}; {nearest(str(key), allowed)}")
    for key in needed:
        if raw.get(key) in (None, ""):
            raise RecipeError(f"{where} has no {key!r}; add it")
    return dict(raw)


def typed(value: Any, annotation: Any, where: str, field: Field[Any] | None = None) -> Any:
    """Return the value if its annotation allows it (a list where a tuple is wanted becomes one), else raise."""
    reason, given = refusal(value, annotation, field), value
    if reason and isinstance(value, list):
        given = _as_tuples(value)
        reason = refusal(given, annotation, field)
    if reason:
        raise RecipeError(f"{where} is {value!r}; {reason}")
    return given


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def arguments(raw: Mapping[str, Any], where: str, cls: type) -> dict[str, Any]:
    """Return what a dataclass is built from, every value checked against its field; `where` opens every message."""
    hints, known = hints_of(cls), {f.name: f for f in fields(cls)}
    given = {k: typed(v, hints[k], f"{where}: {k}", known[k]) for k, v in raw.items()}
    missing = [name for name, field in known.items() if name not in given and is_needed(field, hints[name])]
    if missing:
        raise RecipeError(f"{where} needs {', '.join(missing)}")
    return given


def build(raw: Any, where: str, classes: Mapping[str, type[T]], noun: str) -> T:
    """Build a scorer, estimator or selector from its block: `kind` and the dataclass's fields."""
    if isinstance(raw, str):
        raw = {"kind": raw}
    if not isinstance(raw, Mapping) or "kind" not in raw:
        raise RecipeError(f"{where} is {raw!r}; write {{kind: ...}}; {nearest('', classes)}")
    cls = classes.get(str(raw["kind"]))
    if cls is None:
        raise RecipeError(f"{where} has the unknown {noun} {raw['kind']!r}; {nearest(str(raw['kind']), classes)}")
    given = block(raw, where, ("kind", *(f.name for f in fields(cls))))  # type: ignore[arg-type]
    del given["kind"]
    try:
        return cls(**arguments(given, f"{where} ({raw['kind']})", cls))
    except RecipeError as error:
        place = "" if str(error).startswith(where) else f"{where}: "  # a rule across fields does not know the place
        raise RecipeError(f"{place}{error}") from None
