"""random and resample: seeded draws without replacement, uniform or weighted; random is the control of every selection.

Key -ln(u) / w with u = hash(seed, id), the smallest first (Efraimidis and Spirakis, Weighted random sampling with a
reservoir, IPL 97, 2006). With log weights the same order is that of log w + Gumbel noise: DSIR's resampling (arXiv
2302.03169, section 3). Left out: draws with replacement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F

from ...udfs.constraints import Above
from ...udfs.errors import InputError
from ..ranking.sort_keys import draw, numeric_column
from ..ranking.top import collect_pandas, top
from .needs import Number
from .selector import Pool, Selector, picks

#: Share of a draw's rows that are those of the largest log weights from which on it is called a top-k.
NEARLY_TOP = 0.9


@dataclass(frozen=True)
class Random(Selector):
    """A draw without replacement; the next row is any of those left, with probability proportional to its weight.

    Parameters
    ----------
    by : str, optional
        Score, score.field or numeric source column with the weights, >= 0; without it all rows weigh the same. Rows of
        weight 0 come after all others, so that the number of picks stays exact; null weights are never selected.

    Examples
    --------
    >>> Random().needs, Random(by="quality").needs
    ((), (Number(name='quality'),))
    """

    kind: ClassVar[str] = "random"
    reads = {"by": Number}

    by: str | None = None

    @property
    def redraws(self) -> bool:
        """It is a draw."""
        return True

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; `gain` is null.

        Raises
        ------
        InputError
            If a weight is negative or all weights are 0.
        """
        weight = None if self.by is None else numeric_column(pool.rows, self.by)
        if weight is not None:
            least, most = collect_pandas(pool.rows.agg(F.min(weight), F.max(weight))).iloc[0]
            if pd.isna(most):
                return picks(pd.Series(dtype=object))
            if least < 0 or most == 0:
                fact = f"has the weight {least}" if least < 0 else "is 0 in every row"
                raise InputError(f"column {self.by!r} {fact}; weights are >= 0 and some are above: shift or rank them")
        return picks(top(pool.rows, draw(pool.draw_seed, weight), pool.budget, pool.seed)["id"])


@dataclass(frozen=True)
class Resample(Selector):
    """A draw without replacement by log weights: the largest log w - ln(-ln u), Gumbel top-k, as DSIR resamples.

    The next row is any of those left with probability proportional to w. `gain` is null; the score that `by` names is a
    column of the selection.

    Parameters
    ----------
    by : str
        Score, score.field or numeric source column with the log weights, of any sign; null is never selected.
    temperature : float, default 1.0
        The log weights are divided by it: towards 0 the plain top-k, large values draw uniformly (ours). Sums over rows
        of text differ by hundreds, beside which the draw's noise of sd 1.28 is nothing: the run notes how near to the
        plain top-k a draw is.

    Examples
    --------
    >>> Resample(by="logw").needs
    (Number(name='logw'),)
    """

    kind: ClassVar[str] = "resample"
    reads = {"by": Number}

    by: str
    temperature: Annotated[float, Above(0)] = 1.0

    @property
    def redraws(self) -> bool:
        """It is a draw."""
        return True

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks."""
        log_weight = numeric_column(pool.rows, self.by)
        key = F.log(draw(pool.draw_seed)) - log_weight / F.lit(float(self.temperature))
        drawn = top(pool.rows, key, pool.budget, pool.seed)["id"]
        self._note_nearness(pool, log_weight, drawn)
        return picks(drawn)

    def _note_nearness(self, pool: Pool, log_weight: Column, drawn: pd.Series[str]) -> None:
        """Note how many of the drawn rows are those of the largest log weights."""
        count, spread = collect_pandas(pool.rows.agg(F.count(log_weight), F.stddev_pop(log_weight))).iloc[0]
        if not len(drawn) or len(drawn) >= count:  # all rows: nothing is drawn
            return
        best = top(pool.rows, -log_weight, len(drawn), pool.seed)["id"]
        share, noise = float(drawn.isin(set(best)).mean()), 1.28 * self.temperature
        told = f"{share:.0%} of the {len(drawn):,} rows drawn are those of the largest {self.by!r}"
        advice = ""
        if share >= NEARLY_TOP and share > 2 * len(drawn) / count:
            advice = f": this is nearly top_k; a temperature of about {spread / 1.28:.2g}, or the mean log weight "
            advice += "(dsir: per: token), would draw"
        pool.note(f"{told} (their sd is {spread:.3g}, that of the draw {noise:.3g}){advice}")
