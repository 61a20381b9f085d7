"""How a score's values are kept in the table `memos`: as a number, several numbers, or a vector; and read back by SQL.

One table holds the values of every kind of score. Left out: texts as values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import ScoreError

#: The columns of a computed score; `vector` apart from `numbers` because a float is half of a double.
MEMO = "id string, content_hash string, fingerprint string, number double, numbers array<double>, vector array<float>"
MEMO_NAMES = tuple(column.split(" ")[0] for column in MEMO.split(", "))
NUMBERS, VECTOR = pa.list_(pa.float64()), pa.list_(pa.float32())
#: A double holds every whole number up to here.
LARGEST_WHOLE = 2**53


def memo_columns(value: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return a score's values as the columns number, numbers and vector of the table `memos`.

    Numbers and booleans are a double in `number`; a struct's fields, in order, and arrays of numbers are `numbers`;
    array<float> is `vector`, and `number` is then 1 where it is defined, so that counting reads no vector.

    Raises
    ------
    ScoreError
        If an integer is beyond 2^53, which a double cannot hold exactly.

    Examples
    --------
    >>> memo_columns(pa.array([3, None], pa.int64()))[0].to_pylist()
    [3.0, None]
    """
    kind, rows = value.type, len(value)
    number, numbers, vector = (pa.nulls(rows, t) for t in (pa.float64(), NUMBERS, VECTOR))
    if pa.types.is_struct(kind):
        parts = [_exact(value.field(i)) for i in range(kind.num_fields)]
        flat = np.column_stack([p.fill_null(np.nan).to_numpy(zero_copy_only=False) for p in parts]).reshape(-1)
        offsets = pa.array(np.arange(0, len(flat) + 1, len(parts), dtype=np.int32))
        missing = value.is_null() if value.null_count else None
        items = pa.array(flat, pa.float64(), from_pandas=True)  # NaN is null
        return number, pa.ListArray.from_arrays(offsets, items, type=NUMBERS, mask=missing), vector
    if pa.types.is_list(kind) and kind.value_type == pa.float32():
        defined = pc.if_else(value.is_valid(), pa.scalar(1.0), pa.scalar(None, pa.float64()))
        return defined, numbers, value.cast(VECTOR)
    if pa.types.is_list(kind):
        return number, value.cast(NUMBERS), vector
    return _exact(value), numbers, vector


def _exact(value: pa.Array) -> pa.Array:
    """Return numbers or booleans as doubles; ScoreError for an integer that a double cannot hold."""
    if pa.types.is_boolean(value.type):
        value = value.cast(pa.int8())
    if pa.types.is_int64(value.type) and len(value) - value.null_count:
        largest = pc.max(pc.abs(value)).as_py()
        if largest > LARGEST_WHOLE:
            raise ScoreError(f"a score has the value {largest}; whole numbers up to 2^53 are kept: return a double")
    return value.cast(pa.float64())


def struct_fields(ddl: str) -> dict[str, str]:
    """Return name -> type of the fields of a struct; {} for any other type.

    Examples
    --------
    >>> struct_fields("struct<cluster:int,distance_sq:double>")
    {'cluster': 'int', 'distance_sq': 'double'}
    """
    if not ddl.startswith("struct<"):
        return {}
    return {name.strip(): kind.strip() for name, kind in (part.split(":", 1) for part in ddl[7:-1].split(","))}


def is_vector(ddl: str) -> bool:
    """Tell whether values of a type are kept as vectors."""
    return ddl == "array<float>"


def is_published(ddl: str) -> bool:
    """Tell whether values of a type are columns of `scores_<recipe>`; numbers by the hundred stay in `memos`."""
    return not ddl.startswith("array<") or ddl == "array<int>"


def value_sql(ddl: str) -> str:
    """Return SQL of the value over the columns number, numbers and vector of one row of `memos`.

    Examples
    --------
    >>> value_sql("bigint"), value_sql("array<float>")
    ('CAST(number AS bigint)', 'vector')
    """
    if is_vector(ddl):
        return "vector"
    if ddl.startswith("array<"):
        return "numbers" if ddl == "array<double>" else f"CAST(numbers AS {ddl})"
    if fields := struct_fields(ddl):
        return _struct({name: f"numbers[{i}]" for i, name in enumerate(fields)}, fields)
    return "number" if ddl == "double" else f"CAST(number AS {ddl})"


def pivoted_sql(ddl: str, fingerprint: str, column: str) -> tuple[list[str], str]:
    """Return aggregates that pick a score's value out of the rows of a document, and SQL of the value over them.

    A document has one row a fingerprint, so that the largest value is the value. `column` names the aggregates.
    """
    mine = f"fingerprint = '{fingerprint}'"
    if ddl.startswith("array<"):
        return [f"max(IF({mine}, {value_sql(ddl)}, NULL)) AS {column}"], column
    fields = struct_fields(ddl)
    sources = {name: f"numbers[{i}]" for i, name in enumerate(fields)} or {"": "number"}
    columns = {name: f"{column}_{i}" for i, name in enumerate(sources)}
    aggregates = [f"max(IF({mine}, {sql}, NULL)) AS {columns[name]}" for name, sql in sources.items()]
    if fields:
        return aggregates, _struct(columns, fields)
    return aggregates, f"CAST({columns['']} AS {ddl})"


def _struct(columns: Mapping[str, str], fields: Mapping[str, str]) -> str:
    """Return SQL of a struct, null where all of its fields are."""
    parts = ", ".join(f"'{name}', CAST({columns[name]} AS {kind})" for name, kind in fields.items())
    return f"IF(coalesce({', '.join(columns.values())}) IS NULL, NULL, named_struct({parts}))"
