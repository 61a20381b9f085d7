"""The laws of every selector that is found (design, section 4), and the plans of all that is collected."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lakesift.jobs.ranking import top as ranking
from lakesift.jobs.selectors import selectors
from lakesift.jobs.selectors.coverage import FacilityLocation, KCenter
from lakesift.jobs.selectors.interval import Interval
from lakesift.jobs.selectors.kmeans_quota import KMQ, KMeansClosest, KMeansRandom
from lakesift.jobs.selectors.length_matched import LengthMatched
from lakesift.jobs.selectors.mig import Mig
from lakesift.jobs.selectors.near_duplicates import Deita, SemDeDup
from lakesift.jobs.selectors.random_draw import Random, Resample
from lakesift.jobs.selectors.selector import PICKS, Selector
from lakesift.jobs.selectors.stratified import Stratified
from lakesift.jobs.selectors.top_k import TopK

from .plans import offences
from .pool import MODEL, as_rows, pool, pool_of

POOL = pool()
SELECTED = POOL[POOL["tokens"].notna()].nlargest(200, "tokens")[["id"]]
#: kind -> examples: a selector, its number of eligible rows (None: it drops some), whether the seed decides more than
#: ties. Those that read on demand have laws of their own.
DEFINED = POOL.notna()
LISTED = {"os": 40, "json": 500, None: 3}
CASES: dict[str, list[tuple[Selector, int | None, bool]]] = {
    "top_k": [(TopK("alignment"), DEFINED["alignment"].sum(), False), (TopK("nll", order="asc"), len(POOL), False)],
    "random": [(Random(), len(POOL), True), (Random("quality"), DEFINED["quality"].sum(), True)],
    "resample": [(Resample("alignment"), DEFINED["alignment"].sum(), True)],
    "interval": [
        (Interval({"tokens": [5, 40], "nll": [None, 1.5]}), POOL.eval("5 <= tokens <= 40 and nll <= 1.5").sum(), True),
        (
            Interval({"entropy": ["q0.2", "q0.9"]}, within="middle"),
            math.ceil(0.9 * DEFINED["entropy"].sum()) - math.ceil(0.2 * DEFINED["entropy"].sum()) + 1,
            False,
        ),
    ],
    "stratified": [
        (Stratified("module", by="alignment"), DEFINED["alignment"].sum(), True),  # the seed rounds the shares
        (Stratified("module", quota="equal"), len(POOL), True),
        (
            Stratified("module", quota=LISTED),
            sum(min(n, (POOL["module"].isna() if m is None else POOL["module"] == m).sum()) for m, n in LISTED.items()),
            True,
        ),
    ],
    "kmeans_random": [
        (KMeansRandom("cells"), DEFINED["cells"].sum(), True),
        (KMeansRandom("module", quota="equal"), POOL["module"].notna().sum(), True),
        (KMeansRandom("cells", strata=True), DEFINED["cells"].sum(), True),
    ],
    "kmeans_closest": [(KMeansClosest("cells"), DEFINED["cells"].sum(), True)],  # the seed rounds the shares
    "kmq": [
        (KMQ("cells", quality="quality"), (DEFINED["cells"] & DEFINED["quality"]).sum(), True),
        (KMQ("cells", quality="nll", weights="softmax", temperature=0.5), DEFINED["cells"].sum(), True),
    ],
    "k_center": [(KCenter(), DEFINED["vector"].sum(), True)],
    "facility_location": [
        (FacilityLocation(), DEFINED["vector"].sum(), False),
        (FacilityLocation(quality="entropy", alpha=0.5), (DEFINED["vector"] & DEFINED["entropy"]).sum(), False),
    ],
    "deita": [(Deita(by="entropy", limit=0.999), None, False)],
    "semdedup": [(SemDeDup(cluster="cells", by="entropy", eps=0.001), None, False)],
    "mig": [
        (Mig("topics", quality="entropy"), (DEFINED["topics"] & DEFINED["entropy"]).sum(), False),
        (Mig("topics", phi="exp", alpha=0.0), DEFINED["topics"].sum(), True),
        (
            Mig("topics", quality="nll", gain="exact", per="tokens"),
            (DEFINED["topics"] & DEFINED["tokens"]).sum(),
            False,
        ),
    ],
    "length_matched": [(LengthMatched("tokens"), len(SELECTED), True)],
}
ON_DEMAND = {"sensitivity", "sensitivity_regression", "zipfit_race"}
BUDGET = 90
#: Modules of selectors that collect something themselves.
COLLECTING = ("random_draw", "length_matched", "kmeans_quota", "_strata")


@pytest.fixture(scope="module")
def layouts(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[int, DataFrame]:
    """The same rows in 1, 7 and 50 partitions, shuffled differently."""
    folder = tmp_path_factory.mktemp("pool")
    return {n: as_rows(spark, POOL, n, folder) for n in (1, 7, 50)}


def costs_of(ids: pd.Series[str]) -> Any:
    """Return the tokens of rows of the pool."""
    return POOL.set_index("id").loc[ids, "tokens"].to_numpy(float)


def test_every_selector_has_an_example() -> None:
    assert set(selectors()) == set(CASES) | ON_DEMAND, "give the new selector an example in CASES"


@pytest.mark.parametrize("case", [c for cs in CASES.values() for c in cs], ids=lambda c: str(c[0])[:60])
def test_laws(
    case: tuple[Selector, int | None, bool], layouts: dict[int, DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    selector, eligible, random = case
    collected: list[DataFrame] = []
    others = {"ranking.vectors": "collect_flat", "ranking.label_rows": "collect_arrow"}
    for name in ("ranking.top", "ranking.quantiles", *others, *(f"selectors.{n}" for n in COLLECTING)):
        module = importlib.import_module(f"lakesift.jobs.{name}")
        function = others.get(name, "collect_pandas")
        actual = getattr(module, function)
        monkeypatch.setattr(module, function, lambda f, actual=actual: collected.append(f) or actual(f))
    if selector == Stratified("module", by="alignment"):
        monkeypatch.setattr(ranking, "SPARE", -(10**9))  # groups cut on the executors

    def pick(partitions: int, budget: int, seed: int) -> pd.DataFrame:
        return selector.select(pool_of(layouts[partitions], budget, seed, SELECTED, fitted={"topics": MODEL}))

    picks = pick(7, BUDGET, 3)
    assert collected
    assert [o for frame in collected for o in offences(frame)] == []
    assert tuple(picks.columns) == (*PICKS, *(name for name, _, _ in selector.extra_columns))
    every = pick(7, 10**7, 3)
    if eligible is None:
        eligible = len(every)
        assert BUDGET < eligible < len(POOL)
    assert len(picks) == picks["id"].nunique() == min(BUDGET, eligible)
    assert picks["rank"].tolist() == list(range(1, len(picks) + 1))
    if "stratum" in picks:
        assert picks["weight"].sum() == pytest.approx(eligible)
        assert set(every["weight"]) == {1.0}
    else:
        assert set(picks["weight"]) == {1.0}
    assert set(picks["copies"]) == {1}
    ranked = picks["gain"].iloc[1:].notna().all()
    assert ranked or picks["gain"].isna().all()
    if ranked and not isinstance(selector, Stratified | KMeansClosest):
        by_cost = picks["gain"] / costs_of(picks["id"]) if isinstance(selector, Mig) and selector.per else picks["gain"]
        assert by_cost.dropna().is_monotonic_decreasing
    pd.testing.assert_frame_equal(pick(50, BUDGET, 3), picks)
    if selector.prefix_stable:
        pd.testing.assert_frame_equal(pick(1, 31, 3), picks.head(31))
    assert len(every) == eligible
    assert (
        POOL.set_index("id")
        .loc[every["id"], [n.name for n in selector.needs if n.name != "module"]]
        .notna()
        .all(axis=None)
    )
    other = pick(7, BUDGET, 2**62)
    if random:
        assert set(other["id"]) != set(picks["id"])
    else:
        np.testing.assert_array_equal(np.sort(other["gain"]), np.sort(picks["gain"]))


@pytest.mark.parametrize("selector", [KCenter(), Deita(by="entropy"), SemDeDup("cells", by="entropy")], ids=str)
def test_a_pool_without_rows_gives_no_picks(selector: Selector, layouts: dict[int, DataFrame]) -> None:
    picks = selector.select(pool_of(layouts[1].where("false"), 5, 3))
    assert (tuple(picks.columns), len(picks)) == (PICKS, 0)


@pytest.mark.parametrize("mode", ["auto", "dense", "neighbours", "cells"])
def test_a_cover_of_no_rows_is_empty(mode: Any, layouts: dict[int, DataFrame]) -> None:
    cover = FacilityLocation(quality="entropy", alpha=0.5, mode=mode, cluster="cells")
    assert len(cover.select(pool_of(layouts[1].where("false"), 5, 3))) == 0


def test_offences_are_seen(layouts: dict[int, DataFrame]) -> None:
    """The plan check itself: it must fail where rows are gathered, and pass a global aggregate."""
    rows: Any = layouts[7]
    for bad in (
        rows.orderBy("alignment"),
        rows.orderBy("alignment").limit(3),
        rows.limit(3),
        rows.repartition(1),
        rows.withColumn("n", F.row_number().over(Window.orderBy("alignment"))),
    ):
        assert offences(bad), bad._jdf.queryExecution().executedPlan().toString()
    for good in (rows.agg(F.count("id")), rows.groupBy("module").count().limit(3), rows.select("id")):
        assert offences(good) == []


@pytest.mark.long
@pytest.mark.parametrize(
    "selector",
    [
        TopK("nll", order="asc"),
        Stratified("module", by="alignment"),
        KMeansClosest("cells"),
        Deita(by="entropy", limit=0.99),
        SemDeDup(cluster="cells", by="entropy", eps=0.01),
        Interval({"tokens": [5, 40], "entropy": ["q0.2", None]}, stratum="module"),
    ],
    ids=lambda s: s.kind,
)
def test_what_a_selector_says_of_a_row_is_what_it_does(selector: Selector, layouts: dict[int, DataFrame]) -> None:
    rows = layouts[1]
    every = selector.select(pool_of(rows, 10**6, 3))
    own = selector.own_gain(rows)
    if own is not None:
        gains = rows.select("id", own.alias("own")).toPandas().set_index("id")["own"]
        np.testing.assert_array_equal(gains[every["id"]].to_numpy(float), every["gain"].to_numpy(float))
    left_out = selector.left_out(pool_of(rows, 10**6, 3))
    if left_out is None:
        return
    out = left_out.toPandas()
    assert len(out) > 0
    assert out["id"].is_unique
    assert not set(out["id"]) & set(every["id"]), "what no budget chooses is chosen by none"
    needed = [n.name for n in selector.needs if n.name != "module"]
    rankable = set(POOL["id"][POOL[needed].notna().all(axis=1)])
    assert set(out["id"]) | set(every["id"]) == rankable, "and all others are chosen by one"
    if isinstance(selector, Deita | SemDeDup):
        assert set(out["duplicate_of"]) <= rankable
        assert (out["similarity"] > 0.99 - 1e-9).all()
    else:
        assert out["why"].str.contains("is outside of").all()
