"""The Reward: a frozen dataclass that says what chosen rows were worth, one number a row; larger is better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import pandas as pd

from ...udfs.arrays import Floats
from ...udfs.constraints import check_fields


class Inputs(Protocol):
    """What a reward may read of chosen rows, and keep for later rounds."""

    def values(self, name: str, ids: Sequence[str]) -> pd.DataFrame:
        """Return (id, value) of a score, score.field or source column that the reward `reads`."""

    def answers(self, ids: Sequence[str]) -> pd.DataFrame:
        """Return (id, prompt, completion), for a reward that is `about_answers`."""

    def examples(self, target: str, rating: str, embedding: str) -> tuple[Floats, Floats]:
        """Return vectors (n, d) of a target's texts by a score of kind embedding, and SQL over its columns (n,)."""

    def read(self, hashes: Mapping[str, str], model: str) -> Iterator[tuple[str, Any]]:
        """Yield id and kept array of rows whose content hash is still that given; others are made again."""

    def write(self, fresh: Mapping[str, tuple[str, Any]], model: str) -> None:
        """Keep an array a row: id -> content hash, array."""

    def keep_model(self, kind: str, parameters: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Keep a trained model, as the newest of the refinement."""


@dataclass(frozen=True)
class Round:
    """All that a reward gets.

    Parameters
    ----------
    number : int
        From 1.
    seed : int
        Of this round.
    chosen : pandas.DataFrame
        All rows chosen so far, in order of rank: `id`, `rank`, `round`, `cluster`, and `asked`, whether a reward is
        wanted of the row.
    inputs : Inputs
    note : callable
        Says something about the round, in its notes.
    progress : callable
        Told of long work: phase, how many are done, of how many.
    """

    number: int
    seed: int
    chosen: pd.DataFrame
    inputs: Inputs
    note: Callable[[str], None]
    progress: Callable[[str, int, int], None]

    @property
    def asked(self) -> list[str]:
        """Ids of the rows of which a reward is wanted, in order of rank."""
        return [str(i) for i in self.chosen["id"][self.chosen["asked"]]]


@dataclass(frozen=True)
class Reward(ABC):
    """One source of rewards.

    Laws (tests/jobs/rewards/test_contract.py holds them): a reward is a function of the round's chosen rows, their
    content and the seed; NaN means undefined, and such a row counts as not scored.
    """

    kind: ClassVar[str] = ""
    #: Fields that name a score or source column of the documents, with what it must be: "number" or "vector".
    reads: ClassVar[Mapping[str, str]] = {}
    #: Whether it is about prompts and completions: documents must define both.
    about_answers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> dict[str, str]:
        """What it reads: name of a score, score.field or source column -> "number" or "vector"."""
        return {getattr(self, field): word for field, word in self.reads.items()}

    @property
    def targets(self) -> tuple[str, ...]:
        """The recipe's targets that it learns from."""
        return ()

    @property
    def writer(self) -> str:
        """Whose rewards these are: the column `source` of `feedback`."""
        return self.kind

    def identity(self) -> Any:
        """Return JSON values that change with its values, beside its parameters: files of models, the device."""
        return None

    def check_machine(self) -> None:  # noqa: B027 - most rewards need nothing
        """Raise PlatformError if a package or a file that it needs is missing here."""

    @abstractmethod
    def rewards(self, round: Round) -> pd.DataFrame | None:
        """Return `id` and `reward` of the rows asked about; None if somebody else writes them to `feedback`."""
