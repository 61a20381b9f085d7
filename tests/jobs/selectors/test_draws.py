"""Draws with replacement and sensitivity sampling through Spark: against a plain twin, and what the paper promises."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakesift.jobs.ranking.with_replacement import block_totals, draw_rows, with_running_weight
from lakesift.jobs.selectors.kmeans_quota import KMQ, KMeansRandom
from lakesift.jobs.selectors.random_draw import Random
from lakesift.jobs.selectors.selector import Pool
from lakesift.jobs.selectors.sensitivity import Sensitivity
from lakesift.udfs.errors import InputError, RecipeError
from lakesift.udfs.kernels import sensitivity as kernel
from lakesift.udfs.kernels.stratified_estimate import estimate
from tests.udfs.kernels.twins_sensitivity import running_sums

from .pool import as_rows, hashes, pool, pool_of

POOL = pool()
#: The members nearest to the points of the pool stand for centres: their distance is 0.
CELLS = POOL["cells"].map(lambda c: c and c["cluster"])


class Paid:
    """Values of the pool on demand; keeps whose were read, and the notes."""

    def __init__(self, rows: DataFrame) -> None:
        self.rows, self.ids, self.notes = rows, set(), list[str]()

    def __call__(self, what: Any, ids: Any = None) -> pd.DataFrame:
        self.ids |= set(ids)
        return self.rows.where(F.col("id").isin(list(ids))).selectExpr("id", f"`{what}` AS value").toPandas()

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


def paid_pool(rows: DataFrame, budget: int, seed: int) -> Pool:
    return pool_of(rows, budget, seed, values=Paid(rows))


@pytest.fixture(scope="module")
def layouts(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[int, DataFrame]:
    folder = tmp_path_factory.mktemp("draws")
    return {n: as_rows(spark, POOL, n, folder) for n in (1, 13)}


def in_order(spark: SparkSession, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rows in order of (block, h, id), with the block of the hash."""
    h = rows["id"].map(hashes(spark, rows, seed)).to_numpy(np.int64)
    found = rows.assign(h=h, block=(h.view(np.uint64) >> np.uint64(52)).astype(np.int64))
    return found.sort_values(["block", "h", "id"], ignore_index=True)


def test_draws_equal_the_twin(spark: SparkSession, layouts: dict[int, DataFrame]) -> None:
    known = in_order(spark, POOL[POOL["entropy"].notna()], 5)
    running, blocks = running_sums(known["entropy"].to_numpy(float), known["block"])
    place, offset = kernel.locate(kernel.draws(5, 400) * np.cumsum(blocks)[-1], blocks)
    expected: dict[str, int] = {}
    for block, at in zip(place, offset, strict=True):
        rows = np.flatnonzero(known["block"] == block)
        row = known["id"][rows[np.flatnonzero(running[rows] > at)[0]]]
        expected[row] = expected.get(row, 0) + 1
    for rows in layouts.values():
        sums = with_running_weight(rows, F.col("entropy"), 5)
        made = draw_rows(sums, block_totals(sums), {"": 400}, 5)
        assert dict(zip(made["id"], made["copies"], strict=True)) == expected
        assert made["id"].tolist() == list(expected), "in order of the first draw"


def test_a_fewer_draws_are_the_first_of_more(layouts: dict[int, DataFrame]) -> None:
    sums = with_running_weight(layouts[13], F.col("entropy"), 5)
    totals = block_totals(sums)
    few, many = (draw_rows(sums, totals, {"": s}, 5).set_index("id")["copies"] for s in (60, 400))
    assert (few <= many.reindex(few.index)).all()
    assert many.index[: len(few)].tolist() == few.index.tolist()


def test_kmq_with_replacement(layouts: dict[int, DataFrame]) -> None:
    selector = KMQ("cells", quality="quality", replacement=True)
    made = [selector.select(pool_of(rows, 300, 3)) for rows in layouts.values()]
    pd.testing.assert_frame_equal(*made)
    assert made[0]["copies"].sum() == 300
    assert made[0]["id"].is_unique
    assert made[0]["copies"].max() > 1
    chosen = POOL.set_index("id").loc[made[0]["id"]]
    assert (chosen["quality"] > 0).all()
    # Every cluster gives its share of the rows with a quality, to one draw.
    there = CELLS[POOL["quality"].notna()].dropna().value_counts(normalize=True)
    drawn = made[0]["copies"].groupby(made[0]["id"].map(CELLS.set_axis(POOL["id"]))).sum()
    assert (drawn - 300 * there.reindex(drawn.index)).abs().max() < 1.01


