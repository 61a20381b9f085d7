"""What became of every document, and why: the one place where reasons are decided, for `explain` and for SQL.

A document is chosen before (by the selection that the recipe goes on from), ineligible by the first clause of `where:`
that does not hold, undefined in something that the selector needs, selected, left out by the selector at any budget
(outside of an interval, a near-duplicate of a better row), or below the cut. This is decided from what the selection
was chosen from, not read off the selection; the two agree. Between two versions reasons.py compares the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ..inputs.conditions import satisfying
from ..inputs.run import id_frame
from ..lake.text_table import printable
from ..lake.tuning import compiled
from ..recipe.clauses import clauses
from ..recipe.recipe import mentions
from ..recipe.uses import rankable_if
from ..scoring.eligible import first_excluding
from ..selectors.selector import LEFT_OUT
from .chosen_again import ChosenAgain, comparing, why_no_order
from .history import files_of
from .row_facts import rows_of_ids

SELECTED, BELOW, LEFT, NEAR = "selected", "below the cut", "left out", "near-duplicate"
UNDEFINED, INELIGIBLE, BEFORE = "undefined", "ineligible", "chosen before"
#: Columns of the decisions, one row a document.
COLUMNS = ("id", "decision", "rank", "place", "gain", "reason", "duplicate_of", "similarity", "selection_rank")
#: Eligible rows up to which the order of a selector that compares vectors, and its near-duplicates, are told unasked.
ORDERED_ROWS = 50_000


def decisions(
    again: ChosenAgain, depth: int | None = None, ids: Sequence[str] | None = None, unasked: bool = False
) -> DataFrame:
    """Return COLUMNS of every document, or of those with some ids.

    `place` is that in the selector's order, null beyond the depth and where there is no order; `rank` the same of
    selected rows; `selection_rank` what the table has, which somebody may have changed.

    Parameters
    ----------
    depth : int, optional
        Rows of the order, by default `again.depth`.
    unasked : bool
        Leave the order out where it takes long.
    """
    if depth is not None and depth < 1:
        raise InputError(f"depth is {depth}; give 1 row or more")
    depth = max(depth or again.depth, again.selected)
    with files_of(again.what), compiled(again.run.lake.spark, again.run.hashes.summary.documents):
        order, left_out = _ranked(again, depth, unasked)
    ended = order is not None and len(order) < depth
    known = _eligibility(again, ids)
    selection = again.selection.select("id", F.col("rank").alias("selection_rank"), F.col("gain").alias("its_gain"))
    known = known.join(_some(selection, ids), "id", "left").join(_some(left_out, ids), "id", "left")
    spark = again.run.lake.spark
    places = order[["id", "rank", "gain"]] if order is not None else pd.DataFrame({"id": [], "rank": [], "gain": []})
    places = places.astype({"id": object, "rank": "int64", "gain": "float64"})
    placed = spark.createDataFrame(places, "id string, place bigint, gain double")
    placed = placed.withColumn("gain", F.when(~F.isnan("gain"), F.col("gain")))
    known = known.join(_some(placed, ids), "id", "left")
    before = again.start if again.start is not None else id_frame(spark, [])
    known = known.join(_some(before, ids).withColumn("before", F.lit(True)), "id", "left")
    return _decided(known, again, order is not None, ended)


def _some(rows: DataFrame, ids: Sequence[str] | None) -> DataFrame:
    return rows if ids is None else rows_of_ids(rows, ids)


def ordered(again: ChosenAgain, unasked: bool = False) -> bool:
    """Return whether the selector's order is told: not where it has none, or, unasked, where that takes long."""
    if why_no_order(again.recipe):
        return False
    return not (unasked and _costly(again))


def _costly(again: ChosenAgain) -> bool:
    return comparing(again.recipe) is not None and again.rankable > ORDERED_ROWS


