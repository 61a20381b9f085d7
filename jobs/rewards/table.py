"""Rewards that somebody else writes to the table `feedback`: a trainer on its own cluster, a judge, people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from ...udfs.constraints import Needed
from .reward import Reward, Round


@dataclass(frozen=True)
class TableReward(Reward):
    """Rewards from `feedback`; a round waits until every row that it asks about has one.

    Parameters
    ----------
    source : str
        Whose rewards are read: the value of the column `source`, such as trainer.
    """

    kind: ClassVar[str] = "table"

    source: Annotated[str, Needed("the value of the column source of feedback")] = ""

    @property
    def writer(self) -> str:
        """Whose rewards these are: the column `source` of `feedback`."""
        return self.source

    def rewards(self, round: Round) -> None:
        """Return None: they are awaited."""
