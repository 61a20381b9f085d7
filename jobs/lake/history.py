"""The commits of a table, newest first: from DESCRIBE HISTORY or, for a local folder, straight from the Delta log.

The log saves a Spark query of about 0.25 s a call, and a run makes about 40 calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...udfs.errors import InputError, RecipeError
from .commits import Commit
from .spark_errors import NOT_DELTA, analysis_message, names

if TYPE_CHECKING:
    from .tables import Lake

T = TypeVar("T")
#: Commits that a catalog is asked for at first: mostly the newest data-changing one is among them.
FEW_COMMITS = 8
#: What DESCRIBE HISTORY is asked for.
COLUMNS = (
    "version", "operation", "userMetadata", "operationMetrics", "unix_millis(timestamp) AS timestamp",
    "operationParameters",
)  # fmt: skip


def commits(lake: Lake, name: str, few: int | None = FEW_COMMITS) -> Iterator[Commit]:
    """Yield all commits; none if there is no such table.

    No more are read than are asked for: file by file in a folder; elsewhere `few` at first, then all (None: at once).

    Raises
    ------
    InputError
        If it is an input without versions, or its log is damaged.
    RecipeError
        If the table cannot be looked up.
    """
    if lake.local and "." not in name:
        yield from read_log(Path(lake.root) / name)
        return
    query = f"DESCRIBE HISTORY {lake.ref(name)}" + (f" LIMIT {few}" if few else "")
    rows = _found(name, lambda: lake.spark.sql(query).selectExpr(*COLUMNS).collect())
    if rows is None and "." in name and _found(name, lambda: bool(lake.read(name).columns)):
        raise InputError(f"{name} has no versions")
    newest = [commit_of(r.asDict()) for r in rows or []]
    yield from newest
    if len(newest) == few:
        yield from (c for c in commits(lake, name, None) if c.version < newest[-1].version)


def _found(name: str, ask: Callable[[], T]) -> T | None:
    """Return what a query about a table finds, None if there is no such Delta table, view or file."""
    try:
        return ask()
    except Exception as error:
        if names(error, NOT_DELTA) or "is not a Delta table" in str(error):
            return None
        reason = analysis_message(error)
        if reason is None:
            raise
        raise RecipeError(
            f"the table {name!r} cannot be looked up: {reason} Write catalog.schema.table, delta.`/path`, or the name "
            "of a table in the lake"
        ) from error


def commit_of(row: Mapping[str, Any]) -> Commit:
    """Return a row of `COLUMNS` as a Commit."""
    metadata = _json_object(row.get("userMetadata"))
    rows = (row.get("operationMetrics") or {}).get("numOutputRows")
    properties = _json_object((row.get("operationParameters") or {}).get("properties"))
    return Commit(row["version"], row["operation"], metadata, int(rows) if rows else None, row["timestamp"], properties)


def _json_object(text: str | None) -> dict[str, Any]:
    """Return a JSON object; {} for anything else, which somebody else wrote."""
    try:
        value = json.loads(text or "{}")
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def read_log(table: Path) -> Iterator[Commit]:
    """Yield the commits of a table in a local folder, newest first, read when they are asked for."""
    for file in sorted((f for f in (table / "_delta_log").glob("*.json") if f.stem.isdigit()), reverse=True):
        try:
            yield _commit_in(file)
        except FileNotFoundError:  # Delta's cleanup removes the oldest files
            return


def _commit_in(file: Path) -> Commit:
    try:
        with file.open(encoding="utf-8") as lines:
            line = next((k for k in lines if k.startswith('{"commitInfo"')), '{"commitInfo": {}}')
        info = json.loads(line)["commitInfo"]
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}); drop the table or bring the file back") from error
    at = info.get("timestamp") or int(file.stat().st_mtime * 1000)
    return commit_of({"operation": "", **info, "version": int(file.stem), "timestamp": at})
