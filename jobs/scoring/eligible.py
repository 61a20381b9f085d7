"""The rows that a selection is made from: those that `where:` lets in, and those of them that can be ranked; counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.encoding import is_published
from ...udfs.errors import InputError
from ...udfs.fitted import FittedScore
from ...udfs.quoting import quoted_name
from ..inputs.conditions import satisfying
from ..inputs.run import Run
from ..lake.tuning import collect_small
from ..recipe import Recipe
from ..recipe.clauses import clauses
from ..recipe.recipe import mentions
from ..recipe.uses import rankable_sql
from .memos import BROADCAST_ROWS, values

#: Characters of a clause that a note shows.
CLAUSE_CHARS = 60


def eligible_rows(run: Run, fitted: Mapping[str, FittedScore], scores: DataFrame) -> DataFrame:
    """Return the rows that `where:` lets in: id, and the scores and source columns that selectors and budget name."""
    recipe, documents = run.recipe, run.hashes.summary.documents
    names = recipe.columns_used() | (recipe.columns_on_demand() - recipe.on_demand_only())
    names |= {recipe.budget.length} if recipe.budget.tokens else set()
    vectors = sorted(n for n in names if n in recipe.scores and not is_published(recipe.scores[n].value))
    rows = eligible_columns(run, scores, names - set(vectors))
    for name in vectors:
        vector = values(run, fitted[name]).withColumnRenamed("value", name)
        if name in recipe.score_where:  # of documents that are not asked there is no row in `memos`
            rows = rows.join(vector, "id", "left")
            continue
        few = F.broadcast(rows) if documents <= BROADCAST_ROWS else rows  # the vectors stay put
        rows = vector.join(few, "id", "inner")
    return rows


def eligible_columns(run: Run, scores: DataFrame, names: Iterable[str]) -> DataFrame:
    """Return id, scores but vectors, and source columns of the rows that `where:` lets in, by name."""
    narrow = sorted(names)
    eligible = satisfying(run, scores, run.recipe.where, narrow)
    return collect_small(eligible.select("id", *map(quoted_name, narrow)), run.hashes.summary.documents)


def count_rankable(rows: DataFrame, recipe: Recipe) -> tuple[int, int, str]:
    """Return how many rows there are, how many of them can be selected, and SQL of the latter."""
    rankable = rankable_sql(rows, recipe)
    eligible, ranked = rows.selectExpr("count(*)", f"count_if({rankable})").collect()[0]
    return eligible, ranked, rankable


def first_excluding(parts: Sequence[str]) -> Column:
    """Return the place of the first clause of a condition that does not hold of a row, -1 where all hold."""
    cases = " ".join(f"WHEN NOT coalesce(({sql}\n), false) THEN {i}" for i, sql in enumerate(parts))
    return F.expr(f"CASE {cases} ELSE -1 END") if parts else F.lit(-1)


def count_excluded(run: Run, scores: DataFrame) -> list[tuple[str, int]]:
    """Return each clause of `where:` and how many documents it excludes that the clauses before it let in; note it.

    Nothing is counted where it is one clause: it excludes all that are not eligible.

    Raises
    ------
    InputError
        If the documents that are counted are not those that were hashed.
    """
    where, documents = run.recipe.where, run.hashes.summary.documents
    parts = clauses(where) if where else []
    if len(parts) < 2:
        return []
    named = [c for c in run.documents.named if mentions(where, c)]
    first = satisfying(run, scores, "", named).select(first_excluding(parts).alias("clause"))
    counts = {row["clause"]: row["count"] for row in first.groupBy("clause").count().collect()}
    if (counted := sum(counts.values())) != documents:
        raise InputError(
            f"{run.recipe.documents.table} has {documents:,} documents, and {counted:,} were found when where: was "
            "applied: it changed meanwhile; run again, over a table that has versions"
        )
    excluded = [(" ".join(sql.split()), counts.get(i, 0)) for i, sql in enumerate(parts)]
    eligible = counts.get(-1, 0)
    said = ", then ".join(f"{short_clause(sql)}: {rows:,}" for sql, rows in excluded)
    if eligible < documents:
        run.manifest.note(f"where: excludes {documents - eligible:,} of {documents:,} documents: {said}")
    return excluded


def short_clause(sql: str) -> str:
    """Return a clause in one line, cut to what a note shows."""
    sql = " ".join(sql.split())
    return sql if len(sql) <= CLAUSE_CHARS else f"{sql[: CLAUSE_CHARS - 1]}…"
