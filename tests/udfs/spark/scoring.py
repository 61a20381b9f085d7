"""Scores frames through Spark as a run does, one value a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakesift.udfs.encoding import value_sql
from lakesift.udfs.fitted import FittedScore, input_name
from lakesift.udfs.quoting import quoted_name
from lakesift.udfs.scorer import Scorer, fingerprint
from lakesift.udfs.spark import apply

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def scored(frame: DataFrame, scorer: Scorer) -> DataFrame:
    """Return (id, value) of a frame that has the scorer's inputs and `content_hash`; no row has a value yet."""
    name = "value" if scorer.kind in scorer.inputs else scorer.kind
    score = FittedScore(name, scorer, fingerprint(scorer), "content_hash")
    inputs = (f"{quoted_name(name)} AS {quoted_name(input_name(name))}" for name in scorer.inputs)
    return apply(frame.selectExpr("id", "content_hash", *inputs, "1L AS missing"), [score]).selectExpr(
        "id", f"{value_sql(scorer.value)} AS value"
    )
