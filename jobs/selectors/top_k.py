"""top_k: the rows with the highest (or lowest) score. ZIP-FIT's selector (arXiv 2410.18194, section 3).

Left out: budgets in tokens; the select job walks down any ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import pandas as pd
from pyspark.sql import Column, DataFrame

from ..ranking.sort_keys import numeric_column
from ..ranking.top import top
from .needs import Number
from .selector import Pool, Selector, picks


@dataclass(frozen=True)
class TopK(Selector):
    """The rows with the best score; ties in order of (hash(seed, id), id).

    Parameters
    ----------
    by : str
        Score, score.field or numeric source column, compared as float64; null and NaN are not selected.
    order : {"desc", "asc"}
        "desc": the highest first. "asc": the lowest first; `gain` is then the negated score.

    Examples
    --------
    >>> TopK(by="alignment").needs
    (Number(name='alignment'),)
    """

    kind: ClassVar[str] = "top_k"
    reads = {"by": Number}

    by: str
    order: Literal["desc", "asc"] = "desc"

    def own_gain(self, rows: DataFrame, /) -> Column | None:
        """The score, negated where the lowest is best."""
        score = numeric_column(rows, self.by)
        return -score if self.order == "asc" else score

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; the seed decides ties only."""
        score = numeric_column(pool.rows, self.by)
        best = top(pool.rows, score if self.order == "asc" else -score, pool.budget, pool.seed)
        return picks(best["id"], -best["key"])
