"""The recipe: *what* to select, never where. Strict: an unknown key is an error that names the nearest valid one.

A recipe is YAML (conf/runs holds one per method). Every SQL fragment is an expression over the columns of its table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, TypeVar

from ...udfs.constraints import Between
from ...udfs.discovery import scorers
from ...udfs.errors import RecipeError
from ...udfs.quoting import quoted_name
from ...udfs.scorer import Estimator, Scorer
from ..rewards import rewards
from ..selectors import selectors
from ..selectors.budget import Budget, Count, Share
from ..sources.source import FORMATS, Dialect, Source
from . import strict
from .blocks import Documents, Refine, Start, Target, Tune
from .chains import controls_of, selector_of
from .checks import check
from .clauses import ended
from .recipe import LENGTHS, Recipe
from .yaml_reader import as_text

#: Columns that a selection has whatever the recipe: no score may be called so.
RESERVED = ("id", "rank", "gain", "weight", "copies", "tokens_used", "content_hash")
#: Tables that LakeSift writes itself, in any case of letters: no source may be ingested into one of them.
OWN_TABLES = re.compile(
    r"(runs|models|memos|vectors|rounds|feedback|trials|reports)"
    r"|(hashes|scores|selection|controls|rejected|hidden|decisions)_.*|.*_rejected",
    re.IGNORECASE,
)
AMOUNTS = {"rows": Count, "fraction": Share, "tokens": Count}
Seed = Annotated[int, Between(-(2**63), 2**63 - 1)]
T = TypeVar("T", Documents, Target)
B = TypeVar("B", Tune, Start, Refine)


def _source(raw: Any, where: str) -> Source | None:
    if raw is None:
        return None
    dialect = tuple(f.name for f in fields(Dialect))
    block = strict.block(raw, where, ("files", "format", "sample", *dialect))
    if "sample" in block:
        from ..sources.samples import SAMPLES

        if others := [key for key in block if key != "sample"]:
            raise RecipeError(f"{where} names a sample and {', '.join(others)}; a sample is of its own, leave out one")
        strict.known(block["sample"], SAMPLES, f"{where}: there is no sample {block['sample']!r}")
        return Source(sample=block["sample"])
    files = block.get("files")
    files = strict.typed([files] if isinstance(files, str) else files or [], tuple[str, ...], f"{where}: files")
    if not files or not all(files):
        raise RecipeError(f"{where} names no files, or an empty one; write files: [path, ...] or sample: name")
    form = block.get("format") or "jsonl"
    strict.known(form, FORMATS, f"{where}: format is {form!r}")
    given = {key: block[key] for key in dialect if block.get(key) is not None}
    if given and form != "csv":
        raise RecipeError(f"{where}: {', '.join(given)} is of csv, and format is {form!r}; leave it out")
    return Source(files, form, dialect=_dialect(given, where))


def _dialect(given: Mapping[str, Any], where: str) -> Dialect:
    dialect = Dialect(**strict.arguments(given, where, Dialect))
    for key in ("delimiter", "quote"):
        if len(value := getattr(dialect, key)) > 1 or value in ("\n", "\r"):
            raise RecipeError(f'{where}: {key} is {value!r}; one character is needed, such as ";" or "\\t"')
    if dialect.delimiter and dialect.delimiter == dialect.quote:
        raise RecipeError(f"{where}: delimiter and quote are both {dialect.quote!r}; they must differ")
    if isinstance(dialect.header, tuple) and (not dialect.header or len(set(dialect.header)) < len(dialect.header)):
        raise RecipeError(f"{where}: header is {list(dialect.header)}; true, false, or names that differ are needed")
    return dialect


def _table(raw: Any, where: str, cls: type[T]) -> T:
    names = tuple("from" if f.name == "source" else f.name for f in fields(cls))
    block = strict.block(raw, where, names, ("table",))
    source = _source(block.pop("from", None), f"{where}.from")
    block["table"] = as_text(block["table"])
    for key, value in block.items():
        if not isinstance(value, str):
            raise RecipeError(f"{where}: {key} is {value!r}; a SQL expression or name in quotes is needed")
        block[key] = ended(value)
    fact = f"{where}: table {block['table']!r} has a 'from:'"
    if source and not re.fullmatch(r"\w+", block["table"]):
        raise RecipeError(f"{fact}; ingest writes names of letters, digits and _ only")
    if source and OWN_TABLES.fullmatch(block["table"]):
        raise RecipeError(f"{fact}, and LakeSift writes tables of that name itself; choose another name")
    return cls(source=source, **strict.arguments(block, where, cls))


def _budget(raw: Any) -> Budget:
    block = strict.block(raw, "budget", tuple(f.name for f in fields(Budget)))
    amounts = [k for k in AMOUNTS if k in block]
    if len(amounts) != 1:
        raise RecipeError(f"budget names {amounts or 'nothing'}; exactly one of rows, fraction, tokens is needed")
    strict.typed(block[amounts[0]], AMOUNTS[amounts[0]], f"budget: {amounts[0]}")
    given = strict.arguments(block, "budget", Budget)
    if (amounts[0] == "tokens") != bool(given.get("length")):
        raise RecipeError("budget: tokens and length go together: tokens: 1000000, length: <score that counts tokens>")
    return Budget(**given)


def _sql(raw: Any, where: str) -> str:
    if raw is not None and not isinstance(raw, str):
        raise RecipeError(f"{where} is {raw!r}; text is needed: a SQL condition")
    return ended(raw or "")


def _keep(raw: Any) -> dict[str, str] | None:
    if raw is None:
        return None
    raw = {k: as_text(v) for k, v in raw.items()} if isinstance(raw, dict) else as_text(raw)
    if isinstance(raw, list) and all(isinstance(k, str) for k in raw):
        if len(set(raw)) < len(raw):
            raise RecipeError(f"keep names {next(k for k in raw if raw.count(k) > 1)!r} twice; leave one out")
        return {k: quoted_name(k) for k in raw}
    if isinstance(raw, dict) and all(isinstance(v, str) for v in raw.values()):
        return {str(k): ended(v) for k, v in raw.items()}
    raise RecipeError(f"keep is {raw!r}; a list of source columns, or a block of name: SQL, is needed")


def _scores(raw: Any) -> tuple[dict[str, Scorer | Estimator], dict[str, str]]:
    """Build the scores and their conditions, by name; a length is added if no score measures it."""
    known: dict[str, Any] = scorers()
    scores, conditions = {}, {}
    for name, block in _named(raw, "scores").items():
        if isinstance(block, dict) and "where" in block:
            block = dict(block)
            conditions[name] = _sql(block.pop("where"), f"scores.{name}: where")
        scores[name] = strict.build(block, f"scores.{name}", known, "score")
    if not any(score.kind in LENGTHS for score in scores.values()):
        if "length_bytes" in scores:
            fact = f"scores.length_bytes is of kind {scores['length_bytes'].kind}"
            raise RecipeError(f"{fact}; a score of that name measures length: rename it")
        scores["length_bytes"] = strict.build("length_bytes", "scores", known, "score")
    return scores, {name: sql for name, sql in conditions.items() if sql}


KEYS = (
    "name", "description", "documents", "targets", "scores", "where", "select", "budget", "controls", "keep", "seed",
    "report", "tune", "start", "refine", "keep_versions", "salt",
)  # fmt: skip


def parse(raw: Mapping[str, Any]) -> Recipe:
    """Check a raw recipe and build its scorers and selectors; raises RecipeError."""
    raw = strict.block(raw, "the recipe", KEYS, ("name", "documents", "select", "budget"))
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,79}", str(raw["name"])):
        raise RecipeError(f"name is {raw['name']!r}; lower-case letters, digits and _ are needed (it names tables)")
    documents = _table(raw["documents"], "documents", Documents)
    targets = _named(raw.get("targets"), "targets")
    scores, score_where = _scores(raw.get("scores"))
    classes, report = selectors(), strict.block(raw.get("report") or {}, "report", ("shares", "draws"))
    recipe = Recipe(
        name=raw["name"],
        documents=documents,
        targets={name: _table(block, f"targets.{name}", Target) for name, block in targets.items()},
        scores=scores,
        where=_sql(raw.get("where"), "where"),
        selector=selector_of(raw["select"], "select", classes),
        budget=_budget(raw["budget"]),
        controls={},
        keep=_keep(raw.get("keep")),
        seed=strict.typed(raw.get("seed", 42), Seed, "seed"),
        shares=strict.typed(report.get("shares") or [], tuple[str, ...], "report: shares"),
        salt=strict.typed(as_text(raw.get("salt") or ""), str, "salt"),
        draws=strict.typed(report.get("draws", 10), Annotated[int, Between(1, 100)], "report: draws"),
        keep_versions=strict.typed(raw.get("keep_versions", 365), Annotated[int, Between(1, 36_500)], "keep_versions"),
        score_where=score_where,
        tune=_block(raw.get("tune"), "tune", Tune),
        start=_block(raw.get("start"), "start", Start),
        refine=_refine(raw.get("refine")),
    )
    recipe = replace(recipe, controls=controls_of(raw.get("controls") or [], recipe.length_name(), classes))
    check(recipe)
    return recipe


def _block(raw: Any, where: str, cls: type[B]) -> B | None:
    """Build a block that a recipe may leave out; its keys are the fields of a class, the first of them is needed."""
    if raw is None:
        return None
    names = tuple(f.name for f in fields(cls))
    return cls(**strict.arguments(strict.block(raw, where, names, names[:1]), where, cls))


def _refine(raw: Any) -> Refine | None:
    if not isinstance(raw, Mapping) or "reward" not in raw:
        return _block(raw, "refine", Refine)
    kinds: dict[str, Any] = rewards()
    return _block({**raw, "reward": strict.build(raw["reward"], "refine: reward", kinds, "reward")}, "refine", Refine)


def _named(raw: Any, where: str) -> dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise RecipeError(f"{where} is {raw!r}; a block of name: {{...}} is needed")
    for name in raw:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*", name) or name.lower() in RESERVED:
            raise RecipeError(
                f"{where}: {name!r} cannot be a name; letters, digits and _ are needed, none of {', '.join(RESERVED)}"
            )
    return raw
