"""The recipe: *what* to select, never where. Strict: an unknown key is an error that names the nearest valid one.

A recipe is YAML (conf/runs holds one per method). Every SQL fragment is an expression over the columns of its table.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from ..udfs.discovery import scorers
from ..udfs.errors import RecipeError, nearest
from ..udfs.scorer import DOCUMENT_INPUTS, Estimator, Scorer, digest, parameters
from .selectors import selectors
from .selectors.selector import Selector

FORMATS = ("jsonl", "parquet", "csv", "text")
#: Columns that a selection has whatever the recipe: labels and kept columns may not be called so.
RESERVED = ("id", "rank", "gain", "weight", "copies", "tokens_used", "content_hash")
T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Where ingest takes a table from: files of a format, or a sample that a package ships."""

    files: tuple[str, ...] = ()
    format: str = ""
    sample: str = ""


@dataclass(frozen=True)
class Documents:
    """The rows to select from: a table and SQL expressions over its columns."""

    table: str
    id: str = "id"
    text: str = "text"
    prompt: str = ""
    completion: str = ""
    source: Source | None = None
    duplicates: str = "error"


@dataclass(frozen=True)
class Target:
    """Examples of what is wanted; `held_out` is SQL for the rows that only the report sees."""

    table: str
    text: str = "text"
    where: str = ""
    held_out: str = ""
    source: Source | None = None


@dataclass(frozen=True)
class Budget:
    """Rows, a fraction of the documents, or tokens counted by a label."""

    rows: int | None = None
    fraction: float | None = None
    tokens: int | None = None
    count: str = ""
    truncate_last: bool = False


@dataclass(frozen=True)
class Recipe:
    """A parsed recipe; `keep` maps output names to SQL (None: all source columns)."""

    name: str
    documents: Documents
    targets: dict[str, Target]
    scores: dict[str, Scorer | Estimator]
    where: str
    selector: Selector
    budget: Budget
    controls: dict[str, Selector]
    keep: dict[str, str] | None
    seed: int
    shares: tuple[str, ...] = ()
    keep_versions: int = 365
    hidden: tuple[str, ...] = field(default=())  # labels added for controls, not asked for

    def identity(self) -> str:
        """Return the hash of everything that decides the result."""
        objects = {k: [v.kind, v.revision, type(v).__name__, parameters(v)] for k, v in self.scores.items()}
        picks = {k: [v.kind, _fields(v)] for k, v in {"": self.selector, **self.controls}.items()}
        plain = [_fields(self.documents), {k: _fields(t) for k, t in self.targets.items()}, _fields(self.budget)]
        return digest([self.name, plain, objects, self.where, picks, self.keep, self.seed, self.keep_versions])

    def length_label(self) -> str:
        """Return the label that measures length: what reports and length-matched controls use."""
        return next(k for k, v in self.scores.items() if v.kind in ("length_tokens", "length_bytes"))


def _fields(item: Any) -> dict[str, Any]:
    made = {f.name: getattr(item, f.name) for f in fields(item)}
    return {k: _fields(v) if isinstance(v, Source) else v for k, v in made.items()}


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
    raw = yaml_of(_text(recipe, read_uri), recipe)
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
    if re.match(r"[a-z][a-z0-9+.-]*:/", recipe) and read_uri is not None:
        return read_uri(recipe)
    raise RecipeError(f"there is no recipe {recipe!r}: give a path, a URI or a shipped name; {nearest(recipe, known)}")


