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
    newest = oldest = last = None
    for oldest in commits(lake, name):
        newest = newest or oldest
        if oldest.changes_data:
            last = oldest
            break
    if newest is None or oldest is None:
        return TableState(lake.ref(name), None, None, None)
    data_version = last.data_version if last else _without_commit(lake, name, newest, oldest)
    return TableState(lake.ref(name), newest.version, data_version, last)


def data_versions(lake: Lake, name: str, fingerprints: Iterable[str]) -> dict[str, str | None]:
    """Return by fingerprint the newest commit that may have changed its rows; None if there is no table.

    Commits that name only other fingerprints do not count. Where the log was cut before it names one, every row of the
    table counts.
    """
    wanted = set(fingerprints)
    newest_of: dict[str, str | None] = {}
    newest = oldest = None
    for oldest in commits(lake, name):
        newest = newest or oldest
        newest_of |= {f: oldest.data_version for f in wanted - newest_of.keys() if oldest.concerns(f)}
        if len(newest_of) == len(wanted):
            return newest_of
    rest = _without_commit(lake, name, newest, oldest) if newest and oldest else None
    return dict.fromkeys(wanted, rest) | newest_of


def _without_commit(lake: Lake, name: str, newest: Commit, oldest: Commit) -> str:
    return f"{EMPTY}{name}" if oldest.version == 0 else _snapshot(lake, name, newest.version)


def _snapshot(lake: Lake, name: str, version: int) -> str:
    """Return what identifies a version by what it is, not by how it came about: table id, columns, files."""
    frame = lake.read(name, version)
    table = lake.spark.sql(f"DESCRIBE DETAIL {lake.ref(name)}").select("id").collect()[0]["id"]
    return f"{table}:{digest(frame.schema.simpleString())}:{files_digest(frame)}"
