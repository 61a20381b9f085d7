"""Commits as DESCRIBE HISTORY tells them: which changed data, what LakeSift noted in them, what a conflict is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

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
    """One line of a table's history; `note` is the JSON that LakeSift left in the commit, or {}."""

    version: int
    operation: str
    note: dict[str, Any]
    rows: int | None
    timestamp: Any = None


@dataclass(frozen=True)
class Identity:
    """What a table is at this moment: `stamp` changes exactly when its data may have changed."""

    ref: str
    version: int | None
    stamp: str | None
    newest: Commit | None


def is_conflict(error: BaseException) -> bool:
    """Tell whether an exception of Spark or py4j says that another writer got there first."""
    return bool(_CONFLICT.search(f"{type(error).__name__} {error}"))


def newest_of(commits: list[Commit]) -> Commit | None:
    """Return the newest of these commits that changed data."""
    return next((c for c in commits if c.operation not in NO_DATA), None)


def commit_of(row: Any) -> Commit:
    """Return a row of DESCRIBE HISTORY as a Commit."""
    try:
        note = json.loads(row["userMetadata"] or "{}")
    except ValueError:
        note = {}
    metrics = row["operationMetrics"] or {}
    rows = metrics.get("numOutputRows")
    note = note if isinstance(note, dict) else {}
    return Commit(row["version"], row["operation"], note, int(rows) if rows else None, row["timestamp"])
