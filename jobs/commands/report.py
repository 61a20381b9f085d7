"""report: a selection beside its controls and its pool: shares, lengths, scores, and held-out bits per byte.

Evidence, not proof. A control that draws is drawn several times (report_draws.py). Sets larger than the stated samples
are sampled by id hash, never by order, so that a report does not depend on how the rows of a table lie. Held-out texts:
report_held_out.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.errors import InputError
from ...udfs.kernels.quantiles import quantiles
from ...udfs.quoting import quoted
from ...udfs.scores.information_entropy import InformationEntropy
from ...udfs.scores.length import LengthTokens
from ..inputs.run import Run, columns_of
from ..inputs.tables import published_names
from ..lake.tables import Lake
from ..lake.tuning import collect_small, compiled, every_file
from ..ranking.rank_correlation import rank_correlation
from ..recipe import Recipe
from .history import files_of
from .made_from import made_of, opened_again, scores_of
from .refinement import rounds_of
from .report_content import content_of
from .report_draws import Sets, defined, sets_of
from .report_held_out import FIT_BYTES, count_found, evidence, held_out_texts
from .report_result import QUANTILES, Report
from .report_samples import first_texts, sample_of_sets
from .report_shares import grouped, groups_of, shares_of, values_of
from .report_worth import worth_of

#: Rows of one set whose scores are described, and texts that a model is fitted on; chosen by id hash.
SCORE_ROWS, TEXT_ROWS = 50_000, 5_000
#: Characters of one text that are read.
TEXT_CHARS = 20_000
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
        If the recipe has not been run in this lake, files that the selection was made from are gone, or held-out texts
        are among those that scores are fitted on.
    """
    of = made_of(lake, recipe, version)
    counts = of.said.get("counts", {})
    what = f"what version {of.version} of selection_{recipe.name} was made from"
    with files_of(what), compiled(lake.spark, counts.get("documents", 0)), every_file(lake.spark):
        run = opened_again(lake, recipe, of)
        held_out = held_out_texts(run.documents, run.targets)
        scores = scores_of(run, of)
        if absent := [name for name in published_names(recipe) if name not in scores.columns]:
            raise InputError(
                f"the recipe {recipe.name} has the score {absent[0]}, and version {of.version} of its selection was "
                "made without it; give the recipe of then, or run it again"
            )
        sets = sets_of(run, of, scores)
        described, quantiles_by_set = _scores(run, scores, sets)
        groups = {n: shares_of(grouped(run, scores, n), sets.members) for n in groups_of(recipe)}
        shares = {c: shares_of(values_of(run, c), sets.members) for c in recipe.shares} | groups
        bits = _held_out_bits(run, sets, scores, described["rows"], held_out) if held_out else {}
    compared: dict[str, dict[str, Any]] = {
        "shares": shares,
        "quantiles": quantiles_by_set,
        "bits": {t: e["bits"] for t, e in bits.items()},
    }
    means, plus_minus = _averaged(sets, compared)
    described["rows"] = {name: described["rows"][name] for name in sets.shown}
    notes = tuple(dict.fromkeys([*of.said.get("notes", ()), *run.manifest.notes]))
    made = Report(
        recipe.name,
        of.said["run_id"],
        of.version,
        counts,
        sets.shown,
        {name: len(draws) for name, draws in sets.draws.items()},
        shares=means["shares"],
        quantiles=means["quantiles"],
        held_out_bits_per_byte={t: {**e, "bits": means["bits"][t]} for t, e in bits.items()},
        plus_minus=plus_minus,
        notes=notes,
        rounds=rounds_of(lake, recipe).table if "refinement" in of.said and recipe.refine and of.newest else None,
        **described,
    )
    return replace(made, content=cache(partial(content_of, run, of, sets, scores, made)))


def _averaged(sets: Sets, compared: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return figures by kind, name and shown set, and half intervals by kind, name and control."""
    means: dict[str, Any] = {}
    halves: dict[str, Any] = {}
    for kind, figures in compared.items():
        pairs = {name: sets.means(by_set) for name, by_set in figures.items()}
        means[kind] = {name: mean for name, (mean, _) in pairs.items()}
        halves[kind] = {name: half for name, (_, half) in pairs.items()}
    return means, halves


def _scores(run: Run, table: DataFrame, sets: Sets) -> tuple[dict[str, Any], dict[str, dict[str, list[float | None]]]]:
    """Return what is said of sets and pool, and the quantiles of every numeric score or field in every set.

    Of the pool that is what is undefined, the rank correlation of each score with length, and hints.
    """
    names = numeric_names(table.schema.fields[2:])
    columns = [F.col(quoted(c)).cast("double").alias(f"c{i}") for i, c in enumerate(names)]  # scores have any names
    counted = [F.count(F.col(quoted(c))) for c in names]
    total, *present = table.agg(F.count("*"), *counted).collect()[0]
    sizes = {"pool": total, **{r["set"]: r["count"] for r in sets.members.groupBy("set").count().collect()}}
    undefined = {c: 1 - n / max(1, total) for c, n in zip(names, present, strict=True)}
    scores = collect_small(table.select("id", *columns), total)
    sample = sample_of_sets(scores, sets.members, sizes, "report", SCORE_ROWS).toPandas().sort_values("id")
    numbers = sample[[f"c{i}" for i in range(len(names))]].set_axis(names, axis="columns")
    frames = {s: numbers[sample["set"] == s] for s in sizes}
    pool = frames["pool"]
    length = run.recipe.length_name()
    described = {
        "rows": sizes,
        "correlation_with_length": {c: defined(rank_correlation(pool, c, length)) for c in names if c != length},
        "length": length,
        "pool_sample": len(pool),
        "undefined": undefined,
        "hints": _hints(run.recipe, undefined, pool),
    }
    return described, {
        name: {s: [defined(v) for v in quantiles(f[name].to_numpy(), QUANTILES)] for s, f in frames.items()}
        for name in names
    }


def numeric_names(columns: Sequence[T.StructField]) -> list[str]:
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


def _held_out_bits(
    run: Run, sets: Sets, scores: DataFrame, rows: Mapping[str, int], held_out: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Return by target the bits per byte of its held-out texts, where else they stand, what the selection is worth."""
    found = count_found(run, held_out, sets.members.where("set = 'selection'"))
    texts = _texts(run, sets.members, rows)
    worth = worth_of(run, scores, texts["selection"], held_out)
    return {name: {**said, "worth": worth[name]} for name, said in evidence(texts, held_out, found).items()}


def _texts(run: Run, members: DataFrame, rows: Mapping[str, int]) -> dict[str, list[str]]:
    """Return texts of each set in order of their id hash, TEXT_ROWS or about FIT_BYTES at most."""
    text = F.substring(F.expr(f"CAST(({run.recipe.documents.text}) AS STRING)"), 1, TEXT_CHARS).alias("text")
    source = columns_of(run, text).where("text IS NOT NULL")
    table = first_texts(sample_of_sets(source, members, rows, "text", TEXT_ROWS * 6 // 5), "text", FIT_BYTES)
    return {s: [str(t) for t in table["text"][table["set"] == s].head(TEXT_ROWS)] for s in rows}
