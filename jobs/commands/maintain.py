"""maintain: keeps a lake small; drops memos that nothing names and what refinements need no more, compacts, vacuums.

No result changes, and a rerun finds nothing to compute. How long an old version stays readable is the property
`delta.deletedFileRetentionDuration` of its table (`keep_versions` of the recipe) and nothing else.
Left out: tables that LakeSift did not write; they are their owner's.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ..lake.commits import Commit, conflicts
from ..lake.creation import is_ours
from ..lake.schemas import MEMOS
from ..lake.tables import Lake, retry_on_conflict
from ..lake.text_table import Rows, rows_of
from ..runs import last_run
from ..scoring.memos import quoted_list
from ..scoring.rounds import Refinement, all_finished, finished_rounds

log = logging.getLogger("lakesift")

#: Compacted are tables with this many files beyond one (a memo: one per fingerprint), smaller than this on average.
MANY_FILES, SMALL_BYTES = 6, 32_000_000
#: The same of a table that is ingested, which gains a file with every append.
MANY_INGESTED = 100
#: Memos that were written within these days stay: a run that was cut short goes on with its finished units.
RECENT_DAYS = 7


def maintain(lake: Lake, dry_run: bool = False) -> Rows:
    """Drop, compact and vacuum every table that LakeSift wrote; returns what was done to each.

    Parameters
    ----------
    dry_run : bool
        Say what would be done and change nothing.

    Raises
    ------
    InputError
        If the lake has no table; it is not made.
    ConflictError
        If other runs kept committing to a table that is to be compacted, or to `memos`, which has rows to drop.
    """
    if not lake.tables():
        raise InputError(f"there is no table in {lake.root}; give the --lake of your runs")
    with lake.lock("maintain"):
        names = lake.tables()
        with ThreadPoolExecutor(4) as pool:
            histories = dict(zip(names, pool.map(lambda n: _history(lake, n), names), strict=True))
            ours = {n: commits for n, commits in histories.items() if commits and is_ours(lake, n, commits[0])}
            needed = _needed(lake, ours)
            rows = list(pool.map(lambda n: _maintain(lake, n, ours[n], needed, dry_run), ours))
    columns = ("files", "rows to drop", "would") if dry_run else ("files before", "files after", "rows dropped")
    return rows_of(("table", *columns), rows)


def _history(lake: Lake, name: str) -> list[Commit]:
    """Return a table's commits; [] for what lies beside the tables in a schema, such as a view."""
    try:
        return lake.history(name)
    except Exception as error:
        log.debug("%s is left alone: %s", name, error)
        return []


def _needed(lake: Lake, histories: dict[str, list[Commit]]) -> set[str]:
    """Return the fingerprints that a kept version of scores, selection or controls names, or a recipe's newest run.

    Scores name vectors, too, which they do not hold, and selections what was computed for them alone.
    """
    needed: set[str] = set()
    for name, commits in histories.items():
        if name.startswith("selection_"):
            last = last_run(lake, name.removeprefix("selection_"))
            needed |= set(last["fingerprints"].values()) if last else set()
        if name.startswith(("selection_", "scores_", "controls_")):
            for commit in commits:
                needed |= {*commit.metadata.get("fingerprints", {}).values(), *commit.metadata.get("on_demand", ())}
    return needed


def _maintain(lake: Lake, name: str, commits: list[Commit], needed: set[str], dry_run: bool) -> tuple[Any, ...]:
    """Maintain one table; returns its name, its files before and after and the rows dropped, or what would be done."""
    log.info("  %s", name)
    detail, dropped, partitions = _detail(lake, name), 0, 1
    before, size = int(detail["numFiles"]), detail["sizeInBytes"]
    if name == MEMOS:
        counts = _fingerprints(lake, name)
        dropped, partitions = sum(_unneeded(counts, commits, needed).values()), len(counts)
    # Files of an ingested table are many on purpose: each is a task of the next scan.
    many = MANY_INGESTED if any("source" in c.metadata for c in commits) else MANY_FILES
    crowded = before - partitions >= many and size < SMALL_BYTES * before
    if spent := _spent(lake, name):
        dropped = lake.read(name).where(spent).count()
    if dry_run:
        gone = lake.spark.sql(f"VACUUM {lake.ref(name)} DRY RUN").count()
        steps = [("drop rows", dropped > 0), ("compact", crowded), (f"remove {gone} files", gone > 0)]
        return name, before, dropped, ", ".join(word for word, true in steps if true) or "nothing"
    if dropped and spent:
        retry_on_conflict(f"maintain {name}", lambda: lake.delete(name, spent, {}))
    elif dropped:
        dropped = retry_on_conflict("maintain", lambda: _drop(lake, name, needed))
    if crowded:
        retry_on_conflict(f"maintain {name}", lambda: _compact(lake, name))
    lake.spark.sql(f"VACUUM {lake.ref(name)}").collect()
    return name, before, int(_detail(lake, name)["numFiles"]), dropped


def _spent(lake: Lake, name: str) -> str:
    """Return SQL of the rows that no refinement needs any more: states of finished ones, models of earlier rounds."""
    if name.startswith("hidden_"):
        recipe = name.removeprefix("hidden_")
        last = lake.last_write(f"selection_{recipe}")
        said = last.metadata if last else {}
        known = finished_rounds(lake, Refinement(recipe, said.get("refinement", "")))
        return "true" if all_finished(known, said.get("rounds", 0)) else ""
    if name != "models":
        return ""
    trained = lake.read(name).where("fit_key LIKE 'refinement %'").groupBy("fit_key").agg(F.max("sequence").alias("n"))
    return " OR ".join(f"(fit_key = '{r['fit_key']}' AND sequence < {r['n']})" for r in trained.collect())


def _compact(lake: Lake, name: str) -> None:
    with conflicts(name):
        lake.spark.sql(f"OPTIMIZE {lake.ref(name)}").collect()


def _detail(lake: Lake, name: str) -> Any:
    return lake.spark.sql(f"DESCRIBE DETAIL {lake.ref(name)}").select("numFiles", "sizeInBytes").collect()[0]


def _fingerprints(lake: Lake, name: str) -> dict[str, int]:
    """Return rows by fingerprint (a partition column: no values are read)."""
    return {r["fingerprint"]: r["count"] for r in lake.read(name).groupBy("fingerprint").count().collect()}


def _unneeded(counts: dict[str, int], commits: list[Commit], needed: set[str]) -> dict[str, int]:
    """Return those fingerprints, with their rows, that nothing names and nobody wrote within RECENT_DAYS."""
    since = 1000 * (time.time() - RECENT_DAYS * 86_400)
    recent = {f for c in commits if c.timestamp >= since for f in c.metadata.get("fingerprints", ())}
    return {k: rows for k, rows in counts.items() if k not in needed | recent}


def _drop(lake: Lake, name: str, needed: set[str]) -> int:
    """Delete the fingerprints that nothing needs in one commit; returns how many rows they had."""
    unneeded = _unneeded(_fingerprints(lake, name), lake.history(name), needed)
    if unneeded:
        # Literals of the partition column: other partitions never conflict.
        lake.delete(name, f"fingerprint IN ({quoted_list(sorted(unneeded))})", {"fingerprints": sorted(unneeded)})
    return sum(unneeded.values())
