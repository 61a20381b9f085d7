"""The versions of a selection: their history, what moved between two of them (jobs/commands/diff.py), one as files.

The lake is only read. Left out: writing a version anywhere as a table; Delta's own time travel and SQL do that.
"""

from __future__ import annotations

import shutil
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...udfs.errors import InputError
from ...udfs.uris import is_uri
from ..lake.commits import NO_DATA, Commit
from ..lake.tables import Lake
from ..lake.text_table import text_table
from ..recipe import Recipe
from .diff import diff
from .sql import query

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["diff", "export", "history", "query"]

#: Rows of one exported file when a folder is written.
FILE_ROWS = 500_000
SINGLE = {".jsonl": "jsonl", ".parquet": "parquet"}


def history(lake: Lake, recipe: Recipe) -> str:
    """Return the versions of `selection_<recipe>` as a text table, newest first.

    `changed` says what differs from the run before: recipe, documents, targets, or the values of a score.

    Raises
    ------
    InputError
        If there is no such selection.
    """
    commits = commits_of(lake, recipe)
    rows = []
    for place, commit in enumerate(commits):
        before = next((c for c in commits[place + 1 :] if "run_id" in c.metadata), None)
        at = datetime.fromtimestamp(commit.timestamp / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        run = commit.metadata.get("run_id")
        rows.append((str(commit.version), at, run, commit.rows, commit.operation, _changed(before, commit)))
    return text_table(("version", "time (UTC)", "run_id", "rows", "operation", "changed"), rows)


def commits_of(lake: Lake, recipe: Recipe) -> list[Commit]:
    """Return the commits of a selection, newest first; raises InputError if there are none."""
    name = f"selection_{recipe.name}"
    commits = lake.history(name)
    if not commits:
        raise InputError(f"there is no {name} in {lake.root}; make it: lakesift run {recipe.name} --lake {lake.root}")
    return commits


def _changed(before: Commit | None, commit: Commit) -> str:
    """Return what a run had that the one before it had not, from the notes alone."""
    if "run_id" not in commit.metadata:
        return "no rows" if commit.operation in NO_DATA else "not by a run"
    if before is None:
        return "first run"
    if before.metadata["run_id"] == commit.metadata["run_id"]:
        return "nothing: the table was changed and is made anew"
    old, new = before.metadata, commit.metadata
    inputs = [k for k in new["inputs"] if _content(old, k) != _content(new, k)]
    told = [f"{k}: version {_version(old, k)} to {_version(new, k)}" for k in inputs]
    fingerprints = {**old["fingerprints"], **new["fingerprints"]}
    scores = [k for k in fingerprints if old["fingerprints"].get(k) != new["fingerprints"].get(k)]
    told += [f"score {k}" for k in scores]
    return "; ".join(told) or "recipe"


def _content(note: dict[str, Any], name: str) -> Any:
    found = note["inputs"].get(name, {})
    return found.get("digest", found.get("version"))


def _version(note: dict[str, Any], name: str) -> Any:
    return note["inputs"].get(name, {}).get("version")


def export(lake: Lake, recipe: Recipe, to: str, out: str, version: int | None = None) -> str:
    """Write a version of the selection to files and say how many rows went where.

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
        If there is no such selection or version, `out` is there already, or its ending says another format.
    """
    commits = commits_of(lake, recipe)
    at = commits[0].version if version is None else version
    if at not in {c.version for c in commits}:
        span = f"{commits[-1].version} to {commits[0].version}"
        raise InputError(f"selection_{recipe.name} has no version {at}; it has {span}")
    frame = lake.read(f"selection_{recipe.name}", at)
    rows = frame.count()
    if not rows:
        raise InputError(f"version {at} of selection_{recipe.name} has no rows; look at lakesift history {recipe.name}")
    ending = SINGLE.get(Path(out).suffix)
    if ending not in (None, to):
        raise InputError(f"{out} ends in .{ending} and --to is {to}; make them agree, or give a folder")
    remote = is_uri(out)
    if remote and ending:
        raise InputError(f"{out} is one file elsewhere, and only folders are written there; leave out .{ending}")
    place = out if remote else str(Path(out).expanduser().absolute())
    if not remote and Path(place).exists():
        raise InputError(f"{place} is there already; nothing is overwritten: remove it or give another --out")
    if ending:
        _write_file(frame, to, Path(place))
    else:
        _write_folder(frame, to, place if remote else f"file://{place}", 1 + rows // FILE_ROWS)
    return f"wrote {rows:,} rows of selection_{recipe.name}, version {at}, to {place}"


def _write_folder(frame: DataFrame, to: str, uri: str, files: int) -> None:
    ordered = frame.repartitionByRange(files, "rank").sortWithinPartitions("rank")
    writer = ordered.write.mode("error")
    try:
        if to == "jsonl":
            writer.option("ignoreNullFields", "false").json(uri)
        else:
            writer.parquet(uri)
    except Exception as error:
        if "PATH_ALREADY_EXISTS" in str(error):
            raise InputError(f"{uri} is there already; nothing is overwritten: give another --out") from error
        raise


def _write_file(frame: DataFrame, to: str, path: Path) -> None:
    """Write one part beside `path` and move it there: a reader never sees half a file."""
    parts = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        _write_folder(frame, to, f"file://{parts}", 1)
        found = list(parts.glob("part-*"))
        if len(found) != 1:
            raise InputError(f"the workers do not write to this machine's {path.parent}; give a folder that all share")
        found[0].rename(path)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
