"""length_matched: the control that has the lengths of the selection and nothing else of it.

20 length quantiles of the eligible rows, the selection's counts per bin, a draw per bin from all of them, selected rows
included. Whatever a selection shows beyond this control is not length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ..ranking.quantiles import quantiles
from ..ranking.sort_keys import bin_of, draw, group_tag, numeric_column
from ..ranking.top import collect_pandas, rows_of, top_by_quota
from .needs import Number
from .selector import Pool, Selector, picks

#: Length quantiles of the eligible rows.
BINS = 20


@dataclass(frozen=True)
class LengthMatched(Selector):
    """As many rows as were selected, drawn at random inside the selection's length bins.

    Bins end at the exact j/20 quantiles of the eligible rows. A smaller budget takes the same share of each bin. Rows
    without a length are neither drawn nor, where they were selected, matched. After another stage of a chain, bins are
    those of the rows that it kept, and hold fewer of them where they do not suffice.

    Parameters
    ----------
    length : str
        Score, score.field or numeric source column: the length. A recipe fills in its score of kind length_tokens or
        length_bytes.
    """

    kind: ClassVar[str] = "length_matched"
    reads = {"length": Number}
    matches = True

    length: str

    @property
    def redraws(self) -> bool:
        """It is a draw."""
        return True

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return min(budget, len(selected)) picks; `gain` is null.

        Raises
        ------
        InputError
            If there is no selection to match, or it holds ids that are not among the rows.
        """
        return self.draws(pool, [pool.draw_seed])[0]

    def draws(self, pool: Pool, seeds: Sequence[int]) -> list[pd.DataFrame]:
        """Return the picks of several seeds: bins and counts are the same for all."""
        if pool.selected is None:
            raise InputError("length_matched matches another selection: name it under controls, not under select")
        length = numeric_column(pool.rows, self.length)
        ends = quantiles(pool.rows, length, [j / BINS for j in range(1, BINS)])
        bins = F.when(length.isNotNull(), bin_of(length, ends))
        every = pool.rows if pool.selected_from is None else pool.selected_from
        counts = _counts(every, bins, pool.selected)

        def plan(groups: pd.DataFrame) -> pd.DataFrame:
            wanted = groups["group"].map(counts).fillna(0).astype("int64")
            return groups.assign(weight=wanted.astype(float), capacity=wanted.clip(upper=groups["size"]))

        def drawn(seed: int) -> pd.DataFrame:
            key = F.when(length.isNotNull(), draw(seed))
            return picks(top_by_quota(pool.rows, key, bins, plan, pool.budget, seed)["id"])

        return [drawn(seed) for seed in seeds]


def _counts(rows: DataFrame, bins: Column, selected: pd.DataFrame) -> dict[str, int]:
    """Return how many of the selected rows lie in each bin, by the bin's tag."""
    counts = collect_pandas(rows_of(rows, selected).groupBy(bins.alias("bin")).count())
    if counts["count"].sum() != len(selected):
        raise InputError(
            f"{len(selected)} rows were selected and {counts['count'].sum()} of them are among the rows to match with: "
            "pass the selection of this very table version"
        )
    counts = counts[counts["bin"].notna()]
    return {group_tag(int(b)): int(n) for b, n in zip(counts["bin"], counts["count"], strict=True)}
