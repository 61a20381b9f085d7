"""Ranking, quantiles, ranks and each selector against slow readable pandas twins, on keys made to be hard."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.stats import rankdata

from lakesift.jobs.ranking import quantiles as q
from lakesift.jobs.ranking import top as ranking
from lakesift.jobs.selectors.interval import Interval
from lakesift.jobs.selectors.length_matched import LengthMatched
from lakesift.jobs.selectors.random_draw import Random
from lakesift.jobs.selectors.stratified import Stratified
from lakesift.jobs.selectors.top_k import TopK
from lakesift.udfs.errors import BoundError, InputError, RecipeError
from lakesift.udfs.kernels.quantiles import quantiles as in_memory

from .plans import offences
from .pool import as_rows, hashes, pool, pool_of, uniform

SEED = 9
POOL = pool()


@pytest.fixture(scope="module")
def rows(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    return as_rows(spark, POOL, 3, tmp_path_factory.mktemp("twins"))


@pytest.fixture(scope="module")
def h(spark: SparkSession) -> pd.Series:
    return hashes(spark, POOL, SEED)


def in_order(ids: pd.Series, key: np.ndarray, h: pd.Series) -> pd.DataFrame:
    """Rows with a key, sorted by (key, h, id)."""
    frame = pd.DataFrame({"id": ids.to_numpy(), "key": np.asarray(key, float)}).dropna()
    return frame.assign(h=h.loc[frame["id"]].to_numpy()).sort_values(["key", "h", "id"], ignore_index=True)


def drawn(h: pd.Series, weight: np.ndarray | float = 1.0) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return -np.log(uniform(h.loc[POOL["id"]].to_numpy())) / weight


def column(name: str) -> np.ndarray:
    return POOL[name].to_numpy(dtype=float, na_value=np.nan)


def same(picks: pd.DataFrame, expected: pd.DataFrame, budget: int) -> None:
    assert picks["id"].tolist() == expected["id"].tolist()[:budget]


def hard_keys() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    n = len(POOL)
    outlier = rng.random(n)
    outlier[:3] = 1e308, -1e308, math.inf
    return {
        "all_equal": np.full(n, 0.25),
        "two_zeros": rng.choice([-0.0, 0.0], n),
        "few_values": rng.integers(0, 3, n).astype(float),
        "denormals": rng.integers(0, 400, n) * 5e-324,
        "outliers": outlier,
        "all_binades": np.ldexp(rng.choice([-1.0, 1.0], n), rng.integers(-1070, 1023, n)),
    }


def test_top_equals_sorting(spark: SparkSession, h: pd.Series, tmp_path: Path) -> None:
    keys = pd.DataFrame({"id": POOL["id"], **hard_keys()})
    frame = as_rows(spark, keys.assign(nll=0.0), 3, tmp_path)
    for i, name in enumerate(hard_keys()):
        budget = (40, 300)[i % 2]
        expected = in_order(keys["id"], keys[name].to_numpy(), h).head(budget)
        found = ranking.top(frame, F.col(name), budget, SEED)
        pd.testing.assert_frame_equal(found, expected[["id", "key", "h"]], obj=name)


def test_ids_decide_where_hashes_collide() -> None:
    frame = pd.DataFrame({"id": ["b", "a", "c", "d"], "key": [1.0, 1.0, 1.0, 0.0], "h": [5, 5, 4, 9], "code": [0] * 4})
    assert ranking._ordered(frame)["id"].tolist() == ["d", "c", "a", "b"]


def test_quantiles_and_ranks(rows: DataFrame) -> None:
    qs = [0.0, 0.05, 0.07, 0.5, 0.95, 1.0]
    for name in ("alignment", "entropy"):
        values = np.sort(column(name)[~np.isnan(column(name))])
        n = len(values)
        by_hand = [values[max(1, -(-round(x * 100) * n // 100)) - 1] for x in qs]
        assert q.quantiles(rows, F.col(name), qs) == by_hand
        assert in_memory(column(name), qs) == by_hand, "what the report prints"
        ranked = q.with_rank(rows.select("id", name), F.col(name), "rank").toPandas().set_index("id")
        assert len(ranked) == n
        expected = pd.Series(rankdata(ranked[name] + 0.0) / n, ranked.index)
        pd.testing.assert_series_equal(ranked["rank"], expected, check_names=False, rtol=0, atol=0)
    assert math.isnan(q.quantiles(rows.where("false"), F.col("entropy"), [0.5])[0])


def test_top_k_and_random(rows: DataFrame, h: pd.Series) -> None:
    same(TopK("alignment").select(pool_of(rows, 80, SEED)), in_order(POOL["id"], -column("alignment"), h), 80)
    same(Random().select(pool_of(rows, 80, SEED)), in_order(POOL["id"], drawn(h), h), 80)
    # weight 0 is half of the rows: the 400 picks reach into them
    same(Random("quality").select(pool_of(rows, 400, SEED)), in_order(POOL["id"], drawn(h, column("quality")), h), 400)


def test_interval(rows: DataFrame, h: pd.Series, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, entropy = column("tokens"), column("entropy")
    both = ~np.isnan(tokens) & ~np.isnan(entropy)
    low, high = (np.sort(tokens[both])[max(1, math.ceil(both.sum() * x)) - 1] for x in (0.25, 0.75))
    inside = both & (tokens >= low) & (tokens <= high) & (entropy <= 0.8)
    bounds = {"tokens": ["q0.25", "q0.75"], "entropy": [None, 0.8]}
    same(
        Interval(bounds).select(pool_of(rows, 50, SEED)),
        in_order(POOL["id"], np.where(inside, drawn(h), np.nan), h),
        50,
    )

    ends = {"tokens": (tokens, low, high), "entropy": (entropy, entropy[both].min(), 0.8)}
    distances = [np.abs(v - (a + b) / 2) / ((b - a) / 2) for v, a, b in ends.values()]
    found = Interval(bounds, within="middle").select(pool_of(rows, 50, SEED))
    far = pd.Series(np.maximum(*distances), POOL["id"])
    np.testing.assert_allclose(-found["gain"], np.sort(far[inside])[:50], rtol=1e-12)
    np.testing.assert_allclose(far[found["id"]], -found["gain"], rtol=1e-12)

    mean = pd.Series((rankdata(tokens[both]) + rankdata(entropy[both])) / both.sum() / 2, POOL["id"][both])
    low, high = (np.sort(mean)[math.ceil(both.sum() * x) - 1] for x in (0.3, 0.6))
    kept = mean[(mean >= low - 1e-12) & (mean <= high + 1e-12)].index
    collected: list[DataFrame] = []
    actual = ranking.collect_pandas
    for module in (ranking, q):
        monkeypatch.setattr(module, "collect_pandas", lambda f: collected.append(f) or actual(f))
    pair = ["q0.3", "q0.6"]
    every = Interval({"tokens": pair, "entropy": pair}, combine="mean_rank").select(pool_of(rows, 10_000, SEED))
    assert set(every["id"]) == set(kept)
    assert [o for frame in collected for o in offences(frame)] == []


def test_interval_within_strata(rows: DataFrame) -> None:
    tokens, module = column("tokens"), POOL["module"].fillna("None").to_numpy()
    inside, bounds = np.zeros(len(POOL), bool), {}
    for name in np.unique(module):
        own = (module == name) & ~np.isnan(tokens)
        low, high = (np.sort(tokens[own])[max(1, math.ceil(own.sum() * x)) - 1] for x in (0.2, 0.7))
        inside |= own & (tokens >= low) & (tokens <= high)
        bounds[name] = f"{name} {low!r} to {high!r}".replace("np.float64(", "").replace(")", "")
    notes: list[str] = []
    pool = replace(pool_of(rows, 10_000, SEED), note=notes.append)
    interval = Interval({"tokens": ["q0.2", "q0.7"]}, stratum="module")
    assert set(interval.select(pool)["id"]) == set(POOL["id"][inside])
    assert all(any(b in note for b in bounds.values()) for note in notes)
    small = interval.select(replace(pool, budget=100))
    share = POOL["module"].fillna("None")[~np.isnan(tokens)].value_counts(normalize=True)
    given = POOL.set_index("id")["module"].fillna("None")[small["id"]].value_counts(normalize=True)
    assert (given - share[given.index]).abs().max() < 0.03
    alone = Interval({"tokens": ["q0.2", "q0.7"]}, stratum="cells").select(replace(pool, budget=100))
    assert len(alone) == 100


def test_an_interval_without_rows_says_the_bounds(rows: DataFrame) -> None:
    with pytest.raises(
        InputError, match=r"no row lies inside tokens .* to -5\.0; the 0, 50 and 100 % points are tokens"
    ):
        Interval({"tokens": ["q0.2", -5]}).select(pool_of(rows, 10, SEED))


@pytest.mark.parametrize("cut", [False, True])
def test_stratified(
    rows: DataFrame, spark: SparkSession, h: pd.Series, cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cut:
        monkeypatch.setattr(ranking, "SPARE", -(10**9))
    strata = POOL["module"].map(lambda m: "" if m is None else f"={m}")
    tags = spark.createDataFrame([(t,) for t in sorted(set(strata))], "tag string")
    salted = tags.selectExpr("tag", f"xxhash64(tag, CAST({SEED} AS BIGINT)) AS h").toPandas()
    offset = dict(zip(salted["tag"], uniform(salted["h"].to_numpy()), strict=True))
    quota, by = ("proportional", "alignment") if cut else ("equal", None)
    ordered = in_order(POOL["id"], -column("alignment") if cut else drawn(h), h)
    ordered["tag"] = ordered["id"].map(dict(zip(POOL["id"], strata, strict=True)))
    ordered["i"] = ordered.groupby("tag").cumcount() + 1
    size = ordered["tag"].map(ordered["tag"].value_counts()) if cut else 1.0
    ordered["turn"] = (ordered["i"] - ordered["tag"].map(offset)) / size
    found = Stratified("module", quota=quota, by=by).select(pool_of(rows, 110, SEED))
    same(found, ordered.sort_values(["turn", "tag"]), 110)


def test_length_matched(rows: DataFrame, h: pd.Series) -> None:
    tokens = column("tokens")
    some = np.sort(tokens[~np.isnan(tokens)])
    ends = sorted({some[math.ceil(len(some) * j / 20) - 1] for j in range(1, 20)})
    bins = pd.Series(np.where(np.isnan(tokens), -1, np.searchsorted(ends, tokens)), POOL["id"])
    chosen = POOL.nlargest(120, "tokens")[["id"]]
    picks = LengthMatched("tokens").select(pool_of(rows, len(chosen), SEED, chosen))
    wanted = bins[chosen["id"]].value_counts()
    ordered = in_order(POOL["id"], drawn(h), h)
    expected = {i for b, n in wanted.items() for i in ordered["id"][bins[ordered["id"]].to_numpy() == b].head(n)}
    assert len(picks) == 120
    assert set(picks["id"]) == expected
    with pytest.raises(InputError, match="1 rows were selected and 0"):
        LengthMatched("tokens").select(pool_of(rows, 1, SEED, pd.DataFrame({"id": ["nobody"]})))


def test_input_errors(rows: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"'module' is string"):
        TopK("module").select(pool_of(rows, 5, SEED))
    with pytest.raises(InputError, match=r"weight -1e\+308"):
        Random("alignment").select(pool_of(rows, 5, SEED))
    with pytest.raises(InputError, match="0 in every row"):
        Random("zero").select(pool_of(rows.select("id", F.lit(0).alias("zero")), 5, SEED))
    with pytest.raises(InputError, match="module = 'oss'; did you mean 'os'"):
        Stratified("module", quota={"oss": 3}).select(pool_of(rows, 5, SEED))
    monkeypatch.setattr(ranking, "GROUPS", 3)
    with pytest.raises(BoundError, match="more than 3 values"):
        Stratified("module").select(pool_of(rows, 5, SEED))
    monkeypatch.setattr(ranking, "DRIVER_ROWS", 99)
    with pytest.raises(BoundError, match="would hold 100 rows, more than the 99"):
        Random().select(pool_of(rows, 100, SEED))
    assert (
        len(Random().select(pool_of(rows, 0, SEED))) == len(Random().select(pool_of(rows.where("false"), 5, SEED))) == 0
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: TopK("a", order="dsc"), "did you mean 'desc'"),
        (lambda: Stratified("a", quota="equals"), "did you mean 'equal'"),
        (lambda: Stratified("a", quota={"x": 1.5}), r"quota is \{'x': 1.5\}; .* \(each a whole number from 0\)"),
        (lambda: Stratified("a", quota={"x": 0}), "asks for no row"),
        (lambda: Interval({}), r"bounds is \{\}"),
        (lambda: Interval({"a": [1]}), r"are \[1\]"),
        (lambda: Interval({"a": ["q1.2", None]}), "q1.2"),
        (lambda: Interval({"a": ["20%", 3]}), "20%"),
        (lambda: Interval({"a": ["q0.9", "q0.2"]}), "low above high"),
        (lambda: Interval({"a": [3, 2.5]}), "low above high"),
        (lambda: Interval({"a": [0, 1]}, combine="mean_rank"), "same pair of quantiles"),
        (lambda: Interval({"a": ["q0", "q1"], "b": ["q0", "q0.5"]}, combine="mean_rank"), "same pair of quantiles"),
        (lambda: Interval({"a": [0, 1]}, within="centre"), "within is 'centre'"),
    ],
)
def test_recipe_errors(make: object, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        make()  # type: ignore[operator]
