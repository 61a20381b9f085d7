"""Selectors over vectors above the limit of one driver, against their own form on one driver."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakesift.jobs.ranking import cover_by_task, vector_tasks, vectors
from lakesift.jobs.ranking.vectors import vector_bytes
from lakesift.jobs.selectors.chain import Chain
from lakesift.jobs.selectors.coverage import FacilityLocation, KCenter
from lakesift.jobs.selectors.near_duplicates import Deita, SemDeDup
from lakesift.jobs.selectors.selector import Selector
from lakesift.jobs.selectors.stages import Stage
from lakesift.udfs.errors import BoundError, InputError

from .pool import N, as_rows, pool, pool_of

POOL = pool()
VECTORS = POOL["vector"].notna().to_numpy()
ALL = 10**6


@pytest.fixture(scope="module")
def layouts(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[int, DataFrame]:
    folder = tmp_path_factory.mktemp("two_rounds")
    return {n: as_rows(spark, POOL, n, folder) for n in (2, 7)}


def small(
    monkeypatch: pytest.MonkeyPatch, task: int = 100, merge: int = 150, shipped: int = 20, width: int = 6
) -> None:
    """Nothing fits one driver, and a task takes 100 rows, a merge 150; 20 travel with a task."""
    monkeypatch.setattr(vectors, "VECTOR_BYTES", 1)
    monkeypatch.setattr(vector_tasks, "TASK_BYTES", task * vector_bytes(1, width))
    monkeypatch.setattr(vector_tasks, "MERGE_BYTES", merge * vector_bytes(1, width))
    monkeypatch.setattr(vector_tasks, "SHIPPED_BYTES", 4 * width * shipped)


def matrix_of(ids: Any) -> np.ndarray[Any, Any]:
    return np.stack(POOL.set_index("id")["vector"].loc[list(ids)].to_list())


def covered(ids: Any) -> float:
    """The objective of facility location over the whole pool."""
    return float(np.maximum(matrix_of(POOL["id"][VECTORS]) @ matrix_of(ids).T, 0).max(axis=1).sum())


#: Selectors whose rows are the same in two rounds: a task of 100 rows is less than the largest cluster.
EXACT: list[tuple[Selector, int]] = [
    (SemDeDup("cells", by="alignment", eps=0.01), ALL),
    (FacilityLocation(cluster="cells", quality="nll", alpha=0.3), 60),
    (KCenter(), 9),
]
LONG: list[tuple[Selector, int]] = [
    (KCenter(), 60),
    (Deita(by="alignment", limit=0.99), 120),
    (SemDeDup("cells", eps=0.05), 50),
    (SemDeDup("cells", eps=1.0), ALL),
    (Deita(by="nll", limit=0.0), ALL),
    (Deita(by="entropy", limit=0.999), 31),
    (FacilityLocation(cluster="cells", mode="cells"), ALL),
    (FacilityLocation(cluster="cells", quality="entropy", alpha=1.0), 90),
    (FacilityLocation(cluster="cells"), 1),
]


@pytest.mark.parametrize(
    ("selector", "budget"), [*EXACT, *(pytest.param(*case, marks=pytest.mark.long) for case in LONG)], ids=str
)
def test_the_same_rows_as_on_one_driver(
    selector: Selector, budget: int, layouts: dict[int, DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(selector, FacilityLocation):  # there it is the same where no cluster is larger than a task
        small(monkeypatch, task=N)
    else:
        small(monkeypatch, merge=400 if selector.kind == "k_center" and budget < 10 else 150)
    limit, notes = vectors.VECTOR_BYTES, list[str]()
    monkeypatch.setattr(vectors, "VECTOR_BYTES", 10**9)
    one = selector.select(pool_of(layouts[2], budget, 3))
    out = selector.left_out(pool_of(layouts[2], budget, 3))
    monkeypatch.setattr(vectors, "VECTOR_BYTES", limit)
    two = selector.select(pool_of(layouts[7], budget, 3, note=notes.append))
    pd.testing.assert_frame_equal(two, one)
    assert " are more than the 1 bytes that one driver takes" in notes[0]
    if out is not None:
        left = selector.left_out(pool_of(layouts[7], budget, 3))
        assert left is not None
        frames = [frame.toPandas().sort_values("id", ignore_index=True) for frame in (left, out)]
        pd.testing.assert_frame_equal(frames[0][frames[1].columns], frames[1])
        assert len(frames[0]) > 0


@pytest.mark.long
def test_covers_in_two_rounds_keep_their_laws_and_their_bound(
    layouts: dict[int, DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for any partitioning, a prefix, all rows in the end, near the form of one driver."""
    monkeypatch.setattr(cover_by_task, "CELL", 60)
    start = sorted(POOL["id"][VECTORS])[:3]
    selector = FacilityLocation()
    one = selector.select(pool_of(layouts[2], 40, 3))
    small(monkeypatch, merge=8 * N)
    notes: list[str] = []
    two = selector.select(pool_of(layouts[2], 40, 3, note=notes.append))
    assert " are more than the 1 bytes that one driver takes" in notes[0]
    assert len(set(two["id"])) == 40
    assert covered(two["id"]) >= 0.9 * covered(one["id"])
    every = selector.select(replace(pool_of(layouts[7], ALL, 3), start=start))
    assert set(every["id"]) == set(POOL["id"][VECTORS]) - {*start}
    deeper = selector.select(pool_of(layouts[7], 70, 3))
    pd.testing.assert_frame_equal(deeper.head(40), two)
    assert two["gain"].is_monotonic_decreasing


