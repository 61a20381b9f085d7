"""The same rows however they lie and whatever computes them: the same ids, ranks, scores and controls.

Every layout is computed anew: the memos are emptied before each run, and the closing table says that all was computed.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pyspark
import pytest
import yaml

from lakesift.jobs.run import run
from tests.conftest import local_conf
from tests.jobs.conftest import VECTORS, World, pool, recipe
from tests.texts import human_eval

DERIVED = ("selection_tiny", "scores_tiny", "controls_tiny")
BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"


def computed(world: World, rows: int, files: int, batch: int) -> dict[str, list[tuple[Any, ...]]]:
    """Lay `rows` documents out in `files` files in an order of their own, and compute everything from them."""
    docs = pool(rows)
    random.Random(files * batch).shuffle(docs)
    world.put("docs", docs, files=files)
    if (world.root / "memos").exists():
        world.sql("DELETE FROM {memos}")
    world.spark.conf.set(BATCH, str(batch))
    try:
        made = run(world.lake, recipe())
    finally:
        world.spark.conf.unset(BATCH)
    assert [s.computed for s in made.steps if s.step.startswith("score ")] == [rows] * 3
    return {name: world.rows(name) for name in DERIVED}


def test_two_layouts(world: World) -> None:
    assert computed(world, 60, files=1, batch=10_000) == computed(world, 60, files=7, batch=3)


@pytest.mark.long
def test_all_layouts(world: World) -> None:
    first = computed(world, 300, files=1, batch=10_000)
    assert len(first["selection_tiny"]) == 40
    for files, batch in ((1, 3), (7, 10_000), (50, 3), (50, 10_000)):
        assert computed(world, 300, files, batch) == first, (files, batch)


def selected(folder: Path, master: str, recipe_file: Path) -> list[dict[str, Any]]:
    """Run a recipe in a process of its own on `master`, in a lake of its own; returns the selection by rank."""
    lake, conf = folder / master, folder / f"{master}.conf"
    conf.write_text(local_conf(folder / "warehouse").replace("local[2,4]", master))
    command = [sys.executable, "-m", "lakesift.jobs.cli", "run", str(recipe_file), "--lake", str(lake)]
    env = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    made = subprocess.run([*command, "--spark", str(conf)], capture_output=True, text=True, env=env, timeout=900)
    assert made.returncode == 0, made.stderr[-3000:]
    tables = [
        deltalake.DeltaTable(str(lake / f"{n}_places")).to_pyarrow_table().to_pylist()
        for n in ("selection", "controls")
    ]
    return [row for rows in tables for row in sorted(rows, key=lambda r: (r.get("control", ""), int(r["rank"])))]


@pytest.mark.long
@pytest.mark.parametrize("changes", [{}, VECTORS], ids=["alignment", "vectors"])
def test_one_core_two_cores_and_a_cluster(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A local cluster writes its workers' folders into pyspark's own; they are removed."""
    tables = {"docs": pool(120), "goals": [{"text": t} for t in human_eval()[:6]]}
    for name, rows in tables.items():
        deltalake.write_deltalake(str(tmp_path / name), pa.Table.from_pylist(rows))
    raw = {
        "name": "places",
        "documents": {"table": f"delta.`{tmp_path / 'docs'}`"},
        "targets": {"goals": {"table": f"delta.`{tmp_path / 'goals'}`"}},
        "scores": {"alignment": {"kind": "zipfit", "target": "goals"}, "tokens": {"kind": "length_tokens"}},
        "select": {"kind": "stratified", "column": "module", "by": "alignment"},
        "budget": {"rows": 30},
        "controls": ["random"],
        **changes,
    }
    recipe_file = tmp_path / "places.yaml"
    recipe_file.write_text(yaml.safe_dump(raw))
    work = Path(pyspark.__file__).parent / "work"
    before = work.exists()
    try:
        made = {m: selected(tmp_path, m, recipe_file) for m in ("local[1]", "local[2]", "local-cluster[2,1,1024]")}
    finally:
        if not before:
            shutil.rmtree(work, ignore_errors=True)
    assert sum(row.get("copies", 0) for row in made["local[1]"]) == 30
    assert made["local[1]"] == made["local[2]"] == made["local-cluster[2,1,1024]"]
