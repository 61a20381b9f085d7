"""The only Delta I/O: reading at a version, writing with an optimistic lock, history, one writer per folder lake.

A job decides from a table's present state, never from a transaction id. Transaction ids are a lock only: app id
`lakesift/<table>`, version = (version the decision was based on) + 1. Whether a write landed is looked up in history
by a fresh attempt id; absent means that somebody else committed first.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...udfs.errors import PlatformError
from ...udfs.quoting import quoted, quoted_name
from ...udfs.uris import is_uri, local_path
from .commits import Commit, Conflict, TableState, conflicts, retry_on_conflict
from .creation import create, newest_of_ours
from .history import commits
from .lock import ensure_folder, hold
from .schemas import Table, cast_to
from .spark_errors import NO_CATALOG, names, raising
from .state import data_versions, state
from .tuning import settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["Lake", "retry_on_conflict"]

#: The metadata of a statement is a setting of the session: one statement at a time.
_DELETING = threading.Lock()


class Lake:
    """A folder, an object-store prefix or a catalog schema that holds the tables of recipes.

    Parameters
    ----------
    spark : SparkSession
    root : str
        "./lake", "s3://bucket/lake", or a schema such as "main.selection" (a name with a dot and no slash).
    """

    def __init__(self, spark: SparkSession, root: str = "lake") -> None:
        self.spark, root = spark, local_path(root)
        schema = re.fullmatch(r"\w[\w-]*(\.\w[\w-]*)+", root) is not None
        if schema and Path(root).exists():
            schema = False
            if self._has_schema(root):
                raise PlatformError(
                    f"the lake {root} is both a folder here and a schema of the catalog; write ./{root} for the "
                    "folder, or start from another folder for the schema"
                )
        self.schema = root if schema else None
        self.local = not (schema or is_uri(root))
        self.root = str(Path(root).expanduser().absolute()) if self.local else root
        #: What a session opened last at versions of tables, for its next question: what tells it, and the thing.
        self.opened: tuple[str, object] = ("", None)

    # -- names -------------------------------------------------------------------------------------------------

    def path(self, name: str) -> str | None:
        """Return the folder of a table of a folder lake, None in a catalog."""
        return None if self.schema else f"{self.root.rstrip('/')}/{name}"

    def ref(self, name: str) -> str:
        """Return the SQL reference: a name without a dot is in the lake, any other is taken as it is."""
        if "." in name:
            return name
        if self.schema:
            return f"{quoted(self.schema)}.{quoted_name(name)}"
        return f"delta.{quoted_name(str(self.path(name)))}"

    def _has_schema(self, schema: str) -> bool:
        """Tell whether the catalog has a schema; False, too, if Spark has no such catalog."""
        try:
            return bool(self.spark.catalog.databaseExists(quoted(schema)))
        except Exception as error:
            if not names(error, NO_CATALOG):
                raise
            return False

    # -- state -------------------------------------------------------------------------------------------------

    def history(self, name: str, limit: int | None = None) -> list[Commit]:
        """Return commits, newest first; [] if there is no such table; InputError for an input without versions."""
        return list(islice(commits(self, name, limit), limit))

    def last_write(self, name: str) -> Commit | None:
        """Return the newest commit that changed data, None if the log holds none."""
        return next((c for c in commits(self, name) if c.changes_data), None)

    def version(self, name: str) -> int | None:
        """Return the present version, None if there is no such table."""
        return next((c.version for c in self.history(name, 1)), None)

    def state(self, name: str) -> TableState:
        """Return version and data version of a table, outside ones too."""
        return state(self, name)

    def data_versions(self, name: str, fingerprints: Iterable[str]) -> dict[str, str | None]:
        """Return what changes whenever rows of a fingerprint may have changed, by fingerprint."""
        return data_versions(self, name, fingerprints)

    def read(self, name: str, version: int | None = None) -> DataFrame:
        """Return the table at a version (the present one if None)."""
        pinned = "" if version is None else f" VERSION AS OF {version}"
        return self.spark.sql(f"SELECT * FROM {self.ref(name)}{pinned}")

    def size(self, name: str) -> int | None:
        """Return the bytes of a table's files; None where it has no versions."""
        try:
            return int(self.spark.sql(f"DESCRIBE DETAIL {self.ref(name)}").collect()[0]["sizeInBytes"])
        except Exception:  # a view, or files of another format
            return None

    def tables(self) -> list[str]:
        """Return the names of the lake's tables."""
        if self.schema:
            if not self._has_schema(self.schema):
                return []
            rows = self.spark.sql(f"SHOW TABLES IN {quoted(self.schema)}").where("NOT isTemporary").collect()
            return sorted(r["tableName"] for r in rows)
        if self.local:
            return sorted(p.parent.name for p in Path(self.root).glob("*/_delta_log"))
        listing = self.spark.read.format("binaryFile").option("recursiveFileLookup", "true")
        files = listing.option("pathGlobFilter", "*.json").load(f"{self.root.rstrip('/')}/*/_delta_log").select("path")
        return sorted({r["path"].split("/_delta_log")[0].rsplit("/", 1)[-1] for r in files.collect()})

    # -- writing -----------------------------------------------------------------------------------------------

    def create(self, table: Table) -> None:
        """Create a table if it does not exist; raises InputError if it does and LakeSift did not make it."""
        create(self, table)

    def refuse_foreign(self, name: str) -> None:
        """Raise InputError if a table exists that LakeSift did not make: it must not be written."""
        newest_of_ours(self, name)

    def overwrite(
        self, table: Table, frame: DataFrame, metadata: dict[str, Any], base: int, within: str = ""
    ) -> Commit:
        """Replace all rows in one commit; returns it.

        Parameters
        ----------
        table : Table
            Declared columns; the frame must have exactly these, and is cast to their types.
        metadata : dict
            Left in the commit as JSON; later runs decide by it.
        base : int
            The version that the decision to write was based on.
        within : str
            SQL of the rows that are replaced: of the table, and the new ones must fulfil it; all by default. Files
            without such a row stay.

        Raises
        ------
        Conflict
            If somebody else committed since `base`.
        InputError
            If LakeSift did not make the table.
        """
        self.refuse_foreign(table.name)
        present = self.read(table.name).schema
        cast = cast_to(table, frame)
        same = [(f.name, f.dataType) for f in present] == [(f.name, f.dataType) for f in cast.schema]
        mode = "append" if same and not base and self.last_write(table.name) is None else "overwrite"
        options: dict[str, Any] = {"txnAppId": f"lakesift/{table.name}", "txnVersion": base + 1}
        options |= {"replaceWhere": within} if within else {}
        if not (within or same):
            options["overwriteSchema"] = "true"
        commit = self._commit(table, cast.write.mode(mode), metadata, **options)
        if commit is None:
            raise Conflict(table.name)
        return commit

    def append(
        self, table: Table, frame: DataFrame, metadata: dict[str, Any], widen: bool = False, base: int | None = None
    ) -> Commit | None:
        """Add rows in one commit; returns it, or None if there was no row: Delta makes no version of that.

        With `widen`, columns that a table made earlier lacks are added to it, null in its rows.

        Raises
        ------
        Conflict
            If the frame reads the table and somebody else committed to what it read; with `base`, the version that the
            decision was based on, if there are rows and somebody else committed anything since.
        InputError
            If LakeSift did not make the table.
        """
        self.refuse_foreign(table.name)
        options: dict[str, Any] = {"mergeSchema": "true"} if widen else {}
        options |= {} if base is None else {"txnAppId": f"lakesift/{table.name}", "txnVersion": base + 1}
        return self._commit(table, cast_to(table, frame).write.mode("append"), metadata, **options)

    def delete(self, name: str, condition: str, metadata: dict[str, Any]) -> None:
        """Delete rows in one commit; where the session refuses the setting that carries `metadata`, without it.

        Raises
        ------
        Conflict
            If somebody else committed to what the condition reads.
        """
        carried = {"spark.databricks.delta.commitInfo.userMetadata": _metadata(metadata)[0]}
        with _DELETING, settings(self.spark, carried), conflicts(name):
            self.spark.sql(f"DELETE FROM {self.ref(name)} WHERE {condition}").collect()

    def _commit(self, table: Table, writer: Any, metadata: dict[str, Any], **options: Any) -> Commit | None:
        text, attempt = _metadata(metadata)
        writer = writer.format("delta").options(userMetadata=text, **options)
        if table.partition:
            writer = writer.partitionBy(*table.partition)
        with conflicts(table.name):
            writer.saveAsTable(self.ref(table.name)) if self.schema else writer.save(self.path(table.name))
        return next((c for c in self.history(table.name, 20) if c.metadata.get("attempt") == attempt), None)

    def lock(self, who: str) -> AbstractContextManager[None]:
        """Make the lake if it does not exist and hold it: a folder has one writer at a time, elsewhere Delta checks.

        Raises
        ------
        PlatformError
            If the folder cannot be made or written.
        """
        if self.schema and not self._has_schema(self.schema):
            root, catalog = self.root, self.root.split(".")[0]
            meant = PlatformError(
                f"the lake {root} is read as catalog.schema, and Spark has no catalog {catalog!r} with such a "
                f"schema; for a folder write ./{root}, for a schema of Spark's own catalog spark_catalog.<schema>"
            )
            with raising(meant, NO_CATALOG):
                self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(self.schema)}")
        return hold(ensure_folder(Path(self.root)), who) if self.local else nullcontext()


def _metadata(metadata: dict[str, Any]) -> tuple[str, str]:
    """Return JSON for a commit, and the fresh attempt id in it by which the commit is found again."""
    attempt = uuid.uuid4().hex
    return json.dumps({**metadata, "attempt": attempt}, sort_keys=True), attempt
