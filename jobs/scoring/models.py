"""Fitted scorers as data in `models`: parameters as JSON, arrays in the .npy format, never pickle.

A model that learnt from documents has a `fit_key`: estimator, fit table and what it reads. A later run with the same
key takes the newest model there instead of fitting again. Models of targets alone have none: they are fitted in every
run, and the same targets give the same fingerprint. Whatever is read is checked against its own fingerprint.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ...udfs.fitted import FittedScore
from ...udfs.scorer import Estimator, Scorer, fingerprint, parameters
from ..inputs.documents import hash_name
from ..lake.commits import Commit
from ..lake.schemas import models
from ..lake.tables import Lake
from ..recipe import Recipe, order


@dataclass(frozen=True)
class Model:
    """One row of `models`: `fitted_on` holds tables as ref@version, and the version of the documents."""

    fingerprint: str
    scorer: Scorer
    fitted_on: dict[str, Any] = field(default_factory=dict)
    key: str | None = None


def recall(lake: Lake, key: str, estimator: Estimator, reads: Mapping[str, str], by: str = "fit_key") -> Model | None:
    """Return the newest model of a fit key, or None.

    Parameters
    ----------
    by : {"fit_key", "fingerprint"}
        What `key` is.
    reads : mapping
        Fingerprints of the scores that it reads, by name.

    Raises
    ------
    InputError
        If the row is not the model that its fingerprint names: it was changed, or is damaged.
    """
    if lake.last_write("models") is None:
        return None
    row = lake.read("models").where(F.col(by) == key).orderBy(F.desc("sequence")).first()
    if row is None:
        return None
    try:
        scorer = _restored(row, estimator)
        actual = fingerprint(scorer, reads)
        reason = f" but {actual}"
    except Exception as error:  # whatever numpy, json or the scorer says of such bytes
        actual, reason = "", f" ({type(error).__name__}: {' '.join(str(error).split())[:80]})"
    if actual != row["fingerprint"]:
        raise InputError(
            f"the newest model of kind {estimator.kind} in {lake.ref('models')} is not {row['fingerprint']}, as its "
            f"row says{reason}; restore the table, or run with --refit to fit it again"
        )
    return Model(actual, scorer, json.loads(row["fitted_on"]), row["fit_key"])


def fitted_before(
    lake: Lake, recipe: Recipe, fingerprints: Mapping[str, str], only: Collection[str] | None = None
) -> dict[str, FittedScore]:
    """Return the fitted scores of a recipe, or `only` some, by their fingerprints, whatever was fitted since.

    Raises
    ------
    InputError
        If `models` does not have one of them any more.
    """
    fitted = {}
    for name in order(recipe) if only is None else only:
        score, known = recipe.scores[name], fingerprints[name]
        if isinstance(score, Estimator):
            model = recall(lake, known, score, fingerprints, by="fingerprint")
            if model is None:
                raise InputError(f"{lake.ref('models')} has no model {known} of the score {name} any more; restore it")
            score = model.scorer
        fitted[name] = fitted_score(recipe, name, score, known)
    return fitted


def fitted_score(recipe: Recipe, name: str, scorer: Scorer, fingerprint_of: str) -> FittedScore:
    """Return a score of a recipe with its fitted scorer and its fingerprint."""
    column = hash_name(recipe.source_inputs(name))
    return FittedScore(name, scorer, fingerprint_of, column, recipe.score_where.get(name, ""))


def remember(lake: Lake, fresh: list[Model]) -> Commit | None:
    """Append the models that the table lacks; returns the commit, None if it has them all.

    A model with a key counts as there if it is the newest of its key: what was fitted last is what a later run takes.
    """
    table, stored = models(), lake.read("models")
    known, last = set(), dict[str, int]()
    if lake.last_write(table.name):
        newest = F.max_by("fingerprint", "sequence").alias("fingerprint"), F.max("sequence").alias("sequence")
        keyed = stored.where(F.col("fit_key").isin([m.key for m in fresh if m.key])).groupBy("fit_key").agg(*newest)
        same = F.col("fit_key").isNull() & F.col("fingerprint").isin([m.fingerprint for m in fresh if not m.key])
        rows = stored.where(same).select("fit_key", "fingerprint", "sequence").unionByName(keyed).collect()
        known = {(r["fit_key"], r["fingerprint"]) for r in rows}
        last = {r["fit_key"]: r["sequence"] for r in rows}
    new = [m for m in fresh if (m.key, m.fingerprint) not in known]
    if not new:
        return None
    columns = ", ".join(f"{c.name} {c.type}" for c in table.columns if c.name != "fitted_at")
    new_rows = [_row(m, last.get(m.key or "", 0) + 1) for m in new]
    frame = lake.spark.createDataFrame(new_rows, columns).withColumn("fitted_at", F.current_timestamp())
    # Read in the append's own plan: of two runs that fitted the same, one commits and the other finds it there.
    twins = stored.where("fit_key IS NULL").select(F.col("fingerprint").alias("twin"))
    frame = frame.join(twins, F.col("fit_key").isNull() & (F.col("fingerprint") == F.col("twin")), "left_anti")
    return lake.append(table, frame, {"models": sorted(m.fingerprint for m in new)}, widen=True)


def _row(model: Model, sequence: int) -> tuple[Any, ...]:
    body = parameters(model.scorer)
    state = {k: bytearray(npy(v)) for k, v in body.items() if isinstance(v, np.ndarray | tuple)}
    plain = json.dumps({k: v for k, v in body.items() if k not in state}, sort_keys=True)
    summary, fitted_on = (json.dumps(d, sort_keys=True) for d in (model.scorer.summary(), model.fitted_on))
    shown = model.scorer.shown()
    names = model.fingerprint, model.scorer.kind, model.key, sequence
    return *names, plain, state, summary, shown.get("labels"), shown.get("edges"), fitted_on


def _restored(row: Any, estimator: Estimator) -> Scorer:
    body = json.loads(row["params"]) | {k: _value(v) for k, v in (row["state"] or {}).items()}
    types = {f.name: str(f.type) for f in fields(estimator.model_class)}
    body = {k: tuple(v) if isinstance(v, list) and types[k].startswith("tuple") else v for k, v in body.items()}
    # What it reads may have another name in this recipe; the fingerprint says whether it is the same.
    return estimator.model_class(**{**body, "of": estimator.of})


def arrays_of(row: Any) -> dict[str, Any]:
    """Return the arrays of a row of `models` by name."""
    return {name: _value(bytes(body)) for name, body in row["state"].items()}


def npy(value: Any) -> bytes:
    """Return an array, or a tuple, in the .npy format."""
    # A tuple as the UTF-8 bytes of its JSON: .npy of object arrays would need pickle.
    body = io.BytesIO()
    array = np.asarray(value) if isinstance(value, np.ndarray) else np.frombuffer(json.dumps(value).encode(), np.uint8)
    np.save(body, array, allow_pickle=False)
    return body.getvalue()


def array_of(body: bytes) -> Any:
    """Return the array that bytes in the .npy format hold."""
    return np.load(io.BytesIO(body), allow_pickle=False)


def _value(body: bytes) -> Any:
    array = array_of(body)
    return array if array.dtype != np.uint8 else json.loads(array.tobytes().decode())
