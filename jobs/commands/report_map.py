"""A map of the pool and how well it is covered, from vectors of a sample of pool, selection and controls.

The two axes are principal components of the pool's sample; coverage is the mean, over the pool's sample, of the cosine
to the nearest sampled row of a set, as more of its rows are taken in order of rank. Left out: all draws of a control
but the stored one, and vectors in source columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.encoding import value_sql
from ..inputs.documents import hash_name
from ..inputs.run import Run
from ..lake.schemas import MEMOS
from .made_from import Made
from .page.content import Map, Points
from .report_samples import sample_of_sets

#: Rows of each set.
MAP_ROWS = 1_200
#: Points of a curve of coverage.
STEPS = 40


def map_of(run: Run, of: Made, ranked: DataFrame, counts: Mapping[str, int]) -> Map | None:
    """Return the map and the coverage; None without a score of kind embedding, or where its vectors are gone.

    Parameters
    ----------
    ranked : DataFrame
        `set`, `id` and `rank` of the selection and of one draw of each control.
    counts : mapping
        Rows of each set, "pool" among them.
    """
    name = next((n for n, score in run.recipe.scores.items() if score.kind == "embedding"), "")
    fingerprint = of.said.get("fingerprints", {}).get(name)
    if not fingerprint:
        return None
    column = hash_name(run.recipe.source_inputs(name))
    hashed = run.hashed.select("id", F.col(column).alias("content_hash"))
    sample = sample_of_sets(hashed, ranked.select("set", "id"), counts, "map", MAP_ROWS)
    vector = F.expr(value_sql(run.recipe.scores[name].value)).alias("vector")
    memos = run.lake.read(MEMOS).where(F.col("fingerprint") == fingerprint).select("id", "content_hash", vector)
    found = memos.join(F.broadcast(sample), ["id", "content_hash"], "inner").where("vector IS NOT NULL")
    # An id is in several sets: its vector comes once.
    rows = found.groupBy("id").agg(F.first("vector").alias("vector")).toPandas()
    sets = sample.select("id", "set").join(ranked, ["set", "id"], "left").toPandas()
    vectors = dict(zip(rows["id"], rows["vector"], strict=True))
    return drawn(name, {str(s): _matrix(part, vectors) for s, part in sets.groupby("set")})


def _matrix(rows: pd.DataFrame, vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the (rows, width) vectors of a set in order of rank, of the pool in order of id."""
    ids = rows.sort_values(["rank", "id"])["id"]
    return np.array([vectors[i] for i in ids if i in vectors], dtype=np.float64)


def drawn(name: str, sets: Mapping[str, np.ndarray]) -> Map | None:
    """Return the map of sets of (rows, width) vectors, one of them "pool"; None if that has fewer than three rows."""
    pool = sets.get("pool", np.empty((0, 0)))
    sets = {s: vectors for s, vectors in sets.items() if len(vectors)}
    if len(pool) < 3 or pool.shape[1] < 2:
        return None
    middle = pool.mean(axis=0)
    _, sizes, axes = np.linalg.svd(pool - middle, full_matrices=False)
    axes = (
        axes[:2] * np.sign(axes[:2][[0, 1], np.abs(axes[:2]).argmax(axis=1)])[:, None]
    )  # a sign is as good as the other
    variance = sizes**2 / max(float((sizes**2).sum()), 1e-300)
    points: Points = {s: _pairs((vectors - middle) @ axes.T) for s, vectors in sets.items()}
    directions = {
        s: vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)[:, None] for s, vectors in sets.items()
    }
    cover: Points = {s: _cover(directions["pool"], taken) for s, taken in directions.items() if s != "pool"}
    return Map(name, (float(variance[0]), float(variance[1])), points, cover)


def _cover(pool: np.ndarray, taken: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return the mean cosine of the pool's rows to the nearest of the first n rows taken, for STEPS numbers n.

    Examples
    --------
    >>> _cover(np.eye(2), np.eye(2))
    ((1.0, 0.5), (2.0, 1.0))
    """
    nearest = np.maximum.accumulate(pool @ taken.T, axis=1).mean(axis=0)
    numbers = np.unique(np.geomspace(1, len(taken), STEPS).round().astype(int))
    return tuple((float(n), float(nearest[n - 1])) for n in numbers)


def _pairs(points: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in points)
