"""interval: rows whose scores lie inside intervals, both tails dropped; EUDS and IGSE (arXiv 2602.17465).

The paper's formulas are not public to us; the definitions here are ours. `combine: all` is the intersection of one
interval per score. `combine: mean_rank` takes one interval of quantiles of the mean, over the scores, of (average rank
of the score among the rows) / rows. With a stratum, quantiles are taken within each of its values: one interval for all
mostly selects a task, because tasks differ in every entropy. Left out: the choice of the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import InputError, RecipeError
from ..ranking.quantiles import quantiles, quantiles_by_group, with_rank
from ..ranking.sort_keys import cluster_of, draw, numeric_column, tag_of
from ..ranking.top import top, top_by_quota, with_values_of_group
from .needs import Need, Number, Stratum
from .selector import Pool, Selector, picks

Bound = str | float | None
#: Strata that a note lists.
LISTED = 10


@dataclass(frozen=True)
class Interval(Selector):
    """Rows with low <= score <= high for every score; of these, random ones or those nearest to the middle.

    Parameters
    ----------
    bounds : mapping of str to (low, high)
        By score, score.field or numeric source column. An end is a quantile "q0.2" (the
        max(1, ceil(0.2 n))-th smallest of the rows in which all these scores are defined), an absolute value, or null
        (open). Under mean_rank all scores have the same pair of quantiles; null is then q0 or q1.
    combine : {"all", "mean_rank"}
        "all": inside every interval. "mean_rank": inside the quantiles of the mean of the rank-normalised scores.
    within : {"random", "middle"}
        "random": seeded draws, `gain` is null. "middle": least distance first; the distance is |score - middle| in half
        widths, the largest over the scores (0 at the middle, 1 at an end; an open end counts as the extreme value).
        `gain` is the negated distance.
    stratum : str, optional
        Source column, score or score.field (of a k-means score the cluster): quantiles are those of each value of it,
        and each gives rows in proportion to all that it has, as far as those inside reach.

    The run's notes, and the commit of the selection, say the bounds as values.

    Raises
    ------
    RecipeError
        If bounds are no intervals, or differ under mean_rank.

    Examples
    --------
    >>> Interval(bounds={"entropy": ["q0.2", "q0.9"], "nll": [None, 4.5]}).needs
    (Number(name='entropy'), Number(name='nll'))
    """

    kind: ClassVar[str] = "interval"

    bounds: Mapping[str, Sequence[Bound]]
    combine: Literal["all", "mean_rank"] = "all"
    within: Literal["random", "middle"] = "random"
    stratum: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.bounds:
            raise RecipeError(f"interval: bounds is {self.bounds!r}; map each score to [low, high], as in [q0.2, q0.9]")
        pairs = {_checked(name, pair) for name, pair in self.bounds.items()}
        ends = [end for pair in pairs for end in pair]
        if self.combine == "mean_rank" and (len(pairs) > 1 or any(isinstance(end, int | float) for end in ends)):
            raise RecipeError(
                f"interval: mean_rank cuts one mean, and bounds are {dict(self.bounds)}; "
                "give every score the same pair of quantiles, as in [q0.2, q0.9]"
            )

    @property
    def needs(self) -> tuple[Need, ...]:
        """The scores, and the stratum."""
        return (*map(Number, self.bounds), *([] if self.stratum is None else [Stratum(self.stratum)]))

    @property
    def redraws(self) -> bool:
        """Where the rows inside are drawn."""
        return self.within == "random"

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks among the rows inside.

        Raises
        ------
        InputError
            If no row lies inside, or bounds that are infinite have no middle.
        """
        every, axes = self._axes(pool)
        found = [self._ends(every, name, pair) for name, _, pair in axes]
        if (sizes := found[0].set_index("group")["size"]).empty:
            return picks(pd.Series(dtype=object))
        said = "; ".join(_said(label, ends) for (_, label, _), ends in zip(axes, found, strict=True))
        if self.within == "middle" and not all(np.isfinite(ends[["low", "high"]]).all(axis=None) for ends in found):
            raise InputError(
                f"interval: the bounds {said} have no middle; leave infinite values out with where:, give finite ends, "
                "or set within: random"
            )
        pool.note(f"interval: {said}")
        inside, distance = every.withColumn("distance", F.lit(0.0)), F.col("distance")
        for (name, _, _), ends in zip(axes, found, strict=True):
            value, low, high = F.col(name), F.col("low"), F.col("high")
            inside = _with_ends(inside, ends).where((value >= low) & (value <= high))
            farther = F.greatest(distance, _distance(value, low, high))
            inside = inside.withColumn("distance", farther).drop("low", "high")
        best = self._best(inside, distance if self.within == "middle" else draw(pool.draw_seed), pool, sizes)
        if best.empty:
            points = (f"{label}: {quantiles(every, F.col(name), [0, 0.5, 1])}" for name, label, _ in axes)
            raise InputError(
                f"no row lies inside {said}; the 0, 50 and 100 % points are {', '.join(points)}; widen the bounds"
            )
        return picks(best["id"], -best["key"] if self.within == "middle" else None)

    def left_out(self, pool: Pool, /) -> DataFrame | None:
        """Rows outside of the bounds, with the scores that are."""
        rows, axes = self._axes(pool)
        outside = []
        for name, label, pair in axes:
            ends = self._ends(rows, name, pair)
            rows = _with_ends(rows, ends).withColumnsRenamed({"low": f"low {name}", "high": f"high {name}"})
            value, low, high = F.col(name), F.col(f"low {name}"), F.col(f"high {name}")
            shown = (value.cast("string"), F.lit(" is outside of "), low.cast("string"), F.lit(" to "))
            said = F.concat(F.lit(f"{label} "), *shown, high.cast("string"))
            outside.append(F.when((value < low) | (value > high), said))
        nothing = F.lit(None).cast("string").alias("duplicate_of"), F.lit(None).cast("double").alias("similarity")
        return rows.select("id", F.concat_ws("; ", *outside).alias("why"), *nothing).where("why <> ''")

    def _axes(self, pool: Pool) -> tuple[DataFrame, list[tuple[str, str, Sequence[Bound]]]]:
        """Return the rows with all scores (id, stratum, one column an axis); column, label and bounds of each axis."""
        axes = [(f"s{i}", label, pair) for i, (label, pair) in enumerate(self.bounds.items())]
        stratum = F.lit("") if self.stratum is None else cluster_of(pool.rows, self.stratum).cast("string")
        values = [numeric_column(pool.rows, label).alias(name) for name, label, _ in axes]
        rows = pool.rows.select("id", stratum.alias("stratum"), *values).dropna(subset=[name for name, _, _ in axes])
        if self.combine == "all":
            return rows, axes
        for name, _, _ in axes:
            rows = with_rank(rows, F.col(name), f"rank_{name}")
        mean = reduce(add, (F.col(f"rank_{name}") for name, _, _ in axes)) / len(axes)
        return rows.select("id", "stratum", mean.alias("mean")), [("mean", "mean rank", axes[0][2])]

    def _ends(self, rows: DataFrame, name: str, pair: Sequence[Bound]) -> pd.DataFrame:
        """Return the interval of each stratum in absolute values: group, size, low, high."""
        closed = self.within == "middle" or self.combine == "mean_rank"
        extremes: tuple[str | float, ...] = ("q0", "q1") if closed else (-math.inf, math.inf)
        ends = [extreme if end is None else end for end, extreme in zip(pair, extremes, strict=True)]
        qs = [float(end[1:]) for end in ends if isinstance(end, str)]
        found = quantiles_by_group(rows, F.col(name), F.col("stratum"), qs)
        columns = iter(range(len(qs)))
        for column, end in zip(("low", "high"), ends, strict=True):
            found[column] = found[next(columns)] if isinstance(end, str) else float(end)
        return found[["group", "size", "low", "high"]]

    def _best(self, inside: DataFrame, key: Column, pool: Pool, sizes: pd.Series[int]) -> pd.DataFrame:
        """Return the first rows: of all, or of each stratum in proportion to `sizes`, its rows in and out."""
        if self.stratum is None:
            return top(inside, key, pool.budget, pool.seed)

        def plan(groups: pd.DataFrame) -> pd.DataFrame:
            return groups.assign(weight=groups["group"].map(sizes).astype(float), capacity=groups["size"])

        return top_by_quota(inside, key, F.col("stratum"), plan, pool.budget, pool.seed)


