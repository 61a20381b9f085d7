"""What an error of Spark means: by class and fixed words of a cause, whatever files and rows are called. No JVM."""

from __future__ import annotations

import re

import pytest

from lakesift.udfs.java_errors import _MEANINGS, causes, file_read, kinds, meaning

WRITING = """An error occurred while calling o211.save.
: org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed while writing rows to file:/lake/t. SQLSTATE: 58030
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.taskFailed(QueryExecutionErrors.scala:773)
Caused by: {cause}
{frames}
\t... 17 more
"""
STAGE = """Job aborted due to stage failure: Task 0 in stage 3.0 failed 1 times, most recent failure: Lost task 0.0 in \
stage 3.0 (TID 3) (localhost executor driver): {cause}
{frames}

Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:1)
"""
READING = """An error occurred while calling o99.collectToPython.
: org.apache.spark.SparkException: [FAILED_READ_FILE.NO_HINT] Encountered error while reading file {file}. SQLSTATE: K
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.cannotReadFilesError(QueryExecutionErrors.scala:1)
Caused by: {cause}
{frames}
Caused by: java.io.EOFException
\tat java.base/java.io.DataInputStream.readInt(DataInputStream.java:1)
"""
IO, NIO = "java.base/java.io.FileInputStream.open0(Native Method)", "java.base/sun.nio.fs.UnixException.t(U.java:1)"
SPARK = "org.apache.spark.api.python.BasePythonRunner$ReaderIterator$$anonfun$1.applyOrElse(PythonRunner.scala:1)"
GZIP = "org.apache.hadoop.io.compress.DecompressorStream.decompress(DecompressorStream.java:165)"
ZLIB = "org.apache.hadoop.io.compress.zlib.ZlibDecompressor.inflateBytesDirect(Native Method)"
FOOTER = "org.apache.parquet.hadoop.ParquetFileReader.readFooter(ParquetFileReader.java:1)"
S3A = "org.apache.hadoop.fs.s3a.S3AUtils.translateException(S3AUtils.java:1)"
CRASHED = "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)"
#: {f} is a file; its name is made to say something else.
CASES = [
    ("java.io.IOException: No space left on device", IO, "disk full"),
    ("java.io.FileNotFoundException: {f} (No space left on device)", IO, "disk full"),
    ("java.nio.file.FileSystemException: {f}: No space left on device", NIO, "disk full"),
    ("org.apache.hadoop.fs.FSError: java.io.IOException: No space left on device", IO, "disk full"),
    ("java.io.IOException: Disk quota exceeded", IO, "quota"),
    ("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException: The DiskSpace quota of {f} is exceeded", IO, "quota"),
    ("java.io.FileNotFoundException: {f} (Permission denied)", IO, "rights"),
    ("java.nio.file.AccessDeniedException: {f}", NIO, "rights"),
    ("java.nio.file.AccessDeniedException: s3a://b/k: getFileStatus on s3a://b/k: 403 Forbidden", S3A, "rights"),
    ("org.apache.hadoop.security.AccessControlException: Permission denied: user=ann, access=READ", IO, "rights"),
    ("java.io.FileNotFoundException: {f} (Read-only file system)", IO, "read-only"),
    ("java.io.FileNotFoundException: {f} (Too many open files)", IO, "open files"),
    ("java.io.IOException: Mkdirs failed to create {f}", IO, "folder"),
    ("java.io.FileNotFoundException: {f} (No such file or directory)", IO, "gone"),
    ("java.io.FileNotFoundException: File {f} does not exist", IO, "gone"),
    ("java.io.FileNotFoundException: No such file or directory: s3a://b/k.gz", S3A, "gone"),
    ("java.nio.file.NoSuchFileException: {f}", NIO, "gone"),
    ("java.io.EOFException: Unexpected end of input stream", GZIP, "archive"),
    ("java.io.IOException: incorrect header check", ZLIB, "archive"),
    ("java.util.zip.ZipException: invalid distance too far back", ZLIB, "archive"),
    ("java.io.IOException: Stream is not BZip2 formatted", GZIP.replace("Decomp", "bzip2.B"), "archive"),
    ("java.lang.RuntimeException: {f} is not a Parquet file. Expected magic number at tail", FOOTER, "damaged"),
    ("org.xerial.snappy.SnappyIOException: FAILED_TO_UNCOMPRESS(5)", "org.xerial.snappy.Snappy.f(S.java:1)", "damaged"),
    ("org.apache.hadoop.fs.ChecksumException: Checksum error: {f} at 0", IO, "damaged"),
    ("org.apache.hadoop.hdfs.BlockMissingException: Could not obtain block: BP-1 file={f}", IO, "damaged"),
    (
        "org.apache.spark.SparkException: Job aborted due to stage failure: Total size of serialized results of 12 "
        "tasks (1026.0 MiB) is bigger than spark.driver.maxResultSize (1024.0 MiB)",
        SPARK,
        "driver quota",
    ),
    ("java.lang.OutOfMemoryError: Java heap space", FOOTER, "memory"),
    ("org.apache.spark.memory.SparkOutOfMemoryError: Unable to acquire 65536 bytes of memory", SPARK, "memory"),
    (CRASHED, SPARK, "worker"),
    (f"{CRASHED}: Fatal Python error: Segmentation fault", SPARK, "crash"),
    ("a.AmazonClientException: x\nCaused by: a.b.NoAuthWithAWSException: No Credentials", S3A, "credentials"),
    ('org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "s3a"', IO, "scheme"),
    ("java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found", IO, "scheme"),
    ("java.net.UnknownHostException: namenode", IO, "network"),
    ("java.net.ConnectException: Connection refused", IO, "network"),
    # What only reads like one of them.
    ("java.lang.IllegalStateException: No space left on device", IO, None),
    ("java.io.IOException: the row says Permission denied, and more", IO, None),
    ("java.io.EOFException: Unexpected end of input stream", SPARK, None),
    ("java.lang.NullPointerException", FOOTER.replace("org.apache.parquet", "a.parquet"), None),
    ("org.apache.spark.SparkException: Malformed: spark.driver.maxResultSize", SPARK, None),
]  # fmt: skip
NAMES = [
    "/lake/p.gz", "s3a://b/Permission denied/x (1).gz", "file:/a/No space left on device",
    "/a/java.io.FileNotFoundException: b (Permission denied)", "hdfs://h:8020/PARQUET/FILE_NOT_EXIST [PATH_NOT_FOUND]",
    "/a/is bigger than spark.driver.maxResultSize", "/a/OutOfMemoryError/Disk quota exceeded (crashed) b",
]  # fmt: skip


