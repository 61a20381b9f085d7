"""The only Delta I/O: reading at a version, writing with an optimistic lock, history, one writer per folder lake.

A job decides from a table's present state, never from a transaction id. Transaction ids are a lock only: app id
`lakesift/<table>`, version = (version the decision was based on) + 1. Whether a write landed is looked up in history
by a fresh attempt id; absent means that somebody else committed first.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...udfs.errors import ConflictError, InputError
from ...udfs.uris import is_uri
from .commits import COLUMNS, Commit, Conflict, TableState, commit_of, is_conflict, newest_of, read_log
from .lock import hold, made
from .schemas import RETENTION, Table, declared
from .spark_errors import NOT_DELTA, lookup_error

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = logging.getLogger("lakesift")


class Lake:
    """A folder, an object-store prefix or a catalog schema that holds the tables of recipes.

    Parameters
    ----------
    spark : SparkSession
    root : str
        "./lake", "s3://bucket/lake", or a schema such as "main.selection" (a name with a dot and no slash).
    """

    def __init__(self, spark: SparkSession, root: str = "lake") -> None:
        self.spark = spark
        schema = re.fullmatch(r"\w[\w-]*(\.\w[\w-]*)+", root) is not None and not Path(root).exists()
        self.schema = root if schema else None
        remote = is_uri(root)
        self.root = root if schema or remote else str(Path(root).expanduser().absolute())
        self.local = not schema and not remote

    # -- names -------------------------------------------------------------------------------------------------

    def path(self, name: str) -> str | None:
        """Return the folder of a table of a folder lake, None in a catalog."""
        return None if self.schema else f"{self.root.rstrip('/')}/{name}"

    def ref(self, name: str) -> str:
        """Return the SQL reference: a name without a dot is in the lake, any other is taken as it is."""
        if "." in name:
            return name
        return f"{self.schema}.`{name}`" if self.schema else f"delta.`{self.path(name)}`"

    # -- state -------------------------------------------------------------------------------------------------

    def history(self, name: str, limit: int | None = None) -> list[Commit]:
        """Return commits, newest first; [] if there is no such table; InputError for an input without versions."""
        if self.local and "." not in name:
            return read_log(Path(self.root) / name, limit)
        query = f"DESCRIBE HISTORY {self.ref(name)}" + (f" LIMIT {limit}" if limit else "")
        try:
            found = self.spark.sql(query).selectExpr(*COLUMNS).collect()
        except Exception as error:
            if not NOT_DELTA.search(str(error)):
                raise lookup_error(name, error) from error
            if "." in name and self._readable(name):
                raise InputError(f"{name} has no versions") from error
            return []
        return [commit_of(r.asDict()) for r in found]

    def _readable(self, name: str) -> bool:
        try:
            return bool(self.read(name).columns)
        except Exception as error:
            if NOT_DELTA.search(str(error)):  # no such table, view or file
                return False
            raise lookup_error(name, error) from error

    def last_write(self, name: str) -> Commit | None:
        """Return the newest commit that changed data, or None."""
        return self.state(name).last_write

    def version(self, name: str) -> int | None:
        """Return the present version, None if there is no such table."""
        commits = self.history(name, 1)
        return commits[0].version if commits else None

    def state(self, name: str) -> TableState:
        """Return version and stamp of a table, outside ones too.

        The stamp names the newest commit that changed data: by the attempt id that LakeSift leaves in its own
        commits, by version and time in others (a table that was dropped and made anew counts versions from 0).
        """
        commits = self.history(name, 8)
        if not commits:
            return TableState(self.ref(name), None, None, None)
        newest = newest_of(commits) or (newest_of(self.history(name)) if len(commits) == 8 else None)
        stamp = newest.metadata.get("attempt") or f"{newest.version}@{newest.timestamp}" if newest else "empty"
        return TableState(self.ref(name), commits[0].version, stamp, newest)

    def read(self, name: str, version: int | None = None) -> DataFrame:
        """Return the table at a version (the present one if None)."""
        pinned = "" if version is None else f" VERSION AS OF {version}"
        return self.spark.sql(f"SELECT * FROM {self.ref(name)}{pinned}")

    def tables(self) -> list[str]:
        """Return the names of the lake's tables."""
        if self.schema:
            if not self.spark.catalog.databaseExists(self.schema):
                return []
            return sorted(r["tableName"] for r in self.spark.sql(f"SHOW TABLES IN {self.schema}").collect())
        if self.local:
            return sorted(p.parent.name for p in Path(self.root).glob("*/_delta_log"))
        listing = self.spark.read.format("binaryFile").option("recursiveFileLookup", "true")
        files = listing.option("pathGlobFilter", "*.json").load(f"{self.root.rstrip('/')}/*/_delta_log").select("path")
        return sorted({r["path"].split("/_delta_log")[0].rsplit("/", 1)[-1] for r in files.collect()})

    # -- writing -----------------------------------------------------------------------------------------------

    def create(self, table: Table) -> None:
        """Create a table, or bring how long it keeps old versions up to date; a race with another creator is fine."""
        log_folder = Path(self.root) / table.name / "_delta_log"
        for attempt in range(5):
            if self.local and any(log_folder.glob("*.json")):
                return self._retain(table)
            if self.local and attempt == 4:  # no racing creator takes a second: a log without a commit is a crash's
                shutil.rmtree(log_folder, ignore_errors=True)
            try:
                self.spark.sql(table.ddl(self.ref(table.name)))
                if not self.local or any(log_folder.glob("*.json")):
                    return None if self.local else self._retain(table)
            except Exception as error:
                if attempt == 4 or not ("NON_EMPTY_LOCATION" in str(error) or is_conflict(error)):
                    raise
            time.sleep(0.2 * (attempt + 1))
        return None

    def _retain(self, table: Table) -> None:
        if wanted := {k: v for k, v in table.properties if k in RETENTION}:
            rows = self.spark.sql(f"SHOW TBLPROPERTIES {self.ref(table.name)}").collect()
            if not wanted.items() <= {r["key"]: r["value"] for r in rows}.items():
                pairs = ", ".join(f"'{k}' = '{v}'" for k, v in wanted.items())
                self.spark.sql(f"ALTER TABLE {self.ref(table.name)} SET TBLPROPERTIES ({pairs})")

    def overwrite(self, table: Table, frame: DataFrame, note: dict[str, Any], base: int) -> Commit:
        """Replace all rows in one commit; returns it.

        Parameters
        ----------
        table : Table
            Declared columns; the frame must have exactly these, and is cast to their types.
        note : dict
            Left in the commit as JSON; what later runs decide by.
        base : int
            The version that the decision to write was based on.

        Raises
        ------
        Conflict
            If somebody else committed since `base`.
        """
        present = self.spark.sql(f"SELECT * FROM {self.ref(table.name)} LIMIT 0").schema
        cast = declared(frame, table)
        writer, attempt = _writer(cast, "overwrite" if base or self.last_write(table.name) else "append", note)
        writer = writer.option("txnAppId", f"lakesift/{table.name}").option("txnVersion", base + 1)
        if [(f.name, f.dataType) for f in present] != [(f.name, f.dataType) for f in cast.schema]:
            writer = writer.option("overwriteSchema", "true")
        commit = self._commit(table.name, writer, attempt)
        if commit is None:
            raise Conflict(table.name)
        return commit

    def append(self, table: Table, frame: DataFrame, note: dict[str, Any]) -> Commit | None:
        """Add rows in one commit; returns it, or None if there was no row: Delta makes no version of that.

        Raises
        ------
        Conflict
            If the frame reads the table and somebody else committed to what it read.
        """
        writer, attempt = _writer(declared(frame, table), "append", note)
        if table.partition:
            writer = writer.partitionBy(*table.partition)
        return self._commit(table.name, writer, attempt)

    def _commit(self, name: str, writer: Any, attempt: str) -> Commit | None:
        try:
            if self.schema:
                writer.saveAsTable(self.ref(name))
            else:
                writer.save(self.path(name))
        except Exception as error:
            if is_conflict(error):
                raise Conflict(name) from error
            raise
        return next((c for c in self.history(name, 20) if c.metadata.get("attempt") == attempt), None)

    def lock(self, who: str) -> AbstractContextManager[None]:
        """Make the lake if it is not there and hold it: one writer at a time in a folder; elsewhere Delta's own checks.

        Raises
        ------
        PlatformError
            If the folder cannot be made or written.
        """
        if self.schema and not self.spark.catalog.databaseExists(self.schema):
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
        return hold(made(Path(self.root)), who) if self.local else nullcontext()


def retry_on_conflict(what: str, decide: Any, tries: int = 5) -> Any:
    """Call `decide()`, which reads, decides and writes, again after each Conflict; a bounded number of times."""
    for attempt in range(tries):
        try:
            return decide()
        except Conflict:
            log.info("%s: another run committed first; deciding again", what)
            time.sleep(0.3 * (attempt + 1) + (hash(uuid.uuid4()) % 100) / 300)
    raise ConflictError(f"{what}: other runs committed first {tries} times; run again when they are done")


def _writer(frame: DataFrame, mode: str, note: dict[str, Any]) -> tuple[Any, str]:
    attempt = uuid.uuid4().hex
    text = json.dumps({**note, "attempt": attempt}, sort_keys=True)
    return frame.write.format("delta").mode(mode).option("userMetadata", text), attempt
