"""Commits: which changed data, what LakeSift noted in them, what a conflict is.

They are told by DESCRIBE HISTORY, or, of a table in a local folder, read from its log: the same facts without a Spark
query (some .25 s each, and a run asks 40 times).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ...udfs.errors import InputError

#: Commits of these operations change no row.
NO_DATA = frozenset(
    {
        "OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD CONSTRAINT",
        "DROP CONSTRAINT", "CREATE TABLE", "COMPUTE STATS", "CLUSTER BY", "UPGRADE PROTOCOL", "REORG",
    }
)  # fmt: skip
_CONFLICT = re.compile(
    r"DELTA_CONCURRENT|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|Concurrent(Append|Write|Transaction|Delete\w+)Exception"
    r"|ProtocolChangedException|MetadataChangedException|FileAlreadyExistsException"
)


class Conflict(Exception):
    """Another writer committed first: re-read and decide again."""


@dataclass(frozen=True)
class Commit:
    """One line of a table's history; `metadata` is the JSON that LakeSift left in it, or {}."""

    version: int
    operation: str
    metadata: dict[str, Any]
    rows: int | None
    timestamp: int = 0  # milliseconds since 1970, UTC

    def says(self, wanted: Mapping[str, Any]) -> bool:
        """Tell whether the commit's metadata holds all of this."""
        return all(self.metadata.get(key) == value for key, value in wanted.items())


@dataclass(frozen=True)
class TableState:
    """A table at this moment: `data_version` changes exactly when its data may have changed."""

    ref: str
    version: int | None
    data_version: str | None
    last_write: Commit | None


def is_conflict(error: BaseException) -> bool:
    """Tell whether an exception of Spark or py4j says that another writer got there first."""
    return bool(_CONFLICT.search(f"{type(error).__name__} {error}"))


def newest_of(commits: list[Commit]) -> Commit | None:
    """Return the newest of these commits that changed data."""
    return next((c for c in commits if c.operation not in NO_DATA), None)


#: What DESCRIBE HISTORY is asked for.
COLUMNS = ("version", "operation", "userMetadata", "operationMetrics", "unix_millis(timestamp) AS timestamp")


def commit_of(row: Mapping[str, Any]) -> Commit:
    """Return a row of `COLUMNS` as a Commit."""
    try:
        note = json.loads(row["userMetadata"] or "{}")
    except ValueError:
        note = {}
    rows = (row["operationMetrics"] or {}).get("numOutputRows")
    note = note if isinstance(note, dict) else {}
    return Commit(row["version"], row["operation"], note, int(rows) if rows else None, row["timestamp"])


def read_log(table: Path, limit: int | None = None) -> list[Commit]:
    """Return the commits of a table in a local folder, newest first; [] if there is no such table."""
    files = sorted((f for f in (table / "_delta_log").glob("*.json") if f.stem.isdigit()), reverse=True)
    return [_commit_in(f) for f in islice(files, limit)]


def _commit_in(file: Path) -> Commit:
    with file.open(encoding="utf-8") as lines:
        line = next((k for k in lines if k.startswith('{"commitInfo"')), '{"commitInfo": {}}')
    try:
        info = json.loads(line)["commitInfo"]
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}); drop the table or bring the file back") from error
    told = {key: info.get(key) for key in ("userMetadata", "operationMetrics", "timestamp")}
    told["timestamp"] = told["timestamp"] or int(file.stat().st_mtime * 1000)
    return commit_of({"version": int(file.stem), "operation": info.get("operation", ""), **told})
