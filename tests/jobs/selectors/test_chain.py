"""Laws of chains: the stages by hand give the same rows; what a stage sees, says and is refused for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from lakesift.jobs.selectors import coverage, near_duplicates
from lakesift.jobs.selectors import stages as running
from lakesift.jobs.selectors.chain import Chain, stages_of
from lakesift.jobs.selectors.coverage import FacilityLocation, KCenter
from lakesift.jobs.selectors.interval import Interval
from lakesift.jobs.selectors.kmeans_quota import KMQ, KMeansRandom
from lakesift.jobs.selectors.length_matched import LengthMatched
from lakesift.jobs.selectors.near_duplicates import SemDeDup
from lakesift.jobs.selectors.needs import Need, Number
from lakesift.jobs.selectors.random_draw import Random
from lakesift.jobs.selectors.selector import PICKS, Pool, Selector, picks
from lakesift.jobs.selectors.stages import Kept, Stage, last_stage
from lakesift.jobs.selectors.top_k import TopK
from lakesift.udfs.digests import digest
from lakesift.udfs.errors import BoundError, InputError

from .pool import N, as_rows, pool, pool_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


# -- without Spark: stages that choose from pandas frames --------------------------------------------------------------


@dataclass(frozen=True)
class Best(Selector):
    """The best rows by a column, those under a floor left out; says the salt, asks for values."""

    kind: ClassVar[str] = "best"
    reads: ClassVar[dict[str, type[Need]]] = {"by": Number}

    by: str = "a"
    floor: float = 0.0
    draws_lots: bool = False

    @property
    def redraws(self) -> bool:
        return self.draws_lots

    def select(self, pool: Pool) -> pd.DataFrame:
        rows: Any = pool.rows
        pool.note(f"salt {pool.salt!r}, values of {sorted(pool.values('v')['id'])}")
        if self.floor < 0:
            raise BoundError(f"floor is {self.floor}")
        found = rows[rows[self.by] >= self.floor].sort_values([self.by, "id"], ascending=[False, True])
        found = found.head(pool.budget)
        return picks(found["id"], found[self.by])


@pytest.fixture
def in_pandas(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Rows are pandas frames; the list has the columns that were counted."""
    counted: list[Sequence[str]] = []

    def count(rows: Any, needs: Sequence[Need], _: Pool) -> tuple[int, int]:
        names = [need.name for need in needs]
        counted.append(names)
        return len(rows), int(rows[names].notna().all(axis=1).sum())

    monkeypatch.setattr(running, "_count", count)
    monkeypatch.setattr(running, "rows_of", lambda rows, picked: rows[rows["id"].isin(picked["id"])])
    return counted


FRAME = pd.DataFrame(
    {"id": list("abcdefgh"), "a": [1, 2, 3, 4, 5, 6, 7, None], "b": [8, 7, None, 5, 4, 3, 2, 1]}, dtype=object
).astype({"a": float, "b": float})


def pandas_pool(budget: int, notes: list[str] | None = None, salt: str = "s", frame: pd.DataFrame = FRAME) -> Pool:
    def values(_: Any, ids: Any = None) -> pd.DataFrame:
        wanted = frame["id"] if ids is None else ids
        return pd.DataFrame({"id": list(wanted), "value": 0.0})

    said: Any = [].append if notes is None else notes.append
    return Pool(frame, budget, 1, {}, values, said, salt=salt)  # type: ignore[arg-type]


def test_the_next_stage_sees_what_was_kept_and_says_so(in_pandas: list[Sequence[str]]) -> None:
    notes: list[str] = []
    chain = Chain((Stage(Best(floor=2)), Stage(Best("b"), rows=4), Stage(Best("b"))))
    chosen = chain.select(pandas_pool(2, notes))
    # h lacks a, a is below the floor; c lacks b; b, d, e, f are the best four by b.
    assert chosen["id"].tolist() == ["b", "d"]
    assert (chosen["gain"].tolist(), tuple(chosen.columns)) == ([7.0, 5.0], PICKS)
    assert notes == [
        "select, stage 1: salt 's', values of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']",
        "select, stage 1: best kept 6 of 8 rows (1 unranked, 1 left out)",
        "select, stage 2: salt 's', values of ['b', 'c', 'd', 'e', 'f', 'g']",
        "select, stage 2: best kept 4 of 6 rows (1 unranked, 1 left out)",
        "salt 's', values of ['b', 'd', 'e', 'f']",
    ]
    assert in_pandas == [["a"], ["b"]], "what a stage kept has what the stage read: it is not counted again"


