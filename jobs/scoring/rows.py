"""The rows that scores are computed from: a slice of the documents, or the values of the scores that they read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.encoding import value_sql
from ...udfs.fitted import FittedScore, input_name
from ...udfs.spark import apply
from ..inputs.documents import ROW_HASH, Buckets, in_buckets
from ..inputs.run import Run, Touched
from ..lake.tuning import cores, spread
from .memos import memo_rows, missing

#: Documents from which counting the rows of `memos` is faster than looking through them.
COUNT_FROM = 200_000
#: Seconds of work for which one task a core is enough.
LITTLE_SECONDS = 4.0


@dataclass(frozen=True)
class Source:
    """What some scores are computed from: the documents, read once for all of them, and the values of `parents`.

    Parameters
    ----------
    within : DataFrame, optional
        `id` of the only documents wanted.
    parents : sequence of FittedScore
        Scores whose values are read from `memos`; all scores then read the same. Without, those that a score reads are
        among `scores`.
    computable : str
        SQL over `missing` of the scores that can be computed from all this.
    touched : Touched, optional
        The documents that changed, which are `within`: few ids, and maybe the only rows that hold them.
    lacking : DataFrame, optional
        What `scoring.memos.missing` found of all, where nobody else can change it meanwhile.
    """

    run: Run
    scores: Sequence[FittedScore]
    fitted: Mapping[str, FittedScore]
    within: DataFrame | None = None
    parents: Sequence[FittedScore] = ()
    computable: str = "missing"
    touched: Touched | None = None
    lacking: DataFrame | None = None

    def looked_up(self) -> Source:
        """Return the source with what documents that changed lack, so that `memos` is read once for them.

        Only in a folder that this run holds: elsewhere the append itself must read `memos`, so that Delta sees a
        conflict with another run.
        """
        if self.touched is None or not self.run.lake.local:
            return self
        many = self.run.hashes.summary.documents >= COUNT_FROM
        if many and self.touched.grew and not self.parents and self._only_of_the_others(self.touched):
            columns = dict.fromkeys(s.hash_column for s in self.scores)
            every = F.lit((1 << len(self.scores)) - 1).cast("bigint").alias("missing")
            hashed = self.touched.hashed.select("id", F.col("row_hash").alias(ROW_HASH), *columns, every)
            return replace(self, lacking=hashed)
        found = self.missing()
        return replace(self, lacking=found.sparkSession.createDataFrame(found.toPandas(), found.schema))

    def _only_of_the_others(self, touched: Touched) -> bool:
        """Tell whether `memos` has one row of each score for each other document, and so none for those that came.

        Nothing was missing when the scores were published, so that it is a matter of counting.
        """
        others = self.run.hashes.summary.documents - touched.there
        counts = memo_rows(self.run, self.scores).groupBy("fingerprint").count().collect()
        return [row["count"] for row in counts] == [others] * len(self.scores)

    @contextmanager
    def of_ids(self, count: int) -> Iterator[DataFrame]:
        """Yield what `udfs.spark.apply` computes of `within`, `count` documents that are known to lack the scores.

        Neither `memos` nor, where documents are pinned and ids not repeated, the hashes are read: the content hash is
        that of the row. A task costs some 60 ms beside its work, so there are few tasks if there is little work.
        """
        if self.parents or self._again or self.within is None:
            with self.computed() as frame:
                yield frame
            return
        documents, every = self.run.documents, (1 << len(self.scores)) - 1
        hashes = (f"{documents.hashes[c]} AS {c}" for c in dict.fromkeys(s.hash_column for s in self.scores))
        names = dict.fromkeys(i for s in self.scores for i in s.scorer.inputs)
        columns = documents.keys[:1], hashes, [f"{every}L AS missing"], documents.inputs(tuple(names))
        ids, spark = F.broadcast(self.within.select("id")), self.run.lake.spark
        rows = documents.frame.selectExpr(*chain(*columns)).join(ids, "id", "left_semi")
        work = count * sum(s.scorer.seconds_per_row for s in self.scores)
        with spread(spark, self._few, tasks=cores(spark) if work < LITTLE_SECONDS else 0) as deal_out:
            yield apply(deal_out(rows), self.scores)

    @property
    def _again(self) -> bool:
        """Whether the hash of a row is computed again and must agree with the one of its id."""
        return bool(self.run.hashes.summary.duplicates) or self.run.documents.state.version is None

    @contextmanager
    def computed(self, buckets: Buckets = None) -> Iterator[DataFrame]:
        """Yield what `udfs.spark.apply` computes of a slice, or of all: to be collected or written inside the block."""
        lacking = self.missing(buckets)
        lacking = lacking.withColumn("missing", F.expr(self.computable)).where("missing <> 0")
        with spread(self.run.lake.spark, self._few) as deal_out:
            frame = apply(self._inputs(lacking, buckets, deal_out), self.scores)
            repeated = self.run.hashes.summary.duplicates
            yield frame.dropDuplicates(["id", "content_hash", "fingerprint"]) if repeated else frame

    def missing(self, buckets: Buckets = None) -> DataFrame:
        """Return the documents of a slice that lack something (scoring.memos.missing)."""
        if self.lacking is not None:
            return self.lacking.where(in_buckets("id", buckets))
        also = [p.hash_column for p in self.parents]
        return missing(self.run, self.scores, buckets, self.within, also, self.touched)

    @property
    def _few(self) -> bool:
        """Whether the rows of the documents are dealt out: the one place where text may move."""
        return not self.parents and (self._rows is not None or self.run.few_files)

    @property
    def _rows(self) -> DataFrame | None:
        """The rows of the documents that are read in place of all."""
        return self.touched.rows if self.touched and not self._again else None

    def _inputs(self, lacking: DataFrame, buckets: Buckets, deal_out: Callable[[DataFrame], DataFrame]) -> DataFrame:
        """Return the documents that lack something (scoring.memos.missing) with the inputs of the scores.

        Documents are a filtered scan, joined by id. An id's content is known from the hashes; where ids are repeated,
        or the table has no versions and may have changed since it was hashed, the hash of the row is computed again and
        must agree.
        """
        documents = self.run.documents
        names = dict.fromkeys(i for s in self.scores for i in s.scorer.inputs if i not in self.fitted)
        again = bool(self.parents) or self._again
        rows = F.broadcast(lacking if again else lacking.drop(ROW_HASH))
        for parent in self.parents:
            column = F.col("content_hash").alias(parent.hash_column)
            value = F.expr(value_sql(parent.scorer.value)).alias(input_name(parent.name))
            part = memo_rows(self.run, [parent]).where(in_buckets("id", buckets)).select("id", column, value)
            rows = part.join(rows, ["id", parent.hash_column], "inner")
        if self.parents and not names:
            return rows
        keys, key_sql = (["id", ROW_HASH], documents.keys) if again else (["id"], documents.keys[:1])
        texts = deal_out(documents.frame if self._rows is None else self._rows).where(in_buckets(documents.id, buckets))
        texts = texts.selectExpr(*key_sql, *documents.inputs(tuple(names)))
        return texts.join(rows, keys, "inner")
