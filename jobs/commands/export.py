"""export: one version of a selection as files. The lake is only read.

JSON Lines say what the rows hold, see lake/json_lines.py; values that JSON cannot hold are null, and counted. Left out:
writing a version anywhere as a table; Delta's own time travel and SQL do that.
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from ...udfs.errors import InputError, LakeSiftError
from ...udfs.quoting import quoted_name
from ...udfs.spark import by_place
from ...udfs.uris import is_uri
from ..lake.commits import Commit
from ..lake.history import commits
from ..lake.interrupts import temporary
from ..lake.json_lines import json_lines, not_a_number
from ..lake.spark_errors import raising
from ..lake.tables import Lake
from .history import commits_of, files_of, refuse_unknown

#: Rows of one exported file when a folder is written.
FILE_ROWS = 500_000
SINGLE = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
#: Endings of files that are something else than what would be written.
OTHERS = (".csv", ".tsv", ".txt", ".bz2", ".zst", ".xz", ".zip", ".arrow", ".avro", ".orc")


@dataclass(frozen=True)
class Export:
    """What was written where."""

    recipe: str
    version: int
    rows: int
    path: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one sentence, and the notes each on a line."""
        said = f"wrote {self.rows:,} rows of selection_{self.recipe}, version {self.version}, to {self.path}"
        return "\n".join([said, *(f"note: {note}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def export(lake: Lake, recipe: str, to: str, out: str, version: int | None = None) -> Export:
    """Write a version of the selection to files.

    Parameters
    ----------
    to : {"jsonl", "parquet"}
        JSON Lines: UTF-8, one object a row in order of rank, nested types and nulls kept; keys that the source files
        left out of an object are left out.
    out : str
        A path that ends in .jsonl (.ndjson, .json) or .parquet becomes one file, in .jsonl.gz one that is packed; any
        other path or URI a folder of files whose names are in order of rank.
    version : int, optional
        Default: the newest.

    Raises
    ------
    InputError
        If there is no such selection or version, `out` exists already, or its ending says another format.
    """
    known = commits_of(lake, recipe)
    at = known[0].version if version is None else version
    refuse_unknown(known, [at], recipe)
    place, single = _place(to, out)
    with files_of(f"version {at} of selection_{recipe}"):
        frame = lake.read(f"selection_{recipe}", at)
        rows = frame.count()
        if not rows:
            raise InputError(f"version {at} of selection_{recipe} has no rows; look at lakesift history {recipe}")
        always = _always(lake, next(c for c in known if c.version == at), frame) if to == "jsonl" else None
        notes = _not_in_json(frame) if to == "jsonl" else ()
        if single:
            _write_file(frame, to, Path(place), always)
        elif is_uri(out):
            _write_folder(frame, to, place, 1 + rows // FILE_ROWS, always)
        else:
            _write_parts(frame, to, Path(place), 1 + rows // FILE_ROWS, always)
    return Export(recipe, at, rows, place, notes)


def _place(to: str, out: str) -> tuple[str, bool]:
    """Return where to write, a path or URI that is free as far as can be seen, and whether it is a single file."""
    name = Path(out).name.lower()
    packed = name.endswith(".gz")
    ending = Path(name.removesuffix(".gz")).suffix
    form = SINGLE.get(ending, "jsonl" if packed and not ending else None)
    if ending in OTHERS or (packed and form != "jsonl"):
        raise InputError(
            f"{out} is no name of what is written; end it in .jsonl, .jsonl.gz or .parquet, or name a folder"
        )
    if form not in (None, to):
        raise InputError(f"{out} ends in {ending} and --to is {to}; make them agree, or give a folder")
    if is_uri(out):
        if form:
            raise InputError(f"{out} is one file elsewhere, and only folders are written there; leave out its ending")
        return out, False
    place = Path(out).expanduser().absolute()
    if os.path.lexists(place):
        raise InputError(f"{place} exists already; nothing is overwritten: remove it or give another --out")
    return str(place), form is not None


def _always(lake: Lake, commit: Commit, frame: DataFrame) -> frozenset[str]:
    """Return the places where null is written: all but what ingest has seen absent in the source files."""
    columns = {f.name: f.metadata.get("comment") for f in frame.schema}
    read = commit.metadata.get("inputs", {}).get("documents", {})
    table, version = read.get("table"), read.get("version")
    seen: list[str] | None = None
    if table is not None and version is not None:
        try:
            ingested = (c for c in commits(lake, table) if c.version <= version and c.changes_data)
            seen = next((c.metadata.get("always") for c in ingested), None)
        except LakeSiftError:  # the documents are gone: nothing is known of absent keys
            seen = None
    if seen is None:
        return frozenset(columns)
    # Columns that the recipe made or renamed are the table's own.
    source = {name for name, comment in columns.items() if comment == f"source column {name}"}
    return frozenset({*(columns.keys() - source), *seen})


def _not_in_json(frame: DataFrame) -> tuple[str, ...]:
    """Return a note for each column with values that JSON cannot hold."""
    rules = {f.name: not_a_number(quoted_name(f.name), f.dataType) for f in frame.schema}
    counted = [(name, f"count_if({rule})") for name, rule in rules.items() if rule]
    if not counted:
        return ()
    found = frame.selectExpr(*(sql for _, sql in counted)).collect()[0]
    return tuple(
        f"NaN or infinity in {name} is written as null, in {n:,} rows"
        for (name, _), n in zip(counted, found, strict=True)
        if n
    )


def _write_folder(
    frame: DataFrame, to: str, uri: str, files: int, always: frozenset[str] | None, packing: str = "none"
) -> None:
    rows = frame.repartitionByRange(files, "rank").sortWithinPartitions("rank")
    if to == "jsonl":
        written = partial(json_lines, always=always, names=frame.columns)
        rows = by_place(rows).mapInArrow(written, "value string")
    writer = rows.write.mode("error").format("text" if to == "jsonl" else to)
    taken = InputError(f"{uri} exists already; nothing is overwritten: give another --out")
    with raising(taken, re.compile("PATH_ALREADY_EXISTS")):
        (writer.option("compression", packing) if to == "jsonl" else writer).save(uri)


def _renamed(folder: Path) -> None:
    """Give the parts of a folder of this machine the ending of JSON Lines; Spark writes them as text."""
    for part in folder.glob("part-*.txt"):
        part.rename(part.with_suffix(".jsonl"))
    for checksum in folder.glob(".part-*.txt.crc"):
        checksum.unlink()


def _write_file(frame: DataFrame, to: str, path: Path, always: frozenset[str] | None) -> None:
    """Write one part beside `path` and move it there: a reader never sees half a file."""
    packing = "gzip" if path.name.lower().endswith(".gz") else "none"
    with temporary(path.parent / f".{uuid.uuid4().hex}") as parts:
        _write_folder(frame, to, f"file://{parts}", 1, always, packing)
        written = list(parts.glob("part-*"))
        if len(written) != 1:
            raise InputError(f"the workers do not write to this machine's {path.parent}; give a folder that all share")
        written[0].rename(path)


def _write_parts(frame: DataFrame, to: str, folder: Path, files: int, always: frozenset[str] | None) -> None:
    """Write parts into a folder beside `folder` and move it there: what is stopped leaves no half of it."""
    with temporary(folder.parent / f".{uuid.uuid4().hex}") as parts:
        _write_folder(frame, to, f"file://{parts}", files, always)
        if to == "jsonl":
            _renamed(parts)
        try:
            parts.rename(folder)
        except OSError as error:
            raise InputError(f"{folder} cannot be written ({error.strerror}); give another --out") from error
