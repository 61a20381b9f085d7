"""A chain of selectors: each stage chooses from the rows that the one before kept, the last one takes the budget.

A recipe writes it as a list (`select: [{kind: semdedup, ...}, {kind: facility_location}]`); it has no kind of its own.
How stages follow each other: stages.py. Left out: chains in chains.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .needs import Need
from .selector import Pool, Selector, picks
from .stages import Stage, last_stage, placed


@dataclass(frozen=True)
class Chain(Selector):
    """Two or more stages; its picks are those of the last, and a smaller budget is a prefix where it is one there.

    Parameters
    ----------
    stages : tuple of Stage
        The last one has neither rows nor a fraction.
    """

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        # Messages, salts and the names of controls call a selector by its kind.
        object.__setattr__(self, "kind", "+".join(stage.selector.kind for stage in self.stages))

    @property
    def last(self) -> Selector:
        """The selector that takes the budget."""
        return self.stages[-1].selector

    @property
    def needs(self) -> tuple[Need, ...]:
        """What its stages read of every row, the last one's first."""
        return tuple(dict.fromkeys(need for stage in reversed(self.stages) for need in stage.selector.needs))

    @property
    def on_demand(self) -> tuple[Need, ...]:
        """What its stages read on demand, the last one's first."""
        return tuple(dict.fromkeys(need for stage in reversed(self.stages) for need in stage.selector.on_demand))

    @property
    def prefix_stable(self) -> bool:
        """Whether the last stage is: what reaches it does not depend on the budget."""
        return self.last.prefix_stable

    def wants(self, budget: int) -> int:
        """Return what the last stage takes."""
        return self.last.wants(budget)

    @property
    def redraws(self) -> bool:
        """Whether all stages do: no further draw costs more than rankings."""
        return all(stage.selector.redraws for stage in self.stages)

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks of the last stage; none where nothing reaches it that it can rank.

        Raises
        ------
        LakeSiftError
            As a stage does, with its place in front.
        """
        last = last_stage(self.stages, pool)
        if not last.rankable:
            return picks(pd.Series(dtype=object))
        with placed(last.place):
            return last.selector.select(last.pool)


def stages_of(selector: Selector) -> tuple[Stage, ...]:
    """Return the stages of a chain; of any other selector itself, as the only one."""
    return selector.stages if isinstance(selector, Chain) else (Stage(selector),)
