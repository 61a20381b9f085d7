"""Strict building of dataclasses from YAML: unknown keys, wrong types and missing values are errors in one sentence."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

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


def typed(value: Any, kind: Any, where: str) -> Any:
    """Return the value if it fits the annotation (lists become tuples), else raise."""
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    for option in options:
        base = get_origin(option) or option
        if base is Literal:
            if value in get_args(option):
                return value
            raise RecipeError(f"{where} is {value!r}; {nearest(str(value), map(str, get_args(option)))}")
        if base is Any or (base is float and isinstance(value, int) and not isinstance(value, bool)):
            return value
        if base is tuple and isinstance(value, list | tuple):
            return tuple(tuple(v) if isinstance(v, list) else v for v in value)
        if isinstance(base, type) and isinstance(value, base) and (base is bool or not isinstance(value, bool)):
            return value
    names = " or ".join(getattr(o, "__name__", str(o)) for o in options)
    raise RecipeError(f"{where} is {value!r}; {names} is needed")


def build(raw: Any, where: str, classes: Mapping[str, type[T]], noun: str) -> T:
    """Build a scorer, estimator or selector from its block: `kind` and the dataclass's fields."""
    if isinstance(raw, str):
        raw = {"kind": raw}
    if not isinstance(raw, Mapping) or "kind" not in raw:
        raise RecipeError(f"{where} is {raw!r}; write {{kind: ...}}; {nearest('', classes)}")
    cls = classes.get(str(raw["kind"]))
    if cls is None:
        raise RecipeError(f"{where} has the unknown {noun} {raw['kind']!r}; {nearest(str(raw['kind']), classes)}")
    hints = get_type_hints(cls)
    named = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    given = block(raw, where, ("kind", *named))
    given = {k: typed(v, hints[k], f"{where}: {k}") for k, v in given.items() if k != "kind"}
    missing = [n for n, f in named.items() if n not in given and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise RecipeError(f"{where} ({raw['kind']}) needs {', '.join(missing)}")
    return cls(**given)
