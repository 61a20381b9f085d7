"""The two passes that Python workers make over the records of text formats: counts of types by file, then rows."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from .parsers import utf8
from .records import counts_of, records
from .schema_inference import Kind, TypeCounts, coerce, count_types
from .source import Source

#: Bytes of one task's counts as JSON, at most: they reach the driver once for each task.
COUNTS_BYTES = 1_000_000
#: Reasons of rejected lines that are told apart; keys and numbers that stand in them make each line's another.
MOST_REASONS = 100
#: Rows and bytes of one Arrow batch out of a parser.
BATCH_ROWS, BATCH_BYTES = 5_000, 32 << 20


def counts_by_file(source: Source, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield (file, counts): JSON of what was counted of each file's records. For mapInArrow."""
    by_file: dict[str, TypeCounts] = {}
    for record, file in records(source, batches, by_file):
        counts = counts_of(by_file, file)
        counts["lines"] += 1
        if record.row is None:
            reasons = counts["rejected"]
            reason = record.reason if record.reason in reasons or len(reasons) < MOST_REASONS else "other reasons"
            reasons[reason] = reasons.get(reason, 0) + 1
        else:
            count_types(counts["rows"], record.row)
    texts = (json.dumps(counts) for counts in by_file.values())
    told = pa.array([text if len(text) <= COUNTS_BYTES else '{"wide": 1}' for text in texts], pa.string())
    yield pa.RecordBatch.from_arrays([pa.array(list(by_file), pa.string()), told], ["file", "counts"])


def column_of(id_sql: str, row: Kind) -> str:
    """Return the column that the SQL of an id is, "" if it is more than a name."""
    name = id_sql.strip().strip("`").lower()
    return next((column for column, _ in row[1] if column.lower() == name), "")


def parsed_records(
    source: Source, kind: Kind, id_name: str, noted_bytes: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield (row, reason, raw, file, noted) of each record. For mapInArrow.

    Parameters
    ----------
    kind : Kind
        The type of `row`.
    id_name : str
        The column without which a record is rejected, "" for none.
    noted_bytes : int
        Of the rejected lines so many bytes are noted, from the task's first on.
    """
    texts = [(name, pa.string()) for name in ("reason", "raw", "file")]
    schema = pa.schema([("row", arrow_type(kind)), *texts, ("noted", pa.bool_())])
    lines: list[dict[str, Any]] = []
    size = 0
    for record, file in records(source, batches):
        try:
            row, reason = coerce(record.row, kind), record.reason or None
            if id_name and row is not None and row[id_name] is None:
                row, reason = None, "id is null"
        except ValueError as error:
            row, reason = None, str(error)
        raw = None if reason is None else (utf8(record.raw) or base64.b64encode(record.raw).decode())
        if raw is not None:
            noted_bytes -= len(raw) + len(reason or "") + len(file)
        noted = raw is not None and noted_bytes >= 0
        lines.append({"row": row, "reason": reason, "raw": raw, "file": file, "noted": noted})
        size += len(record.raw)
        if len(lines) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield pa.RecordBatch.from_pylist(lines, schema)
            lines, size = [], 0
    yield pa.RecordBatch.from_pylist(lines, schema)


def arrow_type(kind: Kind) -> pa.DataType:
    """Return the Arrow type of a place in the row."""
    if isinstance(kind, str):
        return {"string": pa.string(), "bigint": pa.int64(), "double": pa.float64(), "boolean": pa.bool_()}[kind]
    if kind[0] == "array":
        return pa.list_(arrow_type(kind[1]))
    return pa.struct([(name, arrow_type(k)) for name, k in kind[1]])
