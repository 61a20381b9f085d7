"""A command as a process: its log, its version and the status that it exits with."""

from __future__ import annotations

import logging
import os
import sys
from importlib import metadata
from typing import Any

from ...udfs.errors import PlatformError

#: Exit statuses beside 0, 1 for an error and 2 for a command that is not understood.
NOTHING_NEW, TRY_AGAIN = 3, 75
#: Set where a status above 0 marks a job as failed: in a wheel task, and under spark-submit.
FAILING = {"DATABRICKS_RUNTIME_VERSION", "PYSPARK_GATEWAY_PORT"}


def version() -> str:
    """Return the version of lakesift, as it is installed."""
    try:
        return metadata.version("lakesift")
    except metadata.PackageNotFoundError:
        return "(from an archive: not installed)"


def set_up_logs(debug: bool, quiet: bool, file: str | None) -> None:
    """Let progress go to the standard error, with `quiet` only warnings; to a file, if one is named, all of it.

    Raises
    ------
    PlatformError
        If the file cannot be written.
    """
    log = logging.getLogger("lakesift")
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.DEBUG if debug or file else logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.WARNING if quiet else logging.DEBUG if debug else logging.INFO)
    if not file:
        return
    try:
        lines = logging.FileHandler(file, encoding="utf-8")
    except OSError as error:
        said = f"the log file {file} cannot be written ({error.strerror})"
        raise PlatformError(f"{said}; name one in a folder that exists and that you may write to") from None
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(lines)


def exit_status(result: Any) -> int:
    """Return the status of a command that ended well: NOTHING_NEW if nothing had changed and no job fails by it."""
    first = result[0] if isinstance(result, tuple) else result
    noop = getattr(getattr(first, "result", first), "noop", False)
    return NOTHING_NEW if noop and not FAILING & set(os.environ) else 0
