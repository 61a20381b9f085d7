"""Memory of the Python workers does not grow with rows x targets: their peak at 5 000 and at 20 000 rows.

Each size runs in a fresh Spark of its own (`python -m tests.udfs.spark.test_memory ROWS FOLDER`): a worker's peak is
that of its whole life, and workers are reused.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from lakesift.udfs.scores.zipfit import ZipFit, ZipFitScorer
from tests.bench.lines import windows
from tests.texts import human_eval
from tests.udfs.scores.conftest import TARGET, fit_locally

ROOT = Path(__file__).resolve().parents[3]
TARGETS, FEW, MANY = 164, 5_000, 20_000


@dataclass(frozen=True)
class Peak(ZipFitScorer):
    """Scores like ZIP-FIT and yields the worker's peak resident set in KiB instead, as far as the batch has come."""

    kind: ClassVar[str] = "peak"
    comment: ClassVar[str] = "peak resident set, KiB"
    value: ClassVar[str] = "bigint"

    def kernel(self) -> Callable[..., Any]:
        score = ZipFitScorer.kernel(self)

        def run(texts: list[str]) -> Any:
            score(texts)
            status = Path("/proc/self/status").read_text(encoding="utf-8")
            peak = next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmHWM"))
            return np.full(len(texts), peak, dtype=np.int64)

        return run


def peak_kib(rows: int, folder: str) -> int:
    """Score so many rows from a Delta table in two workers; returns the largest peak."""
    from pyspark.sql import functions as F

    from lakesift.jobs.lake.session import read_conf, session
    from tests.udfs.spark.scoring import scored

    conf = Path(folder) / "two.conf"
    settings = {**read_conf("local"), "spark.master": "local[2,4]"}
    conf.write_text("\n".join(f"{k} {v}" for k, v in settings.items()), encoding="utf-8")
    spark = session(str(conf))
    table = str(Path(folder) / "docs")
    made = [(f"d{i}", f"h{i}", text) for i, text in enumerate(windows(430, rows))]
    spark.createDataFrame(made, "id string, content_hash string, text string").repartition(2).write.format(
        "delta"
    ).save(table)
    fitted = fit_locally(ZipFit(target=TARGET, level=1), {TARGET: {"text": human_eval(TARGETS)}})
    values = scored(
        spark.read.format("delta").load(table), Peak(**{f.name: getattr(fitted, f.name) for f in fields(fitted)})
    )
    found = values.agg(F.max("value").alias("peak"), F.count("value").alias("rows")).collect()[0]
    assert found["rows"] == rows
    spark.stop()
    return int(found["peak"])


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
def test_workers_do_not_grow_with_rows(tmp_path: Path) -> None:
    peaks = {}
    for rows in (FEW, MANY):
        folder = tmp_path / str(rows)
        folder.mkdir()
        command = [sys.executable, "-m", "tests.udfs.spark.test_memory", str(rows), str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        peaks[rows] = int(done.stdout.split()[-1])
    assert peaks[MANY] - peaks[FEW] < min(0.1 * peaks[FEW], 30_000), peaks


if __name__ == "__main__":
    sys.stdout.write(f"{peak_kib(int(sys.argv[1]), sys.argv[2])}\n")
