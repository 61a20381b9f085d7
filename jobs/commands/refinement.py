"""refinement: the rounds of a recipe's newest refinement, and what it waits for. The lake is only read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import pandas as pd

from ...udfs.errors import InputError
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..recipe import Recipe
from ..scoring.rounds import Refinement, all_finished, finished_rounds, read_feedback

COLUMNS = (
    "round", "cluster", "rows", "weight", "chosen", "scored", "reward mean", "reward shrunk", "interval", "weight next",
)  # fmt: skip


@dataclass(frozen=True)
class Rounds:
    """A refinement as it stands: one line a round and cluster, and one sentence on what comes next."""

    recipe: str
    refinement: str
    round: int
    rounds: int
    rows: int
    selection_version: int
    table: Rows
    state: str
    finished: bool
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Return the rounds, the notes and the state."""
        head = f"refinement {self.refinement} of {self.recipe}: round {self.round} of {self.rounds}"
        notes = (f"note: {note}" for note in self.notes)
        table = [str(self.table)] if self.table.rows else []
        version = f"{self.rows:,} rows in selection_{self.recipe}, version {self.selection_version}"
        return "\n".join([head, *table, *notes, f"{version}; {self.state}"])

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"table": self.table.to_dict()}


def rounds_of(lake: Lake, recipe: Recipe) -> Rounds:
    """Return the newest refinement of a recipe, as the tables have it.

    Raises
    ------
    RecipeError
        If the recipe has no `refine:` block.
    InputError
        If it was not refined in this lake.
    """
    recipe.refine_block()
    name = f"selection_{recipe.name}"
    state = lake.state(name)
    if state.last_write is None or "refinement" not in state.last_write.metadata:
        raise InputError(f"{name} is of no refinement in {lake.root}; do this first: lakesift refine {recipe.name}")
    said = state.last_write.metadata
    refinement, number = Refinement(recipe.name, said["refinement"]), said["round"]
    known = finished_rounds(lake, refinement)
    commits = [c.metadata for c in lake.history("rounds") if c.says(refinement.names)]
    notes = [*said["notes"], *(note for m in reversed(commits) for note in m["notes"])]
    finished = all_finished(known, said["rounds"])
    if finished or (known["round"] == number).any():
        text = "finished" if finished else f"round {number} is finished; lakesift refine {recipe.name} goes on"
    else:
        text, more = _waiting(lake, recipe, refinement, number, cast(int, state.version))
        notes += more
    table = rows_of(COLUMNS, [_line(row) for row in known.to_dict("records")])
    counts = (number, said["rounds"], said["counts"]["selected"], cast(int, state.version))
    return Rounds(recipe.name, refinement.key, *counts, table, text, finished, tuple(dict.fromkeys(notes)))


def _waiting(lake: Lake, recipe: Recipe, refinement: Refinement, number: int, version: int) -> tuple[str, list[str]]:
    """Return what a round that has no weights yet waits for, and notes on its feedback."""
    reward = recipe.refine_block().reward
    chosen = lake.read(f"selection_{recipe.name}", version).select("id", "asked").toPandas()
    found = read_feedback(lake, refinement, number, reward.writer, chosen)
    asked = int(chosen["asked"].sum())
    there = f"round {number}: {asked - len(found.absent):,} of {asked:,} rewards"
    if found.absent:
        return f"{there}; waiting for source {reward.writer} in {lake.ref('feedback')}", found.notes
    return f"{there}; lakesift refine {recipe.name} goes on", found.notes


def _line(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return one cluster of a round; `interval` is two standard errors of its mean, by the deviation of all rewards."""
    scored = int(row["scored"])
    mean = None if pd.isna(row["reward_mean"]) else round(row["reward_mean"], 4)
    half = None if not scored else f"± {2 * row['reward_deviation'] / scored**0.5:.3g}"
    counted = (int(row["round"]), row["cluster"], int(row["rows"]), round(row["weight"], 4), int(row["chosen"]), scored)
    return (*counted, mean, round(row["reward_shrunk"], 4), half, round(row["weight_next"], 4))
