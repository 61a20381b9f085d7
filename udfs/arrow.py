"""Converts Arrow batches to kernel inputs and kernel outputs back to Arrow. Independent of Spark.

Rules held for every scorer: a null in any input gives null and never reaches a kernel; NaN out of a kernel is null;
infinity, and any exception in a kernel, is an error that names the score, the id and the value. Lists are vectors, 2-d
arrays: where a scorer has an `input_width`, vectors of another length are undefined, else lengths that differ are an
error. Where a scorer or fold says `ragged`, lists are arrays.Ragged, and null elements are left out and counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .arrays import Ragged, offsets_of
from .encoding import struct_fields
from .errors import LakeSiftError, ScoreError
from .kernels.malloc import keep_freed_memory
from .scorer import Fold, Kernel, Scorer, fingerprint

_SCALARS = {
    "double": pa.float64(), "float": pa.float32(), "bigint": pa.int64(), "int": pa.int32(), "boolean": pa.bool_(),
    "string": pa.string(),
}  # fmt: skip
#: Characters of a value that an error shows.
SHOWN = 80
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
        return pa.struct([(name, arrow_type(kind)) for name, kind in struct_fields(ddl).items()])
    raise ScoreError(f"value type {ddl!r} is not supported; allowed: {', '.join(_SCALARS)}, array<...>, struct<...>")


def kernel_of(scorer: Scorer) -> Kernel:
    """Return the scorer's kernel, built once per Python worker."""
    key = f"{scorer.kind}/{fingerprint(scorer)}"
    if key not in _kernels:
        keep_freed_memory()
        _kernels[key] = scorer.kernel()
        while len(_kernels) > 32:
            _kernels.popitem(last=False)
    _kernels.move_to_end(key)
    return _kernels[key]


def _to_arrow(values: Any, kind: pa.DataType, where: Callable[[int], str]) -> pa.Array:
    """Turn one kernel output into Arrow: NaN becomes null (a struct of nothing else too), infinity is an error."""
    if pa.types.is_struct(kind):
        parts = [_to_arrow(values[f.name], f.type, where) for f in kind]
        undefined = np.logical_and.reduce([p.is_null().to_numpy(zero_copy_only=False) for p in parts])
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=pa.array(undefined))
    if isinstance(values, Ragged):
        return pa.ListArray.from_arrays(pa.array(values.offsets, pa.int32()), pa.array(values.values, kind.value_type))
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
        if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            array = np.where(missing, 0, array).astype(np.int64 if pa.types.is_integer(kind) else bool)
        return pa.array(array, type=kind, mask=missing if missing.any() else None)
    return pa.array(values if array.dtype.kind in "OU" else array, type=kind)


def _input(array: pa.Array, width: int = 0, ragged: bool = False) -> Any:
    """Return a kernel input without nulls: a str list for text, an array for numbers, a 2-d array for vectors."""
    if pa.types.is_list(array.type):
        return ragged_rows(array) if ragged else _matrix(array, width)
    is_text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    return array.to_pylist() if is_text else array.to_numpy(zero_copy_only=False)


def without_large(array: pa.Array) -> pa.Array:
    """Return text as Arrow's string type, whichever Spark sent."""
    return array.cast(pa.string()) if pa.types.is_large_string(array.type) else array


def fold_batches(fold: Fold[Any], batches: Iterable[pa.RecordBatch]) -> Any:
    """Return the state of a fold over batches, rows with a null left out; None if no row is left."""
    state, seen = fold.zero(), False
    for batch in batches:
        valid = _valid(batch.columns)
        kept = batch if valid.all() else batch.filter(pa.array(valid))
        if kept.num_rows:
            columns = (_input(without_large(array), ragged=fold.ragged) for array in kept.columns)
            state, seen = fold.add(state, *columns), True
    return state if seen else None


