"""What a run says of scores that rows were chosen by: where a selection may not be what its scores' names promise."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.encoding import is_published
from ...udfs.fitted import FittedScore
from ...udfs.quoting import quoted_name
from ...udfs.scorer import Estimator
from ...udfs.scores.dsir import DsirScorer
from ..inputs.run import Run
from ..ranking.rank_correlation import FEWEST_ROWS, STRONG, rank_correlation
from ..ranking.top import rows_of

#: Rows of the sample in which correlations are taken, by id hash.
SAMPLE_ROWS = 20_000


def warn_of_scores(
    run: Run, fitted: Mapping[str, FittedScore], rows: DataFrame, scores: DataFrame, picks: pd.DataFrame
) -> None:
    """Note, of each score that the selector ranks by, what somebody who trusts its name should know.

    Parameters
    ----------
    rows : DataFrame
        The eligible rows.
    scores : DataFrame
        `scores_<recipe>`.
    """
    recipe = run.recipe
    for name in dict.fromkeys(need.name for need in recipe.selector.needs):
        score = recipe.scores.get(name)
        if not isinstance(score, Estimator) or not is_published(score.value) or set(score.fits_on) <= {"documents"}:
            continue
        scorer = fitted[name].scorer
        summed = isinstance(scorer, DsirScorer) and scorer.per == "row"
        if isinstance(scorer, DsirScorer):
            _warn_of_weights(run, name, summed, rows, picks)
        _warn_of_length(run, name, summed, rows, scores)


def _warn_of_weights(run: Run, name: str, summed: bool, rows: DataFrame, picks: pd.DataFrame) -> None:
    """Say how many of the rows selected are not likelier in the target than in the documents."""
    above = F.count_if(F.col(quoted_name(name)) > 0)
    count, selected = rows_of(rows, picks).agg(above).collect()[0][0], len(picks)
    if count < selected:
        every = rows.agg(above).collect()[0][0]
        short = ", and the shortest of such rows win" if summed else ""
        remedy = ", set per: token, or set a floor of length in where:" if summed else ""
        run.manifest.note(
            f"{name}: {count:,} of the {selected:,} rows selected have a log weight above 0 ({every:,} of the eligible "
            f"have one); the others are likelier among the documents{short}: lower the budget{remedy}"
        )


def _warn_of_length(run: Run, name: str, summed: bool, rows: DataFrame, scores: DataFrame) -> None:
    """Say that a score which compares rows with a target orders them by length, where it does."""
    length, documents = run.recipe.length_name(), run.hashes.summary.documents
    if not isinstance(scores.schema[name].dataType, T.NumericType):
        return
    limit = math.ceil(1e6 * min(1.0, SAMPLE_ROWS / max(1, documents)))
    some = F.pmod(F.xxhash64("id", F.lit("length")), F.lit(1_000_000)) < limit
    columns = (F.col(quoted_name(column)).cast("double").alias(column) for column in (name, length))
    table = scores.where(some).select("id", *columns).join(rows.where(some).select("id"), "id", "left_semi")
    frame = table.drop("id").toPandas().dropna()
    if said := said_of_length(name, length, rank_correlation(frame, name, length), len(frame), summed):
        run.manifest.note(said)


def said_of_length(name: str, length: str, correlation: float, rows: int, summed: bool) -> str:
    """Return that a score chooses by length and what to do about it, "" where it does not, or nobody can know.

    Parameters
    ----------
    name, length : str
        The score, and the score of length.
    correlation : float
        Spearman's, of both among `rows` rows; NaN where it is undefined.
    summed : bool
        Whether the score is a sum of log weights over a row.

    Examples
    --------
    >>> said_of_length("near", "tokens", -0.4, 1000, False), said_of_length("near", "tokens", -0.9, 29, False)
    ('', '')
    """
    if rows < FEWEST_ROWS or not abs(correlation) >= STRONG:
        return ""
    remedy = "compare with the control length_matched"
    if summed and correlation < 0:
        remedy = "set per: token, because a sum over the words of a row puts the shortest rows first"
    return (
        f"{name}: its rank correlation with {length} is {correlation:.2f} among {rows:,} eligible rows, so it chooses "
        f"by length, too: {remedy}, or bound the length in where:"
    )
