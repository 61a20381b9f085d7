"""The keys of a recipe before they are checked: read from YAML and overridden, or written with other bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ...udfs.errors import RecipeError, nearest
from ...udfs.uris import is_uri
from . import strict
from .parse import parse
from .recipe import Recipe, mentions


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
        place = raw
        for part in key.split(".")[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise RecipeError(f"--set {key}: {part!r} is not a block of the recipe")
        try:
            place[key.split(".")[-1]] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise RecipeError(f"--set {key}: {value!r} is not a YAML value; put it in quotes") from None
    return raw


def shipped() -> dict[str, Any]:
    """Return the recipes in the package, by name."""
    folder = resources.files("lakesift.conf") / "runs"
    return {p.name[:-5]: p for p in sorted(folder.iterdir(), key=lambda p: p.name) if p.name.endswith(".yaml")}


def _text(recipe: str, read_uri: Callable[[str], str] | None) -> str:
    known = shipped()
    place = known.get(recipe, Path(recipe))
    if place.is_file():
        return str(place.read_text(encoding="utf-8"))
    if is_uri(recipe) and read_uri is not None:
        return read_uri(recipe)
    raise RecipeError(f"there is no recipe {recipe!r}: give a path, a URI or a shipped name; {nearest(recipe, known)}")


def tuned_keys(raw: Mapping[str, Any], recipe: Recipe, bounds: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the keys of a recipe with other bounds: named <name>_tuned, without `tune:` and scores nothing names now.

    Its budget stays.
    """
    keys = {k: v for k, v in deepcopy(dict(raw)).items() if k != "tune"}
    keys["name"] = f"{recipe.name}_tuned"
    keys["select"] = {**keys["select"], "bounds": {name: list(pair) for name, pair in bounds.items()}}
    if len(bounds) == 1:
        keys["select"].pop("combine", None)
    dropped = {name.split(".")[0] for name in recipe.columns_used()} - {name.split(".")[0] for name in bounds}
    scores = keys["scores"]
    for name in sorted(dropped & set(scores)):  # a length that is added to every recipe is not in its keys
        others = [v for k, v in keys.items() if k != "scores"] + [s for n, s in scores.items() if n != name]
        if not any(mentions(str(other), name) for other in others):
            del scores[name]
    return keys


def to_yaml(keys: Mapping[str, Any], comment: str = "") -> str:
    """Return keys as YAML under a comment."""
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + yaml.safe_dump(dict(keys), sort_keys=False, allow_unicode=True, width=110)