def test_counts_add_up_and_name_the_causes(in_pandas: list[Sequence[str]]) -> None:
    chain = Chain((Stage(Best(floor=2)), Stage(Best("b", floor=4)), Stage(Best("b"))))
    last = last_stage(chain.stages, pandas_pool(9), (8, 7))
    assert last.kept == (Kept("best", 8, 1, 6), Kept("best", 6, 1, 3))
    assert (last.reached, last.rankable) == (3, 3)
    assert last.counts(2)[-1] == Kept("best", 3, 0, 2)
    assert last.left == ", 1 left out by stage 1 (best), 1 unranked by stage 2, 2 left out by stage 2 (best)"
    assert all(k.rows - k.undefined - k.left_out == k.kept for k in last.kept)
    single = last_stage(stages_of(Best()), pandas_pool(9), (8, 7))
    assert (single.kept, single.left, single.place, single.counts(7)) == ((), "", "", [])
    assert in_pandas == [["b"]]


def test_a_stage_that_keeps_nothing_ends_the_chain(in_pandas: list[Sequence[str]]) -> None:
    notes: list[str] = []
    chain = Chain((Stage(Best(floor=99)), Stage(Best("b")), Stage(Best("b", floor=-1))))
    assert chain.select(pandas_pool(3, notes)).empty
    assert notes[-1] == "select, stage 1: best kept 0 of 8 rows (1 unranked, 7 left out)"
    last = last_stage(chain.stages, pandas_pool(3), (8, 7))
    assert (last.rankable, last.left) == (0, ", 7 left out by stage 1 (best)")
    blind = FRAME.assign(b=float("nan"))
    last = last_stage(chain.stages[1:], pandas_pool(3, frame=blind))
    assert (last.rankable, last.kept) == (0, ())
    last = last_stage((Stage(Best()), *chain.stages[1:]), pandas_pool(3, frame=blind))
    assert (last.rankable, last.left) == (0, ", 7 unranked by stage 2")
    assert in_pandas


def test_amounts_of_a_stage(in_pandas: list[Sequence[str]]) -> None:
    notes: list[str] = []
    Chain((Stage(Best(), fraction=0.5), Stage(Best()))).select(pandas_pool(3, notes))
    Chain((Stage(Best(floor=2), rows=7), Stage(Best()))).select(pandas_pool(3, notes))
    Chain((Stage(Best()), Stage(Best()))).select(replace(pandas_pool(3, notes), place="controls: best+best"))
    assert [note for note in notes if "kept" in note] == [
        "select, stage 1: best kept 4 of 8 rows (1 unranked, 3 left out)",
        "select, stage 1: best kept 6 of 8 rows (1 unranked, 1 left out), and rows: asks for 7",
        "controls: best+best, stage 1: best kept 7 of 8 rows (1 unranked): it left none out, and has neither rows: nor "
        "fraction:",
    ]
    assert in_pandas


@pytest.mark.parametrize(("bad", "said"), [(0, "select, stage 1: floor"), (1, "select, stage 2: floor is -1")])
def test_an_error_names_the_stage_and_keeps_its_kind(bad: int, said: str, in_pandas: list[Sequence[str]]) -> None:
    stages = [Stage(Best()), Stage(Best()), Stage(Best())]
    stages[bad] = Stage(Best(floor=-1))
    with pytest.raises(BoundError, match=said):
        Chain(tuple(stages)).select(pandas_pool(3))
    assert in_pandas


def test_a_draw_after_a_draw_has_numbers_of_its_own(in_pandas: list[Sequence[str]]) -> None:
    notes: list[str] = []
    lot = Stage(Best(draws_lots=True))
    Chain((Stage(Best()), lot, lot, Stage(Best()))).select(pandas_pool(3, notes, salt="x stage 2"))
    salts = [note.split("salt ")[1].split(",")[0] for note in notes if "salt" in note]
    assert salts == ["'x stage 2'", "'x stage 2'", "'x stage 2 stage 3'", "'x stage 2 stage 4'"]
    assert in_pandas


