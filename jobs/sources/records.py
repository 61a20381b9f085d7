"""The records of source files, out of what raw_bytes.py brings: lines of JSON, or whole files of any text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice

import pyarrow as pa

from .csv_parser import csv_records, delimiter_of
from .folder_columns import folder_columns
from .packing import lines_of, packing_of, unpacked
from .parsers import ParsedRecord, json_line, json_values, line_records, spans_lines, utf8
from .raw_bytes import stream_of
from .schema_inference import TypeCounts
from .source import Source

#: Lines and bytes in which an object that begins in the first line of a file must end.
OPENING_LINES, OPENING_BYTES = 1_000, 1 << 16


def counts_of(by_file: dict[str, TypeCounts], file: str) -> TypeCounts:
    """Return the counts of a file, of which there may be none yet."""
    return by_file.setdefault(file, {"rows": {}, "lines": 0, "rejected": {}, "delimiters": {}, "whole": 0})


def records(
    source: Source, batches: Iterable[pa.RecordBatch], seen: dict[str, TypeCounts] | None = None
) -> Iterator[tuple[ParsedRecord, str]]:
    """Yield every record with its file; the columns that the file's folders give are in the row.

    Guessed delimiters, and files of JSON whose first line says that they must be read whole, are counted in `seen`.
    """
    openings: dict[str, _Opening] = {}
    for batch in batches:
        for raw, file, start in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if seen is not None and start == 0 and raw.strip() and openings.setdefault(file, _Opening()).whole(raw):
                counts_of(seen, file)["whole"] = 1
            given = folder_columns(file)
            delimiters = {} if seen is None else counts_of(seen, file)["delimiters"]
            for record in _records_of(source, raw, file, start, delimiters):
                if given and record.row is not None:
                    taken = {name.lower() for name in record.row}
                    record.row.update({name: text for name, text in given if name.lower() not in taken})
                yield record, file


def _records_of(
    source: Source, raw: bytes | None, file: str, start: int | None, delimiters: dict[str, int]
) -> Iterator[ParsedRecord]:
    """Yield the records of one line of JSON (`start` is that of its split), or of a whole file (`start` is None)."""
    if start is not None:
        yield from line_records(raw or b"")
        return
    with stream_of(raw, file) as stream:
        blocks = unpacked(stream, file)
        if source.format == "jsonl":
            yield from _json_file(blocks)
            return
        content = b"".join(blocks)
    if source.format == "csv":
        delimiter = delimiter_of(content, source.dialect)
        delimiters[delimiter] = delimiters.get(delimiter, 0) + 1
        yield from csv_records(content, replace(source.dialect, delimiter=delimiter))
    elif (text := utf8(content)) is not None:
        yield ParsedRecord({"path": file, "text": text.lstrip("\ufeff")}, "", content)
    else:
        yield ParsedRecord(None, "not UTF-8", content)


class _Opening:
    """The first lines of a JSON file, until it is clear from them whether the file must be read whole."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.clear = False

    def whole(self, line: bytes) -> bool:
        """Take the next line that is not blank; tells whether it shows that the file must be read whole."""
        if self.clear:
            return False
        self.lines.append(line)
        first = len(self.lines) == 1
        if first:
            found = packing_of(line[:10]) != "" or spans_lines(self.lines)
        else:
            found = line.rstrip().endswith(b"}") and spans_lines(self.lines)
        full = len(self.lines) == OPENING_LINES or sum(map(len, self.lines)) > OPENING_BYTES
        self.clear = found or full or (first and _is_json(line))
        return found


def _json_file(blocks: Iterator[bytes]) -> Iterator[ParsedRecord]:
    """Yield the records of a whole file: one object or array a line, or values over many lines."""
    lines = (line for line in lines_of(blocks) if line.strip())
    ahead = list(islice(lines, 2))
    if ahead and not _is_json(ahead[0]):
        ahead += islice(lines, OPENING_LINES)
    spans = spans_lines(ahead)
    if spans and not (len(ahead) > 1 and _is_json(ahead[0])):
        yield from json_values(b"\n".join(chain(ahead, lines)))
        return
    # Arrays are rows where the file begins with one, so that the same lines are the same rows in every packing.
    for line in chain(ahead, lines):
        yield from json_values(line) if spans and spans_lines([line]) and _is_json(line) else line_records(line)


def _is_json(line: bytes) -> bool:
    record = json_line(line)
    return record is not None and not record.reason.startswith("not JSON")
