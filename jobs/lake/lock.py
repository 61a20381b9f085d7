"""Lets one writer at a time into a folder lake, by flock; each run opens the files anew, so threads wait too.

Two files are locked: one in the lake, which all machines and users see, and one of the user's own that stands for the
lake's path, so that a lake that is removed and made anew under a run does not let a second one in. The locks end with
their process. After SIGKILL the JVM may still finish a commit: the next writer reads again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ...udfs.errors import PlatformError

log = logging.getLogger("lakesift")


def ensure_folder(folder: Path) -> Path:
    """Make the folder of a lake if it does not exist, and return it; only writers do.

    Raises
    ------
    PlatformError
        If it cannot be made or written.
    """
    what = f"the lake folder {folder}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlatformError(f"{what} cannot be made ({error.strerror}); give another --lake") from error
    if not os.access(folder, os.W_OK):
        raise PlatformError(f"{what} is not writable; give another --lake or change its mode")
    return folder


@contextmanager
def hold(folder: Path, who: str) -> Iterator[None]:
    """Wait for the lock and say who has it; readers never need it.

    Raises
    ------
    PlatformError
        If what is to be locked is no file of its own: a link, a folder, a pipe.
    """
    with _locked(_own_file(folder), folder, who):
        ensure_folder(folder)  # who waited may have seen it removed
        with _locked(folder / ".lakesift.lock", folder, who):
            yield


def _own_file(folder: Path) -> Path:
    """Return the file that stands for a lake's path, in a folder that nobody else can write."""
    place = Path(tempfile.gettempdir()) / f"lakesift-locks-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PlatformError(f"{place} is not a folder of this user alone; remove it, or set TMPDIR to another folder")
    return place / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]


@contextmanager
def _locked(path: Path, folder: Path, who: str) -> Iterator[None]:
    import fcntl  # not on Windows, where Spark writes no Delta folders either

    while True:
        with _opened(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                log.info("waiting for %s, which holds %s", _holder(file), folder)
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file, path):
                continue  # it was removed while this run waited: others lock the file that is there now
            file.truncate(0)
            file.write(f"{who} (process {os.getpid()})")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)
            return


def _opened(path: Path) -> TextIO:
    """Open a file to be locked, made if it does not exist; never another file by way of a link."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        raise PlatformError(f"{path} cannot be locked ({error.strerror}); remove it, or change its mode") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise PlatformError(f"{path} is not a file of its own, and locking it writes to it; remove it")
    return os.fdopen(descriptor, "a+", encoding="utf-8", errors="replace")


def _is_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _holder(file: TextIO) -> str:
    """Return who holds the lock, which the holder writes a moment after taking it."""
    for _ in range(20):
        file.seek(0)
        if holder := file.read(200).strip():
            return holder
        time.sleep(0.05)
    return "another run"
