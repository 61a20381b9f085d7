"""Keeps a lake small: drops memos that nothing names, compacts small files, removes files that no kept version needs.

No result changes, and a rerun finds nothing to compute. How long an old version stays readable is the property
`delta.deletedFileRetentionDuration` of its table (`keep_versions` of the recipe) and nothing else.
Left out: tables that LakeSift did not write; they are their owner's.
"""

from __future__ import annotations

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ...udfs.errors import InputError
from ..lake.commits import Commit, Conflict, is_conflict
from ..lake.tables import Lake, retry_on_conflict
from ..lake.text_table import text_table
from ..run import last_run

log = logging.getLogger("lakesift")

#: Compacted are tables with this many files beyond one (a memo: one per fingerprint), smaller than this on average.
MANY_FILES, SMALL_BYTES = 6, 32_000_000
#: Memos that were written within these days stay: a run that was cut short goes on with its finished units.
RECENT_DAYS = 7


@dataclass
class Kept:
    """One table and what was done to it."""

    name: str
    before: int = 0
    after: int = 0
    dropped: int = 0
    does: str = ""


def maintain(lake: Lake, dry_run: bool = False) -> str:
    """Drop, compact and vacuum every table that LakeSift wrote; return a text table of it.

    Parameters
    ----------
    dry_run : bool
        Say what would be done and change nothing.

    Raises
    ------
    InputError
        If the lake has no table; it is not made.
    ConflictError
        If other runs kept committing to a memo that has rows to drop.
    """
    if not lake.tables():
        raise InputError(f"there is no table in {lake.root}; give the --lake of your runs")
    with lake.lock("maintain"):
        names = lake.tables()
        with ThreadPoolExecutor(4) as pool:
            histories = dict(zip(names, pool.map(lambda n: _history(lake, n), names), strict=True))
            ours = {n: commits for n, commits in histories.items() if any("attempt" in c.metadata for c in commits)}
            named = _named(lake, ours)
            done = list(pool.map(lambda n: _maintain(lake, n, ours[n], named, dry_run), ours))
    if dry_run:
        rows = [(k.name, k.before, k.dropped, k.does) for k in done]
        return text_table(("table", "files", "rows to drop", "would"), rows) + "\n(dry run: nothing was changed)"
    rows_done = [(k.name, k.before, k.after, k.dropped) for k in done]
    return text_table(("table", "files before", "files after", "rows dropped"), rows_done)


def _history(lake: Lake, name: str) -> list[Commit]:
    """Return a table's commits; [] for what stands beside the tables in a schema, such as a view."""
    try:
        return lake.history(name)
    except Exception as error:
        log.debug("%s is left alone: %s", name, error)
        return []


def _named(lake: Lake, histories: dict[str, list[Commit]]) -> set[str]:
    """Return the fingerprints that a kept version of any scores or selection names, or the newest run of a recipe."""
    named: set[str] = set()
    for name, commits in histories.items():
        if name.startswith("selection_"):
            last = last_run(lake, name.removeprefix("selection_"))
            named |= set(json.loads(last["manifest"])["fingerprints"].values()) if last else set()
        if name.startswith(("selection_", "scores_")):
            for note in (c.metadata for c in commits):
                named |= {*note.get("fingerprints", {}).values(), *note.get("labels", {}).values()}
    return named


def _maintain(lake: Lake, name: str, commits: list[Commit], named: set[str], dry_run: bool) -> Kept:
    log.info("  %s", name)
    kept = Kept(name, before=_files(lake, name))
    dead, parts = {}, 1
    if name.startswith("memo_"):
        counts = _fingerprints(lake, name)
        dead = _dead(counts, commits, named)
        kept.dropped, parts = sum(dead.values()), len(counts)
    size = _detail(lake, name)["sizeInBytes"]
    # Files of an ingested table are many on purpose: each is a task of the next scan.
    ingested = any("source" in c.metadata for c in commits)
    crowded = not ingested and kept.before - parts >= MANY_FILES and size < SMALL_BYTES * kept.before
    if dry_run:
        gone = lake.spark.sql(f"VACUUM {lake.ref(name)} DRY RUN").count()
        steps = [("drop rows", bool(dead)), ("compact", crowded), (f"remove {gone} files", gone > 0)]
        kept.does = ", ".join(word for word, true in steps if true) or "nothing"
        return kept
    if dead:
        kept.dropped = int(retry_on_conflict("maintain", lambda: _drop(lake, name, named)))
    if crowded:
        _statement(lake, name, f"OPTIMIZE {lake.ref(name)}")
    lake.spark.sql(f"VACUUM {lake.ref(name)}").collect()
    kept.after = _files(lake, name)
    return kept


def _detail(lake: Lake, name: str) -> Any:
    return lake.spark.sql(f"DESCRIBE DETAIL {lake.ref(name)}").select("numFiles", "sizeInBytes").collect()[0]


def _files(lake: Lake, name: str) -> int:
    return int(_detail(lake, name)["numFiles"])


def _fingerprints(lake: Lake, name: str) -> dict[str, int]:
    """Return rows by fingerprint (a partition column: no values are read)."""
    return {r["fingerprint"]: r["count"] for r in lake.read(name).groupBy("fingerprint").count().collect()}


def _dead(counts: dict[str, int], commits: list[Commit], named: set[str]) -> dict[str, int]:
    """Return those fingerprints, with their rows, that nothing names and nobody wrote of late."""
    since = 1000 * (time.time() - RECENT_DAYS * 86_400)
    recent = {c.metadata.get("fingerprint") for c in commits if c.timestamp >= since}
    return {k: rows for k, rows in counts.items() if k not in named | recent}


def _drop(lake: Lake, name: str, named: set[str]) -> int:
    """Delete the dead fingerprints of a memo in one commit; returns how many rows they had."""
    dead = _dead(_fingerprints(lake, name), lake.history(name), named)
    if dead:
        # Literals of the partition column: other partitions never conflict.
        literals = ", ".join(f"'{k}'" for k in sorted(dead))
        lake.delete(name, f"fingerprint IN ({literals})", {"fingerprints": sorted(dead)})
    return sum(dead.values())


def _statement(lake: Lake, name: str, sql: str) -> None:
    try:
        lake.spark.sql(sql).collect()
    except Exception as error:
        if is_conflict(error):
            raise Conflict(name) from error
        raise
