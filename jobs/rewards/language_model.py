"""Rewards by a language model that is fine-tuned on the rows chosen so far: what it has still to learn of a row.

udfs/models/answer_training.py does the work, in a process of its own; here are the tables on both sides of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pandas as pd

from ...udfs.constraints import Above, AtLeast, Between
from ...udfs.digests import digest
from ...udfs.errors import BoundError
from ...udfs.models import answer_folders
from ...udfs.models.answer_process import train_in_process
from ...udfs.models.answer_task import Row, Task, Training
from ..lake.interrupts import temporary
from .reward import Reward, Round

#: Chosen rows up to which their states are held in memory, here and where the model is trained: 3 GB for smollm2.
MOST_ROWS = 8_000


@dataclass(frozen=True)
class LanguageModelReward(Reward):
    """How much better a row's own completion fits than what a model answers that was trained on the chosen rows; nats.

    Each round trains the last layers of the base model on all rows chosen so far, lets it answer the prompts of the
    scored ones, and takes mean NLL of the completion less that of the answer, at equal lengths.

    Parameters
    ----------
    model : str
        smollm2, or a local folder of a Llama-type model in Hugging Face's form.
    layers : int
        Last layers that are trained.
    epochs, batch : int
    rate : float
        Of AdamW.
    tokens : int
        Of an answer, at most.
    most : int
        Tokens of a row; what lies after is cut.
    scope : {"answer", "full"}
        Means over the answer, or over prompt and answer, as the paper has them.
    device : {"auto", "cpu", "cuda"}
        auto: a GPU where there is one. It is a part of the refinement: another device begins a new one.
    """

    kind: ClassVar[str] = "language_model"
    about_answers: ClassVar[bool] = True

    model: str = "smollm2"
    layers: Annotated[int, AtLeast(1)] = 2
    epochs: Annotated[int, AtLeast(1)] = 2
    batch: Annotated[int, AtLeast(1)] = 8
    rate: Annotated[float, Above(0)] = 3e-4
    tokens: Annotated[int, AtLeast(1)] = 40
    most: Annotated[int, Between(8, 2048)] = 192
    scope: Literal["answer", "full"] = "answer"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def identity(self) -> Any:
        """Return what changes with the model's files and with the device."""
        return [answer_folders.identity(self.model), answer_folders.device_here(self.device)]

    def check_machine(self) -> None:
        """Raise if torch or a file of the model is missing here, or it is no model whose layers can be trained."""
        answer_folders.check(self.model, self.layers)

    def rewards(self, round: Round) -> pd.DataFrame:
        """Return the rewards of the rows asked about; NaN for those without a completion."""
        rows, hashes = self._rows(round)
        states = digest([answer_folders.identity(self.model), self.layers, self.most])
        kept = dict(round.inputs.read(hashes, states))
        training = Training(
            round.seed, self.layers, self.epochs, self.batch, self.rate, self.tokens, self.most, self.scope,
            answer_folders.device_here(self.device),
        )  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="lakesift-") as made, temporary(Path(made)) as work:
            result = train_in_process(work, Task(self.model, training, rows, round.asked), kept, round.progress)
        round.inputs.write({i: (hashes[i], array) for i, array in result.hidden.items()}, states)
        round.inputs.keep_model(self.kind, {"model": self.model, "layers": self.layers}, result.layers)
        if without := len(rows) - result.trained:
            round.note(
                f"round {round.number}: {without:,} of {len(rows):,} chosen rows have no completion within {self.most} "
                "tokens: not trained on, no reward"
            )
        return pd.DataFrame({"id": round.asked, "reward": result.rewards})

    def _rows(self, round: Round) -> tuple[list[Row], Mapping[str, str]]:
        """Return the chosen rows in order of rank, and a hash of each one's texts."""
        if len(round.chosen) > MOST_ROWS:
            raise BoundError(
                f"language_model trains on at most {MOST_ROWS:,} rows, {len(round.chosen):,} are chosen; lower the "
                "budget, or train elsewhere with reward: {kind: table}"
            )
        answers = round.inputs.answers(round.chosen["id"].tolist()).set_index("id")
        texts = answers.reindex(round.chosen["id"]).fillna("")
        rows = [Row(str(i), p, c) for i, p, c in zip(texts.index, texts["prompt"], texts["completion"], strict=True)]
        return rows, {row.id: digest([row.prompt, row.completion]) for row in rows}
