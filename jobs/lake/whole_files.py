"""Writes a file of results as a whole: a reader never sees half of it, and what a link points to stays as it is."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...udfs.errors import InputError
from .interrupts import LEFTOVERS


@contextmanager
def whole_file(place: str | Path, use: str) -> Iterator[Callable[[str], None]]:
    """Yield what writes the text; a place that cannot be written is refused before anything is computed for it.

    Parameters
    ----------
    use : str
        The option or parameter that names the place, for the message.

    Raises
    ------
    InputError
        If there is no such folder, it may not be written, or something that is no file lies at the place.
    """
    path = Path(place).expanduser().absolute()
    refusal = f"{use} {path} cannot be written"
    with suppress(FileNotFoundError):
        kind = path.lstat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISLNK(kind)) or (path.exists() and not path.is_file()):
            raise InputError(f"{refusal}: something that is no file lies there; give another place")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    except OSError as error:
        raise InputError(f"{refusal} ({error.strerror}); give another place") from error
    os.close(descriptor)
    scratch = Path(name)
    LEFTOVERS.add(scratch)

    def put(text: str) -> None:
        try:
            with open(scratch, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            scratch.chmod(0o666 & ~_umask())
            os.replace(scratch, path)
        except OSError as error:
            raise InputError(f"{refusal} ({error.strerror}); give another place") from error

    try:
        yield put
    finally:
        scratch.unlink(missing_ok=True)
        LEFTOVERS.discard(scratch)


def _umask() -> int:
    """Return the mask of new files, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
