"""What a round of training on answers is given and what it returns (answer_training.py, answer_process.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from ..arrays import Floats, Ints, Matrix
from ..constraints import Above, AtLeast, Between, check_fields

#: Told after each step: the phase ("hidden", "train", "generate"), how many are done, of how many.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Training:
    """How a model is trained and asked.

    Parameters
    ----------
    seed : int
        Of the order of the rows.
    layers : int, default 2
        The last ones, which are trained.
    epochs : int, default 2
    batch : int, default 8
    rate : float, default 3e-4
    tokens : int, default 40
        Of a generated answer, at most.
    most : int, default 192
        Of a row's tokens, with BOS and the end: what lies after is cut; a prompt so long leaves the row undefined.
    scope : {"answer", "full"}
        What the reward's means are over.
    device : {"cpu", "cuda"}
        "cuda" was not measured.
    dtype : {"float32", "bfloat16"}
        Of the training's products. bfloat16 takes half the time on a CPU that multiplies it (avx512_bf16), 1.25 times
        as long on one that has avx512 alone, and over 9 times as long on one without: it is no default.

    Raises
    ------
    RecipeError
        If a value is out of range.
    """

    kind = "answer_training"

    seed: Annotated[int, Between(-(2**63), 2**63 - 1)]
    layers: Annotated[int, AtLeast(1)] = 2
    epochs: Annotated[int, AtLeast(1)] = 2
    batch: Annotated[int, AtLeast(1)] = 8
    rate: Annotated[float, Above(0)] = 3e-4
    tokens: Annotated[int, AtLeast(1)] = 40
    most: Annotated[int, Between(8, 2048)] = 192
    scope: Literal["answer", "full"] = "answer"
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Row:
    """A prompt and what should follow it; `id` names its kept states."""

    id: str
    prompt: str
    completion: str


@dataclass(frozen=True)
class Task:
    """A round: model, rows to train on in a fixed order, ids of those that are scored, rows that are only measured."""

    model: str
    training: Training
    rows: Sequence[Row]
    asked: Sequence[str]
    held_out: Sequence[Row] = ()


@dataclass(frozen=True)
class HeldOut:
    """Mean NLL of h rows' completions with their ends in nats, before and after training, NaN if undefined; tokens."""

    before: Floats
    after: Floats
    tokens: Ints


@dataclass(frozen=True)
class Result:
    """What came out of a round.

    Parameters
    ----------
    rewards : (a,) float64
        Of the rows asked, in nats; larger means more left to learn; NaN where nothing of a completion is left.
    generated : a texts
        "" where the reward is NaN as well.
    losses : (s,) float64
        Before each step, nats per token.
    trained : int
        Rows that have something to train on.
    held_out : HeldOut
    layers : mapping
        Name in the network's state -> float32 values after training.
    hidden : mapping
        Id -> states (n, d) that were not given, for `hidden` of later rounds.
    seconds : mapping
        CPU-seconds by phase.
    rss_mb : int
        The most memory that this process has held.
    """

    rewards: Floats
    generated: Sequence[str]
    losses: Floats
    trained: int
    held_out: HeldOut
    layers: Mapping[str, Matrix]
    hidden: Mapping[str, Matrix]
    seconds: Mapping[str, float]
    rss_mb: int
