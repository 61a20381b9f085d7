"""Turns exceptions of Spark and Delta into one-line messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

#: Errors of DESCRIBE HISTORY that mean: no Delta table of that name.
NOT_DELTA = re.compile(
    r"NOT_FOUND|DELTA_MISSING_DELTA_TABLE|PATH_DOES_NOT_EXIST|EXPECT_TABLE_NOT_VIEW|TABLE_ONLY_OPERATION|ONLY_OPERATION"
    r"|NOT_A_DELTA|not a Delta table"
)


#: What Spark says of a catalog.schema of which it has no catalog, or whose catalog has schemas of fewer parts.
NO_CATALOG = re.compile(r"SINGLE_PART_NAMESPACE|CATALOG_NOT_FOUND|SINGLE_PART|CatalogNotFound|SCHEMA_NOT_FOUND")
#: What Spark and Delta say where a file of a snapshot, or of the log, does not exist.
FILES_GONE = re.compile(r"FILE_NOT_(EXIST|FOUND)|FileNotFoundException|DELTA_(VERSION|LOG_FILE|STATE)\w*NOT_FOUND")


class FilesGone(Exception):
    """Files of a version that is read do not exist any more."""


@contextmanager
def raising(meant: Exception, pattern: re.Pattern[str]) -> Iterator[None]:
    """Raise `meant` from an error of Spark or py4j, raised inside, whose type and text have the pattern."""
    try:
        yield
    except Exception as error:
        if not pattern.search(f"{type(error).__name__} {error}"):
            raise
        raise meant from error


def analysis_message(error: BaseException) -> str | None:
    """Return one line that says why Spark refused to analyse a query; None for an error of any other kind."""
    if "DELTA_PARSING_ILLEGAL_TABLE_NAME" in str(error):  # Spark 4.1 has no message for it
        return "the name has too many parts."
    if not type(error).__name__.endswith(("AnalysisException", "ParseException")):
        return None
    return " ".join(re.sub(r"SQLSTATE.*|;\s*'\w.*", "", str(error), flags=re.S).split())
