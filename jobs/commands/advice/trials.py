"""Trials of advise --measure as rows of the table `trials`, where those of tune are, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ....udfs.arrays import Floats
from ...lake.schemas import trials
from ...lake.tables import Lake, retry_on_conflict

#: What judges a trial; a try of `tune` names a classifier.
LEARNER = "byte_5gram"


@dataclass(frozen=True)
class Trial:
    """Bits of each held-out row after a method's rows were read: of those that choose, and of those that judge."""

    method: str
    draw: int
    rows: int
    choosing: Floats
    judging: Floats


def keep_trials(
    lake: Lake, recipe: str, key: str, share: float, made: Sequence[Trial], sizes: Sequence[Floats]
) -> None:
    """Add two rows for each trial, bits per byte on the rows that choose and on those that judge.

    Nothing is added where the table has those of `key`: the same sample gives the same numbers.
    """
    lake.create(trials())
    if lake.read("trials").where(f"run = '{key}'").limit(1).count():
        return
    lines = []
    for trial in made:
        fixed = {"recipe": recipe, "run": key, "learner": LEARNER, "seed": trial.draw, "method": trial.method}
        fixed |= {"share": share, "position": 0, "interval": "", "rows": trial.rows}
        for split, bits, size in (("validation", trial.choosing, sizes[0]), ("test", trial.judging, sizes[1])):
            lines.append({**fixed, "split": split, "metric": float(bits.sum() / size.sum())})
    frame = lake.spark.createDataFrame(pd.DataFrame(lines))
    retry_on_conflict("trials", lambda: lake.append(trials(), frame, {"recipe": recipe, "search": key}))
