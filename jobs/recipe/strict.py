"""Strict building of dataclasses from YAML: unknown keys, wrong types and missing values are errors in one sentence."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import Field, fields
from typing import Any, TypeVar

from ...udfs.constraints import hints_of, is_needed, refusal
from ...udfs.errors import RecipeError, nearest
from .yaml_reader import Real, as_text, plain, read_yaml

#: Words that are true and false where nothing else is meant.
SWITCHES = {"yes": True, "on": True, "no": False, "off": False}
T = TypeVar("T")


def yaml_of(text: str, name: str) -> dict[str, Any]:
    """Parse YAML into a mapping or say in one sentence where it fails."""
    raw = read_yaml(text, name)
    if not isinstance(raw, dict):
        raise RecipeError(f"{name} holds {type(raw).__name__}, not a block of keys; start with 'name: ...'")
    return raw


def block(raw: Any, where: str, allowed: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a mapping that has only `allowed` keys and all `needed` ones, else raise RecipeError."""
    if not isinstance(raw, Mapping):
        raise RecipeError(f"{where} is {raw!r}; a block with keys {', '.join(allowed)} is needed")
    for key in raw:
        split = "; put SQL that has commas in quotes inside { }" if re.search(r"[()'\"=<>]", str(key)) else ""
        known(key, allowed, f"{where} has the unknown key {key!r}{split}")
    for key in needed:
        if raw.get(key) in (None, ""):
            raise RecipeError(f"{where} has no {key!r}; add it")
    return dict(raw)


def known(name: Any, names: Collection[str], fact: str) -> None:
    """Raise RecipeError with the fact and the valid names unless the name is one of them."""
    if str(name) not in names:
        raise RecipeError(f"{fact}; {nearest(str(name), names)}")


def typed(value: Any, annotation: Any, where: str, field: Field[Any] | None = None) -> Any:
    """Return the value as its annotation allows it, else raise RecipeError.

    A list becomes a tuple where that is wanted; a number, true or false the text that was written where text is; yes,
    no, on and off are true and false where these are, and 1e6 is a whole number where that is.
    """
    first = plain(value)
    readings = [first, _as_tuples(first), as_text(value), _as_tuples(as_text(value))]
    if isinstance(value, str) and value.lower() in SWITCHES:
        readings.append(SWITCHES[value.lower()])
    if isinstance(value, Real) and value.is_integer():
        readings.append(int(value))
    for given in readings:
        if not refusal(given, annotation, field):
            return given
    raise RecipeError(f"{where} is {first!r}; {refusal(readings[1], annotation, field)}")


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
