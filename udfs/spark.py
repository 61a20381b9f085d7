"""The Spark edge of every scorer and fold: batches and shipped state; what happens to a batch is in arrow.py.

- `column(scorer)`: an iterator pandas UDF, which is also what SQL gets.
- `apply(frame, scores)`: the batch form that jobs use: any number of scores in one `mapInArrow` pass.
- `fold(frame, fold)`: one pass over a table into one small state.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from .arrow import fold_batches, kernel_of, placed, score_batch, without_large
from .discovery import scorers
from .encoding import MEMO, MEMO_NAMES, memo_columns
from .errors import BoundError
from .fitted import FittedScore, input_name
from .quoting import quoted_name
from .scorer import Fold, Scorer
from .worker_errors import MARK, marked

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

#: A fold sees blocks of at least this many rows, whatever Arrow's batch size is.
BLOCK_ROWS = 8_192
#: Partials are merged on executors into this many before the driver sees them.
MERGE_GROUPS = 8
#: Fitted state travels inside the task closure up to here.
CLOSURE_BYTES = 16_000_000


def apply(frame: DataFrame, scores: Sequence[FittedScore]) -> DataFrame:
    """Compute scores in one pass: one row of `MEMO` for every row of the frame and every score that it lacks.

    A narrow transformation: rows stay in their partitions and text never crosses a shuffle.

    Parameters
    ----------
    frame : DataFrame
        `id`; `missing`, in which bit i says that the row lacks `scores[i]`; the scores' hash columns; and their inputs,
        named by `input_name`, but for those that are scores earlier in the list. A row that lacks such a score lacks
        its input, too.
    scores : sequence of FittedScore
        At most 62, each after those it reads.

    Returns
    -------
    DataFrame
        id, content_hash, fingerprint, number, numbers, vector, and `seconds`: CPU time of the kernel, one row a batch.

    Raises
    ------
    BoundError
        If a fitted state is larger than 16 MB: it travels with every task.
    """
    for score in scores:
        size = len(pickle.dumps(score.scorer))
        if size > CLOSURE_BYTES:
            raise BoundError(
                f"the fitted state of {score.name!r} ({score.scorer.kind}) has {size:,} bytes; at most "
                f"{CLOSURE_BYTES:,} travel with a task"
            )
    computed = {s.name for s in scores}
    inputs = dict.fromkeys(i for s in scores for i in s.scorer.inputs if i not in computed)
    hashes = dict.fromkeys(s.hash_column for s in scores)
    names = ("id", "missing", *hashes, *map(input_name, inputs))
    rows = by_place(frame.select(*map(quoted_name, names)))
    return rows.mapInArrow(on_workers(_score_batches, tuple(scores), names), f"{MEMO}, seconds double")


def by_place(frame: DataFrame) -> DataFrame:
    """Return a frame whose columns are named by their place: mapInArrow takes a dot in a name for a field."""
    return frame.toDF(*(f"c{i}" for i in range(len(frame.columns))))


def on_workers(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Return a function of batches alone, whose errors (of LakeSift) the driver tells from others, for mapInArrow."""
    return partial(_marked, MARK, function, arguments)


def _marked(mark: str, function: Callable[..., Any], arguments: tuple[Any, ...], batches: Any) -> Iterator[Any]:
    return marked(mark, function(*arguments, batches))


