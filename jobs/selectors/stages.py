"""Stages of a chain, run one after the other: each chooses from the rows that the one before kept.

What a stage keeps reaches the next as ids on the driver, so that a stage keeps at most what a selection may hold. A
draw after a draw has random numbers of its own: with those of the first it would undo the weights of the first. Left
out: weights and copies of a stage before the last, which the next would lose (`Selector.weighs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pandas as pd
from pyspark.sql import DataFrame

from ...udfs.errors import LakeSiftError
from ...udfs.scorer import Scorer
from ..ranking.top import rows_of
from .budget import Count, Share
from .needs import Need, all_of, defined_if
from .selector import Pool, Selector, Values


@dataclass(frozen=True)
class Stage:
    """A selector, and how much it keeps: so many rows, a fraction of those that reach it, or all that it can select."""

    selector: Selector
    rows: Count | None = None
    fraction: Share | None = None

    def budget(self, reached: int) -> int:
        """Return how many rows it keeps at most of so many that reach it.

        Examples
        --------
        >>> from lakesift.jobs.selectors.random_draw import Random
        >>> [Stage(Random(), *given).budget(9) for given in ((), (4,), (None, 0.5), (40,))]
        [9, 4, 5, 9]
        """
        if self.fraction is not None:
            return max(1, int(reached * self.fraction + 0.5))
        return reached if self.rows is None else min(self.rows, reached)


@dataclass(frozen=True)
class Kept:
    """What a stage made of the rows that reached it: `undefined` of them lack what it reads, `kept` were chosen."""

    kind: str
    rows: int
    undefined: int
    kept: int

    @property
    def left_out(self) -> int:
        """The rows that it could have chosen and did not."""
        return self.rows - self.undefined - self.kept


@dataclass(frozen=True)
class Passed:
    """A stage that has chosen: its selector, the pool it got, the ids that it kept, and what it says of others."""

    selector: Selector
    pool: Pool
    ids: pd.Series[str]
    left_out: DataFrame | None = None


@dataclass(frozen=True)
class LastStage:
    """The stage that takes the budget, with the pool of what the others kept; a single selector is its own last stage.

    `kept` is what each stage before it kept, `passed` these stages; `reached` are the rows of the pool, `rankable`
    those of them that have all that it reads; `place` opens its errors, "" for a single selector.
    """

    selector: Selector
    pool: Pool
    reached: int
    rankable: int
    kept: tuple[Kept, ...] = ()
    place: str = ""
    passed: tuple[Passed, ...] = ()

    @property
    def left(self) -> str:
        """Why rows of the pool that the first stage can rank are not among its rankable ones: ", 3 left out by ..."."""
        parts = []
        for number, stage in enumerate([*self.kept, *self.counts(self.rankable)[-1:]], 1):
            parts += [f"{stage.undefined:,} unranked by stage {number}"] if stage.undefined and number > 1 else []
            parts += [f"{stage.left_out:,} left out by stage {number} ({stage.kind})"] if stage.left_out else []
        return "".join(f", {part}" for part in parts)

    def counts(self, selected: int) -> list[Kept]:
        """Return what every stage kept, the last one this many rows; nothing of a single selector."""
        last = Kept(self.selector.kind, self.reached, self.reached - self.rankable, selected)
        return [*self.kept, last] if self.kept else []


def by_place(place: str, stages: Sequence[Stage]) -> dict[str, Stage]:
    """Return stages by their place in a recipe: "select, stage 2"; a single one is at the place itself."""
    return {f"{place}, stage {n}" if len(stages) > 1 else place: stage for n, stage in enumerate(stages, 1)}


def last_stage(
    stages: Sequence[Stage], pool: Pool, counted: tuple[int, int] | None = None, left_out: bool = False
) -> LastStage:
    """Run all stages but the last.

    Where a stage can rank nothing of what reaches it, it is the last one.

    Parameters
    ----------
    counted : (int, int), optional
        The rows of the pool, and those of them that the first stage can rank, where they are known.
    left_out : bool
        Ask each stage also what it leaves out.

    Raises
    ------
    LakeSiftError
        As a stage does, with its place in front.
    """
    kept, passed, begun, read = list[Kept](), list[Passed](), pool, set[Need]()
    reached, rankable = counted or _count(pool.rows, stages[0].selector.needs, pool)
    for number, (place, stage) in enumerate(by_place(pool.place, stages).items(), 1):
        if number > 1:
            more = [need for need in stage.selector.needs if need not in read]
            rankable = _count(pool.rows, more, pool)[1] if more and reached else reached
        if number == len(stages) or not rankable:
            break
        with placed(place):
            passed.append(_passed(stage.selector, _within_stage(pool, place, stage.budget(reached)), left_out))
        chosen = passed[-1].ids
        kept.append(Kept(stage.selector.kind, reached, reached - rankable, len(chosen)))
        pool.note(_said(place, stage, kept[-1]))
        # What a stage has kept has all that it reads.
        pool, reached, read = _after(begun, chosen, stages[:number]), len(chosen), read | {*stage.selector.needs}
    return LastStage(stage.selector, pool, reached, rankable, tuple(kept), place if kept else "", tuple(passed))


def _passed(selector: Selector, pool: Pool, left_out: bool) -> Passed:
    chosen, out = selector.select_and_left_out(pool) if left_out else (selector.select(pool), None)
    return Passed(selector, pool, chosen["id"], out)


def _count(rows: DataFrame, needs: Sequence[Need], pool: Pool) -> tuple[int, int]:
    """Return how many rows there are, and how many have all of these needs."""
    rankable = all_of(sql for _, sql in defined_if(rows, needs, pool.fitted))
    count = rows.selectExpr("count(*)", f"count_if({rankable})").collect()[0]
    return int(count[0]), int(count[1])


def _within_stage(pool: Pool, place: str, budget: int) -> Pool:
    return replace(pool, budget=budget, note=lambda sentence: pool.note(f"{place}: {sentence}"))


def _after(begun: Pool, chosen: pd.Series[str], before: Sequence[Stage]) -> Pool:
    """Return the pool of the next stage: the rows chosen, and values of these alone."""
    drawn = any(stage.selector.redraws for stage in before)
    return replace(
        begun,
        rows=rows_of(begun.rows, chosen.to_frame("id")),
        selected_from=begun.rows,
        values=_values_of(begun.values, chosen.tolist()),
        salt=f"{begun.salt} stage {len(before) + 1}" if drawn else begun.salt,
    )


def _values_of(values: Values, chosen: Sequence[str]) -> Values:
    def of_chosen(what: str | Scorer, ids: Sequence[str] | None = None) -> pd.DataFrame:
        return values(what, chosen if ids is None else ids)

    return of_chosen


def _said(place: str, stage: Stage, kept: Kept) -> str:
    """Say what a stage kept, and where that is not what its place in a chain suggests."""
    parts = [f"{kept.undefined:,} unranked"] if kept.undefined else []
    parts += [f"{kept.left_out:,} left out"] if kept.left_out else []
    why = f" ({', '.join(parts)})" if parts else ""
    sentence = f"{place}: {kept.kind} kept {kept.kept:,} of {kept.rows:,} rows{why}"
    if stage.rows is not None and kept.kept < stage.rows:
        return f"{sentence}, and rows: asks for {stage.rows:,}"
    if stage.rows is None and stage.fraction is None and not kept.left_out:
        return f"{sentence}: it left none out, and has neither rows: nor fraction:"
    return sentence


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Open the sentence of an error inside with a place in the recipe; "" leaves it as it is."""
    try:
        yield
    except LakeSiftError as error:
        if not place:
            raise
        raise type(error)(f"{place}: {error}") from error
