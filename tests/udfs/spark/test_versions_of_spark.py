"""Spark 3.5, Spark 4.0 and Spark Connect select what Spark 4.1 selects, with the same code and the same scores.

Vectors once as they are and once as if no driver took them, so that selectors work in two rounds.

Theirs has a first run over one file and a second over two, which goes by change; here all is made at once.
Each has packages of its own below build/, made once. Left out: clusters, and every command but `run`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import yaml

from lakesift.jobs.lake.delta_jars import delta_jars
from lakesift.jobs.lake.session import STATIC
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.ranking.vectors import vector_bytes
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from tests.jobs.conftest import VECTORS, pool
from tests.texts import human_eval
from tests.types import ROOT, link

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.long

COMMON = ("pandas<3", "pyarrow<22", "numpy", "scipy", "PyYAML")
VERSIONS = {
    "3.5": ("pyspark==3.5.9", "delta-spark==3.3.3", *COMMON),
    "4.0": ("pyspark==4.0.5", "delta-spark==4.0.1", *COMMON),
}
CONNECT = ("grpcio>=1.76", "grpcio-status>=1.76", "googleapis-common-protos")
RESULTS = {"scores_ported": ["id"], "selection_ported": ["rank"], "controls_ported": ["control", "rank"]}


def installed(folder: Path, packages: tuple[str, ...], *command: str) -> None:
    """Install packages once: `folder` names them when they are there."""
    done = folder / "packages.txt"
    if done.is_file() and done.read_text() == " ".join(packages):
        return
    subprocess.run([*command, "install", "--quiet", *packages], check=True)
    done.write_text(" ".join(packages))


def python_of(spark: str) -> Path:
    """Return the Python of a virtual environment with a version of Spark."""
    folder = ROOT / "build" / f"venv-spark-{spark}"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    installed(folder, VERSIONS[spark], str(python), "-m", "pip")
    return python


#: Selectors in two rounds: no driver takes the vectors, a task takes 40 of them, and a merge 60.
TWO_ROUNDS = {
    "vectors.VECTOR_BYTES": 1,
    "vector_tasks.TASK_BYTES": vector_bytes(40, 32),
    "vector_tasks.MERGE_BYTES": vector_bytes(60, 32),
}
CASES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "alignment": ({}, {}),
    "vectors": (VECTORS, {}),
    "two rounds": (VECTORS, TWO_ROUNDS),
}


def bounded(case: str, code: str) -> str:
    """Return code that sets the bounds of a case first."""
    bounds = [f"{name} = {value}" for name, value in CASES[case][1].items()]
    return "\n".join(["from lakesift.jobs.ranking import vector_tasks, vectors", *bounds, code])


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    """The name of a case."""
    return str(request.param)


@pytest.fixture(scope="module")
def raw(case: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("files")
    docs = pool(120)
    for name, rows in (("docs", docs[:100]), ("more", docs[100:]), ("goals", [{"text": t} for t in human_eval()[:4]])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return {
        "name": "ported",
        "documents": {"table": "corpus", "from": {"files": [str(folder / f) for f in ("docs.jsonl", "more.jsonl")]}},
        "targets": {"goals": {"table": "goals", "from": {"files": [str(folder / "goals.jsonl")]}}},
        "scores": {
            "alignment": {"kind": "zipfit", "target": "goals"},
            "tokens": "length_tokens",
            "entropy": "information_entropy",
        },
        "where": "tokens >= 20 AND module <> 'm4'",
        "select": {"kind": "stratified", "column": "module", "quota": "proportional", "by": "alignment"},
        "budget": {"rows": 25},
        "controls": ["random", "length_matched"],
        **CASES[case][0],
    }


@pytest.fixture(scope="module")
def here(
    spark: SparkSession, case: str, raw: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, pl.DataFrame]:
    """What the Spark of this environment makes."""
    lake = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in CASES[case][1].items():
            patched.setattr(f"lakesift.jobs.ranking.{name}", value)
        notes = " ".join(run(Lake(spark, str(lake)), parse(raw)).notes)
    assert ("than the 1 bytes that one driver takes" in notes) == (case == "two rounds"), notes
    made = read(lake)
    assert made["selection_ported"]["copies"].sum() == 25
    return made


def read(lake: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.read_delta(str(lake / name)).sort(by) for name, by in RESULTS.items()}


def same(lake: Path, here: dict[str, pl.DataFrame]) -> None:
    for name, rows in read(lake).items():
        assert rows.equals(here[name], null_equal=True), name


def call(*command: str, status: int = 0, **environment: str) -> str:
    """Run a command to its end, with its exit status; returns what it printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK"))}
    env = {**kept, "SPARK_LOCAL_IP": "127.0.0.1", **environment}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1_200, check=False)
    assert done.returncode == status, (done.stdout + done.stderr)[-6_000:]
    return done.stdout


