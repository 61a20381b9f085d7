"""The table `trials`: subsets of training rows, each judged by a classifier that was trained on it.

Training and validation rows are drawn anew for every seed; test rows are the same for all. What is in the table is
read, other tries are computed and stored, in a commit a minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import pandas as pd

from ...udfs.arrays import Ints
from ...udfs.digests import digest
from ...udfs.kernels import interval_search as parts
from ...udfs.kernels.interval_search import ALL, RANDOM, Candidate, Candidates
from ...udfs.models.learners import LEARNERS, Learner
from ..inputs.run import Run
from ..lake.progress import Meter
from ..lake.schemas import trials
from ..lake.tables import retry_on_conflict
from ..recipe.blocks import Tune
from .labelled import Labelled

#: Raised when the same search would give other numbers.
REVISION = 1
#: A commit of finished tries is made after so many seconds.
COMMIT_SECONDS = 60.0
#: Seeds of winners that are fine-tuned as well.
FINETUNE_SEEDS = 5
#: What every subset is compared with, too.
EVERY_ROW = Candidate(ALL, 1.0, 0)
_SPLITS = {"validation": parts.VALIDATION, "test": parts.TEST}


@dataclass(frozen=True)
class Trial:
    """One classifier: learner, seed, the rows it is trained on, the part it is asked about."""

    learner: str
    seed: int
    candidate: Candidate
    split: str


class Search:
    """The tries of a search: those in `trials` are read, others computed and stored."""

    def __init__(self, run: Run, rows: Labelled, candidates: Candidates, settings: Tune) -> None:
        self.run, self.rows, self.candidates, self.settings = run, rows, candidates, settings
        self.key = digest([REVISION, rows.digest(), list(settings.shares), settings.positions, settings.learner])
        self._learner = cache(lambda name: LEARNERS[name](rows))
        self._part = cache(lambda seed: parts.parts(rows.hashes, seed))
        self._quantiles = cache(candidates.quantiles)
        self._known = self._stored()

    def winners(self) -> dict[tuple[str, float], Candidate]:
        """Return the candidate of best validation accuracy by method and share, after all have been tried."""
        every, settings = self.candidates.all(), self.settings
        self.measure(self._trials(every, "validation"))
        best: dict[tuple[str, float], Candidate] = {}
        for candidate in every:  # the first of equals
            key = candidate.method, candidate.share
            if key not in best or self.validated(candidate) > self.validated(best[key]):
                best[key] = candidate
        self.measure(self._trials([EVERY_ROW, *best.values()], "test"))
        if settings.finetune_shares:
            some = [c for c in best.values() if c.share in settings.finetune_shares]
            self.measure(self._trials([EVERY_ROW, *some], "test", "finetune"))
        return best

    def validated(self, candidate: Candidate) -> float:
        """Return the mean accuracy on validation rows."""
        return float(np.mean(self.accuracies(candidate, "validation")))

    def accuracies(self, candidate: Candidate, split: str, learner: str = "") -> list[float]:
        """Return the accuracy of each seed, after it was measured."""
        return [self._known[t][1] for t in self._trials([candidate], split, learner)]

    def kept(self, candidate: Candidate, seed: int) -> Ints:
        """Return the training rows of a seed that a candidate keeps."""
        return self.candidates.rows(candidate, np.flatnonzero(self._part(seed) == parts.TRAINING))

    def interval(self, candidate: Candidate) -> str:
        """Return a candidate in words."""
        if candidate.method in (RANDOM, ALL):
            return f"draw {candidate.position + 1}" if candidate.method == RANDOM else ""
        low, high = self._quantiles(candidate)
        return f"q{low:.2f} to q{high:.2f}"

    def measure(self, wanted: Sequence[Trial]) -> None:
        """Compute and store what is not known."""
        missing = [t for t in wanted if t not in self._known]
        since = time.monotonic()
        new: list[Trial] = []
        meter = Meter(
            f"tune: {missing[0].split} of {missing[0].learner}" if missing else "tune", len(missing), "trials"
        )
        for done, trial in enumerate(missing, start=1):
            kept = self.kept(trial.candidate, trial.seed)
            ask = np.flatnonzero(self._part(trial.seed) == _SPLITS[trial.split])
            learner: Learner = self._learner(trial.learner)
            self._known[trial] = len(kept), learner(kept, ask, trial.seed)
            new.append(trial)
            if done == len(missing) or time.monotonic() - since > COMMIT_SECONDS:
                retry_on_conflict("trials", lambda batch=tuple(new): self._store(batch))  # type: ignore[misc]
                meter.ends(done)
                new, since = [], time.monotonic()

    def _trials(self, candidates: Iterable[Candidate], split: str, learner: str = "") -> list[Trial]:
        """Return the tries of all seeds; candidates of one seed stand together."""
        learner = learner or self.settings.learner
        seeds = self.settings.seeds if learner == self.settings.learner else min(FINETUNE_SEEDS, self.settings.seeds)
        every = list(candidates)
        return [Trial(learner, seed, c, split) for seed in range(1, seeds + 1) for c in every]

    def _stored(self) -> dict[Trial, tuple[int, float]]:
        self.run.lake.create(trials())
        rows = self.run.lake.read("trials").where(f"run = '{self.key}'").collect()
        return {
            Trial(r["learner"], r["seed"], Candidate(r["method"], r["share"], r["position"]), r["split"]): (
                r["rows"],
                r["metric"],
            )
            for r in rows
        }

    def _store(self, new: Sequence[Trial]) -> None:
        names = {"recipe": self.run.recipe.name, "run": self.key}
        lines = []
        for trial in new:
            rows, metric = self._known[trial]
            plain = {k: v for k, v in asdict(trial).items() if k != "candidate"} | asdict(trial.candidate)
            lines.append(names | plain | {"interval": self.interval(trial.candidate), "rows": rows, "metric": metric})
        frame = self.run.lake.spark.createDataFrame(pd.DataFrame(lines))
        self.run.lake.append(trials(), frame, {"recipe": self.run.recipe.name, "search": self.key})