def _said(label: str, ends: pd.DataFrame) -> str:
    """Return the bounds of a score in words, of the largest strata if there are many."""
    largest = ends.nlargest(LISTED, "size")
    parts = [f"{low!r} to {high!r}" for low, high in largest[["low", "high"]].to_numpy().tolist()]
    if len(ends) > 1:
        parts = [f"{tag[1:] or None} {part}" for tag, part in zip(largest["group"], parts, strict=True)]
    more = f", and {len(ends) - LISTED} more strata" if len(ends) > LISTED else ""
    return f"{label} {', '.join(parts)}{more}"


def _with_ends(rows: DataFrame, ends: pd.DataFrame) -> DataFrame:
    """Return the rows with the low and high end of their stratum."""
    tagged = rows.withColumn("group", tag_of(F.col("stratum")))
    return with_values_of_group(tagged, ends, {"low": "double", "high": "double"}).drop("group")


def _quantile(end: object) -> float | None:
    """Return 0.2 for "q0.2"; None for anything else."""
    try:
        q = float(end[1:]) if isinstance(end, str) and end[:1] == "q" else math.nan
    except ValueError:
        return None
    return q if 0 <= q <= 1 else None


def _checked(name: str, pair: Sequence[Bound]) -> tuple[Bound, Bound]:
    """Return [low, high] as a tuple if it is an interval."""
    wrong = f"interval: bounds of {name!r} are {pair!r}; give [low, high], each a number, a quantile q0 to q1, or null"
    if len(pair) != 2 or any(isinstance(end, str) and _quantile(end) is None for end in pair):
        raise RecipeError(wrong)
    low, high = (_quantile(end) if isinstance(end, str) else end for end in pair)
    alike = isinstance(pair[0], str) == isinstance(pair[1], str)
    if alike and low is not None and high is not None and low > high:
        raise RecipeError(f"interval: bounds of {name!r} are {pair!r}, low above high; swap them")
    return pair[0], pair[1]


def _distance(value: Column, low: Column, high: Column) -> Column:
    """Return |value - middle| in half widths; halves are taken first so that no difference overflows."""
    half = high / 2 - low / 2
    return F.when(half == 0, 0.0).otherwise(F.abs(value / 2 - (low / 4 + high / 4)) * 2 / half)