def test_kmq_softmax_gives_every_cluster_its_share_whatever_its_quality(spark: SparkSession) -> None:
    """Clusters whose qualities lie far apart: a common maximum would leave the lower ones without weight."""
    rows = spark.range(1200).selectExpr(
        "CAST(id AS STRING) AS id", "CAST(id % 4 AS INT) AS cl", "id / 1200 + IF(id % 4 < 2, 0, 1000) AS quality"
    )
    selector = KMQ("cl", quality="quality", weights="softmax", replacement=True)
    made = selector.select(pool_of(rows, 200, 42))
    assert made.groupby(made["id"].astype(int) % 4)["copies"].sum().tolist() == pytest.approx([50] * 4, abs=1)
    picked = made["id"].astype(int) / 1200
    assert np.average(picked, weights=made["copies"]) > 0.5


def test_copies_follow_the_weights(spark: SparkSession) -> None:
    """Chi-square with 9 degrees of freedom: above 27.9 once in a thousand."""
    rows = spark.range(10).selectExpr("CAST(id AS STRING) AS id", "CAST(id + 1 AS DOUBLE) AS weight")
    sums = with_running_weight(rows, F.col("weight"), 1)
    made = draw_rows(sums, block_totals(sums), {"": 20_000}, 1).set_index("id")["copies"].sort_index()
    expected = 20_000 * np.arange(1, 11) / 55
    assert ((made.to_numpy() - expected) ** 2 / expected).sum() < 27.9


@pytest.mark.long
@settings(derandomize=True, deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=30),
    st.integers(1, 400),
    st.integers(1, 400),
    st.sampled_from(["proportional", "equal"]),
)
def test_kmq_on_clusters_of_any_sizes(spark: SparkSession, sizes: list[int], one: int, other: int, quota: str) -> None:
    """Exact budget, capacities kept, no row twice, the smaller budget a prefix; every quality is drawn from."""
    cells = np.repeat(np.arange(len(sizes)), sizes)
    table = pd.DataFrame({"id": np.arange(len(cells)).astype(str), "cell": cells, "quality": 1.0 + cells % 3})
    rows = spark.createDataFrame(table).repartition(3)
    fewer, more = (
        KMQ("cell", quality="quality", quota=quota).select(pool_of(rows, b, 5)) for b in sorted((one, other))
    )
    assert len(more) == min(max(one, other), len(cells))
    assert more["id"].is_unique
    assert more["id"].head(len(fewer)).tolist() == fewer["id"].tolist()
    taken = np.bincount(cells[more["id"].astype(int)], minlength=len(sizes))
    assert (taken <= sizes).all()
    if quota == "proportional":
        assert (np.abs(taken - np.array(sizes) * len(more) / len(cells)) < 2).all()
    else:  # nobody has two fewer than another without being used up
        assert taken[taken < sizes].min(initial=10**9) >= taken.max() - 1


