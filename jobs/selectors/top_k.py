"""top_k: the rows with the highest (or lowest) score. ZIP-FIT's selector (arXiv 2410.18194, section 3).

Left out: budgets in tokens; the select job walks down any ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...udfs.errors import RecipeError, nearest
from ..ranking.sort_keys import number
from ..ranking.top import top
from .selector import Ask, Selector, picks

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

#: Sign that makes the best score the smallest key.
ORDERS = {"desc": -1.0, "asc": 1.0}


@dataclass(frozen=True)
class TopK(Selector):
    """The rows with the best score; ties in order of (hash(seed, id), id).

    Parameters
    ----------
    by : str
        Label of a score (or label.field) or numeric source column, compared as float64; null and NaN are not selected.
    order : str, default "desc"
        "desc": the highest first. "asc": the lowest first; `gain` is then the negated score.

    Raises
    ------
    RecipeError
        If `order` is neither.

    Examples
    --------
    >>> TopK(by="alignment").needs
    ('alignment',)
    """

    kind: ClassVar[str] = "top_k"

    by: str
    order: str = "desc"

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise RecipeError(f"top_k: order is {self.order!r}; {nearest(str(self.order), ORDERS)}")

    @property
    def needs(self) -> tuple[str, ...]:
        """The score."""
        return (self.by,)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return the picks; the seed decides ties only."""
        chosen = top(rows, number(rows, self.by) * ORDERS[self.order], budget, seed)
        return picks(chosen["id"], -chosen["key"])
