"""Rows of compared selections to read: the first that each alone chose, with the beginning of their text."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from ..inputs.documents import text_of
from ..inputs.run import Run, columns_of, id_frame
from .compared_sets import Chosen
from .page.content import Example
from .report_examples import TEXT_CHARS

#: Rows of each selection.
ROWS = 10


def examples_of(opened: Sequence[Chosen]) -> dict[str, tuple[Example, ...]]:
    """Return the first ROWS rows, by rank, that each selection alone chose."""
    picks = [
        one.again.selection.selectExpr("id", "CAST(rank AS BIGINT) AS rank", f"{i} AS place")
        for i, one in enumerate(opened)
    ]
    once = reduce(DataFrame.unionByName, picks).groupBy("id")
    alone = once.agg(F.count("*").alias("n"), F.min("rank").alias("rank"), F.min("place").alias("place")).where("n = 1")
    nth = F.row_number().over(Window.partitionBy("place").orderBy("rank", "id"))
    first = alone.withColumn("nth", nth).where(F.col("nth") <= ROWS).select("id", "rank", "place").toPandas()
    found: dict[str, tuple[Example, ...]] = {one.label: () for one in opened}
    for group, numbers in by_text(opened).items():
        rows = first[first["place"].isin(numbers)].sort_values(["place", "rank", "id"])
        texts = _texts(opened[group].run, rows["id"]) if len(rows) else {}
        for i in numbers:
            of = rows[rows["place"] == i]
            found[opened[i].label] = tuple(
                Example(str(key), int(rank), None, *texts.get(str(key), (None, 0)))
                for key, rank in zip(of["id"], of["rank"], strict=True)
            )
    return found


def by_text(opened: Sequence[Chosen]) -> dict[int, list[int]]:
    """Return the selections whose texts are read from one scan, by the first of them."""
    groups: dict[Hashable, list[int]] = {}
    for i, one in enumerate(opened):
        groups.setdefault((one.state, one.recipe.documents.text), []).append(i)
    return {numbers[0]: numbers for numbers in groups.values()}


def _texts(run: Run, ids: Iterable[str]) -> dict[str, tuple[str | None, int]]:
    """Return the beginning of the text of some rows, and its length in characters."""
    text = F.expr(text_of(run.recipe.documents.text))
    begins, characters = F.substring(text, 1, TEXT_CHARS).alias("text"), F.length(text).alias("characters")
    found = columns_of(run, begins, characters, within=id_frame(run.lake.spark, ids)).collect()
    return {row["id"]: (row["text"], int(row["characters"] or 0)) for row in found}
