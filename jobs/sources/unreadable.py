"""Why a file cannot be read, from what Spark says about it: which file, and the one cause that fits."""

from __future__ import annotations

import re

from ...udfs.java_errors import causes

#: What the innermost causes of an error say, and what that means. Each is the message of one condition.
_CAUSES = (
    (r"URISyntaxException: Relative path in absolute URI", "its name has a colon, which Spark cannot open: rename it"),
    (
        r"EOFException|ZipException|Unexpected end of (input )?stream|incorrect (header|data) check|[Cc][Rr][Cc] error"
        r"|not a gzip file|invalid (stored|distance|block|code|bit)|Stream is not BZip2 formatted|bad block header",
        "it is a broken or unfinished archive: fetch it again",
    ),
    (
        r"FileNotFoundException: .*\(Permission denied\)|AccessDenied|AccessControl",
        "it may not be read",
    ),
    (r"FILE_NOT_EXIST|FileNotFoundException|NoSuchFile", "it was removed while it was read: run again"),
    (r"is not a Parquet file", "it is not a Parquet file, or only its beginning"),
    (r"No space left on device", "the disk of Spark's temporary files is full: free some space"),
)
_FILE = re.compile(r"while reading file (\S.*?)\.(?: |$)", re.M)


def unreadable(text: str) -> str | None:
    """Return the file that an error names, and why it cannot be read; None where no known cause is said.

    Examples
    --------
    >>> unreadable("Caused by: java.io.EOFException: Unexpected end of input stream")
    'it is a broken or unfinished archive: fetch it again'
    >>> unreadable("Caused by: java.lang.IllegalStateException: a broken archive") is None
    True
    """
    for name, message in causes(text)[:3]:
        for pattern, reason in _CAUSES:
            if re.search(pattern, f"{name}: {message}"):
                found = _FILE.search(text)
                return f"{found[1]}: {reason}" if found else reason
    return None
