"""The sentence for files of a source that Spark or its workers cannot read: which file, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from ...udfs.errors import InputError
from ...udfs.java_errors import causes, file_read, kinds, meaning
from ...udfs.uris import is_uri, local_path
from ...udfs.worker_errors import marked_sentence
from .listing import File

#: Conditions of Spark for a path that it does not find.
NOT_FOUND = {"PATH_NOT_FOUND", "FAILED_READ_FILE.FILE_NOT_EXIST"}


def unreadable(error: Exception, what: str, listed: Sequence[File] = ()) -> InputError | None:
    """Return the sentence for an error of reading files; None for an error of which nothing is known.

    Parameters
    ----------
    what : str
        The source, where Spark does not say which of its files it was reading.
    """
    text = str(error)
    if sentence := marked_sentence(text):
        return InputError(sentence)
    found, spark_says = meaning(text), file_read(text)
    place = _listed(spark_says, listed) if spark_says else what
    if found is None or found.kind == "gone":
        gone = found is not None or NOT_FOUND & set(kinds(text).splitlines())
        return InputError(_not_there(place, bool(spark_says))) if gone else None
    cause = found.cause.message or found.cause.name
    if found.kind in ("archive", "damaged"):
        fact = "it is cut short, or broken" if found.kind == "archive" else "it is damaged"
        return InputError(f"{place} cannot be read to the end: {fact} ({cause}); fetch the file again")
    return InputError(f"{place} cannot be read: {found.fact} ({cause}); {found.remedy}, and run again")


def unreadable_in_write(error: Exception, what: str, listed: Sequence[File]) -> InputError | None:
    """Return the sentence for an error of a write that comes from reading these files, None for any other error."""
    text = str(error)
    if sentence := marked_sentence(text):
        return InputError(sentence)
    place = _listed(file_read(text) or "", listed)
    if place not in {file.name for file in listed}:
        return None
    if known := unreadable(error, what, listed):
        return known
    inner = next((cause for cause in causes(text) if cause.message), None)
    why = f"{inner.name}: {inner.message[:200]}" if inner else "Spark does not say why"
    return InputError(f"{place} cannot be read ({why}); write it again in another way, or leave it out")


def _listed(spark_says: str, listed: Sequence[File]) -> str:
    """Return a file as people write it; Spark writes some characters of a path encoded."""
    names = {local_path(file.path): file.name for file in listed}
    spellings = [local_path(spark_says), local_path(unquote(spark_says))]
    return next((names[s] for s in spellings if s in names), spellings[-1])


def _not_there(place: str, named: bool) -> str:
    if named and not is_uri(place) and not Path(place).exists():
        return f"{place} is gone since its folder was listed; run again when the files are complete"
    if named and is_uri(place):
        return f"{place} was listed, and Spark does not find it now; run again when the files are complete"
    return (
        f"{place} is there, and Spark does not find it: either the workers do not share this machine's folders, or "
        "Java's locale cannot spell the name (start it with LC_ALL=C.UTF-8)"
    )
