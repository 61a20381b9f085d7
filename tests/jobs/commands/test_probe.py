"""A plan with a probe against the run that follows, on three recipes over real rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench.bench_plan import RECIPES, predicted_and_spent

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.long
@pytest.mark.parametrize("name", RECIPES)
def test_predicted_seconds_are_within_30_percent_of_the_run(spark: SparkSession, tmp_path: Path, name: str) -> None:
    planned, spent, lake = predicted_and_spent(spark, tmp_path, name, 24_000)
    predicted = {row[0]: row[3] for row in planned.costs.rows}
    assert predicted["all"] == pytest.approx(sum(spent.values()), rel=0.3), (predicted, spent)
    sizes = {row[0]: row[2] for row in planned.sizes.rows if row[2] and row[0] != f"selection_{name}"}
    assert sum(sizes.values()) == pytest.approx(sum(lake.size(t) or 0 for t in sizes), rel=0.34)
