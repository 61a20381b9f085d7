"""Opens and pins the tables of a recipe, and checks every expression over them. No job starts here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...udfs.errors import InputError, RecipeError
from ...udfs.scorer import DOCUMENT_INPUTS, OnDocuments
from ..lake.commits import TableState
from ..lake.schemas import RESERVED_TYPES
from ..lake.spark_errors import analysis_message
from ..lake.tables import Lake
from ..ranking.sort_keys import number
from ..recipe import Recipe
from ..recipe.recipe import mentions
from .documents import ROW_HASH, Documents, joined_columns, text_of
from .run import Target

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Characters that Delta refuses in names.
_REFUSED = re.compile(r"[ ,;{}()\n\t=]")


def analyse(frame: DataFrame, sql: str, where: str) -> None:
    """Check an expression against a frame without running anything; raises RecipeError."""
    from pyspark.sql import functions as F

    try:
        # As a filter: an aggregate, a window or explode() is not a value of one row, and is refused there.
        frame.where(F.expr(f"({sql}) IS NOT NULL")).schema  # noqa: B018 - analysis is the effect
    except Exception as error:
        reason = analysis_message(error)
        if reason is None:
            raise
        raise RecipeError(
            f"{where}: {sql!r} does not fit its table, whose columns are {', '.join(frame.columns)}: {reason}"
        ) from error


def analyse_condition(frame: DataFrame, sql: str, where: str) -> None:
    """Check a condition against a frame without running anything; raises RecipeError."""
    analyse(frame, sql, where)
    kind = frame.selectExpr(f"({sql}) AS c").schema["c"].dataType.simpleString()
    if kind != "boolean":
        raise RecipeError(f"{where}: {sql!r} is {kind}; a condition (boolean) is needed")


def _kept(recipe: Recipe, frame: DataFrame) -> dict[str, str]:
    """Return output name -> SQL of the columns that go into the selection; all source columns by default."""
    if recipe.keep is not None:
        return dict(recipe.keep)
    own_id = recipe.documents.id.strip("` ").lower()
    return {c: f"`{c}`" for c in frame.columns if not (c.lower() == "id" == own_id)}


def _check_kept(recipe: Recipe, frame: DataFrame, keep: dict[str, str]) -> None:
    taken = {
        "id": "the column id",
        **dict.fromkeys(("rank", "gain", "weight", "copies", "tokens_used"), "a fixed column of the selection"),
    }
    taken |= {label.lower(): f"the score {label!r}" for label in recipe.scores}
    for name, sql in keep.items():
        analyse(frame, sql, f"keep: {name}")
        other = "source_" + re.sub("[^a-z0-9]+", "_", name.lower())
        hint = f"leave it out with keep: [...] or rename it, keep: {{{other}: '{sql}'}}"
        if name.lower() in taken:
            raise RecipeError(f"the source column {name!r} collides with {taken[name.lower()]}; {hint}")
        taken[name.lower()] = "another kept column"
        if _REFUSED.search(name):
            raise RecipeError(
                f"the source column {name!r} has a character that Delta refuses (one of space ,;{{}}()= tab); {hint}"
            )
        made = frame.selectExpr(f"{sql} AS c").schema["c"].dataType
        for leaf, kind in _leaves(name, made):
            if _REFUSED.search(leaf):
                raise RecipeError(
                    f"the source column {name!r} has the field {leaf!r}, with a character that Delta refuses (one of "
                    f"space ,;{{}}()= tab); leave it out with keep: [...]"
                )
            if kind.startswith(RESERVED_TYPES):
                cast = "TIMESTAMP" if made.simpleString() == "timestamp_ntz" else "STRING"
                raise RecipeError(
                    f"the source column {name!r} is {made.simpleString()}, which tables of reader version 1 cannot "
                    f"hold; leave it out with keep: [...] or cast it, keep: {{{name}: 'CAST({sql} AS {cast})'}}"
                )


def _leaves(name: str, kind: Any) -> list[tuple[str, str]]:
    """Return dotted name and type of everything inside a type that holds no other type itself."""
    inner = [(f"{name}.{f.name}", f.dataType) for f in getattr(kind, "fields", ())]
    inner += [(name, getattr(kind, n)) for n in ("elementType", "keyType", "valueType") if hasattr(kind, n)]
    return [leaf for n, k in inner for leaf in _leaves(n, k)] if inner else [(name, kind.simpleString())]


def _named(recipe: Recipe, frame: DataFrame) -> tuple[str, ...]:
    """Return source columns that `where:`, selectors and the report name (a label of the same name wins)."""
    labels = {label.lower() for label in recipe.scores}
    words = {c.lower() for c in frame.columns if mentions(recipe.where, c)} | {s.lower() for s in recipe.shares}
    words |= {n.lower() for n in (*recipe.chooser_columns(), *recipe.source_columns())}
    return tuple(c for c in frame.columns if c.lower() in words - labels)


def open_input(lake: Lake, table: str, use: str) -> tuple[DataFrame, TableState]:
    """Return a table pinned at its version; one without versions (a view, Parquet) as it is, with no version."""
    try:
        state = lake.state(table)
    except InputError:
        return lake.read(table), TableState(lake.ref(table), None, None, None)
    if state.version is None:
        raise InputError(
            f"{use}: there is no table {table} ({state.ref}); create it, or give it a 'from:' to ingest it"
        )
    return lake.read(table, state.version), state


def open_documents(lake: Lake, recipe: Recipe) -> Documents:
    """Pin the documents table and check every expression over it, before any Spark job starts."""
    table = recipe.documents.table
    frame, state = open_input(lake, table, "documents")
    lower = [c.lower() for c in frame.columns]
    for c in frame.columns:
        if lower.count(c.lower()) > 1:
            raise InputError(f"table {table} has two columns {c!r} that differ in case only; rename one")
    for key in ("id", *DOCUMENT_INPUTS):
        sql = getattr(recipe.documents, key)
        if sql:
            analyse(frame, sql, f"documents.{key}")
    for label, score in recipe.scores.items():
        for column in set(score.inputs) & set(recipe.source_columns()):
            analyse(frame, f"`{column}`", f"scores.{label}")
        if isinstance(score, OnDocuments) and score.fit_where:
            analyse_condition(frame, score.fit_where, f"scores.{label}: fit_where")
    keep = _kept(recipe, frame)
    _check_kept(recipe, frame, keep)
    for name in recipe.shares:
        if name.lower() not in lower:
            raise RecipeError(f"report: shares names {name!r}; columns are {', '.join(frame.columns)}")
    documents = Documents(frame, state, recipe, keep, _named(recipe, frame))
    check_where(documents)
    return documents


def check_where(documents: Documents) -> None:
    """Check `where:` and what selectors need against labels and source columns; raises RecipeError."""
    recipe = documents.recipe
    labels = ", ".join(f"CAST(NULL AS {s.value}) AS `{k}`" for k, s in recipe.scores.items())
    spark = documents.frame.sparkSession
    empty = documents.frame.limit(0).select(*joined_columns(documents)).drop(ROW_HASH)
    both = empty.crossJoin(spark.sql(f"SELECT {labels} LIMIT 0"))
    if recipe.where:
        analyse_condition(both, recipe.where, "where")
    for name, chooser in {
        "select": recipe.selector,
        **{f"controls: {k}": v for k, v in recipe.controls.items()},
    }.items():
        for need in chooser.needs:
            analyse(both, need if "." in need else f"`{need}`", name)
        if by := getattr(chooser, "by", None):
            number(both, by)
    count = recipe.budget.length
    if count and recipe.scores[count].value not in ("int", "bigint"):
        raise RecipeError(
            f"budget: count is {count!r}, which is {recipe.scores[count].value}; a label that counts tokens is needed, "
            "such as one of kind length_tokens"
        )


def open_target(lake: Lake, documents: Documents, name: str) -> tuple[DataFrame, TableState]:
    """Return the pinned target table, with its expressions checked; raises InputError or RecipeError."""
    target = documents.recipe.targets[name]
    frame, state = open_input(lake, target.table, f"targets.{name}")
    analyse(frame, target.text, f"targets.{name}.text")
    for key, sql in (("where", target.where), ("held_out", target.held_out)):
        if sql:
            analyse_condition(frame, sql, f"targets.{name}.{key}")
    return frame, state


def target_texts(frame: DataFrame, documents: Documents, name: str, held_out: bool = False) -> DataFrame:
    """Return the one column `text` of a target's rows: those fitted on, or those held out for the report."""
    target = documents.recipe.targets[name]
    condition = target.held_out if held_out else target.where
    rows = frame.where(condition) if condition else frame
    return rows.selectExpr(f"{text_of(target.text)} AS text")


def open_targets(lake: Lake, documents: Documents) -> dict[str, Target]:
    """Return every target of the recipe, pinned and checked."""
    return {name: Target(*open_target(lake, documents, name)) for name in documents.recipe.targets}