@pytest.mark.long
@pytest.mark.parametrize("merge", [150, 2 * N, 8 * N])
def test_k_center_in_rounds_goes_on_from_rows_chosen_before(
    merge: int, layouts: dict[int, DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those one has no vector; of all others the picks are the same to the last one where the driver holds them."""
    start = [*sorted(POOL["id"][VECTORS])[:3], POOL["id"][~VECTORS].iloc[0]]
    budget = 70 if merge < N else ALL
    one = KCenter().select(replace(pool_of(layouts[2], budget, 3), start=start))
    small(monkeypatch, merge=merge)
    notes: list[str] = []
    two = KCenter().select(replace(pool_of(layouts[7], budget, 3, note=notes.append), start=start))
    pd.testing.assert_frame_equal(two, one)
    assert " are more than the 1 bytes that one driver takes: in " in notes[0]


@pytest.mark.long
def test_a_chain_goes_on_in_two_rounds(layouts: dict[int, DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain((Stage(SemDeDup("cells", by="nll", eps=0.01)), Stage(FacilityLocation(cluster="cells"))))
    one = chain.select(pool_of(layouts[2], 50, 3))
    small(monkeypatch, task=N)
    notes: list[str] = []
    two = chain.select(pool_of(layouts[7], 50, 3, note=notes.append))
    pd.testing.assert_frame_equal(two, one)
    assert [note for note in notes if "that one driver takes: clusters are compared in tasks" in note]
    assert [note for note in notes if "that one driver takes: " in note and "cells on executors" in note]


BAD = {
    "nothing": "false",
    "one row": "id = 'r\u00f3w-0'",
    "equal vectors": "id IN ('r\u00f3w-100', 'r\u00f3w-101', 'r\u00f3w-102', 'r\u00f3w-103')",
}


@pytest.mark.long
@pytest.mark.parametrize("where", BAD.values(), ids=BAD)
@pytest.mark.parametrize(
    "selector", [KCenter(), FacilityLocation(), Deita(by="nll"), SemDeDup("cells")], ids=lambda s: s.kind
)
def test_few_rows(
    selector: Selector, where: str, layouts: dict[int, DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = layouts[2].where(where)
    one = selector.select(pool_of(rows, 9, 3))
    small(monkeypatch)
    two = selector.select(pool_of(rows, 9, 3))
    assert set(two["id"]) == set(one["id"])
    assert two["rank"].tolist() == one["rank"].tolist()


@pytest.mark.long
def test_rows_that_are_left_out_and_what_is_refused(
    layouts: dict[int, DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, merge=8 * N)
    odd = F.when(F.col("id") == "r\u00f3w-1", F.transform("vector", lambda x: x * float("nan"))).when(
        F.col("id") == "r\u00f3w-2", F.transform("vector", lambda x: x * float("inf"))
    )
    rows = layouts[2].withColumn("vector", F.coalesce(odd, "vector"))
    for selector in (KCenter(), FacilityLocation(), Deita(by="nll", limit=0.999999), SemDeDup("cells", eps=1e-6)):
        ids = set(selector.select(pool_of(rows, ALL, 3))["id"])
        assert not ids & {"r\u00f3w-1", "r\u00f3w-2"}
    for mode in ("dense", "neighbours"):
        with pytest.raises(BoundError, match=f"mode {mode} compares all of them there: use mode auto or cells"):
            FacilityLocation(mode=mode).select(pool_of(rows, 5, 3))
    with pytest.raises(InputError, match="quality must be finite, and 'q' has infinite values"):
        FacilityLocation(quality="q", alpha=0.5).select(pool_of(rows.withColumn("q", F.lit(float("inf"))), 5, 3))
    long = layouts[2].withColumn("vector", F.transform("vector", lambda x: x * 2))
    with pytest.raises(Exception, match="a vector has the length 2; cosines here need length 1"):
        FacilityLocation(cluster="cells").select(pool_of(long, 5, 3))
    small(monkeypatch, merge=10)
    with pytest.raises(BoundError, match=r"k_center of 50 rows is more than the \d+ vectors of 6 elements that the"):
        KCenter().select(pool_of(rows, 50, 3))
    with pytest.raises(BoundError, match=r"deita has kept \d+ rows .* it keeps at most 10: lower the budget"):
        Deita(by="nll", limit=0.999).select(pool_of(rows, 50, 3))
