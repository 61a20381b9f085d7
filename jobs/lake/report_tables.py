"""The table of reports."""

from __future__ import annotations

from .schemas import Col, Table, keeping


def reports() -> Table:
    """Every report that was made: on a cluster nobody keeps the folder that a file was written to."""
    columns = (
        Col("recipe", "STRING", "name of the recipe", True),
        Col("selection_version", "BIGINT", "version of selection_<recipe> that it describes", True),
        Col("run_id", "STRING", "run that made the selection"),
        Col("made_at", "TIMESTAMP", "UTC", True),
        Col("body", "STRING", "JSON: the numbers, as lakesift report --json prints them", True),
        Col("text", "STRING", "the report as it is printed", True),
    )
    return Table("reports", "reports of selections beside their controls", columns, properties=keeping(3650))
