"""Checks everything that a recipe names or writes as SQL against its documents: existence and type, before any job.

Spark's analyser decides. All expressions of a kind are analysed in one query; only when that fails are they halved,
until the one that does not fit is found: a query for each of 1 500 columns takes more than ten seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.encoding import is_published
from ...udfs.errors import LISTED, RecipeError, nearest
from ...udfs.quoting import named_as, parts_of, quoted, quoted_name, root_of
from ..lake.spark_errors import analysis_message
from ..recipe.uses import Use, uses
from ..selectors.needs import Group
from .documents import Documents, joined_columns

#: Characters of a type that a message shows.
TYPE_CHARS = 80


def expression_types(frame: DataFrame, expressions: Mapping[str, str]) -> dict[str, T.DataType]:
    """Return the type of each SQL expression, both by its place in the recipe; raises RecipeError, runs nothing."""

    def query(*sqls: str) -> DataFrame:
        # In a filter, too: an aggregate, a window or explode() is not a value of one row, and is refused there.
        values = [F.expr(sql).alias(f"c{i}") for i, sql in enumerate(sqls)]
        bracketed = [F.expr(f"({sql}\n)").alias(f"c{i}") for i, sql in enumerate(sqls)]
        return frame.where(F.struct(*bracketed).isNotNull()).select(*values)

    types: dict[str, T.DataType] = {}
    for (where, sql), found in zip(expressions.items(), _types(query, [*expressions.values()]), strict=True):
        if isinstance(found, Exception):
            more = f" and {len(frame.columns) - LISTED} more" if len(frame.columns) > LISTED else ""
            columns = f"{', '.join(frame.columns[:LISTED])}{more}"
            reason = f"does not fit its table, whose columns are {columns}: {analysis_message(found)}"
            raise RecipeError(f"{where}: {sql!r} {reason}") from found
        types[where] = found
    return types


def _types(query: Callable[..., DataFrame], sqls: Sequence[str]) -> Iterator[T.DataType | Exception]:
    """Yield the type of each SQL expression, or Spark's reason against it: one analysis if all fit, else by halves."""
    try:
        yield from [field.dataType for field in query(*sqls).schema] if sqls else []
    except Exception as error:
        if analysis_message(error) is None:
            raise
        if len(sqls) == 1:
            yield error
        else:
            yield from chain.from_iterable(_types(query, half) for half in _halves(sqls))


def _halves(sqls: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    return sqls[: len(sqls) // 2], sqls[len(sqls) // 2 :]


def check_conditions(frame: DataFrame, conditions: Mapping[str, str]) -> None:
    """Check SQL conditions, by their place in the recipe, against a frame; raises RecipeError, runs nothing."""
    for where, data_type in expression_types(frame, conditions).items():
        if data_type.simpleString() != "boolean":
            raise RecipeError(f"{where}: {conditions[where]!r} is {_shown(data_type)}; a condition (boolean) is needed")


def check_label(frame: DataFrame, label: str) -> None:
    """Check the SQL whose values `tune:` takes for classes; raises RecipeError, runs nothing."""
    found = expression_types(frame, {"tune: label": label})["tune: label"]
    if isinstance(found, T.StructType) or not Group(label).accepts(found):
        raise RecipeError(f"tune: label: {label!r} is {_shown(found)}; {Group.words}")


def check_where(documents: Documents) -> None:
    """Check `where:` and the conditions of single scores; raises RecipeError.

    They may name source columns and all scores but vectors, which no table of scores holds; the condition of a score
    may not name that score.
    """
    recipe = documents.recipe
    scalars = {name for name, score in recipe.scores.items() if is_published(score.value)}
    if recipe.where:
        check_conditions(_pool(documents, scalars), {"where": recipe.where})
    for name, sql in recipe.score_where.items():
        check_conditions(_pool(documents, scalars - {name}), {f"scores.{name}: where": sql})


def check_columns(documents: Documents) -> None:
    """Check that every column that the recipe names exists and has a type that fits; raises RecipeError."""
    named = uses(documents.recipe)
    for source in (True, False):
        part = [use for use in named if use.source == source]
        if not part:
            continue
        frame = documents.frame if source else _pool(documents, documents.recipe.scores)
        names = list(dict.fromkeys(map(_sql, part)))
        types = dict(zip(names, _types(frame.selectExpr, names), strict=True))
        for use in part:
            _check_use(documents, use, types[_sql(use)], frame)


def _pool(documents: Documents, scores: Collection[str]) -> DataFrame:
    """Return source columns beside nulls of the types of some scores: to analyse, not to read."""
    types = {name: score.value for name, score in documents.recipe.scores.items() if name in scores}
    nulls = (F.lit(None).cast(value).alias(name) for name, value in types.items())
    return documents.frame.select(*joined_columns(documents, documents.keys[:1]), *nulls)


def _sql(use: Use) -> str:
    name = use.need.name
    return quoted_name(name) if use.source else quoted(name)


def _check_use(documents: Documents, use: Use, found: T.DataType | Exception, frame: DataFrame) -> None:
    need, scores = use.need, documents.recipe.scores
    root, field = root_of(need.name), ".".join(parts_of(need.name)[1:])
    # scores are told apart by case
    other_case = not use.source and root not in scores and root.lower() in map(str.lower, scores)
    if isinstance(found, Exception) or other_case:
        raise RecipeError(f"{use.where} names {need.name!r}, {_missing(documents, use, root, field, frame)}")
    if not need.accepts(found):
        raise RecipeError(f"{use.where} names {need.name!r}, which is {_shown(found)}; {need.words}")
    if not use.source and need.name.lower() == "id":
        raise RecipeError(f"{use.where} names 'id', which differs in every row; name a score or source column")


def _missing(documents: Documents, use: Use, root: str, field: str, frame: DataFrame) -> str:
    """Return what is wrong with a name that is not found, and which names would fit."""
    types = {f.name: f.dataType for f in frame.schema}
    inside: Any = getattr(types.get(root), "fields", ())
    if field and inside and not use.source:
        fitting = [f.name for f in inside if use.need.accepts(f.dataType)]
        return f"and {root!r} has no field {field!r}; {nearest(field, fitting)}"
    spelled = str if use.source else named_as
    fitting = [spelled(name) for name, data_type in types.items() if use.need.accepts(data_type)]
    if not use.source:
        fields = ((name, f) for name, data_type in types.items() for f in getattr(data_type, "fields", ()))
        fitting += [f"{named_as(name)}.{named_as(f.name)}" for name, f in fields if use.need.accepts(f.dataType)]
    what = "which is no column" if use.source else "which is no score and no column"
    return f"{what} of {documents.recipe.documents.table}; {nearest(use.need.name, set(fitting) - {'id'})}"


def _shown(data_type: T.DataType) -> str:
    shown = data_type.simpleString()
    return shown if len(shown) <= TYPE_CHARS else f"{shown[:TYPE_CHARS]}..."
