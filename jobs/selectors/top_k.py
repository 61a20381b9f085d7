"""top_k: the rows with the highest (or lowest) score. ZIP-FIT's selector (arXiv 2410.18194, section 3).

Left out: budgets in tokens; the select job walks down any ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ..ranking.sort_keys import numeric_column
from ..ranking.top import top
from .needs import Need, Number
from .selector import Pool, Selector, picks

if TYPE_CHECKING:
    import pandas as pd

#: Sign that makes the best score the smallest key.
SIGNS = {"desc": -1.0, "asc": 1.0}


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

    by: str
    order: Literal["desc", "asc"] = "desc"

    @property
    def needs(self) -> tuple[Need, ...]:
        """The score."""
        return (Number(self.by),)

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; the seed decides ties only."""
        key = numeric_column(pool.rows, self.by) * SIGNS[self.order]
        best = top(pool.rows, key, pool.budget, pool.seed)
        return picks(best["id"], -best["key"])
