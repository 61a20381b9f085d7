"""A lake of either sort, and what wears a table's log out."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from lakesift.jobs.lake.tables import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DAY = 86_400
#: For tests of many commits: in a folder always, in a catalog in the long run.
folder_first = pytest.mark.parametrize(
    "lake", ["folder", pytest.param("catalog", marks=pytest.mark.long)], indirect=True
)


def put(lake: Lake, name: str, rows: DataFrame, mode: str = "append") -> None:
    """Write rows as a user does."""
    writer = rows.write.format("delta").mode(mode)
    writer.saveAsTable(lake.ref(name)) if lake.schema else writer.save(lake.path(name))


def log_of(lake: Lake, name: str) -> list[Path]:
    """The commits that the log of a table still holds, oldest first."""
    place = lake.spark.sql(f"DESCRIBE DETAIL {lake.ref(name)}").collect()[0]["location"]
    return sorted(f for f in (Path(unquote(urlsplit(place).path)) / "_delta_log").glob("*.json") if f.stem.isdigit())


def wear_out(lake: Lake, name: str, interval: int = 2, turns: int = 1) -> None:
    """Maintain a table for two months: Delta deletes the commits that made it from its log, and keeps its rows."""
    table = lake.ref(name)

    def commit(count: int) -> None:
        for number in range(count):
            lake.spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('note' = '{number}')")

    if interval != 10:  # Delta's own
        lake.spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('delta.checkpointInterval' = '{interval}')")
    for _ in range(turns):
        commit(interval + 2 * (interval == 10))
        files = sorted(log_of(lake, name)[0].parent.glob("*.*"))
        for number, file in enumerate(files):  # of files of one and the same time Delta keeps all
            at = time.time() - (60 - 20 * number / len(files)) * DAY
            os.utime(file, (at, at))
    commit(interval)
