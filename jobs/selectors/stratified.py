"""stratified: a quota for every value of a column, filled by score or by lot.

The i-th row of stratum j, in the stratum's own order, has the key (i - u_j) / w_j with u_j = hash(seed, j), and the b
smallest are taken (ranking/quota.py): no rounding loses a row, a small stratum hands its share on, smaller budgets are
prefixes. Left out: quotas over several columns; make one column of them in the documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pyspark.sql import functions as F

from ...udfs.errors import InputError, RecipeError, nearest
from ..ranking.sort_keys import draw, number, stratum
from ..ranking.top import top_by_quota
from .selector import Ask, Selector, picks

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

QUOTAS = ("equal", "proportional")
#: Strata that an error lists.
LISTED = 20


@dataclass(frozen=True)
class Stratified(Selector):
    """Rows per value of a column, the best or random ones of each; null is a value of its own.

    Parameters
    ----------
    column : str
        The stratum: a source column, a score's label or label.field.
    quota : str or mapping, default "proportional"
        "proportional": shares as in the rows. "equal": as many of each as there are, up to the same number. A mapping
        {value: rows}: at most so many of each and none of the unlisted; a budget below their sum shrinks all alike.
    by : str, optional
        Score or numeric source column that orders the rows of a stratum, highest first; without it they are drawn.

    Raises
    ------
    RecipeError
        If the quota is none of these.

    Examples
    --------
    >>> Stratified(column="module", quota={"os": 10, "re": 5}, by="alignment").needs
    ('module', 'alignment')
    """

    kind: ClassVar[str] = "stratified"

    column: str
    quota: str | Mapping[str, int] = "proportional"
    by: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.quota, Mapping):
            bad = [v for v in self.quota.values() if isinstance(v, bool) or not isinstance(v, int) or v < 0]
            if bad or not any(self.quota.values()):
                fact = f"holds {bad[0]!r}" if bad else "asks for no row"
                raise RecipeError(f"stratified: quota {fact}; map each value of {self.column!r} to a number of rows")
        elif self.quota not in QUOTAS:
            raise RecipeError(f"stratified: quota is {self.quota!r}; {nearest(str(self.quota), QUOTAS)}, or a mapping")

    @property
    def needs(self) -> tuple[str, ...]:
        """The column and the score."""
        return (self.column, self.by) if self.by else (self.column,)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return the picks; `gain` is the score, null for draws.

        Raises
        ------
        InputError
            If a listed value has no eligible row.
        """
        key = -number(rows, self.by) if self.by else draw(seed)
        chosen = top_by_quota(rows, key, F.col(self.column), self._plan, budget, seed)
        return picks(chosen["id"], -chosen["key"] if self.by else None)

    def _plan(self, groups: pd.DataFrame) -> pd.DataFrame:
        if not isinstance(self.quota, Mapping):
            weight = groups["size"].astype(float) if self.quota == "proportional" else 1.0
            return groups.assign(weight=weight, capacity=groups["size"])
        rows = {stratum(value): count for value, count in self.quota.items()}
        absent = sorted(set(rows) - set(groups["group"]))
        if absent:
            there = [g[1:] for g in groups.nlargest(LISTED, "size")["group"]]
            raise InputError(
                f"stratified: no eligible row has {self.column} = {absent[0][1:] or None!r}; "
                f"{nearest(absent[0][1:], there)}; correct the quota or leave the value out"
            )
        share = groups["group"].map(rows).fillna(0).astype("int64")
        return groups.assign(weight=share.astype(float), capacity=share.clip(upper=groups["size"]))
