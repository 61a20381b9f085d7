"""The state of a table: a text that changes whenever its rows may have changed, found without reading them.

It names the newest commit that changed data. Delta deletes logs that are older than `delta.logRetentionDuration`, and a
table that is rarely loaded but maintained daily has no such commit left after a while: then the snapshot is digested.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...udfs.digests import digest
from .commits import Commit, TableState
from .digests import files_digest
from .history import commits

if TYPE_CHECKING:
    from .tables import Lake

#: What the data version of rows begins with that were never written.
EMPTY = "empty:"


def state(lake: Lake, name: str) -> TableState:
    """Return the state of a table by its newest commit that changed data; versions are None if there is no table.

    Where there is none: "empty" and the name if the log goes back to the creation of the table, else the digest.
    """
    seen: list[Commit] = []
    for commit in commits(lake, name):
        seen.append(commit)
        if commit.changes_data:
            return TableState(lake.ref(name), seen[0].version, commit.data_version, commit)
    return TableState(lake.ref(name), seen[0].version if seen else None, _without_commit(lake, name, seen), None)


def data_version_at(lake: Lake, name: str, version: int) -> str | None:
    """Return what identifies the rows of a table at a version, None where the log does not go back so far."""
    return next((c.data_version for c in commits(lake, name) if c.version <= version and c.changes_data), None)


def data_versions(lake: Lake, name: str, fingerprints: Iterable[str]) -> dict[str, str | None]:
    """Return by fingerprint the newest commit that may have changed its rows; None if there is no table.

    Commits that name only other fingerprints do not count. Where the log was cut before it names one, every row of the
    table counts.
    """
    wanted = set(fingerprints)
    newest_of: dict[str, str | None] = {}
    seen: list[Commit] = []
    for commit in commits(lake, name):
        seen.append(commit)
        newest_of |= {f: commit.data_version for f in wanted - newest_of.keys() if commit.concerns(f)}
        if len(newest_of) == len(wanted):
            return newest_of
    return dict.fromkeys(wanted, _without_commit(lake, name, seen)) | newest_of


def _without_commit(lake: Lake, name: str, seen: list[Commit]) -> str | None:
    """Return what identifies a version by what it is, not by how it came about: table id, columns, files.

    `seen` is all that is left of the log. None if there is no table.
    """
    if not seen:
        return None
    if seen[-1].version == 0:
        return f"{EMPTY}{name}"
    frame = lake.read(name, seen[0].version)
    table = lake.spark.sql(f"DESCRIBE DETAIL {lake.ref(name)}").select("id").collect()[0]["id"]
    return f"{table}:{digest(frame.schema.simpleString())}:{files_digest(frame)}"