@pytest.mark.parametrize("frame", [WRITING, STAGE, READING], ids=["writing", "stage", "reading"])
@pytest.mark.parametrize(("cause", "thrown_by", "kind"), CASES)
def test_a_cause_means_one_thing_whatever_files_are_called(frame: str, cause: str, thrown_by: str, kind: str) -> None:
    for name in NAMES:
        text = frame.format(cause=cause.format(f=name), frames=f"\tat {thrown_by}\n\tat a.b.C.d(C.scala:1)", file=name)
        found = meaning(text)
        assert (found.kind if found else None) == kind, text


def test_an_executor_that_is_lost_has_no_exception() -> None:
    reason = "Container killed by YARN for exceeding memory limits"
    lost = f"ExecutorLostFailure (executor 3 exited caused by one of the running tasks) Reason: {reason}"
    found = meaning(f"x: y\n: org.apache.spark.SparkException: {STAGE.format(cause=lost, frames='')}")
    assert found
    assert (found.kind, found.cause.message) == ("executor", reason)


def test_no_two_lines_of_the_table_fit_one_cause() -> None:
    """A table and not an order of patterns: each cause above fits one line, or none."""
    for cause, _, _ in CASES:
        name, message = causes(f": {cause.format(f='/lake/p')}")[0][:2]
        fitting = [said[0] for n, m, said in _MEANINGS if re.fullmatch(n, name) and re.fullmatch(m, message)]
        assert len(fitting) <= 1, (cause, fitting)


def test_kinds_are_of_classes_and_conditions_alone() -> None:
    text = WRITING.format(cause="java.io.FileNotFoundException: /a/DELTA_CONCURRENT (Permission denied)", frames="")
    assert kinds(text).splitlines() == ["TASK_WRITE_FAILED", "SparkException"]
    text = WRITING.format(cause="java.io.FileNotFoundException: File /a does not exist", frames="")
    assert "FileNotFoundException" in kinds(text).splitlines()
    assert kinds("[DELTA_CONCURRENT_APPEND.X] a") == "DELTA_CONCURRENT_APPEND.X"


@pytest.mark.parametrize("file", ["s3a://b/a b.jsonl.gz", "hdfs://h:8020/x.parquet", "file:///a/v1.0/é%20.csv"])
def test_the_file_that_was_read_is_known(file: str) -> None:
    assert file_read(READING.format(file=file, cause="a.B", frames="")) == file
    assert (
        file_read(
            f"[FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error while reading file {file}. File does not exist. It is"
        )
        == file
    )
    assert file_read("a.B: no file") is None
