"""The Spark edge of every scorer and fold: nulls, NaN, Arrow, batches and shipped state are dealt with here alone.

- `column(scorer)`: an iterator pandas UDF; what SQL gets.
- `apply(frame, scorer)`: the batch form that jobs use, by `mapInArrow`.
- `fold(frame, fold)`: one pass over a table into one small state.

Rules held in both forms: a null in any input gives null and never reaches a kernel; NaN out of a kernel is null;
infinity is an error that names the id and the score.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from .discovery import scorers
from .errors import BoundError, ScoreError
from .kernels.heap import keep_heap
from .scorer import Fold, Kernel, Scorer, fingerprint

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

#: A fold sees blocks of at least this many rows, whatever Arrow's batch size is.
BLOCK_ROWS = 8_192
#: Partials are merged on executors into this many before the driver sees them.
MERGE_GROUPS = 8
#: Fitted state travels inside the task closure up to here.
CLOSURE_BYTES = 16_000_000

_SCALARS = {
    "double": pa.float64(),
    "float": pa.float32(),
    "bigint": pa.int64(),
    "int": pa.int32(),
    "boolean": pa.bool_(),
    "string": pa.string(),
}
_kernels: OrderedDict[str, Kernel] = OrderedDict()


def arrow_type(ddl: str) -> pa.DataType:
    """Return the Arrow type of a scorer's `value`.

    Examples
    --------
    >>> arrow_type("struct<cluster:int,distance_sq:double>")
    StructType(struct<cluster: int32, distance_sq: double>)
    """
    if ddl in _SCALARS:
        return _SCALARS[ddl]
    if ddl.startswith("array<"):
        return pa.list_(arrow_type(ddl[6:-1]))
    if ddl.startswith("struct<"):
        fields = (part.split(":", 1) for part in ddl[7:-1].split(","))
        return pa.struct([(name.strip(), arrow_type(kind.strip())) for name, kind in fields])
    raise ScoreError(f"value type {ddl!r} is not supported; allowed: {', '.join(_SCALARS)}, array<...>, struct<...>")


def _kernel(scorer: Scorer) -> Kernel:
    """Return the scorer's kernel, built once per Python worker."""
    key = f"{scorer.kind}/{fingerprint(scorer)}"
    if key not in _kernels:
        keep_heap()
        _kernels[key] = scorer.kernel()
        while len(_kernels) > 16:
            _kernels.popitem(last=False)
    _kernels.move_to_end(key)
    return _kernels[key]


def _to_arrow(values: Any, kind: pa.DataType, where: Callable[[int], str]) -> pa.Array:
    """Turn one kernel output into Arrow: NaN becomes null (a struct of nothing else too), infinity is an error."""
    if pa.types.is_struct(kind):
        parts = [_to_arrow(values[f.name], f.type, where) for f in kind]
        undefined = np.logical_and.reduce([p.is_null().to_numpy(zero_copy_only=False) for p in parts])
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=pa.array(undefined))
    array = np.asarray(values)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        infinite = np.flatnonzero(np.isinf(array.reshape(len(array), -1)).any(axis=1))
        if len(infinite):
            raise ScoreError(f"{where(int(infinite[0]))} is infinite; a score must be finite, or NaN for undefined")
    if pa.types.is_list(kind):
        missing = np.isnan(array).any(axis=1)
        width = array.shape[1]
        offsets = pa.array(np.arange(0, (len(array) + 1) * width, width, dtype=np.int32))
        flat = pa.array(np.ascontiguousarray(array).reshape(-1), type=kind.value_type)
        return pa.ListArray.from_arrays(offsets, flat, mask=pa.array(missing) if missing.any() else None)
    if array.dtype.kind == "f":
        missing = np.isnan(array)
        if pa.types.is_integer(kind):
            array = np.where(missing, 0, array).astype(np.int64)
        return pa.array(array, type=kind, mask=missing if missing.any() else None)
    return pa.array(values if array.dtype.kind in "OU" else array, type=kind)


