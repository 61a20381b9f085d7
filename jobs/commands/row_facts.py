"""What is known of some rows beside the decision: scores with their quantiles, clauses, cluster, nearest chosen row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.kernels.nearest_rows import nearest_rows
from ...udfs.quoting import quoted, quoted_name, root_of
from ..inputs.conditions import satisfying
from ..inputs.run import columns_of, id_frame
from ..ranking.sort_keys import cluster_of, column_of
from ..ranking.top import rows_of
from ..ranking.vectors import collect_flat
from ..recipe.clauses import clauses
from ..recipe.recipe import mentions
from ..scoring.memos import values
from ..selectors.needs import Cluster, Group
from .chosen_again import ChosenAgain, comparing
from .report import SCORE_ROWS, numeric_names

#: Chosen rows up to which the nearest one is looked for, and characters of a value that a clause reads.
NEAREST_ROWS, VALUE_CHARS = 100_000, 60
#: Ids that a condition names one by one.
FEW_IDS = 100


def rows_of_ids(rows: DataFrame, ids: Sequence[str]) -> DataFrame:
    """Return the rows of some ids; of a few by a condition, which Spark takes down to where rows are read."""
    if len(ids) <= FEW_IDS:
        return rows.where(F.col("id").isin(list(ids)))
    return rows_of(rows, pd.DataFrame({"id": list(ids)}, dtype=object))


def scores_of_rows(again: ChosenAgain, ids: Sequence[str]) -> dict[str, list[tuple[str, float | None, float | None]]]:
    """Return by id each numeric score: name, value, and the share of the pool's defined values that are at most that.

    Of a pool of more than SCORE_ROWS documents a sample by id hash of about as many is counted.
    """
    if not ids:
        return {}
    names = numeric_names(again.scores.schema.fields[2:])
    columns = [F.col(quoted(name)).cast("double").alias(f"c{i}") for i, name in enumerate(names)]
    table = again.scores.select("id", *columns)
    share = min(1.0, SCORE_ROWS / max(1, again.run.hashes.summary.documents))
    drawn = F.pmod(F.xxhash64("id", F.lit("report")), F.lit(1_000_000)) < F.lit(math.ceil(1e6 * share))
    sample = table.where(drawn).toPandas()
    mine = rows_of_ids(table, ids).toPandas().set_index("id")
    shares: dict[int, Any] = {}
    for i in range(len(names)):
        known = np.sort(sample[f"c{i}"].dropna().to_numpy(float))
        value = mine[f"c{i}"].to_numpy(float)
        below = np.searchsorted(known, value, side="right") / max(len(known), 1)
        shares[i] = np.where(np.isnan(value), np.nan, below)
    found: dict[str, list[tuple[str, float | None, float | None]]] = {}
    for row, key in enumerate(mine.index):
        cells = [(name, mine[f"c{i}"].iloc[row], shares[i][row]) for i, name in enumerate(names)]
        found[key] = [(name, _number(value), _number(share)) for name, value, share in cells]
    return found


def _number(value: Any) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def clauses_of_rows(again: ChosenAgain, ids: Sequence[str]) -> dict[str, list[tuple[str, dict[str, str | None]]]]:
    """Return by id every clause of `where:` that does not hold of it, with the values of the columns that it names."""
    if not ids:
        return {}
    run, where = again.run, again.recipe.where
    parts = clauses(where) if where else []
    named = [c for c in run.documents.named if mentions(where, c)]
    rows = satisfying(run, rows_of_ids(again.scores, ids), "", named)
    columns = [c for c in rows.columns if c not in ("id", "content_hash") and mentions(where, c)]
    holds = [F.expr(f"coalesce(({sql}\n), false)").alias(f"h{i}") for i, sql in enumerate(parts)]
    shown = [
        F.substring(F.col(quoted_name(c)).cast("string"), 1, VALUE_CHARS).alias(f"v{i}") for i, c in enumerate(columns)
    ]
    found = {}
    for row in rows.select("id", *holds, *shown).collect():
        broken = [(i, sql) for i, sql in enumerate(parts) if not row[f"h{i}"]]
        read = {sql: {c: row[f"v{k}"] for k, c in enumerate(columns) if mentions(sql, c)} for _, sql in broken}
        found[row["id"]] = [(" ".join(sql.split()), read[sql]) for _, sql in broken]
    return found


def groups_of_rows(again: ChosenAgain, ids: Sequence[str]) -> dict[str, tuple[str, str | None, int, int, float | None]]:
    """Return by id what the selector groups by: its name, the row's value, rows that can be ranked, chosen, their cut.

    Empty where the selector has no groups.
    """
    needs = [need for need in again.recipe.selector.needs if isinstance(need, Group | Cluster)]
    if not needs or not ids:
        return {}
    name = needs[0].name
    rows = again.rankable_rows
    rows = rows.select("id", cluster_of(rows, name).cast("string").alias("value"))
    chosen = again.selection.select("id", F.expr("IF(isnan(gain), NULL, gain)").alias("gain"), F.lit(1).alias("chosen"))
    counted = rows.join(chosen, "id", "left").groupBy("value")
    sizes = counted.agg(F.count("*").alias("rows"), F.count("chosen").alias("chosen"), F.min("gain").alias("cut"))
    of_value = {row["value"]: (row["rows"], row["chosen"], row["cut"]) for row in sizes.collect()}
    mine = rows_of_ids(rows, ids).collect()
    return {row["id"]: (name, row["value"], *of_value[row["value"]]) for row in mine}


def own_gains(again: ChosenAgain, ids: Sequence[str]) -> dict[str, float]:
    """Return by id the gain of rows that can be ranked, where it is a value of the row alone."""
    rows = again.rankable_rows
    gain = again.recipe.selector.own_gain(rows) if ids else None
    if gain is None:
        return {}
    found = rows_of_ids(rows.select("id", gain.alias("gain")), ids).collect()
    return {row["id"]: row["gain"] for row in found if row["gain"] is not None}


def nearest_chosen(
    again: ChosenAgain, ids: Sequence[str], ineligible: bool = True
) -> tuple[str, dict[str, tuple[str, float]]]:
    """Return the name of the vectors that a recipe has, and by id the nearest other chosen row and the cosine.

    "" and nothing where it has none, where they are not kept any more, or where too many rows are chosen.

    Parameters
    ----------
    ineligible : bool
        Whether some of the ids may be of rows that `where:` leaves out.
    """
    name = _vector_of(again)
    if not name or not ids or again.selected > NEAREST_ROWS:
        return "", {}
    chosen = again.selection.select("id", "rank").toPandas().sort_values("rank")["id"].tolist()
    wanted = list(dict.fromkeys([*chosen, *ids]))
    rows = id_frame(again.run.lake.spark, wanted)
    if name in again.rows.columns and not ineligible:
        vectors = rows_of_ids(again.rows.select("id", F.col(quoted(name)).alias("vector")), wanted)
    elif name in again.recipe.scores:
        vectors = values(again.run, again.fitted[name], within=rows).withColumnRenamed("value", "vector")
    else:
        vectors = columns_of(again.run, column_of(name).alias("vector"), within=rows)
    place, matrix = _collected(vectors)
    here = [place[i] for i in chosen if i in place]
    asked = [i for i in dict.fromkeys(ids) if i in place]
    if not here or not asked:
        return name, {}
    position = {i: p for p, i in enumerate(i for i in chosen if i in place)}
    own = np.array([position.get(i, -1) for i in asked], np.int64)
    found, cosine = nearest_rows(matrix[[place[i] for i in asked]], matrix[here], own)
    names = list(position)
    return name, {i: (names[p], float(c)) for i, p, c in zip(asked, found, cosine, strict=True) if p >= 0}


def _collected(vectors: DataFrame) -> tuple[dict[str, int], Any]:
    """Return the place of each id that has a vector, and the vectors of the length that most have."""
    whole = vectors.select("id", F.col("vector").cast("array<float>").alias("vector"))
    whole = whole.where("vector IS NOT NULL AND size(vector) > 0 AND NOT exists(vector, x -> x IS NULL OR isnan(x))")
    table, flat = collect_flat(whole)
    if not len(table) or len(flat) % len(table):  # none, or of several lengths
        return {}, np.empty((0, 0), np.float32)
    return {i: p for p, i in enumerate(table["id"])}, np.asarray(flat, np.float32).reshape(len(table), -1)


def _vector_of(again: ChosenAgain) -> str:
    """Return the score or column of vectors: what the selector compares, else the recipe's only embedding."""
    recipe = again.recipe
    selector = comparing(recipe)
    name = str(getattr(selector, selector.collects)) if selector else recipe.embedding_name()
    return "" if root_of(name) in recipe.on_demand_only() else name
