"""Every shipped recipe from end to end, as a user runs it, in one lake: what they share is computed once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakesift.jobs.commands.report import report
from lakesift.jobs.inputs.opening import check_machine
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import load, shipped
from lakesift.jobs.run import refine, run
from lakesift.udfs.errors import PlatformError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(spark, str(tmp_path_factory.mktemp("shipped")))


@pytest.mark.long
@pytest.mark.parametrize("name", shipped())
def test_it_runs_as_it_stands(lake: Lake, name: str) -> None:
    recipe = load(name)
    try:
        check_machine(recipe)
    except PlatformError as error:
        pytest.skip(str(error))  # a language model, whose files are fetched by a command of their own
    source = recipe.documents.source
    if source and not all(Path(file).exists() for file in source.files):
        pytest.skip(f"{name} reads {source.files}, which is not shipped")
    made = (refine if recipe.refine else run)(lake, recipe)
    rows = lake.read(f"selection_{name}")
    assert rows.selectExpr("sum(copies) AS n").collect()[0]["n"] == recipe.budget.rows
    assert made.counts["documents"] >= 2_000
    controls = lake.read(f"controls_{name}").groupBy("control").count().collect()
    assert {r["control"] for r in controls} == set(recipe.controls)
    assert f"selection_{name}" in {s.table for s in made.steps}
    assert report(lake, recipe)
    assert (refine if recipe.refine else run)(lake, recipe).noop
