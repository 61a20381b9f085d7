"""Every table that a recipe needs beside its inputs, declared before anything runs: for creation and `plan --ddl`."""

from __future__ import annotations

from collections.abc import Iterable

from ...udfs.encoding import is_published
from ...udfs.fitted import FittedScore
from ...udfs.scorer import Estimator
from ..lake import refinement_tables, schemas
from ..lake.schemas import FIXED, TOKENS_USED, Col, Table
from ..recipe import Recipe
from .documents import Documents, hash_name


def tables_of(recipe: Recipe, documents: Documents | None) -> list[Table]:
    """Return the tables; without documents the columns of the selection are unknown, and it is left out."""
    tables = [
        hashes_table(recipe),
        schemas.rejected(recipe.name),
        schemas.runs(),
        schemas.memos(),
        schemas.scores(recipe.name, declared_columns(recipe, published_names(recipe)), recipe.keep_versions),
        schemas.controls(recipe.name, recipe.keep_versions),
    ]
    if recipe.refine or any(isinstance(s, Estimator) for s in recipe.scores.values()):
        tables.append(schemas.models())
    if recipe.refine:
        tables += [refinement_tables.rounds(), refinement_tables.feedback()]
    if recipe.refine and recipe.refine.reward.about_answers:
        tables.append(refinement_tables.hidden(recipe.name))
    if documents:
        tables.append(selection_table(recipe, documents, declared_columns(recipe, shown_names(recipe))))
    return tables


def hashes_table(recipe: Recipe) -> Table:
    """Return the table that a recipe's documents are hashed into."""
    return schemas.hashes(recipe.name, [hash_name(names) for names in recipe.input_sets()])


def published_names(recipe: Recipe) -> list[str]:
    """Return the scores that `scores_<recipe>` holds: vectors stay in `memos`, those on demand have few values."""
    on_demand = recipe.on_demand_only()
    return [name for name in shown_names(recipe) if name not in on_demand]


def shown_names(recipe: Recipe) -> list[str]:
    """Return the score columns of a selection: also those on demand, null where not computed; no vectors."""
    return [name for name, score in recipe.scores.items() if is_published(score.value)]


def declared_columns(recipe: Recipe, names: Iterable[str]) -> list[Col]:
    """Return the columns of scores before they are fitted."""
    return [Col(n, recipe.scores[n].value, f"{recipe.scores[n].comment} ({recipe.scores[n].kind})") for n in names]


def score_columns(scores: Iterable[FittedScore]) -> list[Col]:
    """Return the columns of fitted scores, with comments that say kind and fingerprint."""
    return [Col(s.name, s.scorer.value, f"{s.scorer.comment} ({s.scorer.kind}, {s.fingerprint})") for s in scores]


def selection_table(recipe: Recipe, documents: Documents, scores: list[Col]) -> Table:
    """Return the selection: fixed columns, the selector's own, scores, kept source columns."""
    sql = documents.keep
    types = documents.frame.selectExpr(*(f"{expression} AS c{i}" for i, expression in enumerate(sql.values()))).schema
    kept = [
        Col(name, field.dataType.simpleString(), f"source column {expression}".replace("`", ""))
        for (name, expression), field in zip(sql.items(), types, strict=True)
    ]
    fixed = (*FIXED, TOKENS_USED) if recipe.budget.tokens else FIXED
    extra = [Col(*column) for column in recipe.extra_columns]
    return schemas.selection(recipe.name, (*fixed, *extra, *scores, *kept), recipe.keep_versions)
