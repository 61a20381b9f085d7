"""Why an id is none of the documents that a selection was chosen from: rejected, newer, spelled otherwise, unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from pyspark.sql import functions as F

from ..inputs.opening import open_input
from ..lake.ingest_tables import rejected_lines
from ..lake.spark_errors import analysis_message
from .chosen_again import ChosenAgain
from .row_facts import rows_of_ids

REJECTED, ABSENT = "rejected", "not in the pool"
#: Ids that are looked for in rejected lines: each is a search through all of them.
SEARCHED = 20
#: Rejected lines of an id that are looked at.
LINES = 100


def absences(again: ChosenAgain, ids: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """Return by id the decision, why in a phrase, and what would change it."""
    run, table = again.run, again.recipe.documents.table
    at = run.documents.state.version
    said = f"{table} has no such id" + ("" if at is None else f" at version {at}")
    found = dict.fromkeys(ids, (ABSENT, said, f"a row of {table} with this id, and lakesift run {again.recipe.name}"))
    asked = [i for i in ids if is_text(i)]
    if not asked:
        return found
    for key, other in _spelled(again, asked).items():
        found[key] = (ABSENT, f"{said}; it has {other!r}", f"the id as {other!r}")
    for key in _newer(again, asked):
        why = f"{table} has it since: the selection was made from version {at}"
        found[key] = (ABSENT, why, f"lakesift run {again.recipe.name}")
    for key, (reason, file) in _rejected_lines(again, asked[:SEARCHED]).items():
        why = f"a line of {file} that holds it was rejected: {reason}"
        found[key] = (REJECTED, why, f"the line mended, and lakesift run {again.recipe.name}")
    return found


def is_text(text: str) -> bool:
    """Tell whether a text can be an id: bytes of the command line that are not UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _spelled(again: ChosenAgain, ids: Sequence[str]) -> Mapping[str, str]:
    """Return ids that differ in case or blanks around them alone, the first of each."""
    frame = pd.DataFrame({"asked": list(ids), "key": [i.strip(" ").lower() for i in ids]}, dtype=object)
    wanted = again.run.lake.spark.createDataFrame(frame, "asked string, key string")
    near = again.scores.select("id", F.lower(F.trim("id")).alias("key")).join(F.broadcast(wanted), "key", "inner")
    rows = near.groupBy("asked").agg(F.min("id").alias("id")).collect()
    return {row["asked"]: row["id"] for row in rows}


def _newer(again: ChosenAgain, ids: Sequence[str]) -> list[str]:
    """Return those ids that the newest version of the documents has."""
    run, documents = again.run, again.recipe.documents
    frame, state = open_input(run.lake, documents.table, "documents")
    if state.version is None or state.version == run.documents.state.version:
        return []
    try:
        rows = frame.selectExpr(f"CAST(({documents.id}) AS STRING) AS id")
    except Exception as error:
        if analysis_message(error) is None:
            raise
        return []  # the id is another column now
    return [row["id"] for row in rows_of_ids(rows, ids).distinct().collect()]


def _rejected_lines(again: ChosenAgain, ids: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """Return reason and file of the first rejected line of the source in which an id stands by itself."""
    run, documents = again.run, again.recipe.documents
    name = rejected_lines(documents.table).name
    if documents.source is None or run.lake.last_write(name) is None:
        return {}
    lines, found = run.lake.read(name), {}
    for key in ids:
        if not key.strip():
            continue
        hits = lines.withColumn("at", F.locate(key, F.col("raw"))).where("at > 0")
        around = F.expr(f"substring(raw, greatest(at - 1, 1), {len(key)} + least(at, 2))").alias("around")
        first = hits.select("reason", "file", around).orderBy("file", "reason").limit(LINES).collect()
        bounded = [r for r in first if _stands_alone(r["around"], key)]
        if bounded:
            found[key] = (bounded[0]["reason"], bounded[0]["file"])
    return found


def _stands_alone(around: str, key: str) -> bool:
    """Tell whether a text that begins and ends at most one character beside a key has no letter or digit there.

    Examples
    --------
    >>> _stands_alone('"7"', "7"), _stands_alone("17", "7"), _stands_alone("7}", "7")
    (True, False, True)
    """
    before, _, after = around.partition(key)
    return not (before[-1:].isalnum() or after[:1].isalnum())
