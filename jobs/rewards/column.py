"""Rewards that the documents or their scores have already: for tests, ablations, and rewards that never change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pandas as pd

from ...udfs.constraints import Needed
from .reward import Reward, Round


@dataclass(frozen=True)
class ColumnReward(Reward):
    """A number that each row has.

    Parameters
    ----------
    column : str
        Score, score.field or numeric source column; null and NaN are undefined.
    """

    kind: ClassVar[str] = "column"
    reads = {"column": "number"}

    column: Annotated[str, Needed("a score or numeric column")] = ""

    def rewards(self, round: Round) -> pd.DataFrame:
        """Return the column of the rows asked about."""
        found = round.inputs.values(self.column, round.asked)
        return found.assign(reward=found["value"].astype(float))[["id", "reward"]]
