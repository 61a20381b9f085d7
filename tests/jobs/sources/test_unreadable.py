"""Of what Spark says about a file only a cause that fits is told: a table of causes, and texts that look like them."""

from __future__ import annotations

import pytest

from lakesift.jobs.sources.unreadable import unreadable

TEXT = """An error occurred while calling o57.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0 failed 4 times, most recent \
failure: Lost task 0.3 in stage 1.0 (TID 7) (localhost executor driver): org.apache.spark.SparkException: \
[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:///in/a b.jsonl.gz. SQLSTATE: KD001
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.cannotReadFilesError(QueryExecutionErrors.scala:856)
Caused by: {}
\tat java.base/java.util.zip.GZIPInputStream.read(GZIPInputStream.java:1)
"""


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("java.io.EOFException: Unexpected end of input stream", "it is a broken or unfinished archive"),
        ("java.util.zip.ZipException: invalid distance code", "it is a broken or unfinished archive"),
        ("java.io.IOException: incorrect header check", "it is a broken or unfinished archive"),
        ("java.net.URISyntaxException: Relative path in absolute URI: dump_12:30.jsonl", "its name has a colon"),
        ("java.io.FileNotFoundException: /in/a b.jsonl.gz (Permission denied)", "it may not be read"),
        (
            "java.io.FileNotFoundException: File file:/in/a b.jsonl.gz does not exist",
            "it was removed while it was read",
        ),
        ("java.io.IOException: No space left on device", "the disk of Spark's temporary files is full"),
    ],
)
def test_a_cause_is_told_with_its_file(cause: str, said: str) -> None:
    assert (unreadable(TEXT.format(cause)) or "").startswith(f"file:///in/a b.jsonl.gz: {said}")


@pytest.mark.parametrize("cause", ["java.lang.IllegalStateException: Input stream", "java.lang.OutOfMemoryError: heap"])
def test_no_cause_is_made_up(cause: str) -> None:
    assert unreadable(TEXT.format(cause)) is None
