"""The keys of a recipe before they are checked: read from YAML and overridden, or written with other bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ...udfs.errors import RecipeError, nearest
from ...udfs.quoting import root_of
from ...udfs.uris import is_uri
from . import strict
from .parse import AMOUNTS, parse
from .recipe import Recipe, mentions
from .yaml_reader import plain, read_yaml


def load(
    recipe: str | Mapping[str, Any],
    settings: tuple[str, ...] = (),
    read_uri: Callable[[str], str] | None = None,
    keys: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return the recipe of these keys, see `keys_of`."""
    return parse(keys_of(recipe, settings, read_uri, keys))


def keys_of(
    recipe: str | Mapping[str, Any],
    settings: tuple[str, ...] = (),
    read_uri: Callable[[str], str] | None = None,
    keys: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the keys of a recipe: a shipped name, a path, any URI that `read_uri` reads, or the keys themselves.

    Parameters
    ----------
    recipe : str or mapping
    settings : tuple of "key.sub=value"
        Overrides, parsed as YAML.
    keys : mapping, optional
        Top-level keys that replace those of the recipe.

    Raises
    ------
    RecipeError
        In one sentence: the fact, the offending value, what is allowed.
    """
    raw = strict.yaml_of(_text(recipe, read_uri), recipe) if isinstance(recipe, str) else deepcopy(dict(recipe))
    raw |= keys or {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set {setting!r} has no '='; write --set key.sub=value")
        _set(raw, key, read_yaml(value, f"--set {key}"))
    return raw


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set a key, and take out those that cannot stand beside it: another amount, another kind of source."""
    *blocks, last = key.split(".")
    place: Any = raw
    for part in blocks:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[_item(place, part, key)]
        if not isinstance(place, dict | list):
            raise RecipeError(f"--set {key}: {part!r} is not a block of the recipe")
    if isinstance(place, list):
        place[_item(place, last, key)] = value
        return
    place[last] = value
    if blocks == ["budget"] and last in AMOUNTS:
        of_tokens = () if last == "tokens" else ("length", "truncate_last")
        for other in (*(amount for amount in AMOUNTS if amount != last), *of_tokens):
            place.pop(other, None)
    if blocks[-1:] == ["from"] and last in ("files", "sample"):
        for other in [k for k in place if k != last and (last == "sample" or k == "sample")]:
            del place[other]


def _item(items: list[Any], part: str, key: str) -> int:
    """Return the index of an item of a list, such as the stages of a chain, by its number from 1."""
    if part.isdecimal() and 1 <= int(part) <= len(items):
        return int(part) - 1
    raise RecipeError(
        f"--set {key}: {part!r} is no item of a list of {len(items)}; name one by its number from 1, as in "
        "select.1.kind, or set the whole list"
    )


def shipped() -> dict[str, Any]:
    """Return the recipes in the package, by name."""
    folder = resources.files("lakesift.conf") / "runs"
    return {p.name[:-5]: p for p in sorted(folder.iterdir(), key=lambda p: p.name) if p.name.endswith(".yaml")}


def _text(recipe: str, read_uri: Callable[[str], str] | None) -> str:
    known = shipped()
    place = known.get(recipe, Path(recipe))
    if place.is_file():
        try:
            return str(place.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise RecipeError(f"{recipe} is not UTF-8 from byte {error.start} on; save it as UTF-8") from None
    if is_uri(recipe) and read_uri is not None:
        return read_uri(recipe)
    raise RecipeError(f"there is no recipe {recipe!r}: give a path, a URI or a shipped name; {nearest(recipe, known)}")


def tuned_keys(raw: Mapping[str, Any], recipe: Recipe, bounds: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the keys of a recipe with other bounds: named <name>_tuned, without `tune:` and scores nothing names now.

    Its budget stays.
    """
    keys = {k: v for k, v in deepcopy(dict(raw)).items() if k != "tune"}
    keys["name"] = f"{recipe.name}_tuned"
    (select,) = keys["select"] if isinstance(keys["select"], list) else [keys["select"]]  # a chain of one
    keys["select"] = {**select, "bounds": {name: list(pair) for name, pair in bounds.items()}}
    if len(bounds) == 1:
        keys["select"].pop("combine", None)
    dropped = recipe.columns_used() - {root_of(name) for name in bounds}
    scores = keys["scores"]
    for name in sorted(dropped & set(scores)):  # a length that is added to every recipe is not in its keys
        others = [v for k, v in keys.items() if k != "scores"] + [s for n, s in scores.items() if n != name]
        if not any(mentions(str(other), name) for other in others):
            del scores[name]
    return keys


def to_yaml(keys: Mapping[str, Any], comment: str = "") -> str:
    """Return keys as YAML under a comment."""
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + yaml.safe_dump(plain(dict(keys)), sort_keys=False, allow_unicode=True, width=110)
