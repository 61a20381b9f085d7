"""The Selector: a frozen dataclass that turns a pool of eligible rows into exactly min(budget, eligible) picks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame

from ...udfs.constraints import check_fields
from ...udfs.digests import derived_seed
from ...udfs.scorer import Scorer
from ..ranking.vectors import driver_rows, vector_bytes
from .needs import Need

#: Columns of the frame that `select` returns, in order.
PICKS = ("id", "rank", "gain", "weight", "copies")
#: Columns of the frame that `left_out` returns.
LEFT_OUT = "id string, why string, duplicate_of string, similarity double"


class Values(Protocol):
    """Scores computed on demand: (id, value) of some rows, of all eligible rows with None, in any order."""

    def __call__(self, what: str | Scorer, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the values of a score, score.field or source column by name, or of a fitted scorer of one's own."""


@dataclass(frozen=True)
class Pool:
    """All that a selector gets.

    Parameters
    ----------
    rows : DataFrame
        The eligible rows: `id` (string, distinct) and every column that `needs` names.
    budget : int
        Rows wanted, or draws with replacement.
    seed : int
    fitted : mapping of str to Scorer
        Fitted scorers by the name of their score.
    values : Values
        Computes `on_demand` scores, and scores of a scorer of one's own, for the rows asked about, and stores them.
    note : callable
        Says something about the selection, in the run's notes.
    selected : pandas.DataFrame, optional
        Controls only: the picks of the selection that they are compared with.
    start : sequence of str
        Ids of rows chosen earlier, all among `rows`: they count as chosen, and are not picked again. Only where the
        selector `starts`.
    salt : str
        Makes draws those of one recipe and kind of selector; ties and their like go by the seed alone.
    place : str
        Where the selector stands in the recipe: what the notes and errors of a chain's stages open with.
    selected_from : DataFrame, optional
        Controls only: the rows that `selected` are among, where a stage of a chain has left some out of `rows`.
    """

    rows: DataFrame
    budget: int
    seed: int
    fitted: Mapping[str, Scorer]
    values: Values
    note: Callable[[str], None]
    selected: pd.DataFrame | None = None
    start: Sequence[str] = ()
    salt: str = ""
    place: str = "select"
    selected_from: DataFrame | None = None

    @property
    def draw_seed(self) -> int:
        """The seed of everything that is drawn by lot: independent of that of another salt, and of ties."""
        return derived_seed(self.seed, self.salt) if self.salt else self.seed


@dataclass(frozen=True)
class Selector(ABC):
    """One selection method.

    `select` returns a pandas frame of PICKS on the driver: `rank` dense from 1, `gain` the value ranked by (larger is
    better; null for random draws), `weight` per row, `copies`. Laws (tests/jobs/selectors/test_contract.py holds them):
    exactly min(budget, eligible) distinct ids; the same for any partitioning; "lowest index" and ties mean order of
    (hash(seed, id), id); null needs are never selected; a smaller budget is a prefix of a larger one unless
    `prefix_stable` is False, with the reason beside it.
    """

    kind: ClassVar[str] = ""
    #: Fields that name what every eligible row must have, with what each must be; a field that is None names nothing.
    reads: ClassVar[Mapping[str, type[Need]]] = {}
    #: Whether it goes on from rows chosen earlier (`pool.start`).
    starts: ClassVar[bool] = False
    #: Whether it matches the selection (`pool.selected`), so that it is a control only.
    matches: ClassVar[bool] = False
    #: The field that names vectors which the driver holds, of as many eligible rows as fit; "" where it holds none.
    collects: ClassVar[str] = ""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> tuple[Need, ...]:
        """What every eligible row must have: computed beforehand, and columns of `pool.rows`."""
        named = {field: getattr(self, field) for field in self.reads}
        return tuple(self.reads[field](name) for field, name in named.items() if name is not None)

    @property
    def prefix_stable(self) -> bool:
        """Whether a smaller budget is a prefix of a larger one."""
        return True

    @property
    def weighs(self) -> bool:
        """Whether its picks have weights or copies that count, which nothing that chooses among them would keep."""
        return not self.prefix_stable

    @property
    def extra_columns(self) -> tuple[tuple[str, str, str], ...]:
        """Columns beside PICKS that its picks have and the selection holds: name, DDL type, comment."""
        return ()

    def wants(self, budget: int) -> int:
        """Return how many rows or draws it takes of a budget where it can: fewer only where a parameter says so."""
        return budget

    @property
    def redraws(self) -> bool:
        """Whether another seed is another draw that costs a ranking alone: a report draws such controls again."""
        return False

    @property
    def on_demand(self) -> tuple[Need, ...]:
        """What it reads through `pool.values`, for the rows it asks about only."""
        return ()

    def driver_bytes(self, rows: int, width: int, /) -> int:
        """Return about how many bytes the driver holds of this many eligible rows, beside the picks.

        Parameters
        ----------
        width : int
            Numbers in a vector of what `collects` names, 0 where that is not known.
        """
        return min(rows, driver_rows(width)) * vector_bytes(1, width) if self.collects else 0

    def most_rows(self, _width: int, /) -> int | None:
        """Return how many eligible rows it takes at most, None where there is no bound or it is not known."""
        return None

    def most_picks(self, _rows: int, _width: int, /) -> int | None:
        """Return how many of so many eligible rows it picks at most; None where no bound is known."""
        return None

    def own_gain(self, _rows: DataFrame, /) -> Column | None:
        """Return what `gain` would be of each row, where it is a value of the row alone; None where it is not."""
        return None

    def left_out(self, _pool: Pool, /) -> DataFrame | None:
        """Return rows that can be ranked and that no budget chooses, as LEFT_OUT; None if there are none to tell of.

        `why` in words; of a near-duplicate the row that stands for it, and their similarity.
        """
        return None

    def select_and_left_out(self, pool: Pool, /) -> tuple[pd.DataFrame, DataFrame | None]:
        """Return what `select` and `left_out` do; what both compare is compared once, where that is much."""
        return self.select(pool), self.left_out(pool)

    @abstractmethod
    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks."""

    def draws(self, pool: Pool, seeds: Sequence[int]) -> list[pd.DataFrame]:
        """Return the picks of several seeds; what is the same for all of them is done once, where that pays."""
        return [self.select(replace(pool, seed=seed)) for seed in seeds]


def picks(ids: pd.Series[str], gain: pd.Series[float] | None = None) -> pd.DataFrame:
    """Return the frame of PICKS for ids in order of rank: weight 1.0, copies 1, gain NaN where nothing was ranked by.

    Examples
    --------
    >>> picks(pd.Series(["b", "a"]), pd.Series([2.0, 1.0]))[["id", "rank", "gain", "copies"]].values.tolist()
    [['b', 1, 2.0, 1], ['a', 2, 1.0, 1]]
    """
    n = len(ids)
    gains = np.full(n, np.nan) if gain is None else gain.to_numpy(dtype=float) + 0.0
    ranked = pd.DataFrame({"id": ids.to_numpy(dtype=object), "rank": np.arange(1, n + 1), "gain": gains})
    return ranked.assign(weight=np.ones(n), copies=np.ones(n, dtype=np.int64))


def places_of(start: Sequence[str], ids: pd.Series[str]) -> list[int]:
    """Return the places of the ids of an earlier choice among those of rows on the driver, ascending.

    Examples
    --------
    >>> places_of(["c", "a"], pd.Series(["a", "b", "c"]))
    [0, 2]
    """
    return [int(i) for i in np.flatnonzero(ids.isin(set(start)).to_numpy())] if start else []
