"""Fitting: estimators learn from the recipe's targets, and what they learnt is kept as data in `models`."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ..udfs.scorer import Fold, Scorer, fingerprint, parameters
from ..udfs.spark import fold
from .documents import Documents, analyse, analyse_condition, open_input, text_of
from .lake.commits import Identity
from .lake.manifest import Manifest
from .lake.schemas import models
from .lake.tables import Lake, deciding

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def open_target(lake: Lake, documents: Documents, name: str) -> tuple[DataFrame, Identity]:
    """Return the pinned target table, with its expressions checked; raises InputError or RecipeError."""
    target = documents.recipe.targets[name]
    frame, identity = open_input(lake, target.table, f"targets.{name}")
    analyse(frame, target.text, f"targets.{name}.text")
    for key, sql in (("where", target.where), ("held_out", target.held_out)):
        if sql:
            analyse_condition(frame, sql, f"targets.{name}.{key}")
    return frame, identity


def target_texts(frame: DataFrame, documents: Documents, name: str, held_out: bool = False) -> DataFrame:
    """Return the one column `text` of a target's rows: those fitted on, or those held out for the report."""
    target = documents.recipe.targets[name]
    condition = target.held_out if held_out else target.where
    rows = frame.where(condition) if condition else frame
    return rows.selectExpr(f"{text_of(target.text)} AS text")


def fit_scores(lake: Lake, documents: Documents, manifest: Manifest) -> dict[str, Scorer]:
    """Return every score of the recipe as a fitted scorer, by label; new models are written to `models`."""
    recipe, made, opened = documents.recipe, {}, {}
    fitted: dict[str, tuple[Scorer, list[str]]] = {}
    for label, score in recipe.scores.items():
        if isinstance(score, Scorer):
            made[label] = score
            continue
        for name in score.fits_on:
            if name not in opened:
                frame, identity = open_target(lake, documents, name)
                opened[name] = frame, identity
                manifest.inputs[f"target {name}"] = {"table": identity.ref, "version": identity.version}

        def one_pass(f: Fold[Any], name: str) -> Any:
            return fold(target_texts(opened[name][0], documents, name), f)

        made[label] = score.fit(one_pass)
        fitted[fingerprint(made[label])] = (
            made[label],
            [f"{n}: {opened[n][1].ref}@{opened[n][1].version}" for n in score.fits_on],
        )
    if fitted:
        with manifest.step("fit", "models") as step:
            step.computed = 0
            deciding("models", lambda: _remember(lake, fitted, step))
    return made


def _npy(value: Any) -> bytes:
    # Strings as UTF-8 bytes with offsets-free JSON: .npy of object arrays would need pickle.
    body = io.BytesIO()
    array = np.asarray(value) if isinstance(value, np.ndarray) else np.frombuffer(json.dumps(value).encode(), np.uint8)
    np.save(body, array, allow_pickle=False)
    return body.getvalue()


def _remember(lake: Lake, fitted: dict[str, tuple[Scorer, list[str]]], step: Any) -> None:
    """Append the models that the table lacks."""
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

    table = models()
    known = set()
    if lake.newest(table.name):
        there = lake.read(table.name).select("fingerprint").where(F.col("fingerprint").isin(list(fitted)))
        known = {r["fingerprint"] for r in there.collect()}
    new = {k: v for k, v in fitted.items() if k not in known}
    if not new:
        step.unchanged(lake.version(table.name))
        return
    rows = []
    for key, (scorer, tables) in new.items():
        body = parameters(scorer)
        state = {k: bytearray(_npy(v)) for k, v in body.items() if isinstance(v, np.ndarray | tuple)}
        plain = json.dumps({k: v for k, v in body.items() if k not in state}, sort_keys=True)
        rows.append((key, scorer.kind, plain, state, json.dumps(tables)))
    schema = T.StructType(
        [
            T.StructField("fingerprint", T.StringType()),
            T.StructField("kind", T.StringType()),
            T.StructField("params", T.StringType()),
            T.StructField("state", T.MapType(T.StringType(), T.BinaryType())),
            T.StructField("fitted_on", T.StringType()),
        ]
    )
    frame = lake.spark.createDataFrame(rows, schema).withColumn("fitted_at", F.current_timestamp())
    # Read in the append's own plan: of two runs that learnt the same, one commits and the other finds it there.
    there = lake.read(table.name).select("fingerprint")
    commit = lake.append(table, frame.join(there, "fingerprint", "left_anti"), {"models": sorted(new)})
    if commit is None:
        step.unchanged(lake.version(table.name))
        return
    step.computed = commit.rows
    step.wrote(commit.version)
