"""A run with the language model itself: killed in the middle; the time it had said is left; what is computed again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from tests.conftest import local_conf
from tests.fetched import fetched
from tests.jobs.conftest import World
from tests.texts import functions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.long
ROWS, UNIT = 1000, 150
RECIPE = {
    "name": "fluent",
    "documents": {"table": "docs", "from": {"files": ["docs.jsonl"]}},
    "scores": {"lm": {"kind": "generative_entropy"}},
    "select": {"kind": "interval", "bounds": {"lm.nll_bits": ["q0.1", "q0.9"]}},
    "budget": {"rows": 100},
}
LEFT = re.compile(r"([0-9,]+) of 1,000 rows, .* about ([0-9.]+) (s|min) left")


@pytest.fixture(autouse=True, scope="module")
def _fetched() -> None:
    fetched("smollm2")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fluent")
    rows = [{"id": f"d{i}", "text": t[:400]} for i, t in enumerate(functions(ROWS))]
    (made / "docs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    (made / "recipe.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    (made / "spark.conf").write_text(local_conf(made / "wh") + f"\nspark.lakesift.unitRows {UNIT}\n")
    return made


class Driver:
    """A run in a process of its own; `lines` are what it logged, with the seconds at which it did."""

    def __init__(self, place: Path, lake: str) -> None:
        command = [sys.executable, "-m", "lakesift.jobs.cli", "run", "recipe.yaml", "--lake", lake]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*command, "--spark", "spark.conf", "--json"],
            cwd=place,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )
        self.lines: list[tuple[float, str]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        self.lines += ((time.monotonic(), line) for line in self.process.stderr)

    def units(self) -> list[tuple[float, int, float]]:
        """Return for each finished unit but the last: when, rows done, seconds said to be left."""
        found = [(at, match) for at, line in list(self.lines) if (match := LEFT.search(line))]
        return [(at, int(m[1].replace(",", "")), float(m[2]) * (60 if m[3] == "min" else 1)) for at, m in found]

    def end(self) -> dict[str, int]:
        """Wait; return rows computed by step."""
        out = self.process.stdout
        assert out
        said = json.loads(out.read())
        assert self.process.wait() == 0
        self._reader.join(10)
        return {s["step"]: s["computed"] for s in said["steps"]}


def test_a_killed_run_loses_a_unit_and_had_said_how_long(place: Path) -> None:
    whole = Driver(place, "whole")
    assert whole.end()["score lm"] == ROWS
    ended = max(at for at, line in whole.lines if "1,000 of 1,000 rows" in line)
    at, _, left = whole.units()[2]
    assert abs(left - (ended - at)) <= 0.3 * (ended - at), (left, ended - at)

    killed = Driver(place, "killed")
    while len(killed.units()) < 3 and killed.process.poll() is None:
        time.sleep(0.2)
    time.sleep(3)
    os.killpg(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    killed._reader.join(10)
    finished = killed.units()[-1][1]
    again = Driver(place, "killed").end()["score lm"]
    assert ROWS - finished - 1.5 * UNIT <= again <= ROWS - finished < ROWS - 2 * UNIT  # a commit may miss its line
    both = [_selected(place / lake) for lake in ("whole", "killed")]
    assert both[0] == both[1]


def _selected(lake: Path) -> list[tuple[str, float]]:
    import deltalake

    rows = deltalake.DeltaTable(str(lake / "selection_fluent")).to_pyarrow_table().to_pylist()
    return sorted((r["id"], r["lm"]["nll_bits"]) for r in rows)


def test_a_loss_on_demand_is_computed_for_centres_and_probes_only(spark: SparkSession, tmp_path: Path) -> None:
    world = World(spark, tmp_path)
    world.put("docs", [{"id": f"d{i}", "text": f"# {i}\n{t[:300]}"} for i, t in enumerate(functions(5000))])
    raw = {
        "name": "losses",
        "documents": {"table": "docs"},
        "scores": {
            "vector": {"kind": "embedding", "encoder": "wordllama"},
            "cells": {"kind": "kmeans", "k": 20},
            "lm": {"kind": "generative_entropy", "max_tokens": 100},
        },
        "select": {"kind": "sensitivity", "cluster": "cells", "loss": "lm.nll_bits", "probes": 5, "pay": False},
        "budget": {"rows": 200},
    }
    first = run(world.lake, parse(raw))
    computed = sum(s.computed or 0 for s in first.steps if s.step == "on demand: lm")
    assert 100 <= computed <= 20 + 20 * 5
    second = run(world.lake, parse({**raw, "budget": {"rows": 300}}))
    asked = [s for s in second.steps if s.step == "on demand: lm"]
    assert asked
    assert sum(s.computed or 0 for s in asked) == 0