def yaml_of(text: str, name: str) -> dict[str, Any]:
    """Parse YAML into a mapping or say in one sentence where it fails."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise RecipeError(f"{name} holds {type(raw).__name__}, not a block of keys; start with 'name: ...'")
    return raw


def _block(raw: Any, where: str, allowed: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise RecipeError(f"{where} is {raw!r}; a block with keys {', '.join(allowed)} is needed")
    for key in raw:
        if key not in allowed:
            raise RecipeError(f"{where} has the unknown key {key!r}; {nearest(str(key), allowed)}")
    for key in needed:
        if raw.get(key) in (None, ""):
            raise RecipeError(f"{where} has no {key!r}; add it")
    return dict(raw)


def _typed(value: Any, kind: Any, where: str) -> Any:
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
    block = _block(raw, where, ("kind", *named))
    given = {k: _typed(v, hints[k], f"{where}: {k}") for k, v in block.items() if k != "kind"}
    missing = [n for n, f in named.items() if n not in given and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise RecipeError(f"{where} ({raw['kind']}) needs {', '.join(missing)}")
    return cls(**given)


def _source(raw: Any, where: str) -> Source | None:
    if raw is None:
        return None
    block = _block(raw, where, ("files", "format", "sample"))
    if "sample" in block:
        from .samples import SAMPLES

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
    names = tuple("from" if f.name == "source" else f.name for f in fields(cls))  # type: ignore[arg-type]
    block = _block(raw, where, names, needed)
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
    block = _block(raw, "budget", tuple(f.name for f in fields(Budget)))
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
        made[label] = build(spec, f"controls: {label}", classes, "selector")
    return made


KEYS = (
    "name", "description", "documents", "targets", "scores", "where", "select", "budget", "controls", "keep", "seed",
    "report", "keep_versions",
)  # fmt: skip


def parse(raw: Mapping[str, Any]) -> Recipe:
    """Check a raw recipe and build its scorers and selectors; raises RecipeError."""
    raw = _block(raw, "the recipe", KEYS, ("name", "documents", "select", "budget"))
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,79}", str(raw["name"])):
        raise RecipeError(f"name is {raw['name']!r}; lower-case letters, digits and _ are needed (it names tables)")
    documents = _table(raw["documents"], "documents", Documents, ("table",))
    if documents.duplicates not in ("error", "first_by_hash"):
        raise RecipeError(f"documents: duplicates is {documents.duplicates!r}; allowed: error, first_by_hash")
    targets = {
        str(k): _table(v, f"targets.{k}", Target, ("table",)) for k, v in _named(raw.get("targets"), "targets").items()
    }
    known = scorers()
    made = {str(k): build(v, f"scores.{k}", known, "score") for k, v in _named(raw.get("scores"), "scores").items()}
    hidden: tuple[str, ...] = ()
    if not any(v.kind in ("length_tokens", "length_bytes") for v in made.values()):
        made["length_bytes"] = build("length_bytes", "scores", known, "score")
        hidden = ("length_bytes",)
    classes = selectors()
    recipe = Recipe(
        name=raw["name"],
        documents=documents,
        targets=targets,
        scores=made,
        where=_typed(raw.get("where") or "", str, "where"),
        selector=build(raw["select"], "select", classes, "selector"),
        budget=_budget(raw["budget"]),
        controls={},
        keep=_keep(raw.get("keep")),
        seed=_typed(raw.get("seed", 42), int, "seed"),
        shares=tuple(_block(raw.get("report") or {}, "report", ("shares",)).get("shares") or ()),
        keep_versions=_typed(raw.get("keep_versions", 365), int, "keep_versions"),
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
                f"{where}: {name!r} cannot be a name; letters, digits and _ are needed, and none of {', '.join(RESERVED)}"
            )
    return raw


def _check(recipe: Recipe) -> None:
    labels = set(recipe.scores)
    for label, scorer in recipe.scores.items():
        for name in scorer.inputs:
            if name not in DOCUMENT_INPUTS and name not in labels:
                raise RecipeError(f"scores.{label} reads {name!r}; {nearest(name, {*DOCUMENT_INPUTS, *labels})}")
            if name in ("prompt", "completion") and not getattr(recipe.documents, name):
                raise RecipeError(f"scores.{label} reads {name!r}, which documents does not define; add {name}: <SQL>")
        if isinstance(scorer, Estimator):
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


def order(recipe: Recipe) -> list[str]:
    """Return labels such that a score comes after those it reads; raises RecipeError on a cycle."""
    done: list[str] = []
    left = dict(recipe.scores)
    while left:
        ready = [k for k, v in left.items() if all(i in DOCUMENT_INPUTS or i in done for i in v.inputs)]
        if not ready:
            raise RecipeError(f"scores {', '.join(left)} read each other in a circle; let one of them read text")
        done += ready
        for label in ready:
            del left[label]
    return done
