"""Draws of different recipes and selectors at one seed have nothing in common, unless a salt says so; ties do."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from lakesift.jobs.recipe import Recipe, parse
from lakesift.jobs.recipe.resolved import resolved_keys
from lakesift.udfs.digests import digest
from tests.jobs.selectors.pool import hashes, pool_of, uniform

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS, BUDGET = 2_000, 200
SELECT: dict[str, dict[str, Any]] = {
    "random": {"kind": "random"},
    "by_quality": {"kind": "random", "by": "quality"},
    "stratified": {"kind": "stratified", "column": "module"},
    "kmeans_random": {"kind": "kmeans_random", "cluster": "module"},
    "kmq": {"kind": "kmq", "cluster": "module", "quality": "quality"},
    "interval": {"kind": "interval", "bounds": {"quality": [0, 9]}},
}


def recipe(name: str, select: str, **keys: Any) -> Recipe:
    raw = {"name": name, "documents": {"table": "docs"}, "select": SELECT[select], "budget": {"rows": BUDGET}}
    return parse({**raw, **keys})


def test_seeds_of_all_uses_differ() -> None:
    first, other = recipe("a", "random"), recipe("b", "random")
    seeds = [r.seed_of(*use) for r in (first, other) for use in (("random",), ("random", 2), ("random", 3), ("kmq",))]
    seeds += [replace(first, seed=43).seed_of("random"), recipe("a", "random", salt="s").seed_of("random")]
    assert len(set(seeds)) == len(seeds)
    assert recipe("a", "random", salt="s").seed_of("random") == recipe("b", "kmq", salt="s").seed_of("random")
    salts = [recipe(name, select).selector_salt for name in "ab" for select in ("random", "kmq")]
    assert len(set(salts)) == 4
    assert {recipe(name, select, salt="s").selector_salt for name in "ab" for select in ("random", "kmq")} == {"s"}


def test_the_salt_is_part_of_the_recipe() -> None:
    plain, salted = recipe("a", "random"), recipe("a", "random", salt=7)
    assert salted.salt == "7"
    assert plain.digest() != salted.digest()
    assert parse(resolved_keys(salted)).digest() == salted.digest()
    assert "salt" not in resolved_keys(plain)


@pytest.mark.long
def test_draws_have_nothing_in_common_but_by_a_salt(spark: SparkSession) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(ROWS)], "quality": rng.uniform(3, 4, ROWS).round(3)})
    frame["module"] = np.where(rng.random(ROWS) < 0.7, "os", "re")
    rows = spark.createDataFrame(frame)

    def ids(of: Recipe) -> set[str]:
        pool = replace(pool_of(rows, BUDGET, of.seed), salt=of.selector_salt)
        return set(of.selector.select(pool)["id"])

    chosen = {
        f"{name} {kind}": ids(recipe(name, kind))
        for name, kind in [("b", "random"), *(("c" if k == "by_quality" else "a", k) for k in SELECT)]
    }
    # 20 of 200 by chance, with a standard deviation of 4.
    for (x, of_x), (y, of_y) in combinations(chosen.items(), 2):
        assert abs(len(of_x & of_y) - BUDGET**2 / ROWS) < 20, (x, y)
    # The twin: the smallest of -ln u with the hash of (digest of seed and salt, id).
    seed = int(digest([42, "a random"])[:15], 16)
    u = uniform(hashes(spark, frame, seed).reindex(frame["id"]).to_numpy())
    assert chosen["a random"] == {frame["id"][i] for i in np.argsort(-np.log(u))[:BUDGET]}
    common = {
        kind: ids(recipe(name, kind, salt="s"))
        for name, kind in zip("abc", ("random", "kmq", "stratified"), strict=True)
    }
    assert len(common["random"] & common["stratified"]) > 0.9 * BUDGET
    assert len(common["random"] & common["kmq"]) > 0.8 * BUDGET
    flat = rows.withColumn("module", rows["quality"] * 0)  # all rows are alike
    ties = [parse({**resolved_keys(recipe(n, "random")), "select": {"kind": "top_k", "by": "module"}}) for n in "ab"]
    first, second = (
        t.selector.select(replace(pool_of(flat, 20, t.seed), salt=t.selector_salt))["id"].tolist() for t in ties
    )
    assert first == second == hashes(spark, frame, 42).sort_values().index[:20].tolist()
