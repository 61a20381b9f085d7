"""Rows of a report to read: chosen ones, those just below the cut, random ones, with the beginning of their text."""

from __future__ import annotations

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ..inputs.documents import text_of
from ..inputs.run import Run, columns_of, id_frame
from ..ranking.sort_keys import hashed
from ..selectors.top_k import TopK
from .chosen_again import ChosenAgain, why_no_order
from .last_opened import fitted_for
from .made_from import Made
from .page.content import Example

#: Rows of each kind, characters of a text, and documents that are ranked again at most.
ROWS, TEXT_CHARS, AGAIN_ROWS = 10, 600, 200_000


def examples_of(
    run: Run, of: Made, scores: DataFrame, chosen: DataFrame, scored: DataFrame
) -> dict[str, tuple[Example, ...]]:
    """Return rows to read by the title over them; one pass over the documents for all texts.

    Rows just below the cut are the next ones in the selector's order, where it has one: of `top_k` by the score, else
    ranked again, of AGAIN_ROWS documents at most.

    Parameters
    ----------
    scores : DataFrame
        `scores_<recipe>`, as the version was made from it.
    chosen : DataFrame
        `id` and `rank` of the selection.
    scored : DataFrame
        `id`, and `score`, null where there is none, of the eligible documents.
    """
    last = of.rows or 1
    ranks = sorted({1 + round(i * (last - 1) / (ROWS - 1)) for i in range(ROWS)})
    ranked = chosen.where(F.col("rank").isin(ranks)).toPandas().sort_values("rank")
    titles = {f"{len(ranked)} rows chosen, from the first to the last": ranked}
    selector = run.recipe.selector
    if isinstance(selector, TopK):
        others = scored.join(chosen.select("id"), "id", "left_anti").where("score IS NOT NULL AND NOT isnan(score)")
        key = F.col("score") if selector.order == "asc" else -F.col("score")
        below = others.orderBy(key, hashed(run.recipe.seed), "id").limit(ROWS).toPandas()
        titles[f"{len(below)} rows just below the cut"] = below
    elif (following := _next_in_order(run, of, scores)) is not None:
        titles[f"{len(following)} rows just below the cut: a larger budget takes them next"] = following
    random = run.hashed.select("id").orderBy(F.xxhash64("id", F.lit("examples")), "id").limit(ROWS).toPandas()
    titles[f"{len(random)} random documents"] = random
    return _read(run, titles, chosen, scored)


def _next_in_order(run: Run, of: Made, scores: DataFrame) -> pd.DataFrame | None:
    """Return the ids after the selection in the selector's order; None where there is none or it costs too much."""
    if why_no_order(run.recipe) or not of.rows or run.hashes.summary.documents > AGAIN_ROWS:
        return None
    try:
        again = ChosenAgain(run, of, fitted_for(run, of), scores)
        order = again.order(of.rows + ROWS)
    except InputError:  # documents or memos are others now: the order of then cannot be told
        return None
    return order[["id"]].iloc[of.rows :]


def _read(
    run: Run, titles: dict[str, pd.DataFrame], chosen: DataFrame, scored: DataFrame
) -> dict[str, tuple[Example, ...]]:
    ids = id_frame(run.lake.spark, dict.fromkeys(i for rows in titles.values() for i in rows["id"]))
    text = F.expr(text_of(run.recipe.documents.text))
    begins, few = (F.substring(text, 1, TEXT_CHARS).alias("text"), F.length(text).alias("characters")), F.broadcast(ids)
    found = columns_of(run, *begins, within=ids).join(scored.join(few, "id", "left_semi"), "id", "left")
    ranks = chosen.join(few, "id", "left_semi")
    table = found.join(ranks, "id", "left").toPandas().drop_duplicates("id").set_index("id")
    plain = table.astype(object).to_dict("index")

    def example(key: str) -> Example:
        row = {name: None if pd.isna(value) else value for name, value in plain[key].items()}
        rank = None if row["rank"] is None else int(row["rank"])
        score = None if row["score"] is None else float(row["score"])
        return Example(key, rank, score, row["text"], int(row["characters"] or 0))

    return {title: tuple(example(i) for i in rows["id"] if i in plain) for title, rows in titles.items()}
