"""SIGKILL the driver at a moment seen in the lake, run again, and compare with a lake that nobody disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deltalake
import pytest
import yaml

from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.lake.tuning import settings
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from tests.conftest import local_conf
from tests.jobs.conftest import pool
from tests.texts import human_eval

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS, UNIT = 240, 60
RECIPE: dict[str, Any] = {
    "name": "killed",
    "scores": {"alignment": {"kind": "zipfit", "target": "goals"}, "tokens": "length_tokens"},
    "where": "tokens >= 20",
    "select": {"kind": "top_k", "by": "alignment"},
    "budget": {"rows": 30},
    "controls": ["random"],
}


def commits(lake: Path, table: str) -> int:
    """Commits of a table beyond its creation."""
    return max((int(p.stem) for p in (lake / table / "_delta_log").glob("*.json") if p.stem.isdigit()), default=0)


def files(lake: Path, table: str) -> bool:
    return any((lake / table).rglob("*.parquet"))


#: What the folder looks like at each moment.
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "in the middle of scoring": lambda lake: 1 <= commits(lake, "memos") < ROWS // UNIT,
    "during the final write": lambda lake: files(lake, "selection_killed") and not commits(lake, "selection_killed"),
    "in ingest": lambda lake: files(lake, "docs") and not commits(lake, "docs"),
    "between stages": lambda lake: commits(lake, "scores_killed") > 0 and not files(lake, "selection_killed"),
    "after the final write": lambda lake: commits(lake, "selection_killed") > 0 and not commits(lake, "runs"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files, a recipe and a Spark configuration of small units."""
    made = tmp_path_factory.mktemp("faults")
    rows = [json.dumps(r) for r in pool(ROWS)]
    (made / "docs.jsonl").write_text("\n".join([*rows[:100], "{broken", *rows[100:]]) + "\n", encoding="utf-8")
    goals = [json.dumps({"text": t}) for t in human_eval(6)]
    (made / "goals.jsonl").write_text("\n".join(goals) + "\n", encoding="utf-8")
    sources = {n: {"table": n, "from": {"files": [str(made / f"{n}.jsonl")]}} for n in ("docs", "goals")}
    recipe = {**RECIPE, "documents": sources["docs"], "targets": {"goals": sources["goals"]}}
    (made / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    (made / "spark.conf").write_text(local_conf(made / "wh") + f"\nspark.lakesift.unitRows {UNIT}\n")
    return made


def start(place: Path, lake: str, verb: str = "run") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lakesift.jobs.cli", verb, "recipe.yaml", "--json"]
    command += ["--lake", lake, "--spark", "spark.conf"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=place, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def finish(spark: SparkSession, place: Path, lake: str) -> dict[str, int]:
    """Run to the end, in the session of the tests; returns rows computed by step."""
    recipe = parse(yaml.safe_load((place / "recipe.yaml").read_text()))
    with settings(spark, {"spark.lakesift.unitRows": str(UNIT)}):
        steps = run(Lake(spark, str(place / lake)), recipe).steps
    return {s.step.removeprefix("score "): s.computed for s in steps if s.step.startswith("score ")}


def rows(place: Path, lake: str, table: str) -> list[tuple[Any, ...]]:
    found = deltalake.DeltaTable(str(place / lake / table)).to_pyarrow_table().to_pylist()
    return sorted((tuple(sorted((k, str(v)) for k, v in r.items())) for r in found), key=repr)


RESULTS = ("selection_killed", "scores_killed", "controls_killed", "docs", "docs_rejected")


@pytest.fixture(scope="module")
def undisturbed(spark: SparkSession, place: Path) -> dict[str, list[tuple[Any, ...]]]:
    computed = finish(spark, place, "reference")
    assert computed == {"alignment": ROWS, "tokens": ROWS}
    return {table: rows(place, "reference", table) for table in RESULTS}


def gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def kill_at(place: Path, lake: str, moment: Callable[[Path], bool], verb: str = "run") -> str:
    """Kill the Python driver when the lake looks so, and return its log; its JVM may finish a commit, as in life."""
    process = start(place, lake, verb)
    while not moment(place / lake):
        assert process.poll() is None, f"the moment never came: {process.communicate()[1][-2000:]}"
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 60
    while not gone(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    if not gone(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate(timeout=60)[1]


TWICE = ("in the middle of scoring", "during the final write")


@pytest.mark.parametrize(
    "moments",
    [pytest.param(TWICE, id=" and ".join(TWICE)), *(pytest.param((m,), id=m, marks=pytest.mark.long) for m in MOMENTS)],
)
def test_a_killed_run_goes_on(
    spark: SparkSession, place: Path, undisturbed: dict[str, list[tuple[Any, ...]]], moments: tuple[str, ...]
) -> None:
    lake = "_and_".join(moments).replace(" ", "_")
    before = 0
    for moment in moments:
        log = kill_at(place, lake, MOMENTS[moment])
        if 0 < before < ROWS:
            assert f" of {ROWS - before} rows" in log, "a finished unit was computed again"
        before = len(rows(place, lake, "memos")) // 2 if commits(place / lake, "memos") else 0
        if moment == "in the middle of scoring":
            assert before >= UNIT // 2
    computed = finish(spark, place, lake)
    assert computed["alignment"] == ROWS - before, "a finished unit was computed again"
    for table, want in undisturbed.items():
        assert rows(place, lake, table) == want, table
    keys = [(dict(r)["fingerprint"], dict(r)["id"]) for r in rows(place, lake, "memos")]
    assert len(keys) == len(set(keys)) == 2 * ROWS