# -- without Spark: real kernels over pandas ---------------------------------------------------------------------------


@pytest.fixture
def vectors_in_pandas(monkeypatch: pytest.MonkeyPatch, in_pandas: list[Sequence[str]]) -> list[Sequence[str]]:
    """Vectors are collected from a pandas frame, in an order that depends on id and seed alone."""

    def collect(rows: Any, vector: str, seed: int, **columns: Any) -> Any:
        shaped = rows.assign(h=[digest([seed, i]) for i in rows["id"]])
        shaped = shaped.assign(**{n: c(rows) if callable(c) else rows[c] for n, c in columns.items()})
        shaped = shaped.dropna(subset=[vector, *columns]).sort_values(["h", "id"], ignore_index=True)
        found = shaped[["id", *columns]], np.array(shaped[vector].tolist(), np.float32)
        return SimpleNamespace(fit=True, collected=lambda: found)

    for module in (coverage, near_duplicates):
        monkeypatch.setattr(module, "vector_rows", collect)
        monkeypatch.setattr(module, "cluster_of", lambda _, name: name)
        monkeypatch.setattr(module, "numeric_column", lambda _, name: name)
    monkeypatch.setattr(near_duplicates, "_key", lambda _, by: lambda rows: -rows[by] if by else 0.0 * rows["cells"])
    return in_pandas


def vectors(seed: int = 0) -> pd.DataFrame:
    """200 rows in 4 cells, half of them near-copies of others; some lack a vector, some a quality."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(100, 8))
    points = np.vstack([points, points + rng.normal(scale=0.03, size=points.shape)])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    frame = pd.DataFrame({"id": [f"r{i:03}" for i in range(200)], "cells": np.arange(200) % 4})
    frame["vector"] = pd.Series(list(points.astype(np.float32)), dtype=object).where(np.arange(200) % 29 != 3, None)
    frame["quality"] = np.where(np.arange(200) % 31 == 7, np.nan, rng.normal(size=200))
    return frame


@pytest.mark.parametrize(
    "last", [FacilityLocation(), FacilityLocation(quality="quality", alpha=0.5), KCenter()], ids=str
)
def test_dedup_then_cover_is_both_by_hand(last: Selector, vectors_in_pandas: list[Sequence[str]]) -> None:
    frame, dedup = vectors(), SemDeDup("cells", by=None, eps=0.1)
    chain = Chain((Stage(dedup), Stage(last)))
    made = chain.select(pandas_pool(30, frame=frame))
    first = dedup.select(pandas_pool(10**6, frame=frame))
    second = last.select(pandas_pool(30, frame=frame[frame["id"].isin(first["id"])]))
    pd.testing.assert_frame_equal(made, second)
    assert 90 < len(first) < 150, "near-copies are left out"
    shuffled = frame.sample(frac=1, random_state=5)
    pd.testing.assert_frame_equal(chain.select(pandas_pool(30, frame=shuffled)), made)
    pd.testing.assert_frame_equal(chain.select(pandas_pool(11, frame=frame)), made.head(11))
    counts = last_stage(chain.stages, pandas_pool(30, frame=frame)).counts(30)
    lost = int(frame["quality"][frame["id"].isin(first["id"])].isna().sum()) if "quality" in str(last.needs) else 0
    assert [k.undefined for k in counts] == [int(frame["vector"].isna().sum()), lost]
    assert vectors_in_pandas


def test_no_vector_at_all_gives_no_picks(vectors_in_pandas: list[Sequence[str]]) -> None:
    blind = vectors().assign(vector=None)
    chain = Chain((Stage(SemDeDup("cells")), Stage(FacilityLocation())))
    assert chain.select(pandas_pool(5, frame=blind)).empty
    assert last_stage(chain.stages, pandas_pool(5, frame=blind)).rankable == 0
    assert vectors_in_pandas


# -- on Spark ----------------------------------------------------------------------------------------------------------

#: Chains of different kinds, and whether they keep the laws of an earlier draw.
CHAINS = [
    Chain((Stage(SemDeDup("cells", by="entropy", eps=0.001)), Stage(FacilityLocation()))),
    Chain((Stage(TopK("nll"), fraction=0.5), Stage(SemDeDup("cells", eps=0.01)), Stage(Random()))),
    Chain((Stage(Random("nll"), rows=300), Stage(KMeansRandom("cells")))),
]


def by_hand(chain: Chain, rows: DataFrame, frame: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Run one stage, keep its ids of the pool, run the next one."""
    left, drawn = frame, False
    for number, stage in enumerate(chain.stages, 1):
        salt = f"s stage {number}" if drawn else "s"
        last = number == len(chain.stages)
        pool = replace(pool_of(rows, budget if last else stage.budget(len(left)), 3), salt=salt)
        chosen = stage.selector.select(pool)
        left = left[left["id"].isin(chosen["id"])]
        rows = rows.where(rows["id"].isin(left["id"].tolist()))
        drawn = drawn or stage.selector.redraws
    return chosen


