"""Rewards by a small reward model: logistic regression on an embedding, fitted on rated examples of a target.

The reward of a row is its log-odds of being rated above 0. It knows noise when it sees it, where a loss does not: rows
that no model can learn have a high loss for ever. Shows how a reward model of one's own plugs in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd

from ...udfs.constraints import Above, Needed
from ...udfs.errors import InputError
from ...udfs.models.learners import check_learner, log_odds
from .reward import Reward, Round


@dataclass(frozen=True)
class ClassifierReward(Reward):
    """Log-odds of a rating above 0, by logistic regression on an embedding.

    Parameters
    ----------
    embedding : str
        Score of kind embedding.
    target : str
        Target with the rated examples; its text is embedded.
    rating : str
        SQL over the target's columns: above 0 is good, all else is not; rows where it is null are left out.
    inverse_penalty : float
        scikit-learn's C.
    """

    kind: ClassVar[str] = "classifier"
    reads = {"embedding": "vector"}

    embedding: Annotated[str, Needed("a score of kind embedding")] = ""
    target: Annotated[str, Needed("a target with rated examples")] = ""
    rating: str = "rating"
    inverse_penalty: Annotated[float, Above(0)] = 10.0

    @property
    def targets(self) -> tuple[str, ...]:
        """The target with the examples."""
        return (self.target,)

    def check_machine(self) -> None:
        """Raise PlatformError if scikit-learn is missing here."""
        check_learner("logistic")

    def rewards(self, round: Round) -> pd.DataFrame:
        """Return the log-odds of the rows asked about.

        Raises
        ------
        InputError
            If the rated examples are not of both kinds.
        """
        vectors, rating = round.inputs.examples(self.target, self.rating, self.embedding)
        good = rating > 0
        if not 0 < good.sum() < len(good):
            fact = f"{int(good.sum())} of {len(good)} rated examples of {self.target} have {self.rating} above 0"
            raise InputError(f"classifier: {fact}; examples of both kinds are needed")
        found = round.inputs.values(self.embedding, round.asked).dropna(subset=["value"])
        if found.empty:
            return pd.DataFrame({"id": [], "reward": []})
        odds = log_odds(vectors, good, np.array(found["value"].tolist(), np.float64), self.inverse_penalty)
        return pd.DataFrame({"id": found["id"].to_numpy(), "reward": odds})
