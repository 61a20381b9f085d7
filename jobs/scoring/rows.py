"""The rows that scores are computed from: a slice of the documents, or the values of the scores that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...udfs.encoding import value_sql
from ...udfs.scorer import FittedScore
from ..inputs.documents import ROW_HASH, in_buckets
from ..inputs.run import Run
from ..lake.tuning import few_splits
from .memos import memo_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Source:
    """`read` takes documents that lack something (scoring.memos.missing) of a range of buckets and adds their inputs.

    Its third argument deals out the rows of a table of `few` files (lake.tuning.spread): the one place where text may
    move. `hash_columns` are those that it joins by beside the scores' own.
    """

    read: Callable[[DataFrame, tuple[int, int], Callable[[DataFrame], DataFrame]], DataFrame]
    hash_columns: tuple[str, ...] = ()
    few: bool = False


def from_documents(run: Run, scores: Sequence[FittedScore], fitted: Mapping[str, FittedScore]) -> Source:
    """Return what reads the documents once for all of these scores: a filtered scan and a broadcast join by id.

    An id's content is known from the hashes; where ids are repeated, or the table has no versions and may have changed
    since it was hashed, the hash of the row is computed again and must agree.
    """
    from pyspark.sql import functions as F

    documents = run.documents
    names = dict.fromkeys(i for s in scores for i in s.scorer.inputs if i not in fitted)
    again = bool(run.hashes.summary.duplicates) or documents.state.version is None
    keys = ["id", ROW_HASH] if again else ["id"]
    hashed = [f"{documents.row_hash} AS `{ROW_HASH}`"] if again else []

    def read(lacking: DataFrame, buckets: tuple[int, int], deal_out: Callable[[DataFrame], DataFrame]) -> DataFrame:
        rows = deal_out(documents.frame).where(in_buckets(documents.id, buckets))
        rows = rows.selectExpr(f"{documents.id} AS id", *hashed, *documents.inputs(tuple(names)))
        return rows.join(F.broadcast(lacking if again else lacking.drop(ROW_HASH)), keys, "inner")

    return Source(read, few=few_splits(run.lake.spark, run.lake.ref(run.recipe.documents.table)))


def from_memos(run: Run, scores: Sequence[FittedScore], fitted: Mapping[str, FittedScore]) -> Source:
    """Return what reads the values of the scores that these scores read; all of them read the same."""
    from pyspark.sql import functions as F

    inputs = scores[0].scorer.inputs
    parents = [fitted[i] for i in inputs if i in fitted]
    documents = run.documents

    def read(lacking: DataFrame, buckets: tuple[int, int], _: Callable[[DataFrame], DataFrame]) -> DataFrame:
        rows = F.broadcast(lacking)
        for parent in parents:
            column = F.col("content_hash").alias(parent.hash_column)
            value = F.expr(value_sql(parent.scorer.value)).alias(parent.name)
            part = memo_rows(run, [parent]).where(in_buckets("id", buckets)).select("id", column, value)
            rows = part.join(rows, ["id", parent.hash_column], "inner")
        if others := tuple(i for i in inputs if i not in fitted):
            texts = documents.frame.where(in_buckets(documents.id, buckets))
            texts = texts.selectExpr(
                f"{documents.id} AS id", f"{documents.row_hash} AS `{ROW_HASH}`", *documents.inputs(others)
            )
            rows = rows.join(texts, ["id", ROW_HASH], "inner")
        return rows

    return Source(read, tuple(p.hash_column for p in parents))
