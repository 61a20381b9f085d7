"""A whole default k-means through Spark: fit and assignment into Delta, against faiss and MLlib in one run.

`python -m tests.bench clusters`. 200 000 vectors of 256 (a mixture with decaying variances, length 1), k = 500, session
start aside. faiss: 10 iterations on all rows from one random start, all threads. MLlib: its own KMeans, best of its
settings is what it is given: random start, 10 iterations, from a frame held in memory.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd

from lakesift.jobs.lake.session import session
from lakesift.jobs.lake.tables import Lake
from lakesift.jobs.recipe import parse
from lakesift.jobs.run import run
from lakesift.jobs.scoring.models import recall
from tests.bench.lines import Line, line, table

ROWS, WIDTH, K = 200_000, 256, 500


def vectors(rows: int = ROWS, width: int = WIDTH, groups: int = 200, seed: int = 0) -> np.ndarray:
    """Return clusters of uneven size around means, variances that decay, every row of length 1."""
    draw = np.random.default_rng(seed)
    means, scale = draw.normal(size=(groups, width)), np.exp(-np.arange(width) / 60)
    group = draw.choice(groups, rows, p=draw.dirichlet(np.full(groups, 2.0)))
    x = ((means[group] * 0.6 + draw.normal(size=(rows, width))) * scale).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def recipe(name: str, k: int):
    return parse(
        {
            "name": name,
            "documents": {"table": "points", "text": "id"},
            "scores": {
                "vector": {
                    "kind": "embedding",
                    "encoder": "column",
                    "of": "v",
                    "dimensions": WIDTH,
                    "normalise": False,
                },
                "cells": {"kind": "kmeans", "of": "vector", "k": k},
            },
            "select": {"kind": "kmeans_random", "cluster": "cells"},
            "budget": {"rows": 1000},
            "keep": [],
        }
    )


def main() -> list[Line]:
    """Run all three."""
    x = vectors()
    spark = session("local")
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(spark, folder)
        path = Path(folder) / "in.parquet"
        pd.DataFrame({"id": np.arange(ROWS).astype(str), "v": list(x)}).to_parquet(path, index=False)
        points = spark.read.parquet(str(path)).repartition(8)
        points.limit(4_000).write.format("delta").save(f"{folder}/points")
        run(lake, recipe("warm", 10), until="score")  # the JVM's first steps
        points.write.format("delta").mode("overwrite").save(f"{folder}/points")
        made = run(lake, recipe("clusters", K), until="score")
        seconds = {s.step: s.seconds for s in made.steps}
        print(made.table())
        ours = seconds["fit cells"] + seconds["compute"]  # of two passes the second, after the fit
        row = lake.read("models").where(f"fingerprint = '{made.fingerprints['cells']}'").collect()[0]
        reads = {"vector": made.fingerprints["vector"]}
        model = recall(lake, row["fit_key"], recipe("clusters", K).scores["cells"], reads)
        assert model is not None
        inertia = float(lake.read("scores_clusters").selectExpr("sum(cells.distance_sq)").collect()[0][0])

        start = time.monotonic()
        rival = faiss.Kmeans(WIDTH, K, niter=10, nredo=1, seed=1, max_points_per_centroid=10**9)
        rival.train(x)
        far, _ = rival.index.search(x, 1)
        faiss_seconds, faiss_inertia = time.monotonic() - start, float(far.astype(np.float64).sum())
        print(f"inertia: ours {inertia:.1f}, faiss {faiss_inertia:.1f}, ratio {inertia / faiss_inertia:.4f}")

        from pyspark.ml.clustering import KMeans
        from pyspark.ml.functions import array_to_vector

        frame = spark.read.format("delta").load(f"{folder}/points").select(array_to_vector("v").alias("features"))
        frame = frame.repartition(8).cache()
        frame.count()
        start = time.monotonic()
        fitted = KMeans(k=K, initMode="random", maxIter=10, seed=1).fit(frame)
        fitted.transform(frame).select("prediction").write.format("delta").save(f"{folder}/mllib")
        mllib_seconds, mllib_inertia = time.monotonic() - start, fitted.summary.trainingCost
        print(f"inertia: MLlib {mllib_inertia:.1f}, ours/MLlib {inertia / mllib_inertia:.4f}")
    return [
        line("k-means through Spark, wall s (faiss, 10 its on all)", ours, faiss_seconds, 0.5),
        line("k-means through Spark, wall s (MLlib, 10 its)", ours, mllib_seconds, 5.0),
        line("k-means through Spark, inertia (faiss)", inertia, faiss_inertia, 0.99),
        line("k-means through Spark, inertia (MLlib)", inertia, mllib_inertia, 1.0),
    ]


if __name__ == "__main__":
    print(table(main()))
