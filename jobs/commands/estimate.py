"""What was measured on an evaluation subset, as an estimate for the pool: one line a column of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.errors import LISTED, InputError, nearest
from ...udfs.kernels.stratified_estimate import StratifiedEstimate, estimate
from ...udfs.quoting import quoted_name
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..ranking.top import rows_of as rows_of_ids

#: Columns of every selection, which are no measurements.
_OWN = ("id", "rank", "gain", "weight", "copies", "stratum")


@dataclass(frozen=True)
class Estimates:
    """Estimates by the name of what was measured; shown as a table."""

    by_name: dict[str, StratifiedEstimate]

    @property
    def table(self) -> Rows:
        """One line an estimate."""
        columns = ("value", "mean", "standard error", "low", "high", "uniform error", "times fewer rows", "rows")
        lines = [
            (name, e.mean, e.error, e.low, e.high, e.uniform_error, e.saved, e.rows) for name, e in self.by_name.items()
        ]
        return rows_of(columns, lines)

    def __getitem__(self, name: str) -> StratifiedEstimate:
        """Return the estimate of a name."""
        return self.by_name[name]

    def __str__(self) -> str:
        """Return the text table."""
        return str(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()

    def to_dict(self) -> list[dict[str, Any]]:
        """Return JSON values, one mapping an estimate."""
        return self.table.to_dict()


def estimate_means(
    lake: Lake, recipe: str, measured: DataFrame | pd.DataFrame, columns: Sequence[str], version: int | None
) -> Estimates:
    """Return estimates over the pool from what was measured on the subset of a recipe.

    Parameters
    ----------
    measured : frame of Spark or pandas
        `id` and what was measured: at least all rows of the subset, others do not count.
    columns : sequence of str
        What to estimate; without names all columns of numbers and truth values.

    Raises
    ------
    InputError
        If the selection is no evaluation subset, a column is not there, or a row has no value, or two.
    """
    name = f"selection_{recipe}"
    selection = lake.read(name, version)
    if "stratum" not in selection.columns:
        raise InputError(
            f"{name} has no column stratum, so no error follows from it; it must be drawn for estimates: write select: "
            "{kind: kmeans_random, cluster: ..., strata: true} and run the recipe again"
        )
    subset = selection.select("id", "stratum", "weight").toPandas()  # a selection fits the driver
    values = _of_rows(_values(measured, subset, list(columns)), subset["id"])
    made = {}
    for column in map(str, values.columns):
        numbers = values[column].to_numpy(dtype=float, na_value=np.nan)
        bad = np.flatnonzero(~np.isfinite(numbers))
        if len(bad):
            raise InputError(
                f"{column} of id {subset['id'].iloc[bad[0]]!r} is {numbers[bad[0]]}, as of {len(bad):,} rows of "
                f"{name}; a finite number for every row is needed, because rows left out would bias the mean: "
                "measure them, or count a failure as the worst value"
            )
        made[column] = estimate(numbers, subset["stratum"], subset["weight"])
    return Estimates(made)


def _of_rows(values: pd.DataFrame, ids: pd.Series[str]) -> pd.DataFrame:
    """Return the values of a subset's rows, in their order; InputError for a row without values, or measured twice."""
    values = values[values["id"].isin(ids)]
    absent = ids[~ids.isin(values["id"])]
    if len(absent):
        named = ", ".join(map(repr, absent[:LISTED]))
        raise InputError(
            f"{len(absent):,} of {len(ids):,} rows of the subset have no value, such as {named}; all of them are "
            "needed, because rows left out would bias the mean: measure them too"
        )
    twice = values["id"][values["id"].duplicated()]
    if len(twice):
        raise InputError(
            f"id {twice.iloc[0]!r} was measured more than once; one value a row is needed: take the mean of each id"
        )
    return values.set_index("id").reindex(ids.tolist())


def _values(measured: DataFrame | pd.DataFrame, subset: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return id, as text, and the columns that are wanted, of rows of the subset at least."""
    if "id" not in measured.columns:
        raise InputError(f"the frame has the columns {', '.join(measured.columns)}; it needs id, that of the subset")
    if isinstance(measured, pd.DataFrame):
        kinds = {str(name): pd.api.types.is_numeric_dtype(measured[name]) for name in measured.columns}
    else:
        kinds = {f.name: isinstance(f.dataType, T.NumericType | T.BooleanType) for f in measured.schema}
    wanted = columns or [name for name, number in kinds.items() if number and name not in _OWN]
    for name in wanted:
        if not kinds.get(name):
            fact = "is no column of numbers" if name in kinds else "is no column"
            raise InputError(f"{name!r} {fact}; {nearest(name, [n for n, number in kinds.items() if number])}")
    if not wanted:
        raise InputError(f"the frame has the columns {', '.join(kinds)}, and none of numbers; add what was measured")
    if isinstance(measured, pd.DataFrame):
        return measured[["id", *wanted]].astype({"id": str})
    numbers = (F.col(quoted_name(name)).cast("double").alias(name) for name in wanted)
    return rows_of_ids(measured.select(F.col("id").cast("string").alias("id"), *numbers), subset).toPandas()
