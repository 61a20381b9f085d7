"""What a change of the documents costs, as a share of the first run: 1 % appended, deleted, edited; nothing new.

`python -m tests.bench append` (400 000 rows) and `append_4m` (4 000 000, the median of three; two hours). Real text of
200 characters a row over 20 files, as a Delta table and as a folder of Parquet files that is ingested; tokens, ratio,
entropy, wordllama vectors, k-means 100 fitted once, kmq 5 % and its control. The rival is the first run in the same
lake. Deleted and edited are rows of one file in twenty, as a merge on a date does it; in the folder that file is
replaced.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakesift.jobs.lake.manifest import Manifest
from lakesift.jobs.lake.session import session
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from tests.bench.lines import Line, line, table, windows

ROWS, FILES, TEXTS = 400_000, 20, 50_000
#: Shares of the first run's wall that are allowed, by what happened.
BARS = {"append": 0.25, "delete": 0.35, "edit": 0.35, "nothing new": 0.05}


def raw(source: dict[str, Any] | None = None) -> dict[str, Any]:
    """Cheap scores, vectors and clusters over them, as a recipe says it."""
    return {
        "name": "bench",
        "documents": {"table": "docs", **({"from": source} if source else {})},
        "scores": {
            "tokens": "length_tokens",
            "ratio": "compression_ratio",
            "entropy": "information_entropy",
            "vector": {"kind": "embedding", "encoder": "wordllama"},
            "cells": {"kind": "kmeans", "of": "vector", "k": 100},
        },
        "select": {"kind": "kmq", "cluster": "cells", "quality": "entropy"},
        "budget": {"fraction": 0.05},
        "controls": ["random"],
    }


class Documents:
    """The table of documents: text `i` of a base of real texts with the id in it, so that all rows differ."""

    name = "table"
    source: dict[str, Any] | None = None

    def __init__(self, spark: SparkSession, root: Path, rows: int) -> None:
        self.spark, self.rows, self.place = spark, rows, root / "docs"
        texts = spark.createDataFrame(list(enumerate(windows(200, TEXTS))), "n bigint, base string")
        texts.coalesce(2).write.parquet(str(root / "texts"))
        self.texts = spark.read.parquet(str(root / "texts"))
        self.add(0, rows, FILES)

    def made(self, first: int, count: int, files: int) -> DataFrame:
        numbers = self.spark.range(first, first + count, 1, files).withColumn("n", F.expr(f"pmod(id * 7919, {TEXTS})"))
        joined = numbers.join(F.broadcast(self.texts), "n")
        return joined.selectExpr("concat('doc-', id) AS id", "concat(base, ' ', id) AS text", "id DIV 1000 AS day")

    def add(self, first: int, count: int, files: int) -> None:
        self.made(first, count, files).write.format("delta").mode("append").save(str(self.place))

    def sql(self, text: str) -> None:
        self.spark.sql(text.format(t=f"delta.`{self.place}`")).collect()

    def append(self) -> None:
        self.add(self.rows, self.rows // 100, 1)

    def delete(self) -> None:
        """A fifth of the rows of one file."""
        self.sql(f"DELETE FROM {{t}} WHERE day < {self.rows // FILES // 1000} AND day % 5 = 1")

    def edit(self) -> None:
        """A fifth of the rows of another."""
        low = self.rows // FILES // 1000
        self.sql(
            f"UPDATE {{t}} SET text = concat(text, ' edited') WHERE day >= {low} AND day < {2 * low} AND day % 5 = 1"
        )

    def nothing_new(self) -> None:
        """Nothing."""


class Folder(Documents):
    """The same documents as a folder of Parquet files outside of the lake."""

    name = "folder"

    def __init__(self, spark: SparkSession, root: Path, rows: int) -> None:
        self.folder = root / "in"
        self.folder.mkdir()
        super().__init__(spark, root, rows)
        self.source = {"files": [str(self.folder)], "format": "parquet"}

    def add(self, first: int, count: int, files: int) -> None:
        self._put(self.made(first, count, files), f"{first:09}")

    def delete(self) -> None:
        self._replace(0, "NOT day % 5 = 1", "text")

    def edit(self) -> None:
        self._replace(1, "true", "IF(day % 5 = 1, concat(text, ' edited'), text)")

    def _replace(self, number: int, where: str, text: str) -> None:
        file = sorted(self.folder.iterdir())[number]
        rows = self.spark.read.parquet(str(file)).where(where).selectExpr("id", f"{text} AS text", "day").coalesce(1)
        self._put(rows, file.name.split("-")[0], file.name)

    def _put(self, rows: DataFrame, name: str, only: str = "") -> None:
        new = self.folder.parent / "new"
        rows.write.mode("overwrite").parquet(str(new))
        for part, file in enumerate(sorted(new.glob("*.parquet"))):
            file.rename(self.folder / (only or f"{name}-{part:02}.parquet"))


def measured(spark: SparkSession, kind_of: type[Documents], rows: int, repeats: int) -> dict[str, list[float]]:
    """Return wall seconds of each kind of run, and print where they went."""
    walls: dict[str, list[float]] = {}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            documents, lake = kind_of(spark, Path(folder), rows), Lake(spark, folder)
            kinds = {
                "first run": documents.nothing_new,
                "append": documents.append,
                "delete": documents.delete,
                "edit": documents.edit,
                "nothing new": documents.nothing_new,
            }
            for kind, happens in kinds.items():
                happens()
                start = time.perf_counter()
                made = run(lake, parse(raw(documents.source)))
                walls.setdefault(kind, []).append(time.perf_counter() - start)
                print(f"{documents.name}, {kind}: {walls[kind][-1]:.1f} s; {steps(made)}", flush=True)
    return walls


def steps(made: Manifest) -> str:
    """Seconds by step, and what the hashes read."""
    told = (f"{s.step} {s.seconds}{f' ({s.how})' if s.how else ''}" for s in made.steps if s.seconds)
    return "already up to date" if made.noop else ", ".join(told)


def compare(rows: int, bars: dict[str, float], repeats: int = 1) -> list[Line]:
    """Print one line a kind of change and return the lines."""
    spark, lines = session(), []
    for kind_of in (Folder, Documents):
        walls = {kind: statistics.median(found) for kind, found in measured(spark, kind_of, rows, repeats).items()}
        for kind, bar in bars.items():
            name = f"{kind_of.name}, {kind}, {rows:,} rows / first run, s"
            lines.append(line(name, walls[kind], walls["first run"], 1 / bar))
    spark.stop()
    print(table(lines))
    return lines


def main() -> list[Line]:
    """400 000 rows, once."""
    return compare(ROWS, BARS)


if __name__ == "__main__":
    main()
