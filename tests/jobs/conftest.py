"""A small pool of real text as Delta tables, and a recipe over it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import Recipe, parse
from tests.texts import functions, human_eval

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(params=["folder", "catalog"])
def lake(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Iterator[Lake]:
    """An empty lake: a folder, or a schema of the catalog."""
    if request.param == "folder":
        yield Lake(spark, str(tmp_path / "lake"))
        return
    catalog = Lake(spark, "spark_catalog.lake_of_tests")
    with catalog.lock("a test"):  # makes the schema
        yield catalog
    spark.sql(f"DROP SCHEMA {catalog.schema} CASCADE")


@dataclass
class World:
    """A lake in a folder with `docs` and `goals`, and what is needed to run recipes over it."""

    spark: SparkSession
    root: Path

    @property
    def lake(self) -> Lake:
        return Lake(self.spark, str(self.root))

    def put(self, table: str, rows: list[dict[str, Any]], mode: str = "overwrite", files: int = 2) -> None:
        frame = self.spark.createDataFrame(pd.DataFrame(rows)).repartition(files)
        frame.write.format("delta").mode(mode).save(str(self.root / table))

    def sql(self, text: str) -> list[Any]:
        """Run SQL in which {name} stands for a table of the lake."""
        names = {p.parent.name: f"delta.`{p.parent}`" for p in self.root.glob("*/_delta_log")}
        return self.spark.sql(text.format(**names)).collect()

    def versions(self) -> dict[str, int]:
        """Newest version of every table, from the logs themselves."""
        return {
            p.name: max(int(f.stem) for f in (p / "_delta_log").glob("*.json") if f.stem.isdigit())
            for p in self.root.iterdir()
            if (p / "_delta_log").is_dir()
        }

    def rows(self, table: str, version: int | None = None) -> list[tuple[Any, ...]]:
        """All rows of a table, ordered, as plain tuples."""
        frame = self.lake.read(table, version)
        return sorted((tuple(r) for r in frame.select(*sorted(frame.columns)).collect()), key=repr)


def pool(n: int) -> list[dict[str, Any]]:
    """`n` library functions with ids, and a module column."""
    texts = functions()[:n]
    return [{"id": f"doc-{i:05d}", "module": f"m{i % 5}", "text": t} for i, t in enumerate(texts)]


#: Scores that learn from documents, an asked loss, and every selector over clusters, vectors and weights.
VECTORS: dict[str, Any] = {
    "scores": {
        "vector": {"kind": "embedding", "encoder": "hashed_ngrams", "dimensions": 32},
        "cells": {"kind": "kmeans", "k": 6},
        "logw": {"kind": "dsir", "target": "goals"},
        "reach": {"kind": "leverage"},
        "entropy": {"kind": "information_entropy"},
        "ratio": {"kind": "compression_ratio"},
        "topics": {
            "kind": "tags",
            "encoder": "hashed_ngrams",
            "dimensions": 32,
            "floor": 0.0,
            "least": 3,
            "terms": 40,
        },
    },
    "where": "module <> 'm4'",
    "select": {"kind": "sensitivity", "cluster": "cells", "loss": "ratio", "probes": 2},
    "controls": [
        {"kind": "kmq", "cluster": "cells", "quality": "entropy"},
        {"kind": "kmeans_random", "cluster": "cells"},
        {"kind": "kmeans_closest", "cluster": "cells"},
        {"kind": "k_center"},
        {"kind": "facility_location", "quality": "entropy", "alpha": 0.5},
        {"kind": "semdedup", "cluster": "cells", "by": "entropy", "eps": 0.01},
        {"kind": "deita", "by": "entropy"},
        {"kind": "resample", "by": "logw"},
        {"kind": "top_k", "by": "reach"},
        {"kind": "mig", "labels": "topics", "quality": "entropy"},
    ],
}


def recipe(name: str = "tiny", **changes: Any) -> Recipe:
    """The recipe of these tests; `changes` replace top-level keys."""
    raw: dict[str, Any] = {
        "name": name,
        "documents": {"table": "docs"},
        "targets": {"goals": {"table": "goals", "where": "n % 2 = 0", "held_out": "n % 2 = 1"}},
        "scores": {
            "alignment": {"kind": "zipfit", "target": "goals"},
            "tokens": {"kind": "length_tokens"},
            "ratio": {"kind": "compression_ratio"},
        },
        "where": "tokens >= 20",
        "select": {"kind": "top_k", "by": "alignment"},
        "budget": {"rows": 40},
        "controls": ["random", "length_matched"],
        "report": {"shares": ["module"]},
        "seed": 42,
    }
    return parse({**raw, **changes})


@pytest.fixture(scope="module")
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    """300 documents and 12 target texts, no run yet."""
    made = World(spark, tmp_path_factory.mktemp("lake"))
    made.put("docs", pool(300))
    made.put("goals", [{"n": i, "text": t} for i, t in enumerate(human_eval()[:12])], files=1)
    return made
