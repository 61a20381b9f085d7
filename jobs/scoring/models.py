"""Fitted scorers as data in `models`: parameters as JSON, arrays in the .npy format, never pickle.

A model that learnt from documents has a `fit_key`: estimator, fit table and what it reads. A later run with the same
key takes the newest model there instead of fitting again. Models of targets alone have none: they are fitted in every
run, and the same targets give the same fingerprint.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ...udfs.scorer import Estimator, Scorer, parameters
from ...udfs.scores.kmeans import KMeansScorer
from ..lake.schemas import models
from ..lake.tables import Lake

if TYPE_CHECKING:
    from ..lake.commits import Commit


@dataclass(frozen=True)
class Model:
    """One row of `models`: `learnt` holds what it was fitted on: tables as ref@version, documents and rows."""

    fingerprint: str
    scorer: Scorer
    learnt: dict[str, Any] = field(default_factory=dict)
    key: str | None = None


def recall(lake: Lake, key: str, estimator: Estimator) -> Model | None:
    """Return the newest model of a fit key, or None."""
    from pyspark.sql import functions as F

    if lake.last_write("models") is None:
        return None
    found = lake.read("models").where(F.col("fit_key") == key).orderBy(F.desc("fitted_at")).limit(1).collect()
    if not found:
        return None
    row = found[0]
    body = json.loads(row["params"]) | {k: _value(v) for k, v in (row["state"] or {}).items()}
    shapes = {f.name: str(f.type) for f in fields(estimator.makes)}
    body = {k: tuple(v) if isinstance(v, list) and shapes[k].startswith("tuple") else v for k, v in body.items()}
    return Model(row["fingerprint"], estimator.makes(**body), json.loads(row["fitted_on"]), key)


def remember(lake: Lake, made: list[Model]) -> Commit | None:
    """Append the models that the table lacks; returns the commit, None if all are there.

    A model with a key is there if it is the newest of its key: what was fitted last is what a later run takes.
    """
    from pyspark.sql import functions as F

    table, there, known = models(), lake.read("models"), set()
    if lake.last_write(table.name):
        newest = F.max_by("fingerprint", "fitted_at").alias("fingerprint")
        keyed = there.where(F.col("fit_key").isin([m.key for m in made if m.key])).groupBy("fit_key").agg(newest)
        same = F.col("fit_key").isNull() & F.col("fingerprint").isin([m.fingerprint for m in made if not m.key])
        rows = there.where(same).select("fit_key", "fingerprint").unionByName(keyed).collect()
        known = {(r["fit_key"], r["fingerprint"]) for r in rows}
    new = [m for m in made if (m.key, m.fingerprint) not in known]
    if not new:
        return None
    columns = ", ".join(f"{c.name} {c.type}" for c in table.columns if c.name != "fitted_at")
    frame = lake.spark.createDataFrame([_row(m) for m in new], columns).withColumn("fitted_at", F.current_timestamp())
    # Read in the append's own plan: of two runs that learnt the same, one commits and the other finds it there.
    twins = there.where("fit_key IS NULL").select(F.col("fingerprint").alias("twin"))
    frame = frame.join(twins, F.col("fit_key").isNull() & (F.col("fingerprint") == F.col("twin")), "left_anti")
    return lake.append(table, frame, {"models": sorted(m.fingerprint for m in new)})


def _row(model: Model) -> tuple[Any, ...]:
    body = parameters(model.scorer)
    state = {k: bytearray(_npy(v)) for k, v in body.items() if isinstance(v, np.ndarray | tuple)}
    plain = json.dumps({k: v for k, v in body.items() if k not in state}, sort_keys=True)
    curve = centroids = None
    if isinstance(model.scorer, KMeansScorer):
        fit = model.scorer
        curve = list(zip(fit.inertia_rows.tolist(), fit.inertia.tolist(), strict=True))
        centroids = list(zip(range(len(fit.sizes)), fit.sizes.tolist(), fit.centroids.tolist(), strict=True))
    learnt = json.dumps(model.learnt, sort_keys=True)
    return model.fingerprint, model.scorer.kind, model.key, plain, state, curve, centroids, learnt


def _npy(value: Any) -> bytes:
    # A tuple as the UTF-8 bytes of its JSON: .npy of object arrays would need pickle.
    body = io.BytesIO()
    array = np.asarray(value) if isinstance(value, np.ndarray) else np.frombuffer(json.dumps(value).encode(), np.uint8)
    np.save(body, array, allow_pickle=False)
    return body.getvalue()


def _value(body: bytes) -> Any:
    array = np.load(io.BytesIO(body), allow_pickle=False)
    return array if array.dtype != np.uint8 else json.loads(array.tobytes().decode())
