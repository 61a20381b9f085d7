"""The rows that a search over intervals learns from: labels, scores and vectors, on the driver, in order of id hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from ...udfs.arrays import Floats, Ints
from ...udfs.digests import digest
from ...udfs.fitted import FittedScore
from ...udfs.kernels.interval_search import COMBINED, LENGTH, quantile_ranks
from ...udfs.quoting import root_of
from ..inputs.conditions import satisfying
from ..inputs.documents import text_of
from ..inputs.run import Run, columns_of, id_frame
from ..lake.tuning import collect_small
from ..ranking.sort_keys import cluster_of, numeric_column
from ..ranking.vectors import collect_vectors
from ..recipe.blocks import Tune
from .memos import values

#: Characters of a text that a classifier reads.
TEXT_CHARS = 4_000


@dataclass(frozen=True)
class Searched:
    """What is searched: scores, their combination by mean rank or by intersection, strata; whether texts are read."""

    scores: tuple[str, ...]
    by_mean_rank: bool
    stratum: str | None
    texts: bool


@dataclass(frozen=True)
class Labelled:
    """n rows in order of their hash.

    `labels` (n,) are places in `classes`; `scores` are (n, k) by method, `names` the scores behind its columns;
    `groups` (n,) are codes of the stratum, None without one; `texts` are empty unless they were asked for.
    """

    hashes: Ints
    labels: Ints
    classes: list[str]
    scores: dict[str, Floats]
    names: dict[str, list[str]]
    groups: Ints | None
    vectors: Floats
    texts: list[str]

    def digest(self) -> str:
        """Return the hash of everything that a classifier or an interval is made from."""
        parts = [self.hashes, self.labels, self.scores, self.vectors, self.texts]
        return digest([*parts, self.classes, *([] if self.groups is None else [self.groups])])


def labelled_rows(
    run: Run, fitted: Mapping[str, FittedScore], version: int, searched: Searched, tune: Tune
) -> Labelled:
    """Return at most `tune.rows` eligible rows that have a label, every score and a vector."""
    length, by = run.recipe.length_name(), searched.stratum
    axes = {f"s{i}": name for i, name in enumerate(dict.fromkeys([*searched.scores, length]))}
    named = [*axes.values(), *([by] if by else [])]
    scores = run.lake.read(f"scores_{run.recipe.name}", version)
    eligible = satisfying(run, scores, run.recipe.where, [root_of(n) for n in named])
    stratum = cluster_of(eligible, by).cast("string") if by else F.lit("")
    columns = [numeric_column(eligible, name).alias(column) for column, name in axes.items()]
    scored = eligible.select("id", F.coalesce(stratum, F.lit("")).alias("stratum"), *columns).dropna(subset=[*axes])
    label = F.expr(f"CAST(({tune.label}\n) AS STRING)").alias("label")
    labels = columns_of(run, label).dropna(subset=["label"])
    chosen = scored.join(labels, "id", "inner").orderBy(F.xxhash64("id", F.lit("tune")), "id").limit(tune.rows)
    few = collect_small(chosen, tune.rows)
    vectors = values(run, fitted[run.recipe.embedding_name()], within=few).join(F.broadcast(few), "id", "inner")
    kept = ("label", "stratum", *axes)
    hashed = {"hash": F.xxhash64("id", F.lit("tune"))}
    frame, matrix = collect_vectors(vectors, "value", 0, **hashed, **{c: F.col(c) for c in kept})
    text = _texts(run, frame["id"]) if searched.texts else []
    codes, classes = pd.factorize(frame["label"], sort=True)
    groups = pd.factorize(frame["stratum"], sort=True)[0] if by else None
    by_method, names = _methods(frame, axes, searched, length, groups)
    hashes = frame["hash"].to_numpy(dtype=np.int64)
    vector = matrix.astype(np.float64)
    return Labelled(hashes, codes, list(map(str, classes)), by_method, names, groups, vector, text)


def _methods(
    frame: pd.DataFrame, axes: Mapping[str, str], searched: Searched, length: str, groups: Ints | None
) -> tuple[dict[str, Floats], dict[str, list[str]]]:
    """Return the columns of each method, and the scores behind them: each score, all together, length."""
    column = {name: frame[c].to_numpy(dtype=float)[:, None] for c, name in axes.items()}
    names = {name: [name] for name in searched.scores}
    scores = {name: column[name] for name in searched.scores}
    if len(searched.scores) > 1:
        names[COMBINED] = [*searched.scores]
        if not searched.by_mean_rank:
            scores[COMBINED] = np.hstack([column[name] for name in searched.scores])
        else:
            ranks = (quantile_ranks(column[name][:, 0], groups) for name in searched.scores)
            scores[COMBINED] = reduce(add, ranks)[:, None] / len(searched.scores)
    return scores | {LENGTH: column[length]}, names | {LENGTH: [length]}


def _texts(run: Run, ids: pd.Series[str]) -> list[str]:
    """Return the beginning of the text of each id, "" where it is null."""
    text = F.substring(F.expr(text_of(run.recipe.documents.text)), 1, TEXT_CHARS).alias("text")
    wanted = id_frame(run.lake.spark, ids)
    rows = columns_of(run, text, within=wanted).toPandas()
    return list(rows.set_index("id")["text"].reindex(ids).fillna(""))
