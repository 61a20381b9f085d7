"""What an error of the JVM is about: its chain of causes, read from the text that Python gets, and what they mean.

A sentence is chosen by the class of a cause and by the fixed part of its message, never by words that may as well
stand in the name of a file or in a row of data. Left out: errors that Python workers raise, see worker_errors.py.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CLASS = r"((?:[a-z_]\w*\.)+[A-Z][\w$]*)"
#: A line that opens a stack trace or one of its causes: "Caused by: java.io.IOException: No space left on device".
_THROWN = re.compile(rf"^(?:: |Caused by: )?{_CLASS}(?:: (.*))?$", re.M)
#: The same inside the message of a stage that failed: "... (TID 3) (host executor driver): java.io.IOException: ...".
_IN_TASK = re.compile(rf"\(TID \d+\)[^:\n]*: {_CLASS}(?:: (.*))?$", re.M)
#: An executor that went away has no exception: "... ExecutorLostFailure (executor 3 exited ...) Reason: <reason>".
_LOST = re.compile(r"\(TID \d+\)[^:\n]*: (ExecutorLostFailure) \(.*?\)(?: Reason: (.*))?$", re.M)
_FRAME = re.compile(r"^\s+at (?:[\w.@]+/)*([\w.$<>]+)\(", re.M)
#: A condition of Spark or Delta: "[FAILED_READ_FILE.FILE_NOT_EXIST]".
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)*)\]")


class Cause(NamedTuple):
    """One throwable: class without its package, first line of its message, and the function that threw it."""

    name: str
    message: str
    thrown_by: str = ""


class Meaning(NamedTuple):
    """What a cause says of the machine: `kind` is a word for programs, `fact` and `remedy` are for people."""

    kind: str
    fact: str
    remedy: str
    cause: Cause


def causes(text: str) -> list[Cause]:
    """Return every throwable in a text, innermost first.

    Examples
    --------
    >>> inner, outer = causes("x: y\\n: org.apache.X: Job aborted\\n\\tat a.b(C)\\nCaused by: java.io.EOFException")
    >>> inner.name, outer
    ('EOFException', Cause(name='X', message='Job aborted', thrown_by='a.b'))
    """
    thrown = [*_IN_TASK.finditer(text), *_THROWN.finditer(text), *_LOST.finditer(text)]
    inner_first = sorted(thrown, key=lambda match: -match.start())
    found: dict[tuple[str, str], Cause] = {}
    end = len(text)
    for match in inner_first:
        frame = _FRAME.search(text, match.end(), end)
        cause = Cause(match[1].rsplit(".", 1)[-1], (match[2] or "").strip(), frame[1] if frame else "")
        found.setdefault(cause[:2], cause)
        end = match.start()
    return list(found.values())


def kinds(text: str) -> str:
    """Return the classes and conditions that an error's text names, one a line: nothing of its messages.

    Java throws FileNotFoundException for whatever it cannot open, so that it counts only where the file is gone.

    Examples
    --------
    >>> kinds("[PATH_NOT_FOUND] no FILE_NOT_EXIST\\n: java.io.FileNotFoundException: /a (Permission denied)")
    'PATH_NOT_FOUND'
    """
    named = [cause.name for cause in causes(text) if cause.name != "FileNotFoundException" or _gone(cause.message)]
    return "\n".join(dict.fromkeys([*_CONDITION.findall(text), *named]))


def _gone(message: str) -> bool:
    reason = re.search(r" \(([^()]*)\)$", message)
    return reason is None or reason[1] == "No such file or directory"


_SPACE = ("disk full", "the disk of the lake or of Spark's temporary files is full", "free some space")
_QUOTA = ("quota", "the quota of the disk is used up", "free some space")
_RIGHTS = ("rights", "a file may not be read or written", "change its mode or owner, or give another place")
_READ_ONLY = ("read-only", "a file system cannot be written", "give another place")
_FOLDER = ("folder", "a folder cannot be made", "give a place that may be written")
_OPEN_FILES = ("open files", "too many files are open at once", "raise the limit of open files (ulimit -n)")
_GONE = ("gone", "a file that is to be read is gone", "bring it back (RESTORE TABLE, a copy) or write its table anew")
_DAMAGED = ("damaged", "a data file is damaged", "bring it back (RESTORE TABLE, a copy) or write its table anew")
_PACKED = ("archive", "a packed file is broken or cut short", "fetch the file again")
_RESULT = (
    *("driver quota", "a result is larger than the driver takes"),
    "raise spark.driver.maxResultSize in the file of --spark",
)
_MEMORY = "raise spark.driver.memory, or on a cluster spark.executor.memory, in the file of --spark"
_LESS = "take fewer cores in the file of --spark, or more memory"
_CREDENTIALS = ("credentials", "the storage wants credentials that Spark does not have", "set them where Spark runs")
_SCHEME = ("scheme", "Spark has no file system for this kind of URI", "add its package in the file of --spark")
_NETWORK = ("network", "the storage or another machine cannot be reached", "check the network and the address")
#: Class of a cause and its message (both in full), what that means, and what to do: one line, one condition.
_MEANINGS = (
    # Java names the file and gives the system's reason in parentheses.
    ("FileNotFoundException", r".* \(No space left on device\)", _SPACE),
    ("FileNotFoundException", r".* \(Disk quota exceeded\)", _QUOTA),
    ("FileNotFoundException", r".* \((Permission denied|Operation not permitted)\)", _RIGHTS),
    ("FileNotFoundException", r".* \(Read-only file system\)", _READ_ONLY),
    ("FileNotFoundException", r".* \(Too many open files.*\)", _OPEN_FILES),
    ("FileNotFoundException", r".* \(No such file or directory\)|(?!.* \([^()]*\)$).*", _GONE),
    ("NoSuchFileException", r".*", _GONE),
    # The same of other calls: the reason alone, or behind the file and a colon.
    (r"IOException|FSError|FileSystemException", r"(.*: )?No space left on device", _SPACE),
    (r"IOException|FSError|FileSystemException", r"(.*: )?Disk quota exceeded", _QUOTA),
    (r"(DS|NS|ClusterStorage)?QuotaExceededException", r".*", _QUOTA),
    (r"IOException|FSError|FileSystemException", r"(.*: )?(Permission denied|Operation not permitted)", _RIGHTS),
    (r"AccessDeniedException|AccessControlException", r".*", _RIGHTS),
    (r"AmazonS3Exception|S3Exception", r"(Access Denied|Forbidden)\b.*", _RIGHTS),
    (r"IOException|FSError|FileSystemException", r"(.*: )?Read-only file system", _READ_ONLY),
    (r"IOException|SocketException|FSError|FileSystemException", r"(.*: )?Too many open files.*", _OPEN_FILES),
    ("IOException", r"Mkdirs failed to create .*", _FOLDER),
    # Memory, of the driver, of executors and of Python workers.
    ("SparkException", r"(Job aborted due to stage failure: )?Total size of serialized results of .*", _RESULT),
    ("SparkOutOfMemoryError|OutOfMemoryError", r".*", ("memory", "Spark's JVM ran out of memory", _MEMORY)),
    (
        "SparkException",
        r"Python worker exited unexpectedly \(crashed\): Fatal Python error: .*",
        ("crash", "native code crashed in a Python worker", "look at the functions that the whole error names"),
    ),
    (
        "SparkException",
        r"Python worker exited unexpectedly \(crashed\)",
        ("worker", "a Python worker was killed, mostly for lack of memory", _LESS),
    ),
    ("ExecutorLostFailure", r".*", ("executor", "an executor of Spark was lost, often for lack of memory", _LESS)),
    # Storage behind a URI.
    (r"NoAuthWithAWSException|NoAwsCredentialsException|CredentialInitializationException", r".*", _CREDENTIALS),
    ("UnsupportedFileSystemException", r"No FileSystem for scheme .*", _SCHEME),
    ("ClassNotFoundException", r"Class .*FileSystem not found", _SCHEME),
    (r"UnknownHostException|NoRouteToHostException|ConnectException|SocketTimeoutException", r".*", _NETWORK),
    (r"BlockMissingException|ChecksumException", r".*", _DAMAGED),
)  # fmt: skip
#: Who throws when the bytes of a file are not what they should be.
_READERS = (
    (r"(org\.apache\.hadoop\.io\.compress|java\.util\.zip|jdk\.internal\.util\.zip)\.", _PACKED),
    (r"(org|shaded)\.(apache\.)?parquet\.|org\.xerial\.snappy\.|com\.github\.luben\.zstd\.", _DAMAGED),
)


def meaning(text: str) -> Meaning | None:
    """Return what the innermost cause says that says something of memory, disk, rights, files or machines, else None.

    Examples
    --------
    >>> meaning(": java.io.IOException: No space left on device").kind
    'disk full'
    >>> meaning(": java.lang.IllegalStateException: No space left on device") is None
    True
    """
    chain = causes(text)
    for cause in chain:
        for name, message, said in _MEANINGS:
            if re.fullmatch(name, cause.name) and re.fullmatch(message, cause.message):
                return Meaning(*said, cause)
    for cause in chain:
        for reader, said in _READERS:
            if re.match(reader, cause.thrown_by) and cause.name.endswith("Exception"):
                return Meaning(*said, cause)
    return None


def file_read(text: str) -> str | None:
    """Return the file that Spark was reading when it failed, as Spark writes it; None if it does not say.

    Examples
    --------
    >>> file_read("[FAILED_READ_FILE.NO_HINT] Encountered error while reading file s3a://b/a b.gz.  SQLSTATE: KD001")
    's3a://b/a b.gz'
    """
    said = re.search(r"(?:[Ee]rror while reading file|Could not read footer for file:?) +(\S.*)$", text, re.M)
    return re.sub(r"\.?(\s+(SQLSTATE|Details|File does not exist).*)?$", "", said[1]) if said else None
