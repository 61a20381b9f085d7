"""The documents that an earlier version of their table did not have: what a model that learnt from it has not seen."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ..inputs.hash_update import MOST_ROWS
from ..inputs.run import Run, id_frame
from ..lake.changes import Unknown, change
from ..lake.spark_errors import FILES_GONE, raising
from ..lake.state import data_version_at


def newer_ids(run: Run, before: int) -> DataFrame:
    """Return `id` of the documents whose ids an earlier version of the table did not have.

    By what its log says was gained since, where every id stands once; else by reading the ids of that version.
    """
    try:
        return _by_change(run, before)
    except Unknown:
        documents = run.documents
        then = run.lake.read(run.recipe.documents.table, before).selectExpr(f"{documents.id} AS id")
        return run.hashed.select("id").join(then.where("id IS NOT NULL"), "id", "left_anti")


def _by_change(run: Run, before: int) -> DataFrame:
    documents, table = run.documents, run.recipe.documents.table
    state = data_version_at(run.lake, table, before)
    if state is None or documents.state.version is None or run.hashes.summary.duplicates:
        raise Unknown("no version, or ids are repeated")
    own = [f"{documents.id} AS id"]
    rows = change(run.lake, table, before, state, documents.state.version).signed(own, own)
    if rows is None:
        return id_frame(run.lake.spark, [])
    with raising(Unknown("files are gone"), FILES_GONE):
        # An id that came more often than it went is there, and was not: no id is there twice.
        net = rows.where("id IS NOT NULL").groupBy("id").agg(F.sum("n").alias("n")).where("n > 0")
        ids = net.select("id").limit(MOST_ROWS + 1).toPandas()
    if len(ids) > MOST_ROWS:
        raise Unknown("more than fit on the driver")
    return id_frame(run.lake.spark, ids["id"])
