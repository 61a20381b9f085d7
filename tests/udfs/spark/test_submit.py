"""spark-submit with the zip that `make zip` makes: driver and workers import the code out of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

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


@pytest.mark.long
def test_workers_import_from_the_zip(tmp_path: Path) -> None:
    """A local cluster writes its workers' folders into pyspark's own; they are removed."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    env = {**os.environ, "LAKESIFT_PURE": "1"}
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(ROOT)], env=env, check=True)
    archive = next(tmp_path.glob("*-none-any.whl")).rename(tmp_path / "lakesift.zip")
    program, work = tmp_path / "program.py", Path(pyspark.__file__).parent / "work"
    program.write_text(MAIN)
    before = work.exists()
    settings = ["--master", "local-cluster[1,1,1024]", "--conf", "spark.ui.enabled=false"]
    env = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    env.pop("PYTHONPATH", None)
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    command = [str(submit), *settings, "--py-files", str(archive), str(program)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=300)
    finally:
        if not before:
            shutil.rmtree(work, ignore_errors=True)
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line[:6] in ("DRIVER", "WORKER"))
    assert said.keys() == {"DRIVER", "WORKER"}, done.stderr[-3000:]
    assert "lakesift.zip/lakesift/__init__.py" in said["DRIVER"]
    assert "lakesift.zip/lakesift/__init__.py" in said["WORKER"]
    assert said["DRIVER"].split()[-1] == str(len(list((ROOT / "conf" / "runs").glob("*.yaml"))))
    assert said["WORKER"].split()[-1] == "0.017"