def _inputs(arrays: list[pa.Array]) -> list[Any]:
    """Return kernel inputs without nulls: str lists for text, numpy arrays for numbers, 2-d arrays for vectors."""
    made: list[Any] = []
    for array in arrays:
        if pa.types.is_list(array.type):
            flat = array.flatten().to_numpy(zero_copy_only=False)
            lengths = np.diff(array.offsets.to_numpy())
            if len(lengths) and (lengths != lengths[0]).any():
                raise ScoreError(f"vectors have different lengths ({lengths.min()} and {lengths.max()}); one is needed")
            made.append(flat.reshape(len(array), -1))
        elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            made.append(array.to_pylist())
        else:
            made.append(array.to_numpy(zero_copy_only=False))
    return made


def score_batch(
    scorer: Scorer, arrays: list[pa.Array], ids: pa.Array | None = None, kernel: Kernel | None = None
) -> pa.Array:
    """Score one Arrow batch: the whole path of a row except Spark's transport.

    Parameters
    ----------
    arrays : list of pyarrow.Array
        One per `scorer.inputs`; equal lengths; may hold nulls.
    ids : pyarrow.Array, optional
        Named in errors.
    kernel : callable, optional
        The scorer's, where the caller holds it already.

    Returns
    -------
    pyarrow.Array of `arrow_type(scorer.value)`; null where an input is null or the score is undefined.

    Raises
    ------
    ScoreError
        For an infinite value, or a kernel that returned another number of rows than it was given.
    """
    rows, kind = len(arrays[0]), arrow_type(scorer.value)
    valid = np.ones(rows, dtype=bool)
    for array in arrays:
        if array.null_count:
            valid &= array.is_valid().to_numpy(zero_copy_only=False)
    position = np.flatnonzero(valid)
    if not len(position):
        return pa.nulls(rows, kind)
    if len(position) < rows:
        arrays = [array.take(pa.array(position)) for array in arrays]
    values = (kernel or _kernel(scorer))(*_inputs(arrays))
    first = next(iter(values.values())) if isinstance(values, dict) else values
    if len(first) != len(position):
        raise ScoreError(
            f"score {scorer.kind!r} returned {len(first)} values for {len(position)} rows; one each is needed"
        )

    def where(i: int) -> str:
        row = int(position[i])
        return f"score {scorer.kind!r} of " + (
            f"id {ids[row].as_py()!r}" if ids is not None else f"row {row} of a batch"
        )

    made = _to_arrow(values, kind, where)
    if len(position) == rows:
        return made
    slots = np.full(rows, -1)
    slots[position] = np.arange(len(position))
    return made.take(pa.array(slots, mask=slots < 0))


def _column_of(batch: pa.RecordBatch, i: int) -> pa.Array:
    array = batch.column(i)
    return array.cast(pa.string()) if pa.types.is_large_string(array.type) else array


