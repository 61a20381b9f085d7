"""The recipe: *what* to select, never where. Strict: an unknown key is an error that names the nearest valid one.

A recipe is YAML (conf/runs holds one per method). Every SQL fragment is an expression over the columns of its table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ...udfs.discovery import scorers
from ...udfs.errors import RecipeError, nearest
from ...udfs.scorer import DOCUMENT_INPUTS, Estimator, OnDocuments
from ...udfs.uris import is_uri
from ..selectors import selectors
from ..selectors.budget import Budget
from ..selectors.selector import Selector
from ..sources.source import Source
from . import strict
from .recipe import Documents, Recipe, Target, order

__all__ = ["KEYS", "Budget", "Documents", "Recipe", "Source", "Target", "load", "order", "parse", "shipped"]

FORMATS = ("jsonl", "parquet", "csv", "text")
#: Columns that a selection has whatever the recipe: labels and kept columns may not be called so.
RESERVED = ("id", "rank", "gain", "weight", "copies", "tokens_used", "content_hash")
T = TypeVar("T", Documents, Target)


def load(recipe: str, settings: tuple[str, ...] = (), read_uri: Callable[[str], str] | None = None) -> Recipe:
    """Load a recipe: a shipped name, a path, or any URI that `read_uri` reads.

    Parameters
    ----------
    recipe : str
    settings : tuple of "key.sub=value"
        Overrides, parsed as YAML.

    Raises
    ------
    RecipeError
        In one sentence: the fact, the offending value, what is allowed.
    """
    raw = strict.yaml_of(_text(recipe, read_uri), recipe)
    for setting in settings:
        key, found, value = setting.partition("=")
        if not found:
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
    return parse(raw)


def shipped() -> dict[str, Any]:
    """Return the recipes in the package, by name."""
    folder = resources.files("lakesift.conf") / "runs"
    return {p.name[:-5]: p for p in sorted(folder.iterdir(), key=lambda p: p.name) if p.name.endswith(".yaml")}


def _text(recipe: str, read_uri: Callable[[str], str] | None) -> str:
    known = shipped()
    if recipe in known:
        return str(known[recipe].read_text(encoding="utf-8"))
    if Path(recipe).is_file():
        return Path(recipe).read_text(encoding="utf-8")
    if is_uri(recipe) and read_uri is not None:
        return read_uri(recipe)
    raise RecipeError(f"there is no recipe {recipe!r}: give a path, a URI or a shipped name; {nearest(recipe, known)}")


def _source(raw: Any, where: str) -> Source | None:
    if raw is None:
        return None
    block = strict.block(raw, where, ("files", "format", "sample"))
    if "sample" in block:
        from ..sources.samples import SAMPLES

        if block["sample"] not in SAMPLES:
            raise RecipeError(
                f"{where}: there is no sample {block['sample']!r}; {nearest(str(block['sample']), SAMPLES)}"
            )
        return Source(sample=block["sample"])
    files = block.get("files")
    files = (files,) if isinstance(files, str) else tuple(files or ())
    if not files:
        raise RecipeError(f"{where} names no files; write files: [path, ...] or sample: name")
    made = block.get("format") or "jsonl"
    if made not in FORMATS:
        raise RecipeError(f"{where}: format is {made!r}; {nearest(str(made), FORMATS)}")
    return Source(files, made)


def _table(raw: Any, where: str, cls: type[T], needed: tuple[str, ...]) -> T:
    names = tuple("from" if f.name == "source" else f.name for f in fields(cls))
    block = strict.block(raw, where, names, needed)
    source = _source(block.pop("from", None), f"{where}.from")
    for key, value in block.items():
        if not isinstance(value, str):
            raise RecipeError(f"{where}: {key} is {value!r}; a SQL expression or name in quotes is needed")
    if source and not re.fullmatch(r"\w+", block["table"]):
        raise RecipeError(
            f"{where}: table {block['table']!r} has a 'from:'; ingest writes names of letters, digits and _ only"
        )
    return cls(source=source, **block)


def _budget(raw: Any) -> Budget:
    block = strict.block(raw, "budget", tuple(f.name for f in fields(Budget)))
    amounts = [k for k in ("rows", "fraction", "tokens") if k in block]
    if len(amounts) != 1:
        raise RecipeError(f"budget names {amounts or 'nothing'}; exactly one of rows, fraction, tokens is needed")
    value = block[amounts[0]]
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    part = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1
    if not (part if amounts[0] == "fraction" else whole):
        need = "a number above 0 and at most 1" if amounts[0] == "fraction" else "a whole number from 1"
        raise RecipeError(f"budget: {amounts[0]} is {value!r}; {need} is needed")
    if (amounts[0] == "tokens") != ("count" in block):
        raise RecipeError("budget: tokens and count go together: tokens: 1000000, count: <label that counts tokens>")
    return Budget(**block)


def _keep(raw: Any) -> dict[str, str] | None:
    if raw is None:
        return None
    if isinstance(raw, list) and all(isinstance(k, str) for k in raw):
        return {k: f"`{k}`" for k in raw}
    if isinstance(raw, dict) and all(isinstance(v, str) for v in raw.values()):
        return {str(k): v for k, v in raw.items()}
    raise RecipeError(f"keep is {raw!r}; a list of source columns, or a block of name: SQL, is needed")


def _controls(raw: Any, length: str, classes: Mapping[str, type[Selector]]) -> dict[str, Selector]:
    if not isinstance(raw, list):
        raise RecipeError(f"controls is {raw!r}; a list such as [random, length_matched] is needed")
    made: dict[str, Selector] = {}
    for item in raw:
        kind = item.get("kind") if isinstance(item, dict) else item
        label = str(kind) if kind not in made else f"{kind}_{len(made) + 1}"
        spec = item if isinstance(item, dict) else {"kind": item}
        if "length" in {f.name for f in fields(classes[label])} if label in classes else False:
            spec = {"length": length, **spec}
        made[label] = strict.build(spec, f"controls: {label}", classes, "selector")
    return made


KEYS = (
    "name", "description", "documents", "targets", "scores", "where", "select", "budget", "controls", "keep", "seed",
    "report", "keep_versions",
)  # fmt: skip


def parse(raw: Mapping[str, Any]) -> Recipe:
    """Check a raw recipe and build its scorers and selectors; raises RecipeError."""
    raw = strict.block(raw, "the recipe", KEYS, ("name", "documents", "select", "budget"))
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,79}", str(raw["name"])):
        raise RecipeError(f"name is {raw['name']!r}; lower-case letters, digits and _ are needed (it names tables)")
    documents = _table(raw["documents"], "documents", Documents, ("table",))
    if documents.duplicates not in ("error", "first_by_hash"):
        raise RecipeError(f"documents: duplicates is {documents.duplicates!r}; allowed: error, first_by_hash")
    targets = {
        str(k): _table(v, f"targets.{k}", Target, ("table",)) for k, v in _named(raw.get("targets"), "targets").items()
    }
    known = scorers()
    made: dict[str, Any] = {
        str(k): strict.build(v, f"scores.{k}", known, "score") for k, v in _named(raw.get("scores"), "scores").items()
    }
    hidden: tuple[str, ...] = ()
    if not any(v.kind in ("length_tokens", "length_bytes") for v in made.values()):
        made["length_bytes"] = strict.build("length_bytes", "scores", known, "score")
        hidden = ("length_bytes",)
    classes = selectors()
    recipe = Recipe(
        name=raw["name"],
        documents=documents,
        targets=targets,
        scores=made,
        where=strict.typed(raw.get("where") or "", str, "where"),
        selector=strict.build(raw["select"], "select", classes, "selector"),
        budget=_budget(raw["budget"]),
        controls={},
        keep=_keep(raw.get("keep")),
        seed=strict.typed(raw.get("seed", 42), int, "seed"),
        shares=tuple(strict.block(raw.get("report") or {}, "report", ("shares",)).get("shares") or ()),
        keep_versions=strict.typed(raw.get("keep_versions", 365), int, "keep_versions"),
        hidden=hidden,
    )
    recipe = replace(recipe, controls=_controls(raw.get("controls") or [], recipe.length_label(), classes))
    _check(recipe)
    return recipe


def _named(raw: Any, where: str) -> dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise RecipeError(f"{where} is {raw!r}; a block of name: {{...}} is needed")
    for name in raw:
        if not re.fullmatch(r"[A-Za-z_]\w*", str(name)) or str(name).lower() in RESERVED:
            raise RecipeError(
                f"{where}: {name!r} cannot be a name; letters, digits and _ are needed, none of {', '.join(RESERVED)}"
            )
    return raw


def _check(recipe: Recipe) -> None:
    labels = set(recipe.scores)
    for label, scorer in recipe.scores.items():
        for name in scorer.inputs:
            if name not in DOCUMENT_INPUTS and name not in labels and name not in getattr(scorer, "columns", ()):
                raise RecipeError(f"scores.{label} reads {name!r}; {nearest(name, {*DOCUMENT_INPUTS, *labels})}")
            if name in ("prompt", "completion") and not getattr(recipe.documents, name):
                raise RecipeError(f"scores.{label} reads {name!r}, which documents does not define; add {name}: <SQL>")
        if isinstance(scorer, Estimator):
            if isinstance(scorer, OnDocuments) and scorer.refit not in ("never", "always"):
                raise RecipeError(f"scores.{label}: refit is {scorer.refit!r}; allowed: never, always")
            for table in scorer.fits_on:
                if table != "documents" and table not in recipe.targets:
                    raise RecipeError(f"scores.{label}: there is no target {table!r}; {nearest(table, recipe.targets)}")
    if recipe.budget.count and recipe.budget.count not in labels:
        raise RecipeError(f"budget: count is {recipe.budget.count!r}; {nearest(recipe.budget.count, labels)}")
    if recipe.budget.tokens and not recipe.selector.nested:
        raise RecipeError(
            f"budget: tokens needs a ranking whose prefixes are selections; {recipe.selector.kind} has none"
        )
    order(recipe)
