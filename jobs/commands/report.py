"""report: a selection beside its controls and its pool: shares, lengths, scores, and held-out bits per byte.

Evidence, not proof: one draw of each control. Held-out bits per byte (methods: ZIP-FIT): a byte 5-gram model is fitted
on each set at equal bytes and read on the held-out half of the target; lower means closer to the target. Sets larger
than the stated samples are sampled by id hash, never by order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.errors import InputError
from ...udfs.kernels.ngram_model import held_out_bits_per_byte
from ...udfs.kernels.quantiles import quantiles
from ...udfs.quoting import quoted, quoted_name, root_of
from ...udfs.scores.information_entropy import InformationEntropy
from ...udfs.scores.length import LengthTokens
from ..inputs.opening import target_texts
from ..inputs.run import Run, columns_of
from ..inputs.tables import published_names
from ..lake.tables import Lake
from ..lake.tuning import collect_small, compiled, every_file
from ..ranking.rank_correlation import rank_correlation
from ..ranking.sort_keys import cluster_of
from ..ranking.top import DRIVER_ROWS
from ..recipe import Recipe
from ..selectors.needs import Group
from .history import files_of
from .made_from import Made, controls_of, made_of, opened_again, scores_of
from .refinement import rounds_of
from .report_result import QUANTILES, Report

#: Rows of one set whose scores are described, and texts that a model is fitted on; chosen by id hash.
SCORE_ROWS, TEXT_ROWS = 50_000, 5_000
#: Bytes that a model is fitted on at most; characters of one text that are read.
FIT_BYTES, TEXT_CHARS = 2_000_000, 20_000
#: Share of the pool that an entropy may leave undefined without a hint.
MANY_UNDEFINED = 0.2


def report(lake: Lake, recipe: Recipe, version: int | None = None) -> Report:
    """Compare a version of the selection with its pool and its controls, all as the run that made it had them.

    Parameters
    ----------
    version : int, optional
        Default: the newest.

    Raises
    ------
    InputError
        If the recipe has not been run in this lake, or files that the selection was made from are gone.
    """
    of = made_of(lake, recipe, version)
    counts, ranked_by = of.said.get("counts", {}), recipe.selector.needs
    what = f"what version {of.version} of selection_{recipe.name} was made from"
    with files_of(what), compiled(lake.spark, counts.get("documents", 0)), every_file(lake.spark):
        run = opened_again(lake, recipe, of)
        members = _members(run, of)
        scores = scores_of(run, of)
        if absent := [name for name in published_names(recipe) if name not in scores.columns]:
            raise InputError(
                f"the recipe {recipe.name} has the score {absent[0]}, and version {of.version} of its selection was "
                "made without it; give the recipe of then, or run it again"
            )
        described = _scores(run, scores, members)
        sets = tuple(s for s in ("pool", "selection", *recipe.controls) if s in described["rows"])
        judged = [name for name, t in recipe.targets.items() if t.held_out]
        texts = _texts(run, members, sets, described["rows"]) if judged else {}
        groups = [need.name for need in ranked_by if isinstance(need, Group)]
        shares = {n: _shares(_grouped(run, scores, n), members) for n in groups}
        columns = {c: F.col(quoted_name(c)) for c in recipe.shares}
        shares = {c: _shares(columns_of(run, _shown(value)), members) for c, value in columns.items()} | shares
        evidence = {name: _evidence(run, name, texts) for name in judged}
    result = (recipe.name, of.said["run_id"], of.version, counts, sets, shares)
    notes = tuple(dict.fromkeys([*of.said.get("notes", ()), *run.manifest.notes]))
    rounds = rounds_of(lake, recipe).table if "refinement" in of.said and recipe.refine and of.newest else None
    return Report(*result, held_out_bits_per_byte=evidence, notes=notes, rounds=rounds, **described)


def _number(value: float) -> float | None:
    """JSON has no NaN: undefined is null."""
    return None if value is None or math.isnan(value) else float(value)


def _members(run: Run, of: Made) -> DataFrame:
    """Return (set, id) of the selection and the controls of its run: small beside the pool."""
    lake, recipe = run.lake, run.recipe
    chosen = lake.read(f"selection_{recipe.name}", of.version).selectExpr("'selection' AS set", "id")
    controls = controls_of(lake, recipe, of)
    if controls is not None:
        named = controls.where(F.col("control").isin([*recipe.controls]))
        chosen = chosen.unionByName(named.selectExpr("control AS set", "id"))
    elif recipe.controls:
        run.manifest.note(
            f"the run {of.said['run_id']} was stopped before it made its controls: they are left out; lakesift run "
            f"{recipe.name} makes them"
        )
    return collect_small(chosen, (1 + len(recipe.controls)) * (of.rows or DRIVER_ROWS))


def _grouped(run: Run, scores: DataFrame, name: str) -> DataFrame:
    """Return id and value of what a selector groups by: a score (of k-means the cluster), column or field."""
    if root_of(name) in run.recipe.scores:
        return scores.select("id", _shown(cluster_of(scores, name)))
    return columns_of(run, _shown(cluster_of(run.documents.frame, name)))


def _shares(rows: DataFrame, members: DataFrame) -> dict[str, dict[str, float]]:
    """Return set -> value -> share of the rows (id, value)."""
    pool = rows.groupBy(F.lit("pool").alias("set"), "value").count()
    picked = rows.join(F.broadcast(members), "id", "inner").groupBy("set", "value").count()
    totals: dict[str, dict[str, float]] = {}
    for row in pool.unionByName(picked).orderBy(F.desc("count"), "value").limit(100_000).collect():
        totals.setdefault(row["set"], {})[row["value"]] = row["count"]
    return {s: {v: n / sum(counts.values()) for v, n in counts.items()} for s, counts in totals.items()}


def _shown(value: Column) -> Column:
    return F.coalesce(value.cast("string"), F.lit("(null)")).alias("value")


def _sample(rows: DataFrame, members: DataFrame, counts: Mapping[str, int], salt: str, most: int) -> DataFrame:
    """Return about `most` rows of each set, and the set: by a threshold on a hash, not an order over all rows."""
    millionth = F.pmod(F.xxhash64("id", F.lit(salt)), F.lit(1_000_000))
    limits = {s: math.ceil(1e6 * min(1.0, most / max(1, n))) for s, n in counts.items()}
    limit = F.coalesce(*(F.when(F.col("set") == s, n) for s, n in limits.items()))
    some = members.where(millionth < limit)
    pool = rows.where(millionth < limits["pool"]).withColumn("set", F.lit("pool"))
    return pool.unionByName(rows.join(F.broadcast(some), "id", "inner"))


def _scores(run: Run, table: DataFrame, members: DataFrame) -> dict[str, Any]:
    """Return quantiles of every numeric score or field in every set; of the pool also what is undefined, and more.

    That is the rank correlation of each score with length, and hints.
    """
    names = _numeric(table.schema.fields[2:])
    columns = [F.col(quoted(c)).cast("double").alias(f"c{i}") for i, c in enumerate(names)]  # scores have any names
    defined = [F.count(F.col(quoted(c))) for c in names]
    total, *present = table.agg(F.count("*"), *defined).collect()[0]
    sizes = {"pool": total, **{r["set"]: r["count"] for r in members.groupBy("set").count().collect()}}
    undefined = {c: 1 - n / max(1, total) for c, n in zip(names, present, strict=True)}
    scores = collect_small(table.select("id", *columns), total)
    sample = _sample(scores, members, sizes, "report", SCORE_ROWS).drop("id").toPandas()
    of, sample = sample["set"], sample[[f"c{i}" for i in range(len(names))]].set_axis(names, axis="columns")
    frames = {s: sample[of == s] for s in sizes}
    pool = frames["pool"]
    length = run.recipe.length_name()
    return {
        "rows": sizes,
        "quantiles": {
            name: {s: [_number(v) for v in quantiles(f[name].to_numpy(), QUANTILES)] for s, f in frames.items()}
            for name in names
        },
        "correlation_with_length": {c: _number(rank_correlation(pool, c, length)) for c in names if c != length},
        "length": length,
        "pool_sample": len(pool),
        "undefined": undefined,
        "hints": _hints(run.recipe, undefined, pool),
    }


def _numeric(columns: Sequence[T.StructField]) -> list[str]:
    """Return the names of numeric columns, and name.field of numeric fields."""
    names: list[str] = []
    for column in columns:
        kind = column.dataType
        fields = {f"{column.name}.{f.name}": f.dataType for f in kind.fields} if isinstance(kind, T.StructType) else {}
        names += [n for n, t in (fields or {column.name: kind}).items() if isinstance(t, T.NumericType)]
    return names


def _hints(recipe: Recipe, undefined: Mapping[str, float], pool: pd.DataFrame) -> tuple[str, ...]:
    """Return a sentence for every windowed entropy that leaves many rows undefined, with a window that leaves fewer."""
    counted = [n for n, s in recipe.scores.items() if isinstance(s, LengthTokens) and s.unit == "wordpunct"]
    hints = []
    for name, score in recipe.scores.items():
        if not isinstance(score, InformationEntropy) or score.whole or undefined.get(name, 0.0) <= MANY_UNDEFINED:
            continue
        said = f"{name} is undefined in {undefined[name]:.0%} of the pool, mostly texts shorter than its window; "
        if counted and score.unit == "word" and len(pool):
            tokens = np.sort(pool[counted[0]].to_numpy(dtype=float))
            window = int(tokens[int(MANY_UNDEFINED * len(tokens))])
            hints.append(said + (f"window: {window} leaves at most a fifth" if window >= 2 else "try whole: true"))
        else:
            hints.append(f"{said}take a smaller window, or whole: true")
    return tuple(hints)


def _texts(run: Run, members: DataFrame, sets: tuple[str, ...], rows: dict[str, int]) -> dict[str, list[str]]:
    """Return about TEXT_ROWS texts of each set at most, in order of their id hash: two passes for all sets."""
    text = F.substring(F.expr(f"CAST(({run.recipe.documents.text}) AS STRING)"), 1, TEXT_CHARS).alias("text")
    source = columns_of(run, text).where("text IS NOT NULL")
    sample = _sample(source, members, rows, "text", TEXT_ROWS * 6 // 5)
    table = sample.select("set", F.xxhash64("id", F.lit("text")).alias("h"), "id", "text").toPandas()
    table = table.drop_duplicates(["set", "id"]).sort_values(["h", "id"])
    return {s: [str(t) for t in table["text"][table["set"] == s].head(TEXT_ROWS)] for s in sets}


def _evidence(run: Run, target: str, texts: dict[str, list[str]]) -> dict[str, Any]:
    """Return held-out bits per byte of a byte 5-gram model fitted on each set at equal bytes."""
    rows = target_texts(run.targets[target].frame, run.documents, target, held_out=True)
    held_out = [r["text"] for r in rows.limit(TEXT_ROWS).collect() if r["text"]]
    if not held_out:
        raise InputError(f"targets.{target}.held_out leaves no row of {run.recipe.targets[target].table}; widen it")
    size = min(FIT_BYTES, *(sum(len(t.encode("utf-8", "replace")) for t in part) for part in texts.values()))
    bits = {s: _number(held_out_bits_per_byte(part, held_out, size)) for s, part in texts.items()} if size else {}
    return {"bytes": size, "held_out_rows": len(held_out), "bits": bits}
