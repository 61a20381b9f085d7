"""Replaces rows of a table by their ids, in one commit."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from .commits import Conflict
from .schemas import Table
from .tables import Lake


def replace_rows(
    lake: Lake, table: Table, ids: DataFrame, new: DataFrame, metadata: dict[str, Any], base: int, grew: bool
) -> int:
    """Put `new` in the place of a table's rows with some ids, in one commit; returns its version.

    Parameters
    ----------
    ids : DataFrame
        `id` of each row that goes or comes, few enough to be broadcast.
    base : int
        The version that the decision was based on, whose other rows stay.
    grew : bool
        Whether `ids` are new to the table: then rows are added, at least one, and none is read.

    Raises
    ------
    Conflict
        If somebody else committed since `base`.
    """
    if not grew:
        kept = lake.read(table.name, base).join(F.broadcast(ids), "id", "left_anti")
        return lake.overwrite(table, kept.unionByName(new), metadata, base).version
    commit = lake.append(table, new, metadata, base=base)
    if commit is None:
        raise Conflict(table.name)
    return commit.version
