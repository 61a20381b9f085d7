"""The budget of a selection: rows, a fraction of the documents, or tokens; and the cut of a ranking by it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import pandas as pd
from pyspark.sql import functions as F

from ...udfs.constraints import Above, AtLeast
from ...udfs.errors import BoundError
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


def apply_budget(selector: Selector, pool: Pool, budget: Budget, documents: int, ranked: int) -> pd.DataFrame:
    """Return the picks under a budget: rows, a fraction of the documents (rounded), or tokens.

    Under a token budget the ranking's longest prefix that fits is taken, nothing is skipped; `truncate_last` keeps one
    more row, cut to what is left, and the picks have a column `tokens_used`.

    Parameters
    ----------
    documents, ranked : int
        All documents, and the eligible rows that the selector can rank.

    Raises
    ------
    BoundError
        If the selection would hold more rows than the driver takes.
    """
    if budget.tokens:
        return _within_tokens(selector, pool, budget, ranked)
    return selector.select(replace(pool, budget=rows_wanted(budget, documents)))


def rows_wanted(budget: Budget, documents: int) -> int:
    """Return the rows of a budget of rows or a fraction of the documents; BoundError above what the driver takes."""
    wanted = budget.rows or max(1, int(documents * (budget.fraction or 0) + 0.5))
    if wanted > DRIVER_ROWS:
        raise BoundError(
            f"the budget is {wanted:,} rows; the driver holds at most {DRIVER_ROWS:,}: select fewer, or in parts"
        )
    return wanted


def _within_tokens(selector: Selector, pool: Pool, budget: Budget, ranked: int) -> pd.DataFrame:
    """Rank as many rows as the tokens may hold, twice as many until the prefix that fits ends inside the ranking."""
    most = budget.tokens or 0
    counted = pool.rows.where(F.col(budget.length).isNotNull())
    mean = counted.agg(F.avg(budget.length)).collect()[0][0] or 1.0
    size = int(1.2 * most / max(float(mean), 1.0)) + 100
    while True:
        size = min(size, DRIVER_ROWS)
        picks = selector.select(replace(pool, rows=counted, budget=size))
        lengths = rows_of(counted, picks).select("id", F.col(budget.length).cast("bigint").alias("tokens")).toPandas()
        tokens = picks[["id"]].merge(lengths, on="id", how="left")["tokens"].to_numpy()
        total = tokens.cumsum()
        fits = int((total <= most).sum())
        if fits < len(picks) or len(picks) < size or size >= ranked:
            break
        if size == DRIVER_ROWS:
            raise BoundError(
                f"{most:,} tokens are more than the {DRIVER_ROWS:,} rows the driver holds; lower the budget"
            )
        size *= 2
    keep = picks.iloc[:fits].assign(tokens_used=tokens[:fits])
    left = most - (int(total[fits - 1]) if fits else 0)
    if budget.truncate_last and fits < len(picks) and left > 0:
        last = picks.iloc[fits : fits + 1].assign(tokens_used=left)
        keep = pd.concat([keep, last], ignore_index=True)
    return keep
