"""Run: what every step of a run gets. No behaviour; a later step gets a fuller one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ..lake.commits import TableState
from ..lake.manifest import Manifest
from ..lake.tables import Lake
from ..lake.tuning import few_splits
from ..recipe import Recipe
from .documents import ROW_HASH, Documents


@dataclass(frozen=True)
class Summary:
    """Counts of the documents, and digests that equal rows cannot cancel out of.

    `digest` is over everything that the recipe uses, `inputs` per hash column over what scores are computed from.
    """

    rows: int
    documents: int
    null_ids: int
    duplicates: int
    conflicts: int
    digest: str
    inputs: dict[str, str]


@dataclass(frozen=True)
class Touched:
    """Documents that came, went or changed since a state of their hashes.

    Parameters
    ----------
    since : str or None
        Data version of that state.
    ids : DataFrame
        `id` of each, few enough to be broadcast.
    hashed : DataFrame
        The rows of the hashes of those that are there now, `there` of them.
    grew : bool
        Whether there is one and all are new: none went, none was there before.
    rows : DataFrame or None
        The only rows of the documents in which those that are there lie; None if they may lie anywhere.
    """

    since: str | None
    ids: DataFrame
    count: int
    hashed: DataFrame
    there: int
    grew: bool = False
    rows: DataFrame | None = None


def id_frame(spark: SparkSession, ids: Iterable[str]) -> DataFrame:
    """Return ids that are on the driver as a frame of one column, `id`."""
    return spark.createDataFrame(pd.DataFrame({"id": list(ids)}, dtype=object), "id string")


@dataclass(frozen=True)
class Hashes:
    """`hashes_<recipe>` at the version that a run works with; `touched` where this run carried them on."""

    table: str
    version: int
    summary: Summary
    touched: Touched | None = None


@dataclass(frozen=True)
class Target:
    """An opened target, or selection to go on from: its rows at the pinned version."""

    frame: DataFrame
    state: TableState


@dataclass(frozen=True)
class Run:
    """One run: where, what, the opened documents and targets, the hashes of the documents, and the account of it."""

    lake: Lake
    recipe: Recipe
    documents: Documents
    hashes: Hashes
    manifest: Manifest
    targets: Mapping[str, Target] = field(default_factory=dict)
    start: Target | None = None

    @property
    def hashed(self) -> DataFrame:
        """Rows of `hashes_<recipe>`, pinned: one for each document."""
        return self.lake.read(self.hashes.table, self.hashes.version)

    @cached_property
    def few_files(self) -> bool:
        """Whether the documents lie in too few files for every core to scan a part of them."""
        return few_splits(self.lake.spark, self.lake.ref(self.recipe.documents.table))


def columns_of(run: Run, *columns: Column, within: DataFrame | None = None) -> DataFrame:
    """Return id and columns of the documents, one row per id; only those whose `id` is in `within`, if given."""
    rows = run.documents.frame.select(*map(F.expr, keys_of(run)), *columns)
    return one_row_per_id(run, rows if within is None else rows.join(F.broadcast(within), "id", "left_semi"))


def keys_of(run: Run) -> list[str]:
    """Return SQL of what `one_row_per_id` needs beside other columns: where no id is repeated, the id alone."""
    return run.documents.keys if run.hashes.summary.duplicates else run.documents.keys[:1]


def one_row_per_id(run: Run, source: DataFrame) -> DataFrame:
    """Return `source` (with id and ROW_HASH) with one row per id, the one that was hashed, without its ROW_HASH."""
    source = source.where("id IS NOT NULL")
    if not run.hashes.summary.duplicates:
        return source.drop(ROW_HASH)
    hashed = run.hashed.selectExpr("id", f"row_hash AS `{ROW_HASH}`")
    return source.join(hashed, ["id", ROW_HASH], "left_semi").dropDuplicates(["id"]).drop(ROW_HASH)
