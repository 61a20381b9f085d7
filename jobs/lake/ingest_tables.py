"""Tables of ingest beside the documents: rejected lines, and what is known of the files that were ingested."""

from __future__ import annotations

from .schemas import Col, Table

#: The column of an ingested table that names the file of a row. Recipes do not see it.
FILE_COLUMN = "lakesift_file"


def rejected_lines(table: str) -> Table:
    """Lines of the source files that are not rows, with the reason."""
    raw = "the line as it stands in the file; base64 where it is not UTF-8, JSON of the row where there is no line"
    columns = (
        Col("reason", "STRING", "why the line is not a row", True),
        Col("raw", "STRING", raw),
        Col("file", "STRING", "the file it stands in"),
    )
    return Table(f"{table}_rejected", f"lines that ingest left out of {table}", columns)


def ingested_files(table: str) -> Table:
    """The files that a table comes from, as they were when their rows were written."""
    columns = (
        Col("file", "STRING", f"its path, as in the column {FILE_COLUMN} of {table}", True),
        Col("size", "BIGINT", "bytes"),
        Col("digest", "STRING", "SHA-256 of its bytes; behind a URI the time of its last change"),
        Col("counts", "STRING", "JSON: lines, and types of values by place, from which columns follow"),
    )
    return Table(f"{table}_ingested", f"files that {table} comes from", columns)