def _apply_batches(scorer: Scorer, keep: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    kernel = _kernel(scorer)
    for batch in batches:
        columns = [_column_of(batch, i) for i in range(batch.num_columns)]
        value = score_batch(scorer, columns[keep:], columns[0], kernel)
        yield pa.RecordBatch.from_arrays([*columns[:keep], value], [*batch.schema.names[:keep], "value"])


def apply(frame: DataFrame, scorer: Scorer, keep: tuple[str, ...] = ("id", "content_hash")) -> DataFrame:
    """Score a frame that has `keep` (the id first) and `scorer.inputs`; returns `keep` and `value`.

    A narrow transformation: rows stay in their partitions and text never crosses a shuffle.

    Raises
    ------
    BoundError
        If the fitted state is larger than 16 MB: it travels with every task.
    """
    size = len(pickle.dumps(scorer))
    if size > CLOSURE_BYTES:
        raise BoundError(
            f"the fitted state of {scorer.kind!r} has {size:,} bytes; at most {CLOSURE_BYTES:,} travel with a task"
        )
    rows = frame.select(*keep, *scorer.inputs)
    kept = ", ".join(f"`{f.name}` {f.dataType.simpleString()}" for f in rows.schema.fields[: len(keep)])
    return rows.mapInArrow(partial(_apply_batches, scorer, len(keep)), f"{kept}, value {scorer.value}")


def _to_pandas(value: pa.Array) -> Any:
    if pa.types.is_struct(value.type):
        names = [f.name for f in value.type]
        return pd.DataFrame({n: value.field(n).to_pandas(integer_object_nulls=True) for n in names})
    return value.to_pandas(integer_object_nulls=True)


def _score_series(scorer: Scorer, batch: pd.Series[Any] | tuple[pd.Series[Any], ...]) -> Any:
    series = batch if isinstance(batch, tuple) else (batch,)  # Spark sends a single argument bare, whatever the hint
    return _to_pandas(score_batch(scorer, [pa.Array.from_pandas(s) for s in _typed(series)]))


def _typed(series: tuple[pd.Series[Any], ...]) -> Iterator[Any]:
    # A batch of nulls alone has no type of its own.
    for s in series:
        yield s.astype("string") if s.dtype == object and s.isna().all() else s


def column(scorer: Scorer) -> Callable[..., Column]:
    """Return the scorer as a column function of its inputs: an iterator pandas UDF, usable in SQL after `register`.

    Examples
    --------
    `documents.select("id", column(CompressionRatio())("text").alias("ratio"))`
    """
    from pyspark.sql.functions import pandas_udf

    if scorer.value.startswith("struct<"):

        def frames(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
            for batch in batches:
                yield _score_series(scorer, batch)

        return pandas_udf(frames, scorer.value)  # type: ignore[call-overload, no-any-return]

    def series(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        for batch in batches:
            yield _score_series(scorer, batch)

    return pandas_udf(series, scorer.value)  # type: ignore[call-overload, no-any-return]


def register_all(spark: SparkSession) -> list[str]:
    """Register every scorer that needs no fitting as a SQL function of its kind; returns the names.

    `SELECT id, compression_ratio(text) FROM corpus`. A scorer with inputs of its own takes them in order.
    """
    names = []
    for kind, cls in scorers().items():
        if issubclass(cls, Scorer):
            spark.udf.register(kind, column(cls()))
            names.append(kind)
    return names


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
            "fit on fewer rows"
        )
    return pa.RecordBatch.from_arrays([pa.array([body], pa.binary())], ["state"])


def _fold_batches(fold: Fold[Any], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    state, seen = fold.zero(), False
    for batch in _blocks(batches):
        valid = np.ones(batch.num_rows, dtype=bool)
        for array in batch.columns:
            valid &= array.is_valid().to_numpy(zero_copy_only=False)
        kept = batch if valid.all() else batch.filter(pa.array(valid))
        if kept.num_rows:
            state = fold.add(state, *_inputs([_column_of(kept, i) for i in range(kept.num_columns)]))
            seen = True
    if seen:
        yield _state_batch(fold, state)


def _merge_batches(fold: Fold[Any], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    states = [pickle.loads(b) for batch in batches for b in batch.column(0).to_pylist()]
    if states:
        merged = states[0]
        for state in states[1:]:
            merged = fold.merge(merged, state)
        yield _state_batch(fold, merged)


def fold(frame: DataFrame, fold: Fold[Any]) -> Any:
    """Learn one state from all rows in one pass; rows with a null in any column are left out.

    At most `MERGE_GROUPS` partials of `fold.limit_bytes` reach the driver, whatever the number of partitions.

    Raises
    ------
    BoundError
        If a state outgrows `fold.limit_bytes`.
    """
    partials = frame.mapInArrow(partial(_fold_batches, fold), "state binary")
    merged = partials.repartition(MERGE_GROUPS).mapInArrow(partial(_merge_batches, fold), "state binary")
    state = fold.zero()
    for row in merged.collect():
        state = fold.merge(state, pickle.loads(row["state"]))
    return state