def _score_batches(
    scores: Sequence[FittedScore], names: Sequence[str], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    kernels = [kernel_of(s.scorer) for s in scores]
    read = {i for s in scores for i in s.scorer.inputs}
    for batch in batches:
        columns = {n: without_large(a) for n, a in zip(names, batch.columns, strict=True)}
        missing = columns["missing"].to_numpy()
        for bit, (score, kernel) in enumerate(zip(scores, kernels, strict=True)):
            rows = np.flatnonzero(missing >> bit & 1)
            if not len(rows):
                continue
            some = None if len(rows) == len(missing) else pa.array(rows)
            ids, hashes, *inputs = (
                columns[c] if some is None else columns[c].take(some)
                for c in ("id", score.hash_column, *map(input_name, score.scorer.inputs))
            )
            start = time.process_time()
            value = score_batch(score.scorer, inputs, ids, kernel, score.name)
            seconds = np.zeros(len(rows))
            seconds[0] = time.process_time() - start
            if score.name in read:  # a later score of the pass is computed from it
                columns[input_name(score.name)] = value if some is None else placed(value, rows, len(missing))
            own = pa.repeat(pa.scalar(score.fingerprint), len(rows))
            yield pa.RecordBatch.from_arrays(
                [ids, hashes, own, *memo_columns(value), pa.array(seconds)], names=[*MEMO_NAMES, "seconds"]
            )


def _to_pandas(value: pa.Array) -> Any:
    if pa.types.is_struct(value.type):
        names = [f.name for f in value.type]
        return pd.DataFrame({n: value.field(n).to_pandas(integer_object_nulls=True) for n in names})
    return value.to_pandas(integer_object_nulls=True)


def column(scorer: Scorer) -> Callable[..., Column]:
    """Return the scorer as a column function of its inputs: an iterator pandas UDF, usable in SQL after `register`.

    Examples
    --------
    `documents.select("id", column(CompressionRatio())("text").alias("ratio"))`
    """
    from pyspark.sql.functions import pandas_udf

    def values(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:  # of a struct: pd.DataFrame
        for batch in batches:
            series = batch if isinstance(batch, tuple) else (batch,)  # Spark sends a single argument bare
            # A batch of nulls alone has no type of its own.
            typed = [s.astype("string") if s.dtype == object and s.isna().all() else s for s in series]
            yield _to_pandas(score_batch(scorer, [pa.Array.from_pandas(s) for s in typed]))

    mark = MARK  # the driver's: what a closure holds travels with it

    def marked_values(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        return marked(mark, values(batches))

    return pandas_udf(marked_values, scorer.value)  # type: ignore[call-overload, no-any-return]


def register_all(spark: SparkSession) -> list[str]:
    """Register every scorer that needs no fitting as a SQL function of its kind; returns the names.

    `SELECT id, compression_ratio(text) FROM corpus`. A scorer with inputs of its own takes them in order.
    """
    unfitted = {kind: cls for kind, cls in scorers().items() if issubclass(cls, Scorer)}
    for kind, cls in unfitted.items():
        spark.udf.register(kind, column(cls()))
    return list(unfitted)


def start_workers(spark: SparkSession, count: int) -> None:
    """Start Python workers, which import the code, ahead of the first pass; it would wait about a second for them."""
    spark.range(0, count, 1, count).mapInArrow(_nothing, "id bigint").collect()


def _nothing(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        yield from ()


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= BLOCK_ROWS:
            yield from pa.Table.from_batches(held).combine_chunks().to_batches()
            held, rows = [], 0
    if held:
        yield from pa.Table.from_batches(held).combine_chunks().to_batches()


def _state_batch(fold: Fold[Any], state: Any) -> pa.RecordBatch:
    body = pickle.dumps(state, protocol=5)
    if len(body) > fold.limit_bytes:
        raise BoundError(
            f"{type(fold).__name__} holds {len(body):,} bytes; at most {fold.limit_bytes:,} reach the driver: "
            f"{fold.remedy}"
        )
    return pa.RecordBatch.from_arrays([pa.array([body], pa.binary())], ["state"])


def _fold_batches(fold: Fold[Any], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    state = fold_batches(fold, _blocks(batches))
    if state is not None:
        yield _state_batch(fold, state)


def _merge_batches(fold: Fold[Any], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    states = [pickle.loads(b) for batch in batches for b in batch.column(0).to_pylist()]
    if states:
        yield _state_batch(fold, reduce(fold.merge, states))


def fold(frame: DataFrame, fold: Fold[Any]) -> Any:
    """Learn one state from all rows in one pass; rows with a null in any column are left out.

    At most `MERGE_GROUPS` partials of `fold.limit_bytes` reach the driver, whatever the number of partitions.

    Raises
    ------
    BoundError
        If a state outgrows `fold.limit_bytes`.
    """
    partials = by_place(frame).mapInArrow(on_workers(_fold_batches, fold), "state binary")
    # By a column, not a number: adaptive execution then makes one task of groups that are small.
    groups = partials.selectExpr("state", f"spark_partition_id() % {MERGE_GROUPS} AS part").repartition("part")
    merged = groups.select("state").mapInArrow(on_workers(_merge_batches, fold), "state binary")
    return reduce(fold.merge, (pickle.loads(row["state"]) for row in merged.collect()), fold.zero())
