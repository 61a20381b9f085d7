"""How many rows a table has, where its metadata says so."""

from __future__ import annotations

from .tables import Lake


def known_rows(lake: Lake, table: str, version: int | None) -> int | None:
    """Return the rows of a version of a Delta table without a scan; None where that needs one, or without version."""
    if version is None:
        return None
    count = f"SELECT count(*) AS n FROM {lake.ref(table)} VERSION AS OF {version}"
    physical = lake.spark.sql(f"EXPLAIN {count}").collect()[0][0]
    return None if "Scan parquet" in physical else int(lake.spark.sql(count).collect()[0]["n"])
