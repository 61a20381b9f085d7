"""Rewards by the length of completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from lakesift.jobs.rewards.reward import Reward, Round


@dataclass(frozen=True)
class LengthOfAnswer(Reward):
    """Characters of the completion."""

    kind: ClassVar[str] = "length_of_answer"
    about_answers: ClassVar[bool] = True

    def rewards(self, round: Round) -> pd.DataFrame:
        """Return the lengths."""
        told = round.inputs.answers(round.asked)
        return told.assign(reward=told["completion"].str.len().astype(float))[["id", "reward"]]
