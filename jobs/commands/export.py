"""export: one version of a selection as files. The lake is only read.

Left out: writing a version anywhere as a table; Delta's own time travel and SQL do that.
"""

from __future__ import annotations

import re
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from ...udfs.errors import InputError
from ...udfs.uris import is_uri
from ..lake.spark_errors import raising
from ..lake.tables import Lake
from .history import commits_of, files_of, refuse_unknown

#: Rows of one exported file when a folder is written.
FILE_ROWS = 500_000
SINGLE = {".jsonl": "jsonl", ".parquet": "parquet"}


@dataclass(frozen=True)
class Export:
    """What was written where."""

    recipe: str
    version: int
    rows: int
    path: str

    def __str__(self) -> str:
        """Return one sentence."""
        return f"wrote {self.rows:,} rows of selection_{self.recipe}, version {self.version}, to {self.path}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def export(lake: Lake, recipe: str, to: str, out: str, version: int | None = None) -> Export:
    """Write a version of the selection to files.

    Parameters
    ----------
    to : {"jsonl", "parquet"}
        JSON Lines: UTF-8, one object a row in order of rank, nested types and nulls kept.
    out : str
        A path that ends in .jsonl or .parquet becomes one file; any other path or URI a folder of files whose names
        are in order of rank.
    version : int, optional
        Default: the newest.

    Raises
    ------
    InputError
        If there is no such selection or version, `out` exists already, or its ending says another format.
    """
    commits = commits_of(lake, recipe)
    at = commits[0].version if version is None else version
    refuse_unknown(commits, [at], recipe)
    place, ending = _place(to, out)
    with files_of(f"version {at} of selection_{recipe}"):
        frame = lake.read(f"selection_{recipe}", at)
        rows = frame.count()
        if not rows:
            raise InputError(f"version {at} of selection_{recipe} has no rows; look at lakesift history {recipe}")
        if ending:
            _write_file(frame, to, Path(place))
        else:
            _write_folder(frame, to, place if is_uri(out) else f"file://{place}", 1 + rows // FILE_ROWS)
    return Export(recipe, at, rows, place)


def _place(to: str, out: str) -> tuple[str, str | None]:
    """Return where to write, a path or URI that is free as far as can be seen, and the ending of a single file."""
    ending = SINGLE.get(Path(out).suffix)
    if ending not in (None, to):
        raise InputError(f"{out} ends in .{ending} and --to is {to}; make them agree, or give a folder")
    if is_uri(out):
        if ending:
            raise InputError(f"{out} is one file elsewhere, and only folders are written there; leave out .{ending}")
        return out, None
    place = Path(out).expanduser().absolute()
    if place.exists():
        raise InputError(f"{place} exists already; nothing is overwritten: remove it or give another --out")
    return str(place), ending


def _write_folder(frame: DataFrame, to: str, uri: str, files: int) -> None:
    ordered = frame.repartitionByRange(files, "rank").sortWithinPartitions("rank")
    writer = ordered.write.mode("error").format("json" if to == "jsonl" else to).option("ignoreNullFields", "false")
    taken = InputError(f"{uri} exists already; nothing is overwritten: give another --out")
    with raising(taken, re.compile("PATH_ALREADY_EXISTS")):
        writer.save(uri)


def _write_file(frame: DataFrame, to: str, path: Path) -> None:
    """Write one part beside `path` and move it there: a reader never sees half a file."""
    parts = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        _write_folder(frame, to, f"file://{parts}", 1)
        written = list(parts.glob("part-*"))
        if len(written) != 1:
            raise InputError(f"the workers do not write to this machine's {path.parent}; give a folder that all share")
        written[0].rename(path)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
