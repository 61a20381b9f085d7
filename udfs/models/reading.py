"""Reads the files of a model by name: a closed list of them, and the very files that were hashed.

A model's folder may be a cache that others write. Libraries read what else lies there (an adapter's configuration, code
of a tokenizer), so they are given a folder of links to the files of the list and nothing else; and a file that is
exchanged between its hash and its opening is seen by what the file system says of it. Left out: files that are mapped
and written to later.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ScoreError
from . import files


@contextmanager
def reading(name: str) -> Iterator[Path]:
    """Yield the folder of a model's verified files, to be opened inside.

    Raises
    ------
    PlatformError
        If a file is missing.
    ScoreError
        If one has other content than its pin, or was exchanged while it was read.
    """
    with unchanged(files.path_of(name), files.known(name).read):
        yield files.verified(name)


@contextmanager
def unchanged(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """Raise ScoreError on leaving if a file of a folder is not the one that it was: exchanged, or written to."""
    paths = [folder / name for name in names]
    before = [identity(path) for path in paths]
    yield
    for path, was in zip(paths, before, strict=True):
        if identity(path) != was:
            raise ScoreError(f"{path} on {platform.node()} was changed while it was read; run again when it is whole")


def identity(path: Path) -> tuple[int, ...]:
    """Return what changes when another file takes a place, or the file is written to; (0,) if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return (0,)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@contextmanager
def closed(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Yield a folder that holds links to some files of another, by these names, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="lakesift-model-") as made:
        for name in names:
            place = Path(made, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to((folder / name).resolve())
        yield Path(made)
