"""A lake that lives: thirty increments and months of upkeep; nothing computed twice, every old version readable."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from lakesift.jobs.commands.maintain import maintain
from lakesift.jobs.run import run
from tests.jobs.conftest import World, pool, recipe
from tests.jobs.lake.conftest import log_of, wear_out
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
#: What the shorter lives select by.
SIMPLE: dict[str, Any] = {
    "scores": {"ratio": "compression_ratio", "tokens": "length_tokens"},
    "select": {"kind": "top_k", "by": "ratio"},
    "budget": {"rows": 15},
}
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


def written(world: World, work: Callable[[], Manifest]) -> tuple[Manifest, set[str]]:
    """Do something; returns its outcome and the tables that have a new version."""
    before = world.versions()
    done = work()
    return done, {name for name, version in world.versions().items() if before.get(name) != version}


def test_months_of_maintenance_cost_no_rerun_anything(spark: SparkSession, tmp_path: Path) -> None:
    """Every table that LakeSift made keeps the commits that reruns decide by: A1.3."""
    world = World(spark, tmp_path / "lake")
    lines = [*(json.dumps(row) for row in pool(START)), "not JSON"]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    raw = {"table": "docs", "from": {"files": [str(tmp_path / "docs.jsonl")]}}
    living = recipe("living", documents=raw, targets={}, where="", controls=["random"], **SIMPLE)
    run(world.lake, living)
    for name in world.lake.tables():
        wear_out(world.lake, name)
        assert len(log_of(world.lake, name)[0].stem.strip("0")) == 0, f"the log of {name} is cut"
    done, tables = written(world, lambda: run(world.lake, living))
    assert (done.noop, tables) == (True, set())
    other = recipe("living", documents=raw, targets={}, where="", controls=["random"], **{**SIMPLE, "seed": 7})
    done, tables = written(world, lambda: run(world.lake, other))
    assert computed(done) == {0}
    assert tables <= {"selection_living", "controls_living", "runs"}


def test_a_table_that_is_only_maintained_is_seen_to_change(spark: SparkSession, tmp_path: Path) -> None:
    """The log of a user's table no longer says what changed it: A1.1 and A1.2."""
    world = World(spark, tmp_path)
    world.put("docs", pool(START))
    wear_out(world.lake, "docs")
    longest = {**SIMPLE, "select": {"kind": "top_k", "by": "tokens"}, "budget": {"rows": 5}}
    mine = recipe("mine", targets={}, where="", controls=[], **longest)
    run(world.lake, mine)
    assert run(world.lake, mine).noop
    first = world.rows("selection_mine")
    top = world.sql("SELECT id FROM {selection_mine} WHERE rank = 1")[0]["id"]
    world.sql(f"DELETE FROM {{docs}} WHERE id = '{top}'")
    world.put("docs", [{"id": "new", "module": "m0", "text": "word " * 9_000}], mode="append", files=1)
    wear_out(world.lake, "docs")
    assert world.lake.last_write("docs") is None
    done, _ = written(world, lambda: run(world.lake, mine))
    assert not done.noop
    chosen = {r["id"]: r["rank"] for r in world.sql("SELECT id, rank FROM {selection_mine}")}
    assert chosen["new"] == 1
    assert top not in chosen
    assert world.rows("selection_mine", 1) == first

    world.put("others", [{**row, "text": f"other words entirely {i}"} for i, row in enumerate(pool(START))])
    wear_out(world.lake, "others")
    run(world.lake, recipe("mine", documents={"table": "others"}, targets={}, where="", controls=[], **longest))
    rows = world.sql("SELECT text, tokens FROM {selection_mine}")
    assert {(r["text"][:20], r["tokens"]) for r in rows} == {("other words entirely", 4)}
