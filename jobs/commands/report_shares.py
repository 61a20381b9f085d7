"""Shares of rows by the values of a column or score: in the pool, and in sets of its rows."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.quoting import quoted_name, root_of
from ..inputs.run import Run, columns_of
from ..ranking.sort_keys import cluster_of
from ..recipe import Recipe
from ..selectors.needs import Group

#: Pairs of a set and a value that are read at most, most frequent first.
MOST_VALUES = 100_000


def groups_of(recipe: Recipe) -> list[str]:
    """Return the scores, fields and source columns by which a selector groups rows."""
    return [need.name for need in recipe.selector.needs if isinstance(need, Group)]


def grouped(run: Run, scores: DataFrame, name: str) -> DataFrame:
    """Return id and value of what a selector groups by: a score (of k-means the cluster), column or field."""
    if root_of(name) in run.recipe.scores:
        return scores.select("id", _shown(cluster_of(scores, name)))
    return columns_of(run, _shown(cluster_of(run.documents.frame, name)))


def values_of(run: Run, column: str) -> DataFrame:
    """Return id and value of a source column, as text."""
    return columns_of(run, _shown(F.col(quoted_name(column))))


def shares_of(rows: DataFrame, members: DataFrame) -> dict[str, dict[str, float]]:
    """Return set -> value -> share of the rows (id, value), of "pool" and of the sets of `members` (set, id)."""
    pool = rows.groupBy(F.lit("pool").alias("set"), "value").count()
    picked = rows.join(F.broadcast(members), "id", "inner").groupBy("set", "value").count()
    totals: dict[str, dict[str, float]] = {}
    for row in pool.unionByName(picked).orderBy(F.desc("count"), "value").limit(MOST_VALUES).collect():
        totals.setdefault(row["set"], {})[row["value"]] = row["count"]
    return {s: {v: n / sum(counts.values()) for v, n in counts.items()} for s, counts in totals.items()}


def _shown(value: Column) -> Column:
    return F.coalesce(value.cast("string"), F.lit("(null)")).alias("value")
