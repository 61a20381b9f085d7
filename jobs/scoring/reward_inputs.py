"""What a reward reads of chosen rows: values, prompts and completions, rated examples, and what it has kept of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.arrays import Floats
from ...udfs.digests import digest
from ...udfs.encoding import is_published
from ...udfs.fitted import FittedScore
from ...udfs.quoting import root_of
from ...udfs.spark import column
from ..inputs.documents import text_of
from ..inputs.run import Run, columns_of, id_frame
from ..lake.refinement_tables import hidden
from ..lake.schemas import models
from ..lake.tables import retry_on_conflict
from ..ranking.sort_keys import column_of
from ..ranking.vectors import collect_vectors
from .memos import values
from .models import array_of, npy
from .rounds import Refinement

#: Rows whose kept bytes cross to the driver at once.
_SLICE_ROWS = 500


@dataclass(frozen=True)
class RewardInputs:
    """`rewards.reward.Inputs` over the tables of a refinement."""

    run: Run
    fitted: Mapping[str, FittedScore]
    scores: DataFrame
    refinement: Refinement
    number: int

    def values(self, name: str, ids: Sequence[str]) -> pd.DataFrame:
        """Return (id, value) of a score, score.field or source column."""
        within, score = self._frame(ids), root_of(name)
        if score not in self.fitted:
            rows = columns_of(self.run, column_of(name).alias("value"), within=within)
        elif is_published(self.fitted[score].scorer.value):
            rows = self.scores.join(F.broadcast(within), "id", "left_semi").select("id", column_of(name).alias("value"))
        else:
            rows = values(self.run, self.fitted[score], within=within)
        return rows.toPandas()

    def answers(self, ids: Sequence[str]) -> pd.DataFrame:
        """Return id, prompt and completion."""
        documents = self.run.recipe.documents
        texts = [F.expr(text_of(getattr(documents, name))).alias(name) for name in ("prompt", "completion")]
        return columns_of(self.run, *texts, within=self._frame(ids)).toPandas()

    def examples(self, target: str, rating: str, embedding: str) -> tuple[Floats, Floats]:
        """Return vectors (n, d) and ratings (n,) of a target's rows, in order of the hash of the text."""
        opened, named = self.run.targets[target], self.run.recipe.targets[target]
        texts = opened.frame.where(named.where or "true").selectExpr(
            f"{text_of(named.text)} AS text", f"CAST(({rating}\n) AS DOUBLE) AS rating"
        )
        vector = column(self.fitted[embedding].scorer)("text").alias("vector")
        name = F.sha2(F.concat_ws("/", "text", "rating"), 256).alias("id")
        rows = texts.where("text IS NOT NULL").select(name, vector, "rating")
        found, vectors = collect_vectors(rows, "vector", self.run.recipe.seed, rating=F.col("rating"))
        return vectors.astype(np.float64), found["rating"].to_numpy(float)

    def read(self, hashes: Mapping[str, str], model: str) -> Iterator[tuple[str, Any]]:
        """Yield id and kept array of rows whose content hash is still that given."""
        table, ids = hidden(self.refinement.recipe).name, sorted(hashes)
        kept = self.run.lake.read(table).where(F.col("model") == model)
        for start in range(0, len(ids), _SLICE_ROWS):
            some = self._frame(ids[start : start + _SLICE_ROWS])
            rows = kept.join(F.broadcast(some), "id", "left_semi").dropDuplicates(["id", "content_hash"])
            for row in rows.select("id", "content_hash", "states").toLocalIterator():
                if row["content_hash"] == hashes[row["id"]]:
                    yield row["id"], array_of(bytes(row["states"]))

    def write(self, fresh: Mapping[str, tuple[str, Any]], model: str) -> None:
        """Keep an array a row, by id with the content hash."""
        lake, table = self.run.lake, hidden(self.refinement.recipe)
        rows = [(i, h, model, bytearray(npy(array))) for i, (h, array) in fresh.items()]
        if rows:
            frame = lake.spark.createDataFrame(rows, "id string, content_hash string, model string, states binary")
            retry_on_conflict(table.name, lambda: lake.append(table, frame, self.refinement.names))

    def keep_model(self, kind: str, parameters: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Keep a trained model in `models`, as the newest of the refinement."""
        lake, key = self.run.lake, self.refinement.model_key
        state = {name: bytearray(npy(array)) for name, array in arrays.items()}
        said = json.dumps({**parameters, **self.refinement.names, "round": self.number}, sort_keys=True)
        fitted_on = json.dumps({"documents": self.run.documents.state.version})
        row = (digest([key, self.number]), kind, key, self.number, said, state, "{}", None, None, fitted_on)
        columns = ", ".join(f"{c.name} {c.type}" for c in models().columns if c.name != "fitted_at")
        frame = lake.spark.createDataFrame([row], columns).withColumn("fitted_at", F.current_timestamp())
        there = lake.read("models").where(F.col("fit_key") == key).select("sequence")
        retry_on_conflict(
            "models", lambda: lake.append(models(), frame.join(there, "sequence", "left_anti"), self.refinement.names)
        )

    def _frame(self, ids: Sequence[str]) -> DataFrame:
        return id_frame(self.run.lake.spark, ids)
