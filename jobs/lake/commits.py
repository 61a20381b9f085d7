"""Commits of a table: which changed data, what LakeSift left in them, and what happens when two writers conflict."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ...udfs.errors import ConflictError
from .schemas import WRITER
from .spark_errors import raising

T = TypeVar("T")
log = logging.getLogger("lakesift")

#: Commits of these operations change no row.
NO_DATA = {
    "OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD CONSTRAINT",
    "DROP CONSTRAINT", "CREATE TABLE", "COMPUTE STATS", "CLUSTER BY", "UPGRADE PROTOCOL", "REORG",
}  # fmt: skip
_CONFLICT = re.compile(
    r"DELTA_CONCURRENT|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|Concurrent(Append|Write|Transaction|Delete\w+)Exception"
    r"|ProtocolChangedException|MetadataChangedException|FileAlreadyExistsException|NON_EMPTY_LOCATION"
)


class Conflict(Exception):
    """Another writer committed first: re-read and decide again."""


@dataclass(frozen=True)
class Commit:
    """One line of a table's history.

    `metadata` is the JSON that LakeSift left in it, or {}; `properties` are the table properties that it set.
    """

    version: int
    operation: str
    metadata: dict[str, Any]
    rows: int | None
    timestamp: int = 0  # milliseconds since 1970, UTC
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes_data(self) -> bool:
        """Whether the commit may have changed a row."""
        return self.operation not in NO_DATA

    @property
    def ours(self) -> bool:
        """Whether the commit shows by itself that LakeSift made the table."""
        return "attempt" in self.metadata or WRITER in self.properties

    @property
    def data_version(self) -> str:
        """What identifies the commit: LakeSift's attempt id, in other commits version and time.

        A table that was dropped and made anew counts its versions from 0 again.
        """
        return str(self.metadata.get("attempt") or f"{self.version}@{self.timestamp}")

    def says(self, wanted: Mapping[str, Any]) -> bool:
        """Tell whether the commit's metadata holds all of this."""
        return all(self.metadata.get(key) == value for key, value in wanted.items())

    def concerns(self, fingerprint: str) -> bool:
        """Tell whether the commit may have changed rows of a fingerprint.

        It stands in the list "fingerprints" of the metadata, or there is no list: somebody else's DELETE or RESTORE.
        """
        named = self.metadata.get("fingerprints")
        return self.changes_data and (not isinstance(named, list) or fingerprint in named)


@dataclass(frozen=True)
class TableState:
    """A table at this moment: `data_version` changes whenever a row may have changed."""

    ref: str
    version: int | None
    data_version: str | None
    last_write: Commit | None


def retry_on_conflict(what: str, attempt: Callable[[], T], tries: int = 5) -> T:
    """Call `attempt()`, which reads, decides and writes, again after each Conflict; a bounded number of times.

    It returns what it did and changes nothing else, because it may be called several times.

    Raises
    ------
    ConflictError
        If every try met a conflict.
    """
    for number in range(tries):
        try:
            return attempt()
        except Conflict:
            log.info("%s: another run committed first; deciding again", what)
            time.sleep(0.3 * (number + 1) + (hash(uuid.uuid4()) % 100) / 300)
    raise ConflictError(f"{what}: other runs committed first {tries} times; run again when they are done")


def conflicts(name: str) -> AbstractContextManager[None]:
    """Raise Conflict where a statement or write on a table fails because another writer got there first."""
    return raising(Conflict(name), _CONFLICT)
