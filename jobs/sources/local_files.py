"""Finds the files of this machine that an entry of a source means: a file, a folder, or a pattern.

A folder means the files below it that look like the format. A pattern means what it matches, and below a folder that it
matches the same; of files that it matches those that look like the format, or all if none does. So a folder, a pattern
and a list of its parts give the same files. Links are followed, and a loop of links is an error. What begins with "."
or "_" is never read unless it is written out (unfinished output lies in _temporary), but _column=value is a folder.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from ...udfs.errors import InputError

SUFFIXES = {"jsonl": (".jsonl", ".ndjson", ".json"), "parquet": (".parquet",), "csv": (".csv",), "text": ("",)}
PACKED = (".gz", ".bz2", ".zst", ".xz")
#: Packings that are not read.
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".lz4", ".lzo", ".snappy", ".br", ".lzma", ".z")
_WILD = re.compile(r"[*?\[]")


def looks_like(name: str, form: str) -> bool:
    """Tell whether a file name has an ending of the format, packed or not.

    Examples
    --------
    >>> looks_like("a.JSON.gz", "jsonl"), looks_like("README.md", "jsonl"), looks_like("README.md", "text")
    (True, False, True)
    """
    plain = name.lower()
    for packed in PACKED:
        plain = plain.removesuffix(packed)
    return plain.endswith(SUFFIXES[form])


def local_paths(entry: str, form: str) -> list[Path]:
    """Return the files that an entry means, each with the folders as they are written in it.

    Raises
    ------
    InputError
        If there is none, links lead in a circle or nowhere, a folder cannot be read, a name is not UTF-8, or a file is
        packed in a way that is not read.
    """
    place = Path(re.sub(r"^file:/+", "/", entry))
    if entry.startswith("~") and not place.exists():
        place = Path(os.path.expanduser(place))
    if place.is_dir():
        paths = list(_below(place, form))
    elif place.is_file():
        paths = [_known_packing(place, form)]
    elif os.path.lexists(place):
        raise InputError(f"{entry!r} in 'from: files:' is no file: a link that leads nowhere, or a device; correct it")
    else:
        paths = _matched(place, form)
    if not paths:
        fact = f"the folder {entry!r} holds no {form} file" if place.is_dir() else f"no file matches {entry!r}"
        allowed = "a file, a folder, a pattern such as data/*.jsonl, or a URI such as s3://bucket/folder"
        raise InputError(f"{fact} (seen from {Path.cwd()}); write in 'from: files:' {allowed}")
    return [_spelled(path) for path in paths]


def _matched(pattern: Path, form: str) -> list[Path]:
    parts = pattern.parts
    wild = next((i for i, part in enumerate(parts) if _WILD.search(part)), len(parts) - 1)
    start = Path(*parts[:wild])
    if "**" in parts and start.is_dir():
        for _ in _walk(start, ()):  # a loop is an error before glob goes round it
            pass
    written = [part for part in parts[wild:] if part[:1] in "._"]
    found: list[Path] = []
    others: list[Path] = []
    for hit in map(Path, sorted(glob.glob(str(pattern), recursive=True))):
        if any(_hidden(part) and not any(fnmatch(part, w) for w in written) for part in hit.parts[wild:]):
            continue
        if hit.is_dir():
            found += _below(hit, form)
        elif hit.is_file() and looks_like(hit.name, form):
            found.append(hit)
        elif hit.is_file() and _archived(hit.name, form):
            _known_packing(hit, form)
        elif hit.is_file():
            others.append(hit)
    return found or [_known_packing(path, form) for path in others]


def _below(folder: Path, form: str) -> Iterator[Path]:
    for path in _walk(folder, ()):
        if looks_like(path.name, form):
            if not path.is_file():
                raise InputError(f"{path} is a link that leads nowhere; remove it, or bring the file that it names")
            yield path
        elif _archived(path.name, form):
            _known_packing(path, form)


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Yield what lies below a folder and is no folder, in order of name; `above` are the folders that lead to it."""
    try:
        status = folder.stat()
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read ({error.strerror}); check its rights") from None
    here = (status.st_dev, status.st_ino)
    if here in above:
        link = next((p for p in (folder, *folder.parents) if p.is_symlink()), folder)
        raise InputError(f"the link {link} leads back to a folder above it, a loop; remove the link")
    for path in (folder / name for name in names if not _hidden(name)):
        if path.is_dir():
            yield from _walk(path, (*above, here))
        elif path.is_file() or path.is_symlink():
            yield path


def _hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _archived(name: str, form: str) -> bool:
    """Tell whether a file of the format is packed in a way that is not read."""
    stem = name.lower()
    for packed in (*PACKED, *ARCHIVES):
        stem = stem.removesuffix(packed)
    return form != "text" and stem.endswith(SUFFIXES[form]) and not looks_like(name, form)


def _known_packing(path: Path, form: str) -> Path:
    stem = path.name.lower()
    for packed in PACKED:
        stem = stem.removesuffix(packed)
    if stem.endswith(ARCHIVES) and not looks_like(path.name, form):
        raise InputError(f"{path} is an archive, which is not unpacked here; unpack it, or pack it as .gz")
    return path


def _spelled(path: Path) -> Path:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        name = str(path).encode("utf-8", "backslashreplace").decode()
        raise InputError(f"the name of the file {name} is not UTF-8, which Spark cannot open; rename it") from None
    plain = Path(os.path.normpath(path))
    return plain if plain != path and plain.exists() and os.path.samefile(plain, path) else path


def absolute(path: Path) -> Path:
    """Return a path from the root without "..", each of which Spark takes by the letter, whatever link comes before."""
    whole = path.absolute()
    plain = Path(os.path.normpath(whole))
    if plain == whole or (plain.exists() and os.path.samefile(plain, whole)):
        return plain
    last = len(whole.parts) - whole.parts[::-1].index("..")
    return Path(os.path.realpath(Path(*whole.parts[:last])), *whole.parts[last:])