def test_first_picks_of_kmq_follow_the_quality(spark: SparkSession) -> None:
    """One pick from each of 2000 clusters of 8, in proportion to quality; 7 degrees of freedom: 24.3 once in 1000."""
    rows = spark.range(16_000).selectExpr(
        "CAST(id AS STRING) AS id", "id DIV 8 AS cell", "CAST(id % 8 + 1 AS DOUBLE) AS quality"
    )
    made = KMQ("cell", quality="quality", quota="equal").select(pool_of(rows, 2000, 1))["id"].astype(int)
    assert (made // 8).is_unique
    counts, expected = np.bincount(made % 8, minlength=8), 2000 * np.arange(1, 9) / 36
    assert ((counts - expected) ** 2 / expected).sum() < 24.3


@pytest.mark.long
def test_rows_of_quality_zero_come_last_and_fill_no_quota(spark: SparkSession) -> None:
    """100 rows each: all above 0 in cluster 0, half of them in 1, none in 2: two thirds of the budget go to 0, and
    clusters of zeros give theirs when the 150 others are used up."""
    rows = spark.range(300).selectExpr(
        "CAST(id AS STRING) AS id", "id DIV 100 AS cell", "IF(id < 150, 1.0 + id % 7, 0.0) AS quality"
    )
    for quota, of_first in (("proportional", 60), ("equal", 45), ({0: 1.0, 1: 2.0}, 40)):
        made = KMQ("cell", quality="quality", quota=quota).select(pool_of(rows, 90, 1))["id"].astype(int)
        assert made.is_unique
        assert (made < 150).all()
        assert abs((made < 100).sum() - of_first) <= 1, quota
        more = KMQ("cell", quality="quality", quota=quota).select(pool_of(rows, 210, 1))["id"].astype(int)
        assert more.head(90).tolist() == made.tolist()
        named = 300 if isinstance(quota, str) else 200
        assert len(more) == min(210, named)
        assert set(more.head(150)) == set(range(150))
        rest = more.iloc[150:] // 100
        shares = {"proportional": [20, 40], "equal": [30, 30]}.get(str(quota), [50, 0])
        assert np.abs(rest.value_counts().reindex([1, 2], fill_value=0).to_numpy() - shares).max() <= 1, quota


@pytest.mark.parametrize("replacement", [False, True])
def test_weights_of_clusters_from_outside(layouts: dict[int, DataFrame], replacement: bool) -> None:
    """Weights that are the sizes are the proportional quota; a cluster that is not named gets none."""
    rows = layouts[13].where("cells IS NOT NULL AND quality > 0")
    sizes = {
        r["c"]: r["n"] for r in rows.groupBy(F.col("cells.cluster").alias("c")).agg(F.count("*").alias("n")).collect()
    }

    def chosen(quota: Any, budget: int = 60) -> pd.DataFrame:
        kmq = KMQ("cells", quality="quality", quota=quota, replacement=replacement)
        return kmq.select(pool_of(rows, budget, 5))

    pd.testing.assert_frame_equal(chosen(sizes), chosen("proportional"))
    pd.testing.assert_frame_equal(chosen(dict.fromkeys(sizes, 0.5)), chosen("equal"))
    some = chosen({0: 1.0, 3: 3.0, 5: 0.0}, 16)
    cluster = {r["id"]: r["c"] for r in rows.selectExpr("id", "cells.cluster AS c").collect()}
    counts = some.groupby(some["id"].map(cluster))["copies"].sum().to_dict()
    assert set(counts) == {0, 3}
    assert abs(counts[3] - 12) <= 1
    assert sum(counts.values()) == 16
    with pytest.raises(
        InputError, match=r"kmq: no eligible row has cells = '77'; .*; correct the quota or leave the cl"
    ):
        chosen({77: 1.0})


def test_an_evaluation_subset_stands_for_the_pool(layouts: dict[int, DataFrame]) -> None:
    rows, loss = layouts[1], POOL.set_index("id")["loss"]
    cluster = POOL.set_index("id")["cells"].dropna().map(lambda cell: cell["cluster"])
    sizes, notes = cluster.value_counts(), list[str]()
    chosen = KMeansRandom("cells", strata=True).select(pool_of(rows, 60, 3, note=notes.append)).set_index("id")
    assert chosen["stratum"].equals(cluster.loc[chosen.index].astype(str).rename("stratum"))
    number = chosen["stratum"].astype(int).value_counts()
    assert (number >= 2).all()
    assert set(number.index) == set(sizes.index)
    largest = sizes.idxmax()
    assert abs(number[largest] - 60 * sizes[largest] / sizes.sum()) < 3
    np.testing.assert_allclose(chosen["weight"], (sizes / number).loc[chosen["stratum"].astype(int)])
    found = estimate(loss.loc[chosen.index], chosen["stratum"], chosen["weight"])
    assert (found.rows, found.drawn, found.strata) == (len(cluster), 60, 9)
    assert abs(found.mean - loss.loc[cluster.index].mean()) < 4 * found.error
    assert notes[0].startswith(f"60 rows of 9 strata, {number.min()} to {number.max()} of each")
    # Too few rows for two of each: two strata; all in one; equal shares; weights of some clusters only.
    few = KMeansRandom("cells", strata=True).select(pool_of(rows, 5, 3, note=notes.append))
    assert set(few["stratum"]) == {str(largest), "other"}
    assert few["weight"].sum() == pytest.approx(len(cluster))
    some = KMeansRandom("cells", quota={1: 1, 2: 3.0}, strata=True).select(pool_of(rows, 12, 3))
    assert some["stratum"].value_counts().to_dict() in ({"1": 3, "2": 9}, {"1": 2, "2": 10}, {"1": 4, "2": 8})
    assert some["weight"].sum() == pytest.approx(sizes[1] + sizes[2])


def test_sensitivity_pays_for_centres_and_probes_only(layouts: dict[int, DataFrame]) -> None:
    selector = Sensitivity("cells", "loss", probes=2, pay=False, z=2, mixing=0.1)
    made, asks = [], []
    for rows in layouts.values():
        asks.append(Paid(rows))
        made.append(selector.select(pool_of(rows, 200, 3, values=asks[-1], note=asks[-1].note)))
    pd.testing.assert_frame_equal(*made)
    assert asks[0].ids == asks[1].ids
    assert len(asks[0].ids) == 9 + 2 * 9
    assert "read the loss of 9 centres and 18 probes" in asks[0].notes[0]
    assert made[0]["copies"].sum() == 200
    assert made[0]["id"].is_unique
    assert made[0]["gain"].isna().all()
    n = DEFINED = POOL["cells"].notna().sum()
    total = (made[0]["copies"] * made[0]["weight"]).sum()
    assert abs(total - n) < 0.25 * DEFINED, "weights add up to about the rows"


def test_sensitivity_pays_for_the_drawn_rows_and_tells_the_estimate(layouts: dict[int, DataFrame]) -> None:
    known = POOL[POOL["cells"].notna()].set_index("id")
    n, truth = len(known), float(known["loss"].sum())
    for options in ({"probes": 2}, {"estimate": "stratified"}):
        ask = Paid(layouts[13])
        made = Sensitivity("cells", "loss", **options).select(pool_of(layouts[13], 200, 3, values=ask, note=ask.note))
        assert made["copies"].sum() == 200
        assert set(made["id"]) <= ask.ids
        said = re.search(
            r"sum of 'loss' over ([\d,]+) rows: (\S+) \+- (\S+) \(95 %\), mean (\S+) \+- (\S+); ([\d,]+) losses "
            r"were paid for \((.*)\), and as many uniform draws would have given \+- (\S+?)(, less than this)?$",
            ask.notes[-1],
        )
        assert said, ask.notes
        rows, total, error, mean, _, paid, cost, uniform, _ = said.groups()
        losses = known["loss"].reindex(made["id"]).to_numpy()
        assert float(total) == pytest.approx((made["copies"] * made["weight"] * losses).sum(), rel=1e-4)
        assert (int(rows), int(paid)) == (n, len(ask.ids))
        assert float(mean) == pytest.approx(float(total) / n, rel=1e-3)
        assert abs(float(total) - truth) < 2 * float(error)
        assert float(uniform) == pytest.approx(
            1.96 * n * known["loss"].std() * np.sqrt((1 / len(ask.ids)) - 1 / n), rel=0.3
        )
        assert cost.endswith("drawn rows") or cost == "200 drawn rows of 9 clusters"
        if options == {"probes": 2}:
            assert any("has the largest share of q" in note for note in ask.notes)
        else:
            shares = made["id"].map(CELLS.set_axis(POOL["id"])).value_counts()
            sizes = CELLS.dropna().value_counts()
            assert (shares - 200 * sizes / n).abs().max() <= 1
            assert made["weight"].nunique() == 1


def test_sensitivity_is_unbiased_and_its_limits(layouts: dict[int, DataFrame]) -> None:
    rows = layouts[1].where("cells IS NOT NULL").localCheckpoint()
    known = POOL[POOL["cells"].notna()].set_index("id")
    truth = known["loss"].sum()
    errors = []
    for seed in range(8):
        made = Sensitivity("cells", "loss", probes=3).select(paid_pool(rows, 300, seed))
        errors.append(
            (made["copies"] * made["weight"] * known["loss"].reindex(made["id"]).to_numpy()).sum() / truth - 1
        )
    assert abs(np.mean(errors)) < 0.03
    assert np.std(errors) < 0.06
    flat = Sensitivity("cells", "loss", probes=0, lipschitz=0, mixing=0).select(paid_pool(rows, 100, 1))
    losses = known["cells"].reindex(flat["id"]).map(lambda c: c["cluster"])
    assert flat.groupby(losses.to_numpy())["weight"].nunique().max() == 1, "at L = 0 a cluster has one weight"
    far = Sensitivity("cells", "loss", probes=0, lipschitz=float("inf"), mixing=0).select(paid_pool(rows, 100, 1))
    distance = np.sqrt(known["cells"].reindex(far["id"]).map(lambda c: c["distance_sq"]).to_numpy())
    np.testing.assert_allclose(far["weight"] * distance, (far["weight"] * distance).iloc[0])


def test_size_from_a_guarantee(layouts: dict[int, DataFrame]) -> None:
    rows = layouts[1]
    ask = Paid(rows)
    made = Sensitivity("cells", "loss", probes=0, lipschitz=2.0, eps=0.5, delta=0.1, mixing=0).select(
        pool_of(rows, 10**6, 1, values=ask, note=ask.note)
    )
    assert made["copies"].sum() == kernel.draws_needed(0.5, 0.1)
    assert any("28 draws give eps 0.5 with probability 0.9 if L is a true bound" in note for note in ask.notes)


def test_mixing_bounds_the_weights(layouts: dict[int, DataFrame]) -> None:
    rows, n = layouts[1], int(POOL["cells"].notna().sum())
    made = Sensitivity("cells", "loss", probes=2, mixing=0.5).select(paid_pool(rows, 100, 1))
    assert made["weight"].max() <= n / (100 * 0.5) * (1 + 1e-9)


def test_no_loss_anywhere_is_uniform(layouts: dict[int, DataFrame]) -> None:
    rows = layouts[1].withColumn("loss", F.lit(0.0))
    made = Sensitivity("cells", "loss", probes=2).select(paid_pool(rows, 100, 1))
    assert made["weight"].nunique() == 1


@pytest.mark.parametrize("bad", [-1.0, float("nan"), None])
def test_losses_that_cannot_be(layouts: dict[int, DataFrame], bad: float | None) -> None:
    rows = layouts[1].withColumn("loss", F.lit(bad).cast("double"))
    with pytest.raises(InputError, match=r"the loss 'loss' of id .* is .*a number from 0 is needed"):
        Sensitivity("cells", "loss").select(paid_pool(rows, 10, 1))


def test_parameters_that_cannot_be() -> None:
    for wrong in ({"z": 3}, {"lipschitz": -1}, {"lipschitz": "local"}, {"mixing": 2}, {"eps": 0.1}, {"probes": 0}):
        with pytest.raises(RecipeError, match="sensitivity: "):
            Sensitivity("cells", "loss", **wrong)
    with pytest.raises(RecipeError, match="strata have no such bound"):
        Sensitivity("cells", "loss", estimate="stratified", eps=0.1, delta=0.1)
    for wrong in (
        {"weights": "cubic"},
        {"temperature": 0},
        {"quota": "half"},
        {"quota": {1: -1.0}},
        {"quota": {1: 0.0}},
    ):
        with pytest.raises(RecipeError, match="kmq: "):
            KMQ("cells", quality="quality", **wrong)


@pytest.mark.parametrize(("sql", "said"), [("quality - 2", "has the value -"), ("quality * 0", "is 0 in every row")])
def test_qualities_that_cannot_be(layouts: dict[int, DataFrame], sql: str, said: str) -> None:
    rows = layouts[1].withColumn("quality", F.expr(sql))
    with pytest.raises(InputError, match=said):
        KMQ("cells", quality="quality").select(pool_of(rows, 10, 1))
    with pytest.raises(InputError, match="weight"):
        Random("quality").select(pool_of(rows, 10, 1))
    KMQ("cells", quality="quality", weights="softmax").select(pool_of(rows, 10, 1))


def test_one_giant_cluster_and_fewer_draws_than_clusters(layouts: dict[int, DataFrame]) -> None:
    rows = layouts[13]
    assert len(KMQ("cells", quality="nll").select(pool_of(rows, 4, 1))) == 4
    one = rows.withColumn("cell", F.lit(1))
    assert len(KMQ("cell", quality="nll").select(pool_of(one, 50, 1))) == 50
