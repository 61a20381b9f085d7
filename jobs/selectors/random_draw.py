"""random: seeded draws without replacement, uniform or weighted; also the control of every selection.

Key -ln(u) / w with u = hash(seed, id), the smallest first (Efraimidis and Spirakis, Weighted random sampling with a
reservoir, IPL 97, 2006). Left out: draws with replacement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ..ranking import pull, top
from ..sort_keys import draw, number
from .selector import Ask, Selector, picks

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Random(Selector):
    """A draw without replacement; the next row is any of those left, with probability proportional to its weight.

    Parameters
    ----------
    by : str, optional
        Label of a score or numeric source column with the weights, >= 0; without it all rows weigh the same. Rows of
        weight 0 come after all others, so that the number of picks stays exact; null weights are never selected.

    Examples
    --------
    >>> Random().needs, Random(by="quality").needs
    ((), ('quality',))
    """

    kind: ClassVar[str] = "random"

    by: str | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """The weight, if there is one."""
        return (self.by,) if self.by else ()

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return the picks; `gain` is null.

        Raises
        ------
        InputError
            If a weight is negative or all weights are 0.
        """
        weight = number(rows, self.by) if self.by else None
        if weight is not None:
            least, most = pull(rows.agg(F.min(weight).alias("least"), F.max(weight).alias("most"))).iloc[0]
            if least < 0 or most == 0:
                fact = f"has the weight {least}" if least < 0 else "is 0 in every row"
                raise InputError(f"column {self.by!r} {fact}; weights are >= 0 and some are above: shift or rank them")
        return picks(top(rows, draw(seed, weight), budget, seed)["id"])
