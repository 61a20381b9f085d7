"""Rows that satisfy a condition over scores and source columns: eligible ones, and those that a score is asked for."""

from __future__ import annotations

from collections.abc import Collection

from pyspark.sql import DataFrame

from ...udfs.quoting import quoted_name
from ..recipe.recipe import mentions
from .documents import joined_columns
from .run import Run, keys_of, one_row_per_id


def satisfying(run: Run, scores: DataFrame, where: str, columns: Collection[str]) -> DataFrame:
    """Return the rows of `scores` for which `where` holds, with the source columns that it or `columns` name.

    Source columns are joined by id, and only where they are named: no text of other rows moves.
    """
    wanted = {c.lower() for c in columns}
    named = [c for c in run.documents.named if c.lower() in wanted or mentions(where, c)]
    if named:
        source = one_row_per_id(run, run.documents.frame.select(*joined_columns(run.documents, keys_of(run))))
        kept = [c for c in source.columns if c in {"id", *named}]
        scores = scores.join(source.select(*(quoted_name(c) for c in kept)), "id", "inner")
    return scores.where(where) if where else scores