def written(raw: dict[str, Any], folder: Path) -> list[Path]:
    """Return the files of the recipe as it is run: over the first file of documents, then over both.

    At once over both where models are fitted, which would be those of the first.
    """
    documents, files = raw["documents"], raw["documents"]["from"]["files"]
    first = {**raw, "documents": {**documents, "from": {"files": files[:1]}}}
    made = []
    for number, recipe in enumerate([first, raw] if "alignment" in raw["scores"] else [raw]):
        made.append(folder / f"{number}.yaml")
        made[-1].write_text(yaml.safe_dump(recipe, sort_keys=False))
    return made


def manifests(lake: Path) -> list[dict[str, Any]]:
    """Return the manifests of all runs; a second one went by change."""
    found = [json.loads(m) for m in pl.read_delta(str(lake / "runs")).sort("sequence")["manifest"]]
    for manifest in found[1:]:
        how = {s["step"]: (s["how"], s["read_rows"]) for s in manifest["steps"] if s.get("how")}
        assert how["hashes"] == ("files of the log", 20)
        assert how["ingest"] == ("new and changed files", 20)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_other_versions_select_the_same(
    version: str, case: str, raw: dict[str, Any], here: dict[str, pl.DataFrame], spark_conf: Path, tmp_path: Path
) -> None:
    lake, python = tmp_path / "lake", str(python_of(version))
    command = bounded(case, "from lakesift.jobs.cli import main\nmain()")

    def lakesift(file: Path, status: int = 0) -> str:
        words = ["-c", command, "run", str(file), "--lake", str(lake), "--spark", str(spark_conf)]
        return call(python, *words, status=status, PYTHONPATH=str(link()))

    files = written(raw, tmp_path)
    said = [lakesift(file) for file in files]
    assert f"{len(here['selection_ported'])} rows in selection_ported, version {len(files)}" in said[-1]
    same(lake, here)
    assert all(m["versions"]["pyspark"].startswith(version) for m in manifests(lake))
    assert "nothing has changed since" in lakesift(files[-1], status=3)


CLIENT = """
import sys
import yaml
from lakesift.jobs.lake.session import session
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run

spark = session()
assert "connect" in type(spark).__module__, type(spark)
lake, recipe = Lake(spark, sys.argv[2]), parse(yaml.safe_load(open(sys.argv[1])))
made = run(lake, recipe)
print(made.rows, run(lake, recipe).noop)
spark.stop()
"""


def test_spark_connect_selects_the_same(
    case: str, raw: dict[str, Any], here: dict[str, pl.DataFrame], spark_conf: Path, tmp_path: Path
) -> None:
    extra, lake = ROOT / "build" / "connect", tmp_path / "lake"
    extra.mkdir(parents=True, exist_ok=True)
    installed(extra, (f"--target={extra}", *CONNECT), sys.executable, "-m", "pip")
    settings = "\n".join(f"{k} {v}" for k, v in {**delta_jars(), **STATIC}.items())
    kept = [line for line in spark_conf.read_text().splitlines() if not line.startswith("spark.master")]
    (tmp_path / "spark-defaults.conf").write_text("\n".join(kept) + "\n" + settings + "\n")
    places = {"SPARK_REMOTE": "local[2]", "SPARK_CONF_DIR": str(tmp_path), "PYTHONPATH": f"{link()}:{extra}"}
    workers, code = {"PYSPARK_PYTHON": sys.executable}, bounded(case, CLIENT)
    for file in written(raw, tmp_path):
        said = call(sys.executable, "-c", code, str(file), str(lake), **places, **workers).split()[-2:]
    assert said == [str(len(here["selection_ported"])), "True"]
    same(lake, here)
    manifests(lake)
