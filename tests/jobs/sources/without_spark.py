"""What ingest makes of files, without Spark: its parsers in Python, behind a twin of how Spark brings the bytes."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakesift.jobs.sources.file_counts import total
from lakesift.jobs.sources.listing import File
from lakesift.jobs.sources.local_files import local_paths
from lakesift.jobs.sources.raw_bytes import _not_in_spark
from lakesift.jobs.sources.record_passes import column_of, counts_by_file, parsed_records
from lakesift.jobs.sources.schema_inference import columns, merge
from lakesift.jobs.sources.source import Source

SCHEMA = pa.schema([("raw", pa.binary()), ("file", pa.string()), ("start", pa.int64())])


def raw_rows(path: Path, form: str, whole: frozenset[str]) -> list[dict[str, Any]]:
    """The rows that Spark's readers, or the names of files that the workers open, give for one file."""
    file = str(path)
    if _not_in_spark(File(file, file, path.stat().st_size, ""), form) or file in whole:
        return [{"raw": None, "file": file, "start": None}]
    content = path.read_bytes()
    if form != "jsonl":
        return [{"raw": content, "file": file, "start": None}]
    content = {".gz": gzip.decompress, ".bz2": bz2.decompress}.get(path.suffix, bytes)(content)
    lines = content.split(b"\n")
    return [{"raw": line, "file": file, "start": 0} for line in (lines if lines[-1] else lines[:-1])]


def ingested(source: Source, id_sql: str | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Rows and rejected lines as ingest writes them, and the number of lines that its first pass has counted."""
    paths = [path for entry in source.files for path in local_paths(entry, source.format)]
    whole: frozenset[str] = frozenset()
    while True:
        raw = [row for path in paths for row in raw_rows(path, source.format, whole)]
        batches = pa.Table.from_pylist(raw, SCHEMA).to_batches(max_chunksize=7)
        by_file: dict[str, Any] = {}
        for row in next(counts_by_file(source, batches)).to_pylist():
            by_file[row["file"]] = merge(by_file.get(row["file"], {}), json.loads(row["counts"]))
        found = frozenset(file for file, counts in by_file.items() if counts.pop("whole", None)) - whole
        if not found:
            break
        whole |= found
    counts = total(by_file.values())
    kind = ("struct", columns(counts["rows"], "x", id_sql or ""))
    made = parsed_records(source, kind, column_of(id_sql or "", kind), 1 << 20, batches)
    lines = [line for batch in made for line in batch.to_pylist()]
    rows = [{**line["row"], "lakesift_file": line["file"]} for line in lines if line["reason"] is None]
    return rows, [line for line in lines if line["reason"] is not None], counts["lines"]
