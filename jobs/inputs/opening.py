"""Opens and pins the tables of a recipe, and checks every expression over them. No job starts here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import InputError, RecipeError
from ...udfs.quoting import quoted_name
from ...udfs.scorer import DOCUMENT_INPUTS, DocumentEstimator
from ..lake.commits import TableState
from ..lake.ingest_tables import FILE_COLUMN
from ..lake.schemas import RESERVED_TYPES
from ..lake.tables import Lake
from ..recipe import Recipe
from ..recipe.recipe import mentions
from ..sources.samples import SAMPLES
from .columns import check_columns, check_conditions, check_label, check_where, expression_types
from .documents import Documents, text_of
from .run import Target

#: Characters that Delta refuses in names.
_REFUSED = re.compile(r"[ ,;{}()\n\t=]|^$")
_CHARACTER = "character that Delta refuses (one of space ,;{}()= tab)"


def _kept(recipe: Recipe, frame: DataFrame) -> dict[str, str]:
    """Return output name -> SQL of the columns that go into the selection; all source columns by default."""
    if recipe.keep is not None:
        return dict(recipe.keep)
    own_id = recipe.documents.id.strip("` ").lower()
    return {c: quoted_name(c) for c in frame.columns if not (c.lower() == "id" == own_id)}


def _check_id(sql: str, data_type: Any) -> None:
    """Refuse an id that is no text of its own: bytes, and values that hold others."""
    kind = data_type.simpleString()
    if kind == "binary":
        raise RecipeError(
            f"documents.id: {sql!r} is binary, and an id is text; write id: hex({sql}), or id: decode({sql}, 'UTF-8') "
            "where the bytes are text"
        )
    if kind.startswith(("struct", "array", "map", "variant", "interval", "void")):
        raise RecipeError(f"documents.id: {sql!r} is {kind[:80]}, and an id is a text, number, date or boolean")


def _check_kept(recipe: Recipe, frame: DataFrame, keep: dict[str, str]) -> None:
    fixed = ("rank", "gain", "weight", "copies", "tokens_used", *(name for name, _, _ in recipe.extra_columns))
    taken = {"id": "the column id"} | dict.fromkeys(fixed, "a fixed column of the selection")
    taken |= {name.lower(): f"the score {name!r}" for name in recipe.scores}
    types = {field.name: field.dataType for field in frame.schema}
    if recipe.keep is not None:
        checked = expression_types(frame, {f"keep: {name}": sql for name, sql in keep.items()})
        types = {name: checked[f"keep: {name}"] for name in keep}
    for name, sql in keep.items():
        other = "source_" + re.sub("[^a-z0-9]+", "_", name.lower())
        hint = f"leave it out with keep: [...] or rename it, keep: {{{other}: {_in_yaml(sql)}}}"
        if name.lower() in taken:
            raise RecipeError(f"the source column {name!r} collides with {taken[name.lower()]}; {hint}")
        taken[name.lower()] = "another kept column"
        if _REFUSED.search(name):
            raise RecipeError(f"the source column {name!r} has a {_CHARACTER}; {hint}")
        _check_type(name, sql, types[name])


def _in_yaml(sql: str) -> str:
    return "'" + sql.replace("'", "''") + "'"


def _check_type(name: str, sql: str, data_type: Any) -> None:
    """Refuse a kept column whose type no table of LakeSift can hold."""
    for leaf, kind in _leaves(name, data_type):
        if _REFUSED.search(leaf):
            field = f"has the field {leaf!r}, with a {_CHARACTER}"
            raise RecipeError(f"the source column {name!r} {field}; leave it out with keep: [...]")
        if kind.startswith(RESERVED_TYPES):
            whole = data_type.simpleString()
            cast = "TIMESTAMP" if whole == "timestamp_ntz" else "STRING"
            raise RecipeError(
                f"the source column {name!r} is {whole}, which tables of reader version 1 cannot hold; leave it out "
                f"with keep: [...] or cast it, keep: {{{name}: {_in_yaml(f'CAST({sql} AS {cast})')}}}"
            )


def _leaves(name: str, kind: Any) -> list[tuple[str, str]]:
    """Return dotted name and type of everything inside a type that holds no other type itself."""
    inner = [(f"{name}.{f.name}", f.dataType) for f in getattr(kind, "fields", ())]
    inner += [(name, getattr(kind, n)) for n in ("elementType", "keyType", "valueType") if hasattr(kind, n)]
    return [leaf for n, k in inner for leaf in _leaves(n, k)] if inner else [(name, kind.simpleString())]


def _named(recipe: Recipe, frame: DataFrame) -> tuple[str, ...]:
    """Return source columns that conditions, selectors and the report name; a score of the same name wins."""
    scores = {name.lower() for name in recipe.scores}
    conditions = (recipe.where, *recipe.score_where.values())
    named = {c for c in frame.columns if any(mentions(sql, c) for sql in conditions)}
    named |= {*recipe.columns_used(), *recipe.columns_on_demand(), *recipe.source_columns(), *recipe.shares}
    named |= recipe.columns_rewarded()
    words = {name.lower() for name in named} - scores
    return tuple(c for c in frame.columns if c.lower() in words)


def open_input(lake: Lake, table: str, use: str, version: int | None = None) -> tuple[DataFrame, TableState]:
    """Return a table pinned at its version, or at one of its past.

    One without versions (a view, Parquet) is returned as it is, with no version.
    """
    if version is not None:
        return lake.read(table, version).drop(FILE_COLUMN), TableState(lake.ref(table), version, None, None)
    try:
        state = lake.state(table)
    except InputError:
        return lake.read(table), TableState(lake.ref(table), None, None, None)
    if state.version is not None:
        return lake.read(table, state.version).drop(FILE_COLUMN), state
    raise InputError(f"{use}: there is no table {table} ({state.ref}); create it, or give it a 'from:' to ingest it")


def open_documents(lake: Lake, recipe: Recipe, version: int | None = None) -> Documents:
    """Pin the documents table, at a version of its past if one is given, and check every expression and column over it.

    No Spark job starts.
    """
    return _checked(recipe, *open_input(lake, recipe.documents.table, "documents", version))


def open_start(lake: Lake, recipe: Recipe) -> Target | None:
    """Pin the selection that a recipe goes on from; None if it names none.

    Raises
    ------
    InputError
        If there is no such table or version, or it has no ids.
    """
    if recipe.start is None:
        return None
    state, version = lake.state(recipe.start.table), recipe.start.version
    if state.version is None:
        raise InputError(f"start: there is no table {state.ref}; run the recipe that makes it")
    if version is not None:
        if version > state.version:
            raise InputError(f"start: {state.ref} has no version {version}; its newest is {state.version}")
        state = replace(state, version=version, data_version=None)
    try:
        ids = lake.read(recipe.start.table, state.version).selectExpr("CAST(id AS STRING) AS id")
    except Exception as error:
        raise InputError(f"start: {state.ref} has no column id; name a selection, such as another recipe's") from error
    return Target(ids.where("id IS NOT NULL").distinct(), state)


def check_machine(recipe: Recipe) -> None:
    """Raise PlatformError if a score, or the reward, needs a package or a model file that is missing here."""
    for score in recipe.scores.values():
        score.check_machine()
    if recipe.refine:
        recipe.refine.reward.check_machine()


def check_sample(lake: Lake, recipe: Recipe) -> None:
    """Check a recipe against the columns of its sample, where the documents are to be ingested for the first time."""
    source = recipe.documents.source
    if source is None or not source.sample or lake.version(recipe.documents.table) is not None:
        return
    row = next(SAMPLES[source.sample].rows())
    kinds = {int: "bigint", list: "array<string>"}
    types = {name: kinds.get(type(value), "string") for name, value in row.items()}
    empty = lake.spark.range(0).select(*(F.lit(None).cast(t).alias(name) for name, t in types.items()))
    _checked(recipe, empty, TableState(recipe.documents.table, None, None, None))


def _checked(recipe: Recipe, frame: DataFrame, state: TableState) -> Documents:
    table, lower = recipe.documents.table, [c.lower() for c in frame.columns]
    for column in frame.columns:
        if lower.count(column.lower()) > 1:
            raise InputError(f"table {table} has two columns {column!r} that differ in case only; rename one")
    texts = {f"documents.{key}": getattr(recipe.documents, key) for key in ("id", *DOCUMENT_INPUTS)}
    types = expression_types(frame, {where: sql for where, sql in texts.items() if sql})
    _check_id(recipe.documents.id, types["documents.id"])
    fitted = {k: s.fit_where for k, s in recipe.scores.items() if isinstance(s, DocumentEstimator) and s.fit_where}
    check_conditions(frame, {f"scores.{name}: fit_where": sql for name, sql in fitted.items()})
    if recipe.tune:
        check_label(frame, recipe.tune.label)
    keep = _kept(recipe, frame)
    _check_kept(recipe, frame, keep)
    documents = Documents(frame, state, recipe, keep, _named(recipe, frame))
    check_where(documents)
    check_columns(documents)
    return documents


def open_target(
    lake: Lake, documents: Documents, name: str, version: int | None = None
) -> tuple[DataFrame, TableState]:
    """Return the pinned target table, with its expressions checked; raises InputError or RecipeError."""
    target = documents.recipe.targets[name]
    frame, state = open_input(lake, target.table, f"targets.{name}", version)
    expression_types(frame, {f"targets.{name}.text": target.text})
    conditions = {f"targets.{name}.where": target.where, f"targets.{name}.held_out": target.held_out}
    check_conditions(frame, {where: sql for where, sql in conditions.items() if sql})
    return frame, state


def open_targets(
    lake: Lake, documents: Documents, versions: Mapping[str, int | None] | None = None
) -> dict[str, Target]:
    """Return every target of the recipe, pinned, at versions of their past if these are given, and checked."""
    at = versions or {}
    return {name: Target(*open_target(lake, documents, name, at.get(name))) for name in documents.recipe.targets}


def target_texts(frame: DataFrame, documents: Documents, name: str) -> DataFrame:
    """Return the one column `text` of the rows of a target that scores are fitted on."""
    target = documents.recipe.targets[name]
    return frame.where(target.where or "true").selectExpr(f"{text_of(target.text)} AS text")
