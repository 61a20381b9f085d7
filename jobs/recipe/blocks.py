"""The blocks of a recipe that are more than one value: documents, targets, start, tune, refine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from ...udfs.constraints import AtLeast, Between, Range
from ...udfs.digests import digest
from ..rewards.reward import Reward
from ..sources.source import Source

#: A share of rows that leaves some out.
Part = Annotated[float, Range(0, 1, open_low=True, open_high=True)]


@dataclass(frozen=True)
class Documents:
    """The rows to select from: a table and SQL expressions over its columns."""

    table: str
    id: str = "id"
    text: str = "text"
    prompt: str = ""
    completion: str = ""
    source: Source | None = None
    duplicates: Literal["error", "first_by_hash"] = "error"


@dataclass(frozen=True)
class Target:
    """Examples of what is wanted; `held_out` is SQL for the rows that only the report sees."""

    table: str
    text: str = "text"
    where: str = ""
    held_out: str = ""
    source: Source | None = None


@dataclass(frozen=True)
class Start:
    """Rows chosen earlier, from which the selector goes on: a recipe's selection, its newest version by default."""

    selection: str
    version: Annotated[int, AtLeast(0)] | None = None

    @property
    def table(self) -> str:
        """The table of the selection; a name with a dot is in another lake."""
        return self.selection if "." in self.selection else f"selection_{self.selection.removeprefix('selection_')}"


@dataclass(frozen=True)
class Tune:
    """What `lakesift tune` searches: intervals of the scores of an interval selector, judged by a classifier.

    Parameters
    ----------
    label : str
        SQL over source columns whose value the classifier learns; rows where it is null take no part.
    shares : sequence of float
        Shares of the training rows that an interval keeps.
    positions : int
        Places of each interval, from the low to the high end; and as many random draws.
    seeds : int
        Times that training and validation rows are drawn; the test rows stay.
    learner : {"logistic", "finetune"}
        Multinomial logistic regression on the embedding, or MiniLM with a linear head (torch, slow).
    finetune_shares : sequence of float
        Shares at which the winners are also judged by `finetune`, with five seeds at most.
    embedding : str
        Score of kind embedding; needed only if there are several.
    rows : int
        Most rows that take part, chosen by the hash of their ids.
    """

    label: str
    shares: tuple[Part, ...] = (0.5, 0.3, 0.16)
    positions: Annotated[int, AtLeast(2)] = 9
    seeds: Annotated[int, AtLeast(2)] = 10
    learner: Literal["logistic", "finetune"] = "logistic"
    finetune_shares: tuple[Part, ...] = ()
    embedding: str = ""
    rows: Annotated[int, AtLeast(100)] = 20_000


@dataclass(frozen=True)
class Refine:
    """How `lakesift refine` chooses rows in rounds; the last five are those of udfs/kernels/refinement.py.

    Parameters
    ----------
    reward : Reward
        What chosen rows were worth.
    rounds : int
        Each adds a part of the budget.
    start : {"uniform", "proportional"}
        Weights of the clusters in the first round: equal, or their numbers of rows.
    scored : int
        Rows that each round asks a reward of, among all chosen so far, stratified by cluster.
    rule : {"exp", "eq6"}
    step, floor, shrink : float
    """

    reward: Reward
    rounds: Annotated[int, AtLeast(1)] = 3
    start: Literal["uniform", "proportional"] = "uniform"
    scored: Annotated[int, AtLeast(1)] = 120
    rule: Literal["exp", "eq6"] = "exp"
    step: Annotated[float, AtLeast(0)] = 1.0
    floor: Annotated[float, Between(0, 1)] = 0.2
    shrink: Annotated[float, AtLeast(0)] = 5.0

    def digest(self) -> str:
        """Return the hash of everything that decides the rounds."""
        return digest([self.reward.kind, asdict(self)])


#: Columns that `refine` adds to a selection: name, DDL type, comment.
REFINE_COLUMNS = (
    ("round", "INT", "round that chose the row, from 1"),
    ("asked", "BOOLEAN", "whether the newest round wants a reward of the row"),
)
