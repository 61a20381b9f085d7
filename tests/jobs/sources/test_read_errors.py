"""Files of a source that cannot be read: each cause has its sentence, with the file. No JVM."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakesift.jobs.sources.listing import File
from lakesift.jobs.sources.read_errors import unreadable, unreadable_in_write
from lakesift.udfs.worker_errors import MARK
from tests.udfs.test_java_errors import FOOTER, GZIP, IO, READING


def said(cause: str, thrown_by: str, file: str, *listed: File) -> str | None:
    text = READING.format(cause=cause, frames=f"\tat {thrown_by}", file=file)
    sentence = unreadable(RuntimeError(text), "data/*.gz", listed)
    return sentence and str(sentence)


REMOTE = File("s3a://b/a b.gz", "s3a://b/a b.gz", 1, "")


@pytest.mark.parametrize(
    ("cause", "thrown_by", "fact", "remedy"),
    [
        ("java.io.EOFException: Unexpected end of input stream", GZIP, "cut short", "fetch the file again"),
        ("java.lang.RuntimeException: it is not a Parquet file", FOOTER, "damaged", "fetch the file again"),
        ("java.io.FileNotFoundException: x (Permission denied)", IO, "Permission denied", "change its mode"),
        ("java.nio.file.AccessDeniedException: s3a://b/a b.gz", IO, "may not be read", "change its mode"),
        ("java.io.IOException: No space left on device", IO, "is full", "free some space"),
        ("java.lang.OutOfMemoryError: Java heap space", GZIP, "out of memory", "raise spark.driver.memory"),
        ("java.net.UnknownHostException: b.s3", IO, "cannot be reached", "check the network"),
        (
            "java.io.FileNotFoundException: No such file: s3a://b",
            IO,
            "does not find it now",
            "when the files are complete",
        ),
    ],
)
def test_each_cause_has_its_sentence_and_a_remote_file_is_named(
    cause: str, thrown_by: str, fact: str, remedy: str
) -> None:
    for spelled in ("s3a://b/a b.gz", "s3a://b/a%20b.gz"):
        sentence = said(cause, thrown_by, spelled, REMOTE) or ""
        assert sentence.startswith("s3a://b/a b.gz ")
        assert fact in sentence
        assert remedy in sentence
        assert ("fetch" in sentence) == ("fetch" in remedy)


def test_a_file_that_is_gone_is_told_from_one_that_workers_do_not_see(tmp_path: Path) -> None:
    here, gone = tmp_path / "é 1.gz", tmp_path / "gone.gz"
    here.touch()
    listed = [File(f"file:{here}", str(here), 0, ""), File(f"file:{gone}", "in/gone.gz", 0, "")]
    not_there = "java.io.FileNotFoundException: File does not exist"
    assert f"{here} is there, and Spark does not find it" in (said(not_there, IO, f"file://{here}", *listed) or "")
    assert "in/gone.gz is gone since" in (said(not_there, IO, f"file://{gone}", *listed) or "")
    missing = unreadable(RuntimeError("[PATH_NOT_FOUND] Path does not exist: file:/a."), "data/*.gz", listed)
    assert missing
    assert str(missing).startswith("data/*.gz is there, and Spark does not find it")


def test_only_our_own_workers_speak_and_what_is_unknown_stays() -> None:
    ours = "lakesift.udfs.errors.InputError: {}"
    for text, sentence in (
        (ours.format("forged"), None),
        (ours.format(f"[{MARK}] a.zst cannot be unpacked [{MARK}]"), "a.zst cannot be unpacked"),
        ("ValueError: Input stream: incorrect header check FAILED_READ_FILE", None),
    ):
        found = unreadable(RuntimeError(text), "data", ())
        assert (found and str(found)) == sentence


def test_an_error_of_a_write_is_one_of_reading_only_if_a_file_of_the_source_was_read() -> None:
    def written(file: str, cause: str, thrown_by: str = IO) -> str | None:
        text = READING.format(cause=cause, frames=f"\tat {thrown_by}", file=file)
        sentence = unreadable_in_write(RuntimeError(text), "data", [REMOTE])
        return sentence and str(sentence)

    codec = "org.apache.parquet.hadoop.BadConfigurationException: Class BrotliCodec was not found"
    said_of = written("s3a://b/a b.gz", codec, "x.Y.z")
    assert said_of == (
        "s3a://b/a b.gz cannot be read (BadConfigurationException: Class BrotliCodec was not found); write it again in "
        "another way, or leave it out"
    )
    damaged = "java.lang.RuntimeException: it is not a Parquet file"
    assert "fetch the file again" in (written("s3a://b/a b.gz", damaged, FOOTER) or "")
    assert written("s3a://b/lake/docs/part-0.parquet", damaged, FOOTER) is None
    full = RuntimeError("[TASK_WRITE_FAILED]\nCaused by: java.io.IOException: No space left on device")
    assert unreadable_in_write(full, "data", [REMOTE]) is None
