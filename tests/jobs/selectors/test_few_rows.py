"""The law of small pools, over every selector that is found: no row, one, two, rows that are alike, or without values.

A selector returns exactly min(budget, rows that it can rank), whatever the budget; what a run says of an empty pool is
in tests/jobs/test_budgets.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from lakesift.jobs.selectors import selectors
from lakesift.jobs.selectors.coverage import FacilityLocation, KCenter
from lakesift.jobs.selectors.interval import Interval
from lakesift.jobs.selectors.kmeans_quota import KMQ, KMeansClosest, KMeansRandom
from lakesift.jobs.selectors.length_matched import LengthMatched
from lakesift.jobs.selectors.mig import Mig
from lakesift.jobs.selectors.near_duplicates import Deita, SemDeDup
from lakesift.jobs.selectors.random_draw import Random, Resample
from lakesift.jobs.selectors.selector import PICKS, Selector
from lakesift.jobs.selectors.sensitivity import Sensitivity
from lakesift.jobs.selectors.sensitivity_regression import SensitivityRegression
from lakesift.jobs.selectors.stratified import Stratified
from lakesift.jobs.selectors.top_k import TopK
from lakesift.jobs.selectors.zipfit_race import ZipFitRace
from lakesift.udfs.kernels import codecs
from lakesift.udfs.scores.zipfit import ZipFitScorer

from .pool import MODEL, as_rows, pool, pool_of

EXAMPLES: list[Selector] = [
    *(TopK("alignment"), Random("quality"), Resample("alignment"), LengthMatched("tokens"), ZipFitRace("zipped")),
    *(
        Stratified("module", quota="equal", by="alignment"),
        KMeansRandom("cells", quota="equal"),
        KMeansRandom("cells", strata=True),
        KMeansClosest("cells"),
    ),
    *(KMQ("cells", quality="quality"), KMQ("cells", quality="entropy", weights="softmax", replacement=True)),
    Interval({"entropy": ["q0", "q1"]}, within="middle", stratum="module"),
    Interval({"entropy": ["q0", "q1"], "nll": ["q0", "q1"]}, combine="mean_rank"),
    *(KCenter(), FacilityLocation(quality="entropy", alpha=0.5, cluster="cells"), Mig("topics", quality="entropy")),
    *(Deita(by="entropy"), SemDeDup("cells", by="entropy")),
    *(Sensitivity("cells", "loss"), SensitivityRegression("cells", "loss")),
]
#: Copies add up to the budget, however few rows there are.
DRAWING = (Sensitivity, SensitivityRegression)
#: Rows that are alike are one row for these.
DEDUPLICATING = (Deita, SemDeDup)
ZIPPED = ZipFitScorer(targets=("a b c", "d e f"), library=codecs.library_version())


def test_every_selector_has_an_example() -> None:
    assert {selector.kind for selector in EXAMPLES} == set(selectors())


@pytest.fixture(scope="module")
def pools(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataFrame]:
    """Small pools with every column, held by the driver."""
    whole = as_rows(spark, pool(), 1, tmp_path_factory.mktemp("few")).coalesce(1)
    kinds = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in whole.schema)
    rows = whole.dropna().where("quality > 0 AND size(topics) > 0").limit(2).collect()

    def of(values: list[dict[str, Any]]) -> DataFrame:
        return spark.createDataFrame([tuple(v[c] for c in whole.columns) for v in values], kinds)

    one, two = (row.asDict() for row in rows)
    nothing = dict.fromkeys(whole.columns)
    made = {"no row": of([]), "one row": of([one]), "two rows": of([one, two])}
    made["alike"] = of([{**one, "id": f"e{i}"} for i in range(6)])
    made["without values"] = of([{**nothing, "id": f"n{i}"} for i in range(3)])
    return made


def _values(rows: DataFrame) -> Callable[..., pd.DataFrame]:
    """Return what computes on demand: the loss, and pairs of a text that is the id."""
    table = rows.select("id", "loss").toPandas()

    def values(what: Any, ids: Any = None) -> pd.DataFrame:
        wanted = table if ids is None else table[table["id"].isin(ids)]
        if isinstance(what, str):
            return wanted.rename(columns={what: "value"})
        texts = wanted["id"].tolist() if wanted["loss"].notna().all() else []
        found: Any = list(what.kernel()(texts)) if texts else [None] * len(wanted)
        return pd.DataFrame({"id": wanted["id"].to_numpy(), "value": found})

    return values


#: Pool, budget, and how many rows of it can be picked under it.
CASES = {
    "none": [("no row", 5, 0), ("without values", 2, 0)],
    "few": [("one row", 3, 1), ("two rows", 1, 1)],
    "alike": [("alike", 4, 4), ("alike", 100, 6)],
}


@pytest.mark.parametrize("cases", ["none", *(pytest.param(n, marks=pytest.mark.long) for n in ("few", "alike"))])
@pytest.mark.parametrize("selector", EXAMPLES, ids=lambda s: str(s)[:50])
def test_picks_of_few_rows_are_as_many_as_can_be_ranked(
    selector: Selector, cases: str, pools: dict[str, DataFrame]
) -> None:
    for name, budget, wanted in CASES[cases]:
        rows = pools[name]
        selected = rows.select("id").toPandas().head(budget) if isinstance(selector, LengthMatched) else None
        fitted = {"topics": MODEL, "zipped": ZIPPED}
        picks = selector.select(pool_of(rows, budget, 3, selected, _values(rows), fitted))  # type: ignore[arg-type]
        place = f"{name}, budget {budget}"
        assert tuple(picks.columns) == (*PICKS, *(column for column, _, _ in selector.extra_columns)), place
        drawing = isinstance(selector, DRAWING) or getattr(selector, "replacement", False)
        if drawing and wanted:
            assert picks["copies"].sum() == budget, place
            assert 1 <= len(picks) <= min(budget, 6), place
        elif name == "alike" and isinstance(selector, DEDUPLICATING):
            assert len(picks) == 1, place
        else:
            assert len(picks) == wanted, place
        assert picks["id"].is_unique, place
        assert np.array_equal(picks["rank"], np.arange(1, len(picks) + 1)), place