def _ranked(again: ChosenAgain, depth: int, unasked: bool) -> tuple[pd.DataFrame | None, DataFrame]:
    """Return the order to a depth, None where it is not told, and the rows that no budget chooses."""
    order, out = again.order_and_left_out(depth) if ordered(again, unasked) else (None, None)
    return order, again.run.lake.spark.createDataFrame([], LEFT_OUT) if out is None else out


def _eligibility(again: ChosenAgain, ids: Sequence[str] | None) -> DataFrame:
    """Return id, the place of the clause that excludes it (-1: none), and the names of what is undefined."""
    run, recipe, where = again.run, again.recipe, again.recipe.where
    parts = clauses(where) if where else []
    named = [c for c in run.documents.named if mentions(where, c)]
    scores = satisfying(run, _some(again.scores, ids), "", named)
    known = scores.select("id", first_excluding(parts).alias("clause"))
    rows = _some(again.rows, ids)
    conditions = rankable_if(again.rows, recipe)
    absent = [F.when(~F.coalesce(F.expr(f"({sql}\n)"), F.lit(False)), F.lit(name)) for name, sql in conditions]
    undefined = F.concat_ws(", ", *absent) if absent else F.lit("")
    return known.join(rows.select("id", undefined.alias("undefined")), "id", "left")


def _decided(known: DataFrame, again: ChosenAgain, ordered: bool, ended: bool) -> DataFrame:
    """Return the decisions from what is known of each document."""
    chosen = F.col("place") <= again.selected if ordered else F.col("selection_rank").isNotNull()
    never = F.col("why").isNotNull() | (F.lit(ended) & F.col("place").isNull())
    decision = (
        F.when(F.col("clause") >= 0, INELIGIBLE)
        .when(F.coalesce(F.col("undefined"), F.lit("?")) != "", UNDEFINED)
        .when(F.col("before"), BEFORE)
        .when(chosen, SELECTED)
        .when(F.col("duplicate_of").isNotNull(), NEAR)
        .when(never, LEFT)
        .otherwise(BELOW)
    )
    rank = F.col("place") if ordered else F.col("selection_rank")
    known = known.withColumn("decision", decision)
    selected = F.col("decision") == SELECTED
    gain = F.col("gain" if ordered else "its_gain")
    known = known.withColumn("rank", F.when(selected, rank)).withColumn("gain", gain)
    return known.withColumn("reason", _reason(again, ordered)).select(*COLUMNS)


def _reason(again: ChosenAgain, ordered: bool) -> Column:
    """Return the reason of a decision, as one phrase."""
    recipe, cut = again.recipe, f"{again.selected:,}"
    parts = [printable(" ".join(sql.split())) for sql in (clauses(recipe.where) if recipe.where else [])]
    clause = (
        F.element_at(F.array(*map(F.lit, parts)), F.greatest(F.col("clause") + 1, F.lit(1))) if parts else F.lit("")
    )
    vectors = ", ".join(sorted(again.fitted)) or "a score that the selector needs"
    undefined = F.coalesce("undefined", F.lit(vectors))
    place = F.concat(F.lit("place "), F.col("place").cast("string"), F.lit(f" of the order, which is cut at {cut}"))
    below = F.coalesce(place, F.lit(f"not among the first of the order, which is cut at {cut}")) if ordered else None
    by = recipe.selector.kind
    return (
        F.when(F.col("decision") == INELIGIBLE, F.concat(F.lit("where: "), clause, F.lit(" does not hold")))
        .when(F.col("decision") == UNDEFINED, F.concat(undefined, F.lit(" is undefined")))
        .when(F.col("decision") == BEFORE, "start: it counts as chosen already")
        .when(F.col("decision") == SELECTED, f"among the {cut} that {by} chose of {again.rankable:,}")
        .when(
            F.col("decision") == NEAR, F.concat(F.lit("nearly the same as "), F.col("duplicate_of"), F.lit(": "), "why")
        )
        .when(F.col("decision") == LEFT, F.coalesce("why", F.lit(f"{by} chooses it at no budget")))
        .otherwise(F.lit(f"not among the {cut} that {by} chose of {again.rankable:,}") if below is None else below)
    )
