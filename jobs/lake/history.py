"""The commits of a table, newest first: from DESCRIBE HISTORY or, for a local folder, straight from the Delta log.

The log saves a Spark query of about 0.25 s a call, and a run makes about 40 calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...udfs.errors import InputError
from .commits import Commit
from .spark_errors import NOT_DELTA, lookup_error

if TYPE_CHECKING:
    from .tables import Lake

#: Commits that a catalog is asked for at first: mostly the newest data-changing one is among them.
FEW_COMMITS = 8
#: What DESCRIBE HISTORY is asked for.
COLUMNS = (
    "version", "operation", "userMetadata", "operationMetrics", "unix_millis(timestamp) AS timestamp",
    "operationParameters",
)  # fmt: skip


def history(lake: Lake, name: str, limit: int | None = None) -> list[Commit]:
    """Return the newest commits; [] if there is no such table.

    Raises
    ------
    InputError
        If it is an input without versions, or its log is damaged.
    RecipeError
        If the table cannot be looked up.
    """
    if lake.local and "." not in name:
        return list(islice(read_log(Path(lake.root) / name), limit))
    query = f"DESCRIBE HISTORY {lake.ref(name)}" + (f" LIMIT {limit}" if limit else "")
    try:
        rows = lake.spark.sql(query).selectExpr(*COLUMNS).collect()
    except Exception as error:
        if not NOT_DELTA.search(str(error)):
            raise lookup_error(name, error) from error
        if "." in name and _readable(lake, name):
            raise InputError(f"{name} has no versions") from error
        return []
    return [commit_of(r.asDict()) for r in rows]


def commits(lake: Lake, name: str) -> Iterator[Commit]:
    """Yield all commits, no more than are asked for: file by file, elsewhere a few at first."""
    if lake.local and "." not in name:
        yield from read_log(Path(lake.root) / name)
        return
    few = history(lake, name, FEW_COMMITS)
    yield from few
    if len(few) == FEW_COMMITS:
        yield from (c for c in history(lake, name) if c.version < few[-1].version)


def _readable(lake: Lake, name: str) -> bool:
    try:
        return bool(lake.read(name).columns)
    except Exception as error:
        if NOT_DELTA.search(str(error)):  # no such table, view or file
            return False
        raise lookup_error(name, error) from error


def commit_of(row: Mapping[str, Any]) -> Commit:
    """Return a row of `COLUMNS` as a Commit."""
    rows = (row["operationMetrics"] or {}).get("numOutputRows")
    return Commit(
        row["version"],
        row["operation"],
        _json_object(row["userMetadata"]),
        int(rows) if rows else None,
        row["timestamp"],
        _json_object((row["operationParameters"] or {}).get("properties")),
    )


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
    with file.open(encoding="utf-8") as lines:
        line = next((k for k in lines if k.startswith('{"commitInfo"')), '{"commitInfo": {}}')
    try:
        info = json.loads(line)["commitInfo"]
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}); drop the table or bring the file back") from error
    row = {k: info.get(k) for k in ("userMetadata", "operationMetrics", "operationParameters", "timestamp")}
    row["timestamp"] = row["timestamp"] or int(file.stat().st_mtime * 1000)
    return commit_of({"version": int(file.stem), "operation": info.get("operation", ""), **row})
