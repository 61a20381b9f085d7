"""history: the versions of a selection, newest first, and what differs from the run before.

Left out: documents that changed in columns that no score reads, which are not counted as edited.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any

from ...udfs.errors import InputError
from ..lake.commits import Commit
from ..lake.spark_errors import FILES_GONE, raising
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..recipe.resolved import changed_keys

#: Of so many of the newest versions documents are counted: each costs a join of ids. Keys of a recipe that are shown.
COUNTED, SHOWN_KEYS = 10, 8


def history(lake: Lake, recipe: str) -> Rows:
    """Return the versions of `selection_<recipe>`: version, time (UTC), run_id, rows, operation, changed.

    `changed` says what differs from the run before: keys of the recipe, documents (and how many were added, deleted and
    edited, in the newest `COUNTED` versions), targets, or the values of a score.

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
        changes = changes_of(lake, recipe, before, commit) if place < COUNTED else _changed(before, commit)
        rows.append((str(commit.version), at, run, commit.rows, commit.operation, "; ".join(changes)))
    return rows_of(("version", "time (UTC)", "run_id", "rows", "operation", "changed"), rows, whole=True)


def changes_of(lake: Lake, recipe: str, before: Commit | None, commit: Commit) -> list[str]:
    """Return what a run had that the one before it had not, with the number of documents that came, went or changed."""
    changes = _changed(before, commit)
    if before and (moved := _documents(lake, recipe, before, commit)):
        changes = [f"{c} ({moved})" if c.startswith("documents: ") else c for c in changes]
    return changes


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


def _changed(before: Commit | None, commit: Commit) -> list[str]:
    """Return what a run had that the one before it had not, from their metadata alone."""
    if "run_id" not in commit.metadata:
        return ["not by a run" if commit.changes_data else "no rows"]
    if (number := commit.metadata.get("round", 1)) > 1:
        return [f"round {number} of {commit.metadata['rounds']}"]
    if before is None:
        return ["first run"]
    if before.metadata["run_id"] == commit.metadata["run_id"]:
        return ["nothing: the table was changed and is made anew"]
    old, new = before.metadata, commit.metadata
    changes = _edited(old, new)
    inputs = {k: (old["inputs"].get(k, {}), now) for k, now in new["inputs"].items()}
    changed = {k: pair for k, pair in inputs.items() if _content(pair[0]) != _content(pair[1])}
    changes += [f"{k}: version {a.get('version')} to {b.get('version')}" for k, (a, b) in changed.items()]
    names = {**old["fingerprints"], **new["fingerprints"]}
    changes += [f"score {k}" for k in names if old["fingerprints"].get(k) != new["fingerprints"].get(k)]
    return changes or ["recipe"]


def _edited(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the keys of the recipe that were edited; commits of earlier releases do not have it."""
    if "resolved" not in old or "resolved" not in new:
        return []
    keys = changed_keys(old["resolved"], new["resolved"])
    more = [f"and {len(keys) - SHOWN_KEYS} more keys"] if len(keys) > SHOWN_KEYS else []
    return [f"recipe: {', '.join([*keys[:SHOWN_KEYS], *more])}"] if keys else []


def _documents(lake: Lake, recipe: str, before: Commit, commit: Commit) -> str:
    """Return "3 added, 1 deleted, 2 edited" by ids and content hashes of two runs; "" where one of them is gone."""
    then, now = (c.metadata.get("scores") for c in (before, commit))
    if then is None or now is None or then == now:
        return ""
    try:
        old, new = (
            lake.read(f"scores_{recipe}", version).selectExpr("id", f"content_hash AS {name}")
            for version, name in ((then, "old"), (now, "new"))
        )
        counts = old.join(new, "id", "full_outer").selectExpr(
            "count_if(old IS NULL) AS added", "count_if(new IS NULL) AS deleted", "count_if(old <> new) AS edited"
        )
        row = counts.collect()[0].asDict()
    except Exception as error:
        if not FILES_GONE.search(f"{type(error).__name__} {error}"):
            raise
        return ""
    return ", ".join(f"{n:,} {word}" for word, n in row.items() if n) or "none added, deleted or edited"


def _content(read: dict[str, Any]) -> Any:
    """Return what an input's rows are identified by, from what a commit says about it."""
    return read.get("digest", read.get("version"))