@pytest.mark.long
def test_the_stages_by_hand_are_the_chain(spark: SparkSession, tmp_path: Path) -> None:
    """By hand; for any order and partitioning; a smaller budget is a prefix."""
    frame = pool()
    first, second = as_rows(spark, frame, 1, tmp_path), as_rows(spark, frame, 7, tmp_path)
    for chain in CHAINS:
        made = chain.select(replace(pool_of(first, 40, 3), salt="s"))
        assert (len(made), made["id"].nunique()) == (40, 40)
        pd.testing.assert_frame_equal(made, by_hand(chain, first, frame, 40))
        pd.testing.assert_frame_equal(chain.select(replace(pool_of(second, 17, 3), salt="s")), made.head(17))


@pytest.mark.long
def test_a_second_draw_does_not_undo_the_first(spark: SparkSession) -> None:
    """Rows drawn by weight, then uniformly, are still likelier the heavier they are."""
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(4000)], "w": [1.0, 9.0] * 2000})
    rows = spark.createDataFrame(frame)
    heavy = set(frame["id"][frame["w"] > 1])
    chain = Chain((Stage(Random("w"), rows=800), Stage(Random())))
    shares = [chain.select(pool_of(rows, 200, seed))["id"].isin(heavy).mean() for seed in range(5)]
    assert all(share > 0.8 for share in shares), shares  # .9 but for those drawn without replacement


@pytest.mark.long
def test_a_control_after_a_stage_matches_rows_that_the_stage_left_out(spark: SparkSession, tmp_path: Path) -> None:
    rows, frame = as_rows(spark, pool(), 2, tmp_path), pool().dropna(subset=["tokens"])
    selected = frame.nsmallest(60, "nll")[["id"]]  # the first stage keeps those of the highest
    chain = Chain((Stage(TopK("nll"), rows=300), Stage(LengthMatched("tokens"))))
    drawn = chain.select(pool_of(rows, 60, 3, selected))["id"]
    assert 50 <= len(drawn) <= 60
    assert not set(drawn) & set(selected["id"])
    tokens = frame.set_index("id")["tokens"].astype(float)
    assert abs(tokens[drawn].mean() - tokens[selected["id"]].mean()) < tokens.std() / 4


@pytest.mark.long
def test_errors_of_real_stages_name_them(spark: SparkSession, tmp_path: Path) -> None:
    rows = as_rows(spark, pool(), 2, tmp_path)
    outside = Stage(Interval({"nll": [900.0, 901.0]}))
    for stages, place in (((outside, Stage(Random())), 1), ((Stage(Random(), rows=50), outside), 2)):
        with pytest.raises(InputError, match=f"select, stage {place}: no row lies inside"):
            Chain(stages).select(pool_of(rows, 5, 3))
    negative = Chain((Stage(Random(), rows=N // 2), Stage(KMQ("cells", quality="alignment"))))
    with pytest.raises(InputError, match="select, stage 2: quality 'alignment' has the value -"):
        negative.select(pool_of(rows, 5, 3))
    undefined = rows.where("vector IS NULL")
    assert CHAINS[0].select(pool_of(undefined, 5, 3)).empty
