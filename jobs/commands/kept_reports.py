"""Keeps reports in the table `reports`: a file lies on the driver, and a cluster's driver goes away with it."""

from __future__ import annotations

import json
import logging

from pyspark.sql import functions as F

from ...udfs.errors import LakeSiftError
from ..lake.report_tables import reports
from ..lake.spark_errors import error_sentence
from ..lake.tables import Lake, retry_on_conflict
from .report_result import Report

log = logging.getLogger("lakesift")


def keep_report(lake: Lake, report: Report) -> Report:
    """Add a report to `reports` unless its newest one of this selection says the same; returns the report.

    Where the lake may not be written, a line of the log says so: the report is made all the same.
    """
    try:
        with lake.lock(f"report of {report.recipe}"):
            retry_on_conflict("reports", lambda: _append(lake, report))
    except Exception as error:
        reason = str(error) if isinstance(error, LakeSiftError) else error_sentence(error)
        if reason is None:
            raise
        log.info("the report is not kept in the table reports: %s", reason)
    return report


def _append(lake: Lake, report: Report) -> None:
    table, version = reports(), report.selection_version or 0
    lake.create(table)
    body = json.dumps(report.to_dict(), sort_keys=True)
    this = (F.col("recipe") == report.recipe) & (F.col("selection_version") == version)
    last = lake.read(table.name).where(this).agg(F.max_by("body", "made_at").alias("body")).collect()[0]["body"]
    if last == body:
        return
    row = (report.recipe, version, report.run_id, body, str(report))
    schema = "recipe string, selection_version bigint, run_id string, body string, text string"
    frame = lake.spark.createDataFrame([row], schema).withColumn("made_at", F.current_timestamp())
    lake.append(table, frame, {"recipe": report.recipe})