def _valid(arrays: list[pa.Array]) -> Any:
    """Return which rows have no null in any array, (n,) bool."""
    valid = np.ones(len(arrays[0]), dtype=bool)
    for array in arrays:
        if array.null_count:
            valid &= array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def placed(values: pa.Array, rows: Any, size: int) -> pa.Array:
    """Return an array of `size` with the values at `rows`, null elsewhere."""
    slots = np.full(size, -1)
    slots[rows] = np.arange(len(rows))
    return values.take(pa.array(slots, mask=slots < 0))


def ragged_rows(array: pa.Array) -> Ragged:
    """Return a list array without nulls; null elements are left out and counted."""
    flat, offsets = array.flatten(), offsets_of(pc.list_value_length(array).to_numpy(zero_copy_only=False))
    valid = _valid([flat])
    if flat.null_count:
        offsets = offsets_of(valid)[offsets]
        flat = flat.filter(pa.array(valid))
    return Ragged(_input(without_large(flat)), offsets, int(len(valid) - valid.sum()))


def _matrix(array: pa.Array, width: int) -> Any:
    """Return a list array without nulls as (n, d); rows of another length than `width` > 0 are NaN."""
    flat = array.flatten().to_numpy(zero_copy_only=False)
    lengths = np.diff(array.offsets.to_numpy())
    if len(lengths) and (lengths != (width or lengths[0])).any():
        if not width:
            raise ScoreError(f"vectors have different lengths ({lengths.min()} and {lengths.max()}); one is needed")
        matrix = np.full((len(array), width), np.nan, np.result_type(flat.dtype, np.float32))
        matrix[lengths == width] = flat[np.repeat(lengths == width, lengths)].reshape(-1, width)
        return matrix
    return flat.reshape(len(array), -1)


def score_batch(
    scorer: Scorer, arrays: list[pa.Array], ids: pa.Array | None = None, kernel: Kernel | None = None, name: str = ""
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
    name : str, optional
        The score's name in the recipe, for errors; its kind by default.

    Returns
    -------
    pyarrow.Array of `arrow_type(scorer.value)`; null where an input is null or the score is undefined.

    Raises
    ------
    ScoreError
        For an infinite value, an exception in the kernel, or another number of values than rows.
    """
    rows, kind = len(arrays[0]), arrow_type(scorer.value)
    position = np.flatnonzero(_valid(arrays))
    if not len(position):
        return pa.nulls(rows, kind)
    if len(position) < rows:
        arrays = [array.take(pa.array(position)) for array in arrays]
    what = f"score {name!r} ({scorer.kind})" if name else f"score {scorer.kind!r}"

    def where(i: int) -> str:
        row = int(position[i])
        return f"{what} of " + (f"id {ids[row].as_py()!r}" if ids is not None else f"row {row} of a batch")

    inputs = [_input(array, scorer.input_width, scorer.ragged) for array in arrays]
    values = _values(kernel or kernel_of(scorer), inputs, where)
    first = next(iter(values.values())) if isinstance(values, dict) else values
    if len(first) != len(position):
        raise ScoreError(f"{what} returned {len(first)} values for {len(position)} rows; one each is needed")
    scored = _to_arrow(values, kind, where)
    return scored if len(position) == rows else placed(scored, position, rows)


def _values(kernel: Kernel, inputs: list[Any], where: Callable[[int], str]) -> Any:
    """Return what the kernel makes of a batch; if it fails, find the row that fails alone and name it."""
    try:
        return kernel(*inputs)
    except LakeSiftError:
        raise
    except Exception as error:
        for row in range(len(inputs[0])):
            one = [values[row : row + 1] for values in inputs]
            try:
                kernel(*one)
            except Exception as reason:
                shown = repr(one[0][0])
                shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
                raise ScoreError(
                    f"{where(row)} fails on the value {shown}: {type(reason).__name__}: {reason}; correct the scorer, "
                    "or leave such rows out with a where: of the score"
                ) from reason
        raise ScoreError(f"{where(0)} and the rows of its batch fails: {type(error).__name__}: {error}") from error
