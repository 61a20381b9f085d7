"""A small pool with everything that makes ranking hard, what selectors get, and an independent reading of the hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from lakesift.jobs.selectors.selector import Pool, Values
from lakesift.udfs.scorer import Scorer
from lakesift.udfs.scores._label_model import LabelModel

N, TOPICS = 600, 30
#: A label model over the column `topics`: a ring of labels, every third edge left out.
MODEL = LabelModel(
    names=tuple(f"topic {i}" for i in range(TOPICS)),
    label=np.arange(TOPICS),
    rows=np.ones(TOPICS, np.int64),
    a=np.array([i for i in range(TOPICS - 1) if i % 3], np.int32),
    b=np.array([i + 1 for i in range(TOPICS - 1) if i % 3], np.int32),
    weight=np.array([0.5 + i / 100 for i in range(TOPICS - 1) if i % 3], np.float32),
)


def pool() -> pd.DataFrame:
    """Rows with ties, nulls, two zeros, denormals and huge values; 60 % of them in one module, some in none."""
    rng = np.random.default_rng(11)
    score = rng.normal(size=N).round(1) + 0.0
    score[::17] = rng.choice([-0.0, 0.0, 5e-324, -5e-324, 1e-310, 1e308, -1e308], len(score[::17]))
    module = rng.choice(["os", "re", "é", "json", ""], N, p=[0.6, 0.2, 0.1, 0.07, 0.03]).astype(object)
    module[5::40] = None
    frame = pd.DataFrame(
        {
            "id": [f"rów-{i}" for i in range(N)],
            "alignment": pd.array(score, dtype="Float64"),
            "entropy": pd.array(rng.random(N), dtype="Float64"),
            "nll": pd.array(rng.integers(0, 9, N) / 4, dtype="Float64"),
            "tokens": pd.array(rng.geometric(0.05, N), dtype="Int64"),
            "module": module,
            "quality": pd.array(rng.random(N).round(2) * (rng.random(N) < 0.5), dtype="Float64"),
        }
    )
    points = rng.normal(size=(9, 6))
    cell = rng.choice(9, N, p=[0.6, *[0.05] * 8])
    vector = (points[cell] + rng.normal(scale=0.4, size=(N, 6))).astype(np.float32)
    vector[100:110] = vector[100]  # duplicates
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    square = ((vector - points[cell]) ** 2).sum(axis=1)
    frame["vector"] = list(vector)
    frame["cells"] = [{"cluster": int(c), "distance_sq": float(d)} for c, d in zip(cell, square, strict=True)]
    frame["loss"] = 1 + square
    topics = np.random.default_rng(12)  # of its own: the other columns stay as they are
    sizes = topics.integers(0, 5, N)
    frame["topics"] = [sorted(set(topics.zipf(1.6, size).clip(max=TOPICS) - 1)) for size in sizes]
    for column in ("vector", "cells", "topics"):
        frame[column] = frame[column].where(np.arange(N) % 23 != 19, None)
    for column, start in (("alignment", 3), ("entropy", 7), ("tokens", 11), ("quality", 13)):
        frame.loc[start::29, column] = None
    return frame


def as_rows(spark: SparkSession, frame: pd.DataFrame, partitions: int, folder: Path) -> DataFrame:
    """The pool as a Spark frame: shuffled by another seed for every number of partitions."""
    path = folder / f"{partitions}.parquet"
    shuffled = frame.sample(frac=1, random_state=partitions).astype({"nll": "Float32"})
    shuffled.to_parquet(path, index=False)
    return spark.read.parquet(str(path)).repartition(partitions)


def hashes(spark: SparkSession, frame: pd.DataFrame, seed: int) -> pd.Series:
    """h = xxhash64(id, seed) by id, as SQL gives it."""
    sql = f"xxhash64(id, CAST({seed} AS BIGINT)) AS h"
    return spark.createDataFrame(frame[["id"]]).selectExpr("id", sql).toPandas().set_index("id")["h"]


def uniform(h: np.ndarray) -> np.ndarray:
    """The twin of sort_keys.uniform."""
    return ((np.asarray(h, np.int64).view(np.uint64) >> np.uint64(11)).astype(float) + 0.5) * 2.0**-53


def pool_of(
    rows: DataFrame,
    budget: int,
    seed: int,
    selected: pd.DataFrame | None = None,
    values: Values | None = None,
    fitted: Mapping[str, Scorer] | None = None,
    note: Callable[[str], None] | None = None,
) -> Pool:
    """What a selector gets; without `values` it may ask for nothing."""
    return Pool(rows, budget, seed, fitted or {}, values or _nothing, note or (lambda _: None), selected)


def _nothing(what: Any, ids: Any = None) -> pd.DataFrame:
    raise AssertionError(f"values of {what} were asked for, of {ids}")
