"""What a version of a selection was chosen from, opened again, and the selector's order of it to any depth.

No table holds that order. A selector is a function of scores, memos, source columns and the seed, and these are there
at the versions that the commit names: the order is ranked again when somebody asks, and no text is read. What is read
again is compared with the counts of the commit, so that a place in the order is that of the run, or is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.arrays import Ints
from ...udfs.errors import InputError
from ...udfs.fitted import FittedScore
from ..inputs.memory import collected_width, width_of
from ..inputs.run import Run
from ..lake.tuning import collect_small
from ..ranking.top import DRIVER_ROWS
from ..recipe import Recipe
from ..scoring.eligible import count_rankable, eligible_rows
from ..selectors.budget import countable, tokens_of
from ..selectors.chain import stages_of
from ..selectors.selector import PICKS, Pool, Selector
from .made_from import Made
from .report_draws import nothing_on_demand

#: The order is told to this many times the rows that were selected, unless another depth is asked for.
DEPTH = 2


@dataclass(frozen=True)
class ChosenAgain:
    """A version of a selection with what it was chosen from.

    Parameters
    ----------
    run : Run
        Recipe and inputs as the version has them; its manifest's notes say what differs now.
    fitted : mapping
        The fitted scores that the selector works with, by name.
    scores : DataFrame
        `scores_<recipe>` at the version that was read.
    """

    run: Run
    of: Made
    fitted: Mapping[str, FittedScore]
    scores: DataFrame

    @property
    def recipe(self) -> Recipe:
        """The recipe that made the version."""
        return self.run.recipe

    @property
    def what(self) -> str:
        """What is read, in words."""
        return read_of(self.of, self.recipe)

    @cached_property
    def selection(self) -> DataFrame:
        """The rows of the version: PICKS."""
        rows = self.run.lake.read(f"selection_{self.recipe.name}", self.of.version).select(*PICKS)
        return collect_small(rows, self.of.rows or DRIVER_ROWS)

    @property
    def selected(self) -> int:
        """How many rows the run chose."""
        return int(self.of.said["counts"]["selected"])

    @cached_property
    def depth(self) -> int:
        """How many rows of the order are told unasked: DEPTH times the selected ones, or what the selector can pick."""
        last = stages_of(self.recipe.selector)[-1].selector
        most = last.most_picks(self.rankable, collected_width(self.recipe, last))
        wanted = DEPTH * self.selected
        return wanted if most is None else max(min(wanted, most), self.selected)

    @cached_property
    def cut(self) -> float | None:
        """The least gain of its rows; None where they were drawn."""
        least = self.selection.agg(F.expr("min(IF(isnan(gain), NULL, gain))")).collect()[0][0]
        return None if least is None else float(least)

    @property
    def rows(self) -> DataFrame:
        """The rows that `where:` let in, with what the selector needs."""
        return self._counted[0]

    @property
    def countable(self) -> DataFrame:
        """Those of them that the recipe's budget can count."""
        return countable(self.rows, self.recipe.budget)

    @property
    def rankable_rows(self) -> DataFrame:
        """Those of them that can be ranked."""
        return self.rows.where(self._counted[1])

    @cached_property
    def _counted(self) -> tuple[DataFrame, str]:
        """The eligible rows, and SQL of whether one can be ranked.

        Raises
        ------
        InputError
            If these are not as many as the run had, or not as many of them can be ranked.
        """
        counts, rows = self.of.said["counts"], eligible_rows(self.run, self.fitted, self.scores)
        width = sum(width_of(self.recipe, name) for name in rows.columns)
        rows = collect_small(rows, counts["documents"] - counts["ineligible"], width)
        eligible, ranked, rankable = count_rankable(rows, self.recipe)
        had = counts["documents"] - counts["ineligible"]
        if (eligible, eligible - ranked) != (had, counts["unranked"]):
            raise InputError(
                f"version {self.of.version} of selection_{self.recipe.name} was chosen from "
                f"{had - counts['unranked']:,} rows, and {ranked:,} can be ranked of what its inputs hold now: "
                f"documents or memos were changed or removed; do this first: lakesift run {self.recipe.name}"
            )
        return rows, rankable

    @cached_property
    def rankable(self) -> int:
        """How many rows can be ranked."""
        counts = self.of.said["counts"]
        return int(counts["documents"] - counts["ineligible"] - counts["unranked"])

    @cached_property
    def start(self) -> DataFrame | None:
        """The ids of the earlier choice that the run went on from, those that can be ranked here or not."""
        given = self.of.said["inputs"].get("start")
        if self.recipe.start is None or given is None:
            return None
        ids = self.run.lake.read(self.recipe.start.table, given["version"]).selectExpr("CAST(id AS STRING) AS id")
        return ids.where("id IS NOT NULL").distinct()

    def pool(self, budget: int) -> Pool:
        """Return what the selector got, with another budget in rows."""
        recipe, rows = self.recipe, self.countable
        start: list[str] = []
        if self.start is not None:
            start = sorted(rows.join(self.start, "id", "left_semi").select("id").toPandas()["id"])
        scorers = {name: score.scorer for name, score in self.fitted.items()}
        nobody = nothing_on_demand
        return Pool(rows, budget, recipe.seed, scorers, nobody, lambda _: None, start=start, salt=recipe.selector_salt)

    def order(self, depth: int) -> pd.DataFrame:
        """Return the first rows in the selector's order, as a run with that budget in rows would have chosen them.

        Raises
        ------
        InputError
            If the selector has no order.
        """
        return self.order_and_left_out(depth)[0]

    def order_and_left_out(self, depth: int) -> tuple[pd.DataFrame, DataFrame | None]:
        """Return the same, and the rows that no budget chooses: LEFT_OUT, None if there are none to tell of."""
        if depth not in self._orders:
            ranked = self.recipe.selector.select_and_left_out(self._to(depth))
            self._orders.clear()
            self._orders[depth] = ranked
        return self._orders[depth]

    @cached_property
    def least_tokens(self) -> Ints | None:
        """The least budget in tokens that takes the row at each place of the order to `depth`; None under others."""
        budget = self.recipe.budget
        if not budget.tokens:
            return None
        tokens = tokens_of(self.countable, self.order(self.depth), budget.length)
        total = tokens.cumsum()
        return total - tokens + 1 if budget.truncate_last else total

    @cached_property
    def _orders(self) -> dict[int, tuple[pd.DataFrame, DataFrame | None]]:
        """What was ranked last, by its depth."""
        return {}

    def _to(self, depth: int) -> Pool:
        if reason := why_no_order(self.recipe):
            raise InputError(reason)
        return self.pool(min(depth, DRIVER_ROWS))


def read_of(of: Made, recipe: Recipe) -> str:
    """Return what is read for a version of a selection, in words."""
    return f"what version {of.version} of selection_{recipe.name} was chosen from"


def comparing(recipe: Recipe) -> Selector | None:
    """Return the selector, of a chain the last stage, that compares vectors on the driver; None without."""
    found = [stage.selector for stage in stages_of(recipe.selector) if stage.selector.collects]
    return found[-1] if found else None


def why_no_order(recipe: Recipe) -> str:
    """Return why a smaller budget is no part of a larger one, in a sentence; "" where it is."""
    if recipe.refine:
        return (
            f"the rows of {recipe.name} are chosen in rounds, each by the rewards of the one before, so that another "
            f"budget is another refinement; set budget: and do this: lakesift refine {recipe.name}"
        )
    if not recipe.selector.prefix_stable:
        return (
            f"{recipe.selector.kind} chooses other rows for another budget, not fewer or more of the same; set budget: "
            f"and do this: lakesift run {recipe.name}"
        )
    return ""
