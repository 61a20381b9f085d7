"""A source: the `from:` block of a recipe, which names the files or the sample that a table is ingested from."""

from __future__ import annotations

from dataclasses import dataclass

#: Formats of source files.
FORMATS = ("jsonl", "parquet", "csv", "text")


@dataclass(frozen=True)
class Dialect:
    """How CSV files are written; `delimiter` "" means that it is guessed from the first records of each file.

    `quote` "" means that nothing is quoted. `header` is True if the first record names the columns, False if no record
    does (they are called column_1, column_2, ...), or the names.
    """

    delimiter: str = ""
    quote: str = '"'
    header: bool | tuple[str, ...] = True


@dataclass(frozen=True)
class Source:
    """Files of a format, or a sample that a package ships."""

    files: tuple[str, ...] = ()
    format: str = ""
    sample: str = ""
    dialect: Dialect = Dialect()
