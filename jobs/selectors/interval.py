"""interval: rows whose scores lie inside intervals, both tails dropped; EUDS and IGSE (arXiv 2602.17465).

The paper's formulas are not public to us; the definitions here are ours. `combine: all` is the intersection of one
interval per score. `combine: mean_rank` takes one interval of quantiles of the mean, over the scores, of (average rank
of the score among the rows) / rows. Left out: intervals per stratum, and the choice of the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar, Literal

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import RecipeError
from ..ranking.quantiles import quantiles, with_rank
from ..ranking.sort_keys import draw, numeric_column
from ..ranking.top import top
from .needs import Need, Number
from .selector import Pool, Selector, picks

Bound = str | float | None
Axis = tuple[Column, float, float]


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
        """The scores."""
        return tuple(map(Number, self.bounds))

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks among the rows inside."""
        values = [numeric_column(pool.rows, name) for name in self.bounds]
        scores = pool.rows.select("id", *(v.alias(f"s{i}") for i, v in enumerate(values))).dropna()
        names, pairs = [f"s{i}" for i in range(len(values))], list(self.bounds.values())
        if self.combine == "mean_rank":
            for i, name in enumerate(names):
                scores = with_rank(scores, F.col(name), f"r{i}")
            mean = reduce(add, (F.col(f"r{i}") for i in range(len(names)))) / len(names)
            scores, names, pairs = scores.select("id", mean.alias("mean")), ["mean"], pairs[:1]
        axes = [self._axis(scores, name, pair) for name, pair in zip(names, pairs, strict=True)]
        for value, low, high in axes:
            scores = scores.where((value >= low) & (value <= high))
        if self.within == "random":
            return picks(top(scores, draw(pool.seed), pool.budget, pool.seed)["id"])
        largest = F.greatest(F.lit(0.0), *(_distance(*axis) for axis in axes))
        nearest = top(scores, largest, pool.budget, pool.seed)
        return picks(nearest["id"], -nearest["key"])

    def _axis(self, scores: DataFrame, name: str, pair: Sequence[Bound]) -> Axis:
        """Return a score's column with its interval in absolute values."""
        closed = self.within == "middle" or self.combine == "mean_rank"
        extremes: tuple[str | float, ...] = ("q0", "q1") if closed else (-math.inf, math.inf)
        ends = [extreme if end is None else end for end, extreme in zip(pair, extremes, strict=True)]
        bounds = iter(quantiles(scores, F.col(name), [float(end[1:]) for end in ends if isinstance(end, str)]))
        low, high = (next(bounds) if isinstance(end, str) else float(end) for end in ends)
        return F.col(name), low, high


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


def _distance(value: Column, low: float, high: float) -> Column:
    """Return |value - middle| in half widths; halves are taken first so that no difference overflows."""
    half = high / 2 - low / 2
    if half == 0:
        return F.lit(0.0)
    return F.abs(value / 2 - (low / 4 + high / 4)) * 2 / half
