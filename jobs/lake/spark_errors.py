"""Turns exceptions of Spark, Delta and the machine into one-line messages."""

from __future__ import annotations

import errno
import re
import subprocess
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from ...udfs.java_errors import causes, file_read, kinds, meaning
from .kept import kept

#: Conditions of DESCRIBE HISTORY that mean: no Delta table of that name.
NOT_DELTA = re.compile(
    r"NOT_FOUND|DELTA_MISSING_DELTA_TABLE|PATH_DOES_NOT_EXIST|EXPECT_TABLE_NOT_VIEW|TABLE_ONLY_OPERATION|ONLY_OPERATION"
    r"|NOT_A_DELTA"
)


#: What Spark says of a catalog.schema of which it has no catalog, or whose catalog has schemas of fewer parts.
NO_CATALOG = re.compile(r"SINGLE_PART_NAMESPACE|CATALOG_NOT_FOUND|SINGLE_PART|CatalogNotFound|SCHEMA_NOT_FOUND")
#: What Spark and Delta say where a file of a snapshot, or of the log, does not exist.
FILES_GONE = re.compile(r"FILE_NOT_(EXIST|FOUND)|FileNotFoundException|DELTA_(VERSION|LOG_FILE|STATE)\w*NOT_FOUND")


class FilesGone(Exception):
    """Files of a version that is read do not exist any more."""


@contextmanager
def raising(meant: Exception, pattern: re.Pattern[str]) -> Iterator[None]:
    """Raise `meant` from an error of Spark or py4j, raised inside, whose classes or conditions have the pattern."""
    try:
        yield
    except Exception as error:
        if not names(error, pattern):
            raise
        raise meant from error


def names(error: BaseException, pattern: re.Pattern[str]) -> bool:
    """Tell whether the classes or conditions of an error of Spark have the pattern; its messages do not count."""
    return pattern.search(f"{type(error).__name__}\n{kinds(text_of(error))}") is not None


def analysis_message(error: BaseException) -> str | None:
    """Return one line that says why Spark refused to analyse a query; None for an error of any other kind."""
    if "DELTA_PARSING_ILLEGAL_TABLE_NAME" in str(error):  # Spark 4.1 has no message for it
        return "the name has too many parts."
    if not type(error).__name__.endswith(("AnalysisException", "ParseException")):
        return None
    said = re.sub(r"SQLSTATE.*|;\s*'\w.*", "", str(error), flags=re.S)
    # Spark numbers the columns of a plan, anew each time; what stands in backticks is a name as it is.
    return " ".join(re.sub(r"(`[^`]*`)|(?<=\w)#\d+L?", r"\1", said).split())


#: A line that says what a Python worker raised.
_RAISED = re.compile(r"^(?:\w+\.)*\w+(?:Error|Exception|Interrupt)\b.*$", re.M)
_SYSTEM: dict[int | None, str] = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EACCES: "change its mode or owner, or give another place",
    errno.EPERM: "change its mode or owner, or give another place",
    errno.EROFS: "give another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOENT: "check the path",
    errno.EIO: "check the disk",
}


def error_sentence(error: BaseException) -> str | None:
    """Return one line for an error of Spark, of its JVM, or of the machine; None for an error of any other kind."""
    if isinstance(error, BrokenPipeError) and not _through_spark(error):
        return "whoever reads the output has closed it"
    spark = type(error).__module__.startswith(("pyspark.", "py4j.", "delta."))
    cut = isinstance(error, ConnectionError) or type(error).__name__ == "Py4JNetworkError"
    if (spark or cut) and (ended := _ended(1.0 if cut else 0.0)):
        return ended
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}; {_SYSTEM[error.errno]}, and run again"
    if cut:
        return f"the connection to Spark broke ({type(error).__name__}: {_first_line(text_of(error))}); run again"
    if not spark:
        return None
    text = text_of(error)
    if known := _of_the_machine(text) or analysis_message(error):
        return known
    file, innermost = file_read(text), _innermost(text)
    return f"Spark failed{f' at {file}' if file and file not in innermost else ''}: {innermost}"


def _through_spark(error: BaseException) -> bool:
    """Tell whether an error came out of calls to Spark; one that nobody raised may have."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return not modules or any(module.startswith(("pyspark", "py4j")) for module in modules)


def text_of(error: BaseException) -> str:
    """Return the text of an error, whatever has become of the JVM that some errors ask for it."""
    try:
        return str(error)
    except Exception:
        return f"{type(error).__name__}, of which Spark says no more"


def _ended(seconds: float) -> str | None:
    """Return a sentence if the JVM that was started here has ended, or does so within seconds."""
    from pyspark import SparkContext

    process = getattr(SparkContext._gateway, "proc", None)
    if process is None:
        return None
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    how = f"was killed by signal {-status}, often for lack of memory" if status < 0 else f"ended with status {status}"
    return f"Spark's JVM {how}; {kept()}: look at the memory of this machine, and run again"


def _of_the_machine(text: str) -> str | None:
    """Return a sentence for what a cause says of memory, disk, rights, files or machines; None if none does."""
    if "Traceback (most recent call last)" in text and (sentence := _of_a_worker(text)):
        return sentence
    if found := meaning(text):
        place = file_read(text)
        named = f"{place}: " if place and place not in found.cause.message else ""
        said = f"{named}{found.cause.message or found.cause.name}"
        return f"{found.fact} ({said}): {found.remedy}, and run again; {kept()}"
    return None


def _of_a_worker(text: str) -> str | None:
    """Return a sentence for an error of the system in a Python worker, which ends on the last line of a traceback."""
    last = next(reversed(_RAISED.findall(text)), "")
    system = re.match(r"\w+: \[Errno (\d+)\] (.+)", last)
    if system and (remedy := _SYSTEM.get(int(system[1]))):
        return f"a Python worker met an error of the system ({system[2]}): {remedy}, and run again; {kept()}"
    if re.match(r"(numpy\.\S*)?_?(Array)?MemoryError\b", last):
        return f"a Python worker has too little memory ({last}): take fewer cores, and run again; {kept()}"
    return None


def _innermost(text: str) -> str:
    """Return the line that says most: of a Python worker the last of its traceback, else the innermost cause."""
    workers = _RAISED.findall(text)
    if "Traceback (most recent call last)" in text and workers:
        return str(workers[-1]).strip()
    thrown = [f"{cause.name}: {cause.message}" for cause in causes(text) if cause.message]
    return re.sub(r" SQLSTATE: \w+$", "", (thrown or [_first_line(text)])[0])


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
