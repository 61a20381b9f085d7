"""Documents that changed since `scores_<recipe>` was published: all that its settled scores can lack."""

from __future__ import annotations

from pyspark.sql import functions as F

from ..inputs.run import Run, Touched, id_frame
from ..lake.changes import Unknown, reading
from ..lake.state import data_version_at
from .memos import BROADCAST_ROWS


def recent(run: Run) -> Touched | None:
    """Return the documents that changed since the newest scores were published, None if it is not known which.

    It is what this run found when it hashed them; if a run was stopped after it hashed, it is what differs between the
    two versions of the hashes.
    """
    last = run.lake.last_write(f"scores_{run.recipe.name}")
    state = last.metadata.get("hashes_state") if last else None
    if last is None or state is None:
        return None
    if run.hashes.touched and run.hashes.touched.since == state:
        return run.hashes.touched
    if data_version_at(run.lake, run.hashes.table, run.hashes.version) == state:
        return Touched(state, id_frame(run.lake.spark, []), 0, run.hashed.limit(0), 0)
    return _difference(run, int(last.metadata["hashes_version"]), state)


def _difference(run: Run, version: int, state: str) -> Touched | None:
    """Return the ids whose hashes differ from those at an earlier version; None if they are many or it is gone."""
    if data_version_at(run.lake, run.hashes.table, version) != state:
        return None
    try:
        with reading():
            before = run.lake.read(run.hashes.table, version)
            if set(before.columns) != set(run.hashed.columns):
                return None
            sides = [(run.hashed, before), (before, run.hashed)]
            same = ["id", "row_hash", "rows"]
            came, went = (a.join(b.select(*same), same, "left_anti").select("id") for a, b in sides)
            there, gone = (side.limit(BROADCAST_ROWS + 1).toPandas()["id"] for side in (came, went))
    except Unknown:
        return None
    ids = list(dict.fromkeys([*there, *gone]))
    if len(ids) > BROADCAST_ROWS:
        return None
    hashed = run.hashed.join(F.broadcast(id_frame(run.lake.spark, there)), "id", "left_semi")
    grew = gone.empty and not there.empty
    return Touched(state, id_frame(run.lake.spark, ids), len(ids), hashed, len(there), grew)
