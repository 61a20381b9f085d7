"""length_matched: the control that has the lengths of the selection and nothing else of it.

methods, section 6: 20 length quantiles of the pool, the selection's counts per bin, a draw per bin from the whole pool,
chosen rows included. Whatever a selection shows beyond this control is not length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pandas as pd
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ..ranking.quantiles import quantiles
from ..ranking.sort_keys import cell_of, draw, number, stratum
from ..ranking.top import pull, top_by_quota
from .selector import Ask, Selector, picks

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: Length quantiles of the pool.
BINS = 20
#: Most selected ids that are joined by a broadcast.
BROADCAST_IDS = 1_000_000


@dataclass(frozen=True)
class LengthMatched(Selector):
    """As many rows as were selected, drawn at random inside the selection's length bins.

    Bins end at the pool's exact j/20 quantiles. A smaller budget takes the same share of each bin. Rows without a
    length are neither drawn nor, where they were selected, matched.

    Parameters
    ----------
    length : str
        Label of a score or numeric source column: the length.
    """

    kind: ClassVar[str] = "length_matched"

    length: str

    @property
    def needs(self) -> tuple[str, ...]:
        """The length."""
        return (self.length,)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,
        ask: Ask | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return min(budget, len(selected)) picks; `gain` is null.

        Raises
        ------
        InputError
            If there is no selection to match, or it holds ids that are not among the rows.
        """
        if selected is None:
            raise InputError("length_matched matches another selection: name it under controls, not under select")
        length = number(rows, self.length)
        ends = quantiles(rows, length, [j / BINS for j in range(1, BINS)])
        bin_of = F.when(length.isNotNull(), cell_of(length, ends))
        counts = _counts(rows, bin_of, selected)

        def plan(groups: pd.DataFrame) -> pd.DataFrame:
            wanted = groups["group"].map(counts).fillna(0).astype("int64")
            return groups.assign(weight=wanted.astype(float), capacity=wanted)

        key = F.when(length.isNotNull(), draw(seed))
        return picks(top_by_quota(rows, key, bin_of, plan, budget, seed)["id"])


def _counts(rows: DataFrame, bin_of: Column, selected: pd.DataFrame) -> dict[str, int]:
    """Return how many of the selected rows lie in each bin, by the bin's tag."""
    ids = rows.sparkSession.createDataFrame(selected[["id"]], "id string")
    known = F.broadcast(ids) if len(selected) <= BROADCAST_IDS else ids
    found = pull(rows.join(known, "id", "left_semi").groupBy(bin_of.alias("bin")).count())
    if found["count"].sum() != len(selected):
        raise InputError(
            f"{len(selected)} rows were selected and {found['count'].sum()} of them are among the rows to match with: "
            "pass the selection of this very table version"
        )
    found = found[found["bin"].notna()]
    return {stratum(int(b)): int(n) for b, n in zip(found["bin"], found["count"], strict=True)}
