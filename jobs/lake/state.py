"""The state of a table: a text that changes whenever its rows may have changed, found without reading them.

It names the newest commit that changed data. Delta deletes logs that are older than `delta.logRetentionDuration`, and a
table that is rarely loaded but maintained daily has no such commit left after a while: then the snapshot is digested.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...udfs.scorer import digest
from .commits import Commit, TableState
from .digests import files_digest
from .history import commits

if TYPE_CHECKING:
    from .tables import Lake


def state(lake: Lake, name: str, counts: Callable[[Commit], bool]) -> TableState:
    """Return the state of a table, by the newest of those commits that count; versions are None if there is no table.

    Where none counts: "empty" and the name if the log goes back to the creation of the table, else the digest.
    """
    newest = oldest = last = None
    for oldest in commits(lake, name):
        newest = newest or oldest
        if counts(oldest):
            last = oldest
            break
    if newest is None or oldest is None:
        return TableState(lake.ref(name), None, None, None)
    if last is not None:
        data_version = last.data_version
    elif oldest.version == 0:
        data_version = f"empty:{name}"
    else:
        data_version = _snapshot(lake, name, newest.version)
    return TableState(lake.ref(name), newest.version, data_version, last)


def _snapshot(lake: Lake, name: str, version: int) -> str:
    """Return what identifies a version by what it is, not by how it came about: table id, columns, files."""
    frame = lake.read(name, version)
    table = lake.spark.sql(f"DESCRIBE DETAIL {lake.ref(name)}").select("id").collect()[0]["id"]
    return f"{table}:{digest(frame.schema.simpleString())}:{files_digest(frame)}"
