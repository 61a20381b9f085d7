"""A lake that lives: thirty increments, upkeep twice; few files, nothing computed twice, every old version readable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from lakesift.jobs.commands.maintain import maintain
from lakesift.jobs.run import run
from tests.jobs.conftest import World, pool, recipe
from tests.texts import functions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakesift.jobs.lake.manifest import Manifest

pytestmark = pytest.mark.long

START, STEP, INCREMENTS, MORE = 60, 3, 20, 10
LIVED = recipe(
    "lived",
    targets={},
    scores={"bytes": "length_bytes", "ratio": "compression_ratio"},
    where="",
    select={"kind": "top_k", "by": "ratio"},
    budget={"rows": 15},
    controls=[],
)
TEXTS = functions(START + STEP * (INCREMENTS + MORE) + 1)


def computed(made: Manifest) -> set[int | None]:
    """Numbers of rows that the scores computed."""
    return {s.computed for s in made.steps if s.step.startswith("score")}


def increment(world: World, number: int) -> Manifest:
    """Append `STEP` rows as a user does, and run."""
    first = START + STEP * number
    rows = [{"id": f"doc-{i:05d}", "module": f"m{i % 5}", "text": TEXTS[i]} for i in range(first, first + STEP)]
    world.put("docs", rows, mode="append", files=1)
    return run(world.lake, LIVED)


def live_files(world: World, table: str) -> int:
    return int(world.sql(f"DESCRIBE DETAIL {{{table}}}")[0]["numFiles"])


def at(world: World, version: int) -> pl.DataFrame:
    """A version of the selection, read without Spark."""
    return pl.read_delta(str(world.root / "selection_lived"), version=version).sort("rank")


def test_a_lake_lives_long(spark: SparkSession, tmp_path: Path) -> None:
    world = World(spark, tmp_path)
    world.put("docs", pool(START))
    kept: dict[int, Any] = {}

    def keep(made: Manifest) -> None:
        assert made.selection_version is not None
        kept[made.selection_version] = at(world, made.selection_version)

    keep(run(world.lake, LIVED))
    for number in range(INCREMENTS):
        made = increment(world, number)
        assert computed(made) == {STEP}, number
        keep(made)
    assert live_files(world, "memos") > INCREMENTS

    said = maintain(world.lake)
    for table in ("memos", "selection_lived", "scores_lived", "runs"):
        assert live_files(world, table) <= 4, said
    after = run(world.lake, LIVED)
    assert computed(after) <= {0}
    assert after.selection_version == max(kept)

    for number in range(INCREMENTS, INCREMENTS + MORE):
        made = increment(world, number)
        assert computed(made) == {STEP}, number
        keep(made)
    maintain(world.lake)
    assert len(kept) == 1 + INCREMENTS + MORE
    for version, rows in kept.items():
        assert at(world, version).equals(rows, null_equal=True), version
        # By the definition: the best ratios of the documents that were there, 15 a version.
        assert rows["rank"].to_list() == list(range(1, 16))
        assert rows["gain"].is_sorted(descending=True)
    last = kept[max(kept)]
    every = pl.read_delta(str(tmp_path / "scores_lived"))
    assert every.height == START + STEP * (INCREMENTS + MORE)
    assert last["ratio"].to_list() == every["ratio"].sort(descending=True).head(15).to_list()
    history = {r["version"] for r in world.sql("DESCRIBE HISTORY {selection_lived}")}
    assert set(kept) <= history
    assert all(re.fullmatch(r"\w{8,}", r["run_id"]) for r in world.sql("SELECT run_id FROM {runs}"))
    assert len(world.sql("SELECT DISTINCT run_id FROM {runs}")) == len(kept)
