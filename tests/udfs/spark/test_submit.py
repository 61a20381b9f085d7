"""spark-submit with the zip that `make zip` makes: driver and workers import the code out of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pyspark
import pytest

from tests.fetched import fetched
from tests.types import ROOT

#: A scorer on the workers, and where they found it; recipes are found in the archive, too.
MAIN = """
import lakesift as ls
from lakesift.jobs.recipe import shipped
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.getOrCreate()
rows = spark.createDataFrame([("a" * 1000,)], "text string")
found = F.udf(lambda text: __import__("lakesift").__file__)
row = rows.select(ls.score("compression_ratio")("text").alias("ratio"), found("text").alias("worker")).collect()[0]
print("DRIVER", ls.__file__, len(shipped()))
print("WORKER", row["worker"], row["ratio"])
"""


def submitted(tmp_path: Path, program: str, master: str, *settings: str) -> tuple[str, str]:
    """Run a program by spark-submit on a local cluster; returns its output and its log.

    A local cluster writes its workers' folders into pyspark's own; they are removed.
    """
    path, work = tmp_path / "program.py", Path(pyspark.__file__).parent / "work"
    path.write_text(program)
    before = work.exists()
    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", master]
    command += ["--conf", "spark.ui.enabled=false", *settings, str(path)]
    env = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    env.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=300)
    finally:
        if not before:
            shutil.rmtree(work, ignore_errors=True)
    return done.stdout, done.stderr


@pytest.mark.long
def test_workers_import_from_the_zip(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    env = {**os.environ, "LAKESIFT_PURE": "1"}
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(ROOT)], env=env, check=True)
    archive = next(tmp_path.glob("*-none-any.whl")).rename(tmp_path / "lakesift.zip")
    out, log = submitted(tmp_path, MAIN, "local-cluster[1,1,1024]", "--py-files", str(archive))
    said = dict(line.split(" ", 1) for line in out.splitlines() if line[:6] in ("DRIVER", "WORKER"))
    assert said.keys() == {"DRIVER", "WORKER"}, log[-3000:]
    assert "lakesift.zip/lakesift/__init__.py" in said["DRIVER"]
    assert "lakesift.zip/lakesift/__init__.py" in said["WORKER"]
    assert said["DRIVER"].split()[-1] == str(len(list((ROOT / "conf" / "runs").glob("*.yaml"))))
    assert said["WORKER"].split()[-1] == "0.017"


#: The language model on two workers, which find its files in an archive that Spark unpacks beside them.
MODEL = """
import lakesift as ls
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.getOrCreate()
text = "The tide comes in and the boats lie at their moorings."
rows = spark.createDataFrame([(text,)] * 4, "text string").repartition(2)
where = F.udf(lambda text: str(__import__("lakesift.udfs.models.files", fromlist=["x"]).path_of("smollm2")))
found = rows.select(ls.score("generative_entropy")("text").alias("lm"), where("text").alias("where")).collect()
print("FOUND", found[0]["where"], len({r["lm"] for r in found}), found[0]["lm"]["tokens_scored"])
"""


@pytest.mark.long
def test_workers_find_the_language_model_in_an_archive(tmp_path: Path) -> None:
    folder = fetched("smollm2")
    with tarfile.open(tmp_path / "models.tar", "w") as archive:
        archive.add(folder, f"{folder.parent.name}/{folder.name}")
    settings = ["--archives", f"{tmp_path}/models.tar#models", "--conf", "spark.executorEnv.LAKESIFT_MODELS=./models"]
    out, log = submitted(tmp_path, MODEL, "local-cluster[2,1,1024]", *settings)
    said = next((line.split()[1:] for line in out.splitlines() if line.startswith("FOUND")), None)
    assert said == [f"models/{folder.parent.name}/{folder.name}", "1", "13"], log[-3000:]
