"""The figures of compared selections: sizes, scores and shares, beside pool and random controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.kernels.quantiles import quantiles
from ...udfs.quoting import quoted, root_of
from ...udfs.scores.length import LengthTokens
from ..inputs.documents import text_of
from ..inputs.run import columns_of
from ..lake.tuning import collect_small
from .compared_examples import by_text
from .compared_sets import Chosen, Key, Providers, fingerprint_of, members_of, pools_of, providers, served, sets_of
from .report import SCORE_ROWS, numeric_names
from .report_draws import defined
from .report_samples import sample_of_sets
from .report_shares import grouped, groups_of, shares_of, values_of

#: Rows and copies by set.
Sizes = Mapping[str, tuple[int, int]]
#: What is counted beside tokens, under whose names scores may go, too.
SIZES = ("rows", "copies", "bytes")


def figures_of(opened: Sequence[Chosen]) -> dict[str, Any]:
    """Return totals, scores and shares of all sets: fields of a Comparison."""
    members = members_of(opened)
    counted = members.groupBy("set").agg(F.count("*").alias("rows"), F.sum("copies").alias("copies")).collect()
    sizes = {row["set"]: (int(row["rows"]), int(row["copies"])) for row in counted}
    found = providers(opened, [{(n, fingerprint_of(one, n)): None for n in _numbers(one)} for one in opened])
    columns = providers(opened, [list(_columns(one, opened)) for one in opened])
    return {
        "totals": _totals(opened, members, sizes, found),
        "scores": _scores(opened, members, sizes, found),
        "shares": _shares(opened, members, columns),
    }


def _numbers(one: Chosen) -> list[str]:
    return numeric_names(one.again.scores.schema.fields[2:])


def _scores(
    opened: Sequence[Chosen], members: DataFrame, sizes: Sizes, found: Providers
) -> dict[str, dict[str, tuple[float | None, ...]]]:
    """Return rows, mean and quartiles of every numeric score in every set, in samples of SCORE_ROWS by id hash."""
    frames: dict[int, tuple[pd.DataFrame, pd.Series[str]]] = {}
    figures: dict[str, dict[str, tuple[float | None, ...]]] = {}
    pools = pools_of(opened)
    for key in found.of:
        by_set = figures[found.names[key]] = {}
        for name, j in served(opened, found, key).items():
            if j not in frames:
                frames[j] = _sampled(opened[j], members, sizes)
            rows, sets = frames[j]
            values = rows[key[0]][sets == ("pool" if name in pools else name)].dropna().to_numpy()
            middle = [defined(float(v)) for v in quantiles(values, (0.25, 0.5, 0.75))]
            by_set[name] = (len(values), float(values.mean()) if len(values) else None, *middle)
    return figures


def _sampled(one: Chosen, members: DataFrame, sizes: Sizes) -> tuple[pd.DataFrame, pd.Series[str]]:
    """Return the numeric scores of a selection's table in a sample of every set and of the pool, and their sets."""
    names, documents = _numbers(one), one.run.hashes.summary.documents
    columns = [F.col(quoted(c)).cast("double").alias(f"c{i}") for i, c in enumerate(names)]  # scores have any names
    scores = collect_small(one.again.scores.select("id", *columns), documents)
    counts = {"pool": documents} | {name: rows for name, (rows, _) in sizes.items()}
    sample = sample_of_sets(scores, members.select("set", "id"), counts, "compare", SCORE_ROWS)
    table = sample.toPandas().sort_values("id")
    return table[[f"c{i}" for i in range(len(names))]].set_axis(names, axis="columns"), table["set"]


def _totals(
    opened: Sequence[Chosen], members: DataFrame, sizes: Sizes, found: Providers
) -> dict[str, dict[str, int | None]]:
    """Return rows, copies, bytes of text and tokens of every set, counting copies."""
    owners = sets_of(opened)
    totals: dict[str, dict[str, int | None]] = {
        name: {"rows": sizes.get(name, (0, 0))[0], "copies": sizes.get(name, (0, 0))[1]} for name in owners
    }
    for group, numbers in by_text(opened).items():
        run = opened[group].run
        size = F.octet_length(F.expr(text_of(run.recipe.documents.text))).alias("n")
        mine = _few(members, [name for name, i in owners.items() if i in numbers])
        _add(totals, "bytes", columns_of(run, size, within=mine.select("id").distinct()), mine)
    for key in found.of:
        by_set = served(opened, found, key)
        for j in dict.fromkeys(by_set[name] for name in owners):
            if not isinstance(opened[j].recipe.scores.get(key[0]), LengthTokens):
                continue
            rows = opened[j].again.scores.select("id", F.col(quoted(key[0])).cast("bigint").alias("n"))
            shown = found.names[key] if found.names[key] not in SIZES else f"{found.names[key]} (tokens)"
            _add(totals, shown, rows, _few(members, [name for name in owners if by_set[name] == j]))
    return totals


def _add(totals: dict[str, dict[str, int | None]], size: str, rows: DataFrame, members: DataFrame) -> None:
    """Add the sums of `n`, each as often as its row is there, over the sets of some members."""
    for total in totals.values():
        total.setdefault(size, None)
    counted = rows.join(F.broadcast(members), "id", "inner").groupBy("set").agg(F.expr("sum(copies * n) AS n"))
    for row in counted.collect():
        totals[row["set"]][size] = None if row["n"] is None else int(row["n"])


def _few(members: DataFrame, names: Sequence[str]) -> DataFrame:
    return members.where(F.col("set").isin(list(names)))


def _columns(one: Chosen, opened: Sequence[Chosen]) -> Iterator[Key]:
    """Yield the columns that any report shows, or that any selector groups by, if this selection has them."""
    there = {column.lower() for column in one.run.documents.frame.columns}
    for name in dict.fromkeys(c for other in opened for c in (*other.recipe.shares, *groups_of(other.recipe))):
        if root_of(name) in one.recipe.scores:
            yield name, fingerprint_of(one, name)
        elif root_of(name).lower() in there:
            yield name, ""


def _shares(opened: Sequence[Chosen], members: DataFrame, found: Providers) -> dict[str, dict[str, dict[str, float]]]:
    """Return the share of rows of every set by column and value."""
    pools, owners = pools_of(opened), sets_of(opened)
    shown = {column for one in opened for column in one.recipe.shares}
    shares: dict[str, dict[str, dict[str, float]]] = {}
    for key in found.of:
        by_set, read = served(opened, found, key), {}
        for j in dict.fromkeys(by_set.values()):
            plain = not key[1] and key[0] in shown
            rows = values_of(opened[j].run, key[0]) if plain else grouped(opened[j].run, opened[j].again.scores, key[0])
            mine = _few(members, [name for name in owners if by_set[name] == j])
            read[j] = shares_of(rows, mine.select("set", "id"))
        shares[found.names[key]] = {
            name: read[j].get("pool" if name in pools else name, {}) for name, j in by_set.items()
        }
    return shares
