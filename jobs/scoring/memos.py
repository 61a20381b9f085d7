"""The table `memos`: every score ever computed, by (id, content hash, fingerprint). What is there, and what is missing.

A score is a pure function of content and fingerprint, so its rows never go stale; rows of documents that are gone stay
until `lakesift maintain`. Nothing is written here: jobs/scoring/passes.py does that.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.encoding import pivoted_sql, value_sql
from ...udfs.fitted import FittedScore
from ..inputs.documents import ROW_HASH, Buckets, in_buckets
from ..inputs.run import Run, Touched
from ..lake.changes import Unknown, change
from ..lake.commits import TableState
from ..lake.schemas import MEMOS
from ..lake.tables import Lake

#: Documents up to which (id, hash) of all of them are broadcast, and most rows of one unit.
BROADCAST_ROWS = 1_000_000


def quoted_list(fingerprints: Sequence[str]) -> str:
    """Return fingerprints as SQL literals, for IN (...): the partitions of the table."""
    return ", ".join(f"'{f}'" for f in fingerprints)


def memo_rows(run: Run, scores: Sequence[FittedScore], version: int | None = None) -> DataFrame:
    """Return the rows of `memos` of some scores, of documents that are gone too."""
    return of_scores(run.lake.read(MEMOS, version), scores)


def of_scores(rows: DataFrame, scores: Sequence[FittedScore]) -> DataFrame:
    """Return those rows of `memos` that are of some scores."""
    return rows.where(f"fingerprint IN ({quoted_list([s.fingerprint for s in scores])})")


def values(run: Run, score: FittedScore, within: DataFrame | None = None) -> DataFrame:
    """Return (id, value) of the present documents that have been computed.

    Vectors are read and not exchanged where that is possible: if no value is missing and there are as many rows as
    documents, every row belongs to a present document.

    Parameters
    ----------
    within : DataFrame, optional
        `id` of the only documents wanted, few enough to be broadcast.
    """
    value = F.expr(value_sql(score.scorer.value)).alias("value")
    rows = memo_rows(run, [score], score.current_at).select("id", "content_hash", value)
    wanted = run.hashed.select("id", F.col(score.hash_column).alias("content_hash"))
    if within is not None:
        wanted = F.broadcast(wanted.join(F.broadcast(within.select("id")), "id", "left_semi"))
    elif score.current_at is not None and rows.count() == run.hashes.summary.documents:
        return rows.select("id", "value")
    elif run.hashes.summary.documents <= BROADCAST_ROWS:
        wanted = F.broadcast(wanted)
    return rows.join(wanted, ["id", "content_hash"], "left_semi").select("id", "value")


def gained_rows(lake: Lake, since: TableState) -> DataFrame:
    """Return the rows that `memos` gained since a state of it; all if its log cannot say."""
    try:
        changed = change(lake, MEMOS, since.version or 0, since.data_version or "", lake.version(MEMOS) or 0)
    except Unknown:
        return lake.read(MEMOS)
    return lake.read(MEMOS) if changed.gained is None else changed.gained


def wide(
    run: Run, scores: Sequence[FittedScore], touched: Touched | None = None, since: TableState | None = None
) -> DataFrame:
    """Return one row per document: id, content_hash, and one column per score, null where undefined or missing.

    `content_hash` is that of the inputs of the first score, and absent without any.

    The rows of a document are gathered once for all scores that have the same inputs.

    Parameters
    ----------
    touched : Touched, optional
        The only documents wanted.
    since : TableState, optional
        A state of `memos` after which all these values were written.
    """
    frame, columns = touched.hashed if touched else run.hashed, []
    within = touched.hashed if touched else None
    memos = gained_rows(run.lake, since) if since else run.lake.read(MEMOS)
    for column in dict.fromkeys(s.hash_column for s in scores):
        mine = [(i, s) for i, s in enumerate(scores) if s.hash_column == column]
        aggregates = []
        for i, score in mine:
            own, sql = pivoted_sql(score.scorer.value, score.fingerprint, f"value_{i}")
            aggregates += own
            columns.append(F.expr(sql).alias(score.name))
        rows = only(of_scores(memos, [s for _, s in mine]), within)
        by_document = rows.groupBy("id", F.col("content_hash").alias(column))
        frame = frame.join(by_document.agg(*(F.expr(a) for a in aggregates)), ["id", column], "left")
    content = [F.col(s.hash_column).alias("content_hash") for s in scores[:1]]
    return frame.select("id", *content, *columns)


def only(rows: DataFrame, within: DataFrame | None) -> DataFrame:
    """Return the rows of some ids, few enough to be broadcast; all without."""
    return rows if within is None else rows.join(F.broadcast(within.select("id")), "id", "left_semi")


def missing(
    run: Run,
    scores: Sequence[FittedScore],
    buckets: Buckets,
    within: DataFrame | None,
    also: Sequence[str] = (),
    touched: Touched | None = None,
) -> DataFrame:
    """Return the documents that lack a score: id, ROW_HASH, the hash columns, and `missing`, bit i for scores[i].

    `memos` is read at its present state, inside the plan of the append itself: under Serializable isolation two runs
    that compute the same fingerprint conflict, and one of them decides again.

    Parameters
    ----------
    buckets : (low, end) or None
        A slice of the id hash.
    within : DataFrame or None
        `id` of the only documents wanted.
    also : sequence of str
        Hash columns beside those of the scores.
    touched : Touched, optional
        The only documents wanted, instead of `within`: few, so that `memos` is read and not exchanged.
    """
    mine = in_buckets("id", buckets)
    columns = list(dict.fromkeys(s.hash_column for s in scores))
    kept = list(dict.fromkeys([*columns, *also]))
    hashed = (touched.hashed if touched else run.hashed).where(mine)
    frame = hashed.select("id", F.col("row_hash").alias(ROW_HASH), *kept)
    if within is not None and touched is None:
        frame = frame.join(within.select("id"), "id", "left_semi")
    lacking = F.lit((1 << len(scores)) - 1).cast("bigint")
    for column in columns:
        bits = {s.fingerprint: 1 << i for i, s in enumerate(scores) if s.hash_column == column}
        rows = memo_rows(run, [s for s in scores if s.hash_column == column]).where(mine)
        rows = only(rows, touched.hashed if touched else None)
        cases = " ".join(f"WHEN '{f}' THEN {bit}L" for f, bit in bits.items())
        bit_of, there = F.expr(f"CASE fingerprint {cases} END"), f"bits_{column}"
        rows = rows.select("id", F.col("content_hash").alias(column), bit_of.alias(there))
        if len(bits) > 1:
            rows = rows.groupBy("id", column).agg(F.bit_or(there).alias(there))
        frame = frame.join(rows, ["id", column], "left")
        lacking = lacking.bitwiseAND(F.bitwise_not(F.coalesce(there, F.lit(0).cast("bigint"))))
    return frame.select("id", F.col(f"`{ROW_HASH}`"), *kept, lacking.alias("missing")).where("missing <> 0")
