"""random and resample: seeded draws without replacement, uniform or weighted; random is the control of every selection.

Key -ln(u) / w with u = hash(seed, id), the smallest first (Efraimidis and Spirakis, Weighted random sampling with a
reservoir, IPL 97, 2006). With log weights the same order is that of log w + Gumbel noise: DSIR's resampling (arXiv
2302.03169, section 3). Left out: draws with replacement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pyspark.sql import functions as F

from ...udfs.errors import InputError, RecipeError
from ..ranking.sort_keys import draw, number
from ..ranking.top import pull, top
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


@dataclass(frozen=True)
class Resample(Selector):
    """A draw without replacement by log weights: the largest log w - ln(-ln u), Gumbel top-k, as DSIR resamples.

    The next row is any of those left with probability proportional to w. `gain` is null; `by` stands beside it.

    Parameters
    ----------
    by : str
        Label, label.field or numeric source column with the log weights, of any sign; null is never selected.
    temperature : float, default 1.0
        The log weights are divided by it: towards 0 the plain top-k, large values draw uniformly (ours).

    Raises
    ------
    RecipeError
        If the temperature is not above 0.

    Examples
    --------
    >>> Resample(by="logw").needs
    ('logw',)
    """

    kind: ClassVar[str] = "resample"

    by: str
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise RecipeError(f"resample: temperature is {self.temperature!r}; a number above 0 is needed")

    @property
    def needs(self) -> tuple[str, ...]:
        """The log weights."""
        return (self.by,)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return the picks."""
        key = F.log(draw(seed)) - number(rows, self.by) / F.lit(float(self.temperature))
        return picks(top(rows, key, budget, seed)["id"])
