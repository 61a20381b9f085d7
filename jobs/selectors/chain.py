"""A chain of selectors: each stage chooses from the rows that the one before kept, the last one takes the budget.

A recipe writes it as a list (`select: [{kind: semdedup, ...}, {kind: facility_location}]`); it has no kind of its own.
How stages follow each other: stages.py. Left out: chains in chains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from .needs import Need, defined_if
from .selector import LEFT_OUT, Pool, Selector, picks
from .stages import LastStage, Passed, Stage, last_stage, placed


@dataclass(frozen=True)
class Chain(Selector):
    """Two or more stages; its picks are those of the last, and a smaller budget is a prefix where it is one there.

    Parameters
    ----------
    stages : tuple of Stage
        The last one has neither rows nor a fraction.
    """

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        # Messages, salts and the names of controls call a selector by its kind.
        object.__setattr__(self, "kind", "+".join(stage.selector.kind for stage in self.stages))

    @property
    def last(self) -> Selector:
        """The selector that takes the budget."""
        return self.stages[-1].selector

    @property
    def needs(self) -> tuple[Need, ...]:
        """What its stages read of every row, the last one's first."""
        return tuple(dict.fromkeys(need for stage in reversed(self.stages) for need in stage.selector.needs))

    @property
    def on_demand(self) -> tuple[Need, ...]:
        """What its stages read on demand, the last one's first."""
        return tuple(dict.fromkeys(need for stage in reversed(self.stages) for need in stage.selector.on_demand))

    @property
    def prefix_stable(self) -> bool:
        """Whether the last stage is: what reaches it does not depend on the budget."""
        return self.last.prefix_stable

    def wants(self, budget: int) -> int:
        """Return what the last stage takes."""
        return self.last.wants(budget)

    @property
    def redraws(self) -> bool:
        """Whether all stages do: no further draw costs more than rankings."""
        return all(stage.selector.redraws for stage in self.stages)

    def left_out(self, pool: Pool, /) -> DataFrame | None:
        """Rows that a stage left out or cannot rank, with the stage, and what the last one says of the others."""
        return self.select_and_left_out(pool)[1]

    def select_and_left_out(self, pool: Pool, /) -> tuple[pd.DataFrame, DataFrame | None]:
        """Return both, each stage run once."""
        last = last_stage(self.stages, pool, left_out=True)
        parts = [_out_of_stage(number, passed) for number, passed in enumerate(last.passed, 1)]
        parts.append(_unranked(len(last.passed) + 1, last))
        chosen, own = picks(pd.Series(dtype=object)), None
        if last.rankable:
            with placed(last.place):
                chosen, own = last.selector.select_and_left_out(last.pool)
        parts += [own] if own is not None else []
        return chosen, reduce(DataFrame.unionByName, parts)

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks of the last stage; none where nothing reaches it that it can rank.

        Raises
        ------
        LakeSiftError
            As a stage does, with its place in front.
        """
        last = last_stage(self.stages, pool)
        if not last.rankable:
            return picks(pd.Series(dtype=object))
        with placed(last.place):
            return last.selector.select(last.pool)


def _out_of_stage(number: int, passed: Passed) -> DataFrame:
    """Return the rows that reached a stage and no other, as LEFT_OUT: what the stage says of them, or that it did."""
    kind = passed.selector.kind
    rows = passed.pool.rows.select("id").join(_ids(passed), "id", "left_anti")
    said = passed.left_out
    if said is None:
        said = passed.pool.rows.sparkSession.createDataFrame([], LEFT_OUT)
    own = F.concat(F.lit(f"stage {number}, {kind}: "), "why")
    why = F.coalesce(own, F.lit(f"stage {number}, {kind}, did not keep it")).alias("why")
    return rows.join(said, "id", "left").select("id", why, "duplicate_of", "similarity")


def _ids(passed: Passed) -> DataFrame:
    return F.broadcast(passed.pool.rows.sparkSession.createDataFrame(passed.ids.to_frame("id"), "id string"))


def _unranked(number: int, last: LastStage) -> DataFrame:
    """Return the rows of which the last stage lacks something, as LEFT_OUT."""
    rows, kind = last.pool.rows, last.selector.kind
    needs = defined_if(rows, last.selector.needs, last.pool.fitted)
    absent = [F.when(~F.coalesce(F.expr(f"({sql}\n)"), F.lit(False)), F.lit(name)) for name, sql in needs]
    names = F.concat_ws(", ", *absent) if absent else F.lit("")
    why = F.concat(F.lit(f"stage {number}, {kind}, cannot rank it: "), names, F.lit(" is undefined"))
    nothing = F.lit(None).cast("string").alias("duplicate_of"), F.lit(None).cast("double").alias("similarity")
    return rows.where(names != "").select("id", why.alias("why"), *nothing)


def stages_of(selector: Selector) -> tuple[Stage, ...]:
    """Return the stages of a chain; of any other selector itself, as the only one."""
    return selector.stages if isinstance(selector, Chain) else (Stage(selector),)
