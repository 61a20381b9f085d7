"""history: the versions of a selection, newest first, and what differs from the run before."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any

from ...udfs.errors import InputError
from ..lake.commits import Commit
from ..lake.spark_errors import FILES_GONE, raising
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of


def history(lake: Lake, recipe: str) -> Rows:
    """Return the versions of `selection_<recipe>`: version, time (UTC), run_id, rows, operation, changed.

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
    return rows_of(("version", "time (UTC)", "run_id", "rows", "operation", "changed"), rows)


def commits_of(lake: Lake, recipe: str) -> list[Commit]:
    """Return the commits of a selection, newest first; raises InputError if there are none."""
    name = f"selection_{recipe}"
    commits = lake.history(name)
    if not commits:
        raise InputError(f"there is no {name} in {lake.root}; make it: lakesift run {recipe} --lake {lake.root}")
    return commits


def refuse_unknown(commits: list[Commit], versions: Iterable[int], recipe: str) -> None:
    """Raise InputError for the first version of a selection that its commits do not have."""
    known = [c.version for c in commits]
    for version in versions:
        if version not in known:
            raise InputError(f"selection_{recipe} has no version {version}; it has {known[-1]} to {known[0]}")


def files_of(what: str) -> AbstractContextManager[None]:
    """Raise InputError where a query inside needs files of an old version that VACUUM has removed."""
    gone = InputError(
        f"files of {what} are gone: VACUUM removes them when the version is older than keep_versions of the recipe "
        "(days); take a newer version"
    )
    return raising(gone, FILES_GONE)


def _changed(before: Commit | None, commit: Commit) -> str:
    """Return what a run had that the one before it had not, from their metadata alone."""
    if "run_id" not in commit.metadata:
        return "not by a run" if commit.changes_data else "no rows"
    if (number := commit.metadata.get("round", 1)) > 1:
        return f"round {number} of {commit.metadata['rounds']}"
    if before is None:
        return "first run"
    if before.metadata["run_id"] == commit.metadata["run_id"]:
        return "nothing: the table was changed and is made anew"
    old, new = before.metadata, commit.metadata
    inputs = {k: (old["inputs"].get(k, {}), now) for k, now in new["inputs"].items()}
    changed = {k: pair for k, pair in inputs.items() if _content(pair[0]) != _content(pair[1])}
    changes = [f"{k}: version {a.get('version')} to {b.get('version')}" for k, (a, b) in changed.items()]
    names = {**old["fingerprints"], **new["fingerprints"]}
    changes += [f"score {k}" for k in names if old["fingerprints"].get(k) != new["fingerprints"].get(k)]
    return "; ".join(changes) or "recipe"


def _content(read: dict[str, Any]) -> Any:
    """Return what an input's rows are identified by, from what a commit says about it."""
    return read.get("digest", read.get("version"))
