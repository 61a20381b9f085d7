"""The Selector: a frozen dataclass that turns eligible rows with scores into exactly min(budget, eligible) picks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import pandas as pd

from ...udfs.scorer import Scorer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Columns of the frame that `select` returns, in order.
PICKS = ("id", "rank", "gain", "weight", "copies")


class Ask(Protocol):
    """What a selector that asks is given."""

    def fitted(self, label: str) -> Scorer:
        """Return the fitted scorer of a label."""

    def __call__(self, what: str | Scorer, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return (id, value) of some rows, of all with None: a label, a source column, or a scorer of one's own."""

    def note(self, sentence: str) -> None:
        """Say something about the selection, in the run's manifest and at its end."""


@dataclass(frozen=True)
class Selector(ABC):
    """One selection method.

    `rows` has `id` (string, distinct) and every column of `needs` (labels of scores, `label.field`, or source
    columns); all rows are eligible. `select` returns a pandas frame of PICKS on the driver: `rank` dense from 1,
    `gain` the value ranked by (larger is better; null for random draws), `weight` per row, `copies`. Laws, held by
    tests/selectors/test_contract.py: exactly min(budget, eligible) distinct ids; the same for any partitioning;
    "lowest index" and ties mean order of (hash(seed, id), id); null needs are never selected; a smaller budget is a
    prefix of a larger one unless `nested` is False, whose docstring says why.

    A selector may ask: `asks` names fitted scores that need not be computed for all rows, and `select` then gets
    `ask`, which applies a scorer to the rows that it picks. What is computed so lands in the same memos.
    """

    kind: ClassVar[str] = ""
    #: Columns beside PICKS that its picks have and the selection holds: name, DDL type, comment.
    extra_columns: ClassVar[tuple[tuple[str, str, str], ...]] = ()

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Labels of scores and source columns that every row must have computed beforehand."""

    @property
    def nested(self) -> bool:
        """Whether a smaller budget is a prefix of a larger one."""
        return True

    @property
    def asks(self) -> tuple[str, ...]:
        """Labels of scores, or source columns, that it reads for the rows it picks only."""
        return ()

    @abstractmethod
    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,
        ask: Ask | None = None,
    ) -> pd.DataFrame:
        """Return the picks.

        Parameters
        ----------
        selected : pandas.DataFrame, optional
            The selection that a control is compared with; None for the selection itself.
        ask : Ask, optional
            Given to a selector that asks.
        """


def picks(ids: pd.Series[str], gain: pd.Series[float] | None = None) -> pd.DataFrame:
    """Return the frame of PICKS for ids in order of rank: weight 1.0, copies 1, gain NaN where nothing was ranked by.

    Examples
    --------
    >>> picks(pd.Series(["b", "a"]), pd.Series([2.0, 1.0]))[["id", "rank", "gain", "copies"]].values.tolist()
    [['b', 1, 2.0, 1], ['a', 2, 1.0, 1]]
    """
    n = len(ids)
    return pd.DataFrame(
        {
            "id": ids.to_numpy(dtype=object),
            "rank": np.arange(1, n + 1),
            "gain": np.full(n, np.nan) if gain is None else gain.to_numpy(dtype=float) + 0.0,
            "weight": np.ones(n),
            "copies": np.ones(n, dtype=np.int64),
        }
    )


@dataclass(frozen=True)
class Pool:
    rows: object
    budget: int
    seed: int
    fitted: object
    values: object
    note: object
    selected: object = None
