"""The budget of a selection: rows, a fraction of the documents, or tokens; and the cut of a ranking by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.arrays import Ints
from ...udfs.constraints import Above, AtLeast
from ...udfs.errors import BoundError, InputError
from ...udfs.quoting import quoted_name
from ..ranking.top import DRIVER_ROWS, rows_of
from .selector import Pool, Selector

Count = Annotated[int, AtLeast(1)]
Share = Annotated[float, Above(0, most=1)]


@dataclass(frozen=True)
class Budget:
    """Rows, a fraction of the documents, or tokens; `length` is the score that counts a row's tokens."""

    rows: Count | None = None
    fraction: Share | None = None
    tokens: Count | None = None
    length: str = ""
    truncate_last: bool = False


@dataclass(frozen=True)
class Supply:
    """Rows that a budget can be spent on: all documents, those that a selector can rank, and why others are left."""

    documents: int
    rankable: int
    left: str

    def cause(self, selector: Selector, picks: pd.DataFrame) -> str:
        """Return why there are no more picks, in words."""
        more = self.rankable - len(picks) if (picks["copies"] == 1).all() else 0
        return f"{self.left}, {more:,} left out by {selector.kind}" if more > 0 else self.left


def apply_budget(selector: Selector, pool: Pool, budget: Budget, supply: Supply) -> pd.DataFrame:
    """Return the picks under a budget: rows, a fraction of the documents (rounded), or tokens; a shortfall is noted.

    Under a token budget the ranking's longest prefix that fits is taken, nothing is skipped; `truncate_last` keeps one
    more row, cut to what is left, and the picks have a column `tokens_used`.

    Raises
    ------
    BoundError
        If the selection would hold more rows than the driver takes.
    InputError
        If the first row alone has more tokens than the budget.
    """
    if budget.tokens:
        return _within_tokens(selector, pool, budget, supply)
    wanted = rows_wanted(budget, supply.documents)
    picks = selector.select(replace(pool, budget=wanted))
    if (drawn := int(picks["copies"].sum())) < selector.wants(wanted):
        share = "" if budget.rows else f" ({budget.fraction:g} of {supply.documents:,} documents)"
        done = "could be selected" if selector.prefix_stable else "were selected"
        pool.note(f"budget is {wanted:,} rows{share}, {drawn:,} {done} ({supply.cause(selector, picks)})")
    return picks


def countable(rows: DataFrame, budget: Budget) -> DataFrame:
    """Return the rows that a budget can count: under one in tokens those with a length."""
    return rows.where(F.col(quoted_name(budget.length)).isNotNull()) if budget.tokens else rows


def rows_wanted(budget: Budget, documents: int) -> int:
    """Return the rows of a budget of rows or a fraction of the documents; BoundError above what the driver takes."""
    wanted = budget.rows or max(1, int(documents * (budget.fraction or 0) + 0.5))
    if wanted > DRIVER_ROWS:
        raise BoundError(
            f"the budget is {wanted:,} rows; the driver holds at most {DRIVER_ROWS:,}: select fewer, or in parts"
        )
    return wanted


def _within_tokens(selector: Selector, pool: Pool, budget: Budget, supply: Supply) -> pd.DataFrame:
    """Rank what the tokens may hold, and cut it; the pool's rows have a length."""

    def ranked(size: int) -> pd.DataFrame:
        return selector.select(replace(pool, budget=size))

    picks, tokens = ranked_to_tokens(ranked, pool.rows, budget, supply.rankable)
    return cut_by_tokens(picks, tokens, budget, lambda: supply.cause(selector, picks), pool.note)


def ranked_to_tokens(
    ranked: Callable[[int], pd.DataFrame], rows: DataFrame, budget: Budget, rankable: int
) -> tuple[pd.DataFrame, Ints]:
    """Return a ranking in which the prefix that fits ends, or all of it, and the tokens of its rows.

    Parameters
    ----------
    ranked : callable
        The first rows of the ranking, that many or more; it is asked for twice as many until they hold the tokens.
    rows : DataFrame
        What is ranked: those with a length.

    Raises
    ------
    BoundError
        If the tokens are more than the rows that the driver holds.
    """
    most = budget.tokens or 0
    mean = rows.agg(F.avg(quoted_name(budget.length))).collect()[0][0] or 1.0
    size = int(1.2 * most / max(float(mean), 1.0)) + 100
    while True:
        size = min(size, DRIVER_ROWS)
        picks = ranked(size)
        tokens = tokens_of(rows, picks, budget.length)
        if tokens.sum() > most or len(picks) < size or size >= rankable:
            return picks, tokens
        if size == DRIVER_ROWS:
            raise BoundError(
                f"{most:,} tokens are more than the {DRIVER_ROWS:,} rows the driver holds; lower the budget"
            )
        size *= 2


def tokens_of(rows: DataFrame, picks: pd.DataFrame, length: str) -> Ints:
    """Return the tokens of picks, in their order, by the score that counts them."""
    counted = rows_of(rows, picks).select("id", F.col(quoted_name(length)).cast("bigint").alias("tokens")).toPandas()
    tokens: Ints = picks[["id"]].merge(counted, on="id", how="left")["tokens"].to_numpy()
    return tokens


def cut_by_tokens(
    picks: pd.DataFrame, tokens: Ints, budget: Budget, cause: Callable[[], str], note: Callable[[str], None]
) -> pd.DataFrame:
    """Return the longest prefix within a budget in tokens, with `tokens_used`; `cause` says why there are no more rows.

    Raises
    ------
    InputError
        If the first row alone has more tokens than the budget.
    """
    most, total = budget.tokens or 0, tokens.cumsum()
    fits = int((total <= most).sum())
    keep, used = picks.iloc[:fits].assign(tokens_used=tokens[:fits]), int(total[fits - 1]) if fits else 0
    if used == most or picks.empty:
        return keep
    if fits == len(picks):
        note(f"budget is {most:,} tokens, the rows that could be selected have {used:,} ({cause()})")
        return keep
    if budget.truncate_last:
        last = picks.iloc[fits : fits + 1].assign(tokens_used=most - used)
        return pd.concat([keep, last], ignore_index=True)
    following = f"{picks['id'].iloc[fits]!r}, has {int(tokens[fits]):,}"
    if not fits:
        raise InputError(
            f"the budget is {most:,} tokens and the first row alone, {following} by {budget.length}; raise "
            "budget.tokens, set budget.truncate_last: true to cut the row, or leave such rows out with where:"
        )
    note(f"budget is {most:,} tokens, {used:,} are used: the next row, {following}")
    return keep
