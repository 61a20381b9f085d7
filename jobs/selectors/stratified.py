"""stratified: a quota for every value of a column, filled by score or by lot.

The i-th row of stratum j, in the stratum's own order, has the key (i - u_j) / w_j with u_j = hash(seed, j), and the b
smallest are taken (ranking/quota.py): no rounding loses a row, a small stratum hands its share on, smaller budgets are
prefixes. Left out: quotas over several columns; make one column of them in the documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import pandas as pd
from pyspark.sql import Column, DataFrame

from ...udfs.constraints import AtLeast
from ...udfs.errors import RecipeError
from ..ranking.sort_keys import by_tag, cluster_of, draw, numeric_column
from ..ranking.top import top_by_quota
from .needs import Number, Stratum
from .selector import Pool, Selector, picks


@dataclass(frozen=True)
class Stratified(Selector):
    """Rows per value of a column, the best or random ones of each; null is a value of its own.

    Parameters
    ----------
    column : str
        The stratum: a source column, a score or score.field; of a k-means score, the cluster.
    quota : "proportional", "equal" or mapping, default "proportional"
        "proportional": shares as in the rows. "equal": as many of each as there are, up to the same number. A mapping
        {value: rows}: at most so many of each and none of the unlisted; a budget below their sum shrinks all alike.
    by : str, optional
        Score, score.field or numeric source column that orders the rows of a stratum, highest first; without it they
        are drawn.

    Raises
    ------
    RecipeError
        If a mapping asks for no row.

    Examples
    --------
    >>> Stratified(column="module", quota={"os": 10, "re": 5}, by="alignment").needs
    (Stratum(name='module'), Number(name='alignment'))
    """

    kind: ClassVar[str] = "stratified"
    reads = {"column": Stratum, "by": Number}

    column: str
    quota: Literal["proportional", "equal"] | Mapping[Any, Annotated[int, AtLeast(0)]] = "proportional"
    by: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.quota, Mapping) and not any(self.quota.values()):
            raise RecipeError(f"stratified: quota asks for no row; map some value of {self.column!r} to rows above 0")

    @property
    def redraws(self) -> bool:
        """Without a score to order by."""
        return self.by is None

    def own_gain(self, rows: DataFrame, /) -> Column | None:
        """The score that orders a stratum."""
        return numeric_column(rows, self.by) if self.by else None

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; `gain` is the score, null for draws.

        Raises
        ------
        InputError
            If a listed value has no eligible row.
        """
        key = -numeric_column(pool.rows, self.by) if self.by else draw(pool.draw_seed)
        stratum = cluster_of(pool.rows, self.column)
        best = top_by_quota(pool.rows, key, stratum, self._plan, pool.budget, pool.seed)
        return picks(best["id"], -best["key"] if self.by else None)

    def _plan(self, groups: pd.DataFrame) -> pd.DataFrame:
        if not isinstance(self.quota, Mapping):
            weight = groups["size"].astype(float) if self.quota == "proportional" else 1.0
            return groups.assign(weight=weight, capacity=groups["size"])
        share = by_tag(self.quota, groups, f"stratified: no eligible row has {self.column}", "value").astype("int64")
        return groups.assign(weight=share.astype(float), capacity=share.clip(upper=groups["size"]))
