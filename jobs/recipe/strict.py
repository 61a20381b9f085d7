"""Strict building of dataclasses from YAML: unknown keys, wrong types and missing values are errors in one sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
        known(key, allowed, f"{where} has the unknown key {key!r}")
    for key in needed:
        if raw.get(key) in (None, ""):
            raise RecipeError(f"{where} has no {key!r}; add it")
    return dict(raw)


def known(name: Any, names: Collection[str], fact: str) -> None:
    """Raise RecipeError with the fact and the valid names unless the name is one of them."""
    if str(name) not in names:
        raise RecipeError(f"{fact}; {nearest(str(name), names)}")


def typed(value: Any, annotation: Any, where: str, field: Field[Any] | None = None) -> Any:
    """Return the value if its annotation allows it (a list where a tuple is wanted becomes one), else raise."""
    for given in (value, _as_tuples(value)):
        reason = refusal(given, annotation, field)
        if not reason:
            return given
    raise RecipeError(f"{where} is {value!r}; {reason}")


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def arguments(raw: Mapping[str, Any], where: str, cls: type) -> dict[str, Any]:
    """Return what a dataclass is built from, every value checked against its field; `where` opens every message."""
    hints, by_name = hints_of(cls), {f.name: f for f in fields(cls)}
    given = {k: typed(v, hints[k], f"{where}: {k}", by_name[k]) for k, v in raw.items()}
    missing = [name for name, field in by_name.items() if name not in given and is_needed(field, hints[name])]
    if missing:
        raise RecipeError(f"{where} needs {', '.join(missing)}")
    return given


def build(raw: Any, where: str, classes: Mapping[str, type[T]], noun: str) -> T:
    """Build a scorer, estimator or selector from its block: `kind` and the dataclass's fields."""
    if isinstance(raw, str):
        raw = {"kind": raw}
    if not isinstance(raw, Mapping) or "kind" not in raw:
        raise RecipeError(f"{where} is {raw!r}; write {{kind: ...}}; {nearest('', classes)}")
    known(raw["kind"], classes, f"{where} has the unknown {noun} {raw['kind']!r}")
    cls = classes[str(raw["kind"])]
    given = block(raw, where, ("kind", *(f.name for f in fields(cls))))  # type: ignore[arg-type]
    del given["kind"]
    try:
        return cls(**arguments(given, f"{where} ({raw['kind']})", cls))
    except RecipeError as error:
        place = "" if str(error).startswith(where) else f"{where}: "  # a rule across fields does not know the place
        raise RecipeError(f"{place}{error}") from None
