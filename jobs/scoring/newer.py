"""The documents that an earlier version of their table did not have: what a model that learnt from it has not seen."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ..inputs.hash_update import MOST_ROWS
from ..inputs.run import Run, id_frame
from ..lake.changes import Change, Unknown, change, reading
from ..lake.state import data_version_at


def newer_documents(run: Run, before: int) -> tuple[int, Callable[[], DataFrame]]:
    """Return how many documents have ids that an earlier version of the table did not have, and what finds them.

    By what its log says was gained since, where every id stands once; else by reading the ids of that version. Where
    rows were only added, and all have ids, the log has their number.
    """
    try:
        changed = _changed(run, before)
        if changed.lost is None and changed.rows is not None and not run.hashes.summary.null_ids:
            return changed.rows, lambda: _by_change(run, changed)
        newer = _by_change(run, changed)
    except Unknown:
        documents = run.documents
        then = run.lake.read(run.recipe.documents.table, before).selectExpr(f"{documents.id} AS id")
        newer = run.hashed.select("id").join(then.where("id IS NOT NULL"), "id", "left_anti")
    return newer.count(), lambda: newer


def _changed(run: Run, before: int) -> Change:
    version, state = run.documents.state.version, data_version_at(run.lake, run.recipe.documents.table, before)
    if state is None or version is None or run.hashes.summary.duplicates:
        raise Unknown("no version, or ids are repeated")
    return change(run.lake, run.recipe.documents.table, before, state, version)


def _by_change(run: Run, changed: Change) -> DataFrame:
    own = [f"{run.documents.id} AS id"]
    rows = changed.signed(own, own)
    if rows is None:
        return id_frame(run.lake.spark, [])
    with reading():
        # An id that came more often than it went is there, and was not: no id is there twice.
        net = rows.where("id IS NOT NULL").groupBy("id").agg(F.sum("n").alias("n")).where("n > 0")
        ids = net.select("id").limit(MOST_ROWS + 1).toPandas()
    if len(ids) > MOST_ROWS:
        raise Unknown("more than fit on the driver")
    return id_frame(run.lake.spark, ids["id"])
