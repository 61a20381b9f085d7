"""Refining: rows are chosen in rounds; what the rows of a round were worth sets the clusters' weights in the next.

Iterative Diversify-and-Conquer (arXiv 2409.11378, section 3.2). A round picks a part of the budget by the weights, from
rows that no round has chosen; commits all rows chosen so far; asks for rewards of some of them, which are rows of
`feedback`; and adds the weights that follow to `rounds`. Each of these decides from the tables what is left to do, so
that a refinement that was stopped anywhere goes on to the same rows. All rounds read the versions that the first one
read. Weights: udfs/kernels/refinement.py.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from ...udfs.digests import digest
from ...udfs.errors import InputError
from ...udfs.fitted import FittedScore
from ..inputs.run import Run
from ..inputs.tables import declared_columns, shown_names
from ..lake.manifest import Manifest
from ..lake.progress import Phases
from ..lake.tables import Lake
from ..lake.tuning import compiled
from ..recipe import Recipe
from ..recipe.blocks import Refine
from ..rewards.reward import Round
from ..scoring.pinned import Begun, identity_of, pins_of, reopened
from ..scoring.reward_inputs import RewardInputs
from ..scoring.rounds import (
    Feedback,
    Refinement,
    add_feedback,
    add_round,
    finished_rounds,
    read_feedback,
    round_lines,
    weights_after,
)
from ..select import commit_selection, run_id
from ..selectors.selector import PICKS
from .picks import Picks

log = logging.getLogger("lakesift")


def go_on(lake: Lake, recipe: Recipe, manifest: Manifest, refinement: Begun) -> None:
    """Do what can be done of a refinement that was begun, with everything as its first round had it."""
    run, fitted = reopened(lake, recipe, manifest, refinement)
    with compiled(lake.spark, run.hashes.summary.documents):
        refine_rounds(run, fitted, refinement.pins["scores"], refinement.pins)


def refine_rounds(
    run: Run,
    fitted: Mapping[str, FittedScore],
    scores_version: int,
    pins: Mapping[str, Any] | None = None,
    gone: str = "",
) -> None:
    """Do what can be done now: all rounds, or those before rewards are awaited.

    Parameters
    ----------
    pins : mapping, optional
        What the first round read, if it is read again.
    gone : str
        Why the refinement that the selection is of cannot go on, if that is known.

    Raises
    ------
    RecipeError
        If there are more rounds than rows, or fewer rows are scored than there are clusters.
    InputError
        If no row can be chosen, or the rewards of a round do not fit the rule.
    """
    rounds = Rounds(run, run.recipe.refine_block(), fitted, scores_version, pins or pins_of(run, scores_version))
    rounds.note_replaced(gone)
    held = rounds.chosen_before()
    newest = int(held["round"].max()) if len(held) else 0
    known = finished_rounds(run.lake, rounds.refinement)
    for number in range(1, len(rounds.picks.sizes) + 1):
        notes_before = len(run.manifest.notes)
        finished = bool((known["round"] == number).any())
        if number < newest and finished:
            continue
        weights = weights_after(known, number - 1) if number > 1 else rounds.picks.start
        before = held[held["round"] <= number].reset_index(drop=True)
        chosen = rounds.picks.asked(number, before if number <= newest else rounds.picks.pick(number, weights, before))
        rounds.commit(number, chosen)
        feedback = None if finished else rounds.feedback(number, chosen)
        if feedback:
            rounds.weigh(number, weights, chosen, feedback, notes_before)
            known = finished_rounds(run.lake, rounds.refinement)
        elif not finished:
            return
        held = chosen if number >= newest else held


@dataclass(frozen=True)
class Rounds:
    """The rounds of one refinement, one phase a method."""

    run: Run
    settings: Refine
    fitted: Mapping[str, FittedScore]
    scores_version: int
    pins: Mapping[str, Any]

    @cached_property
    def picks(self) -> Picks:
        """What is picked in each round."""
        return Picks(self.run, self.settings, self.fitted, self.scores_version)

    @cached_property
    def refinement(self) -> Refinement:
        """The recipe, and the hash of recipe, input digests, fingerprints, seed and reward."""
        return Refinement(self.run.recipe.name, digest([run_id(self.run), identity_of(self.run.recipe)]))

    def note_replaced(self, gone: str) -> None:
        """Note why the refinement that the selection is of does not go on."""
        last = self.run.lake.last_write(f"selection_{self.run.recipe.name}")
        if last is None or last.metadata.get("refinement") in (None, self.refinement.key):
            return
        if not gone and not last.says({"recipe_hash": self.run.recipe.digest()}):
            gone = "the recipe was edited"
        elif not gone and not last.says({"reward": identity_of(self.run.recipe)}):
            gone = "files or device of the reward are others"
        why = gone or "its documents, targets or models have changed"
        self.run.manifest.note(f"a new refinement begins, in place of {last.metadata['refinement']}: {why}")

    def chosen_before(self) -> pd.DataFrame:
        """Return the rows that the selection holds of this refinement."""
        state = self.run.lake.state(f"selection_{self.run.recipe.name}")
        columns = [*PICKS, "round"]
        if state.last_write is None or not state.last_write.says({"refinement": self.refinement.key}):
            return pd.DataFrame({name: [] for name in columns})
        table = self.run.lake.read(f"selection_{self.run.recipe.name}", state.version)
        return table.select(*columns).toPandas().sort_values("rank", ignore_index=True)

    def commit(self, number: int, chosen: pd.DataFrame) -> None:
        """Make the selection hold the rows chosen so far."""
        run, key = self.run, self.refinement.key
        run.manifest.run_id = digest([key, number])
        also = {"refinement": key, "round": number, "rounds": len(self.picks.sizes)}
        run.manifest.selection_version = commit_selection(
            run,
            self.fitted,
            self.scores_version,
            declared_columns(run.recipe, shown_names(run.recipe)),
            lambda: self.picks.rows,
            lambda: (chosen[[*PICKS, "round", "asked"]].astype({"round": "int32"}), self._said(len(chosen))),
            f"round {number}",
            also,
            lambda last: last.says({"refinement": key}) and last.metadata["round"] > number,
        )

    def feedback(self, number: int, chosen: pd.DataFrame) -> Feedback | None:
        """Return the rewards of the rows that a round asks about; None while they are awaited."""
        run, reward, asked = self.run, self.settings.reward, int(chosen["asked"].sum())
        found = read_feedback(run.lake, self.refinement, number, reward.writer, chosen)
        if found.absent:
            there = asked - len(found.absent)
            log.info("round %d: %s of %s rewards by %s are there", number, f"{there:,}", f"{asked:,}", reward.writer)
            inputs = RewardInputs(run, self.fitted, self.picks.scores, self.refinement, number)
            seed, progress = self.picks.seed(number, "reward"), Phases(f"round {number}")
            made = reward.rewards(Round(number, seed, chosen, inputs, run.manifest.note, progress))
            if made is not None:
                absent = pd.DataFrame({"id": found.absent}).merge(made, on="id", how="left")
                add_feedback(run.lake, self.refinement, number, reward.writer, absent)
                found = read_feedback(run.lake, self.refinement, number, reward.writer, chosen)
        for note in found.notes:
            run.manifest.note(note)
        return None if found.absent else found

    def weigh(
        self, number: int, weights: Mapping[str, float], chosen: pd.DataFrame, feedback: Feedback, notes_before: int
    ) -> None:
        """Add the clusters of a round, with the weights of the next, to `rounds`, and the notes made since it began."""
        settings = self.settings
        clusters = chosen.set_index("id")["cluster"]
        defined = feedback.rewards.dropna(subset=["reward"]).sort_values("id")
        if defined.empty:
            fact = f"none of {len(feedback.rewards):,} rewards by {settings.reward.writer} is a number"
            raise InputError(f"round {number}: {fact}; append corrected rows to feedback, the newest count")
        lines, few = round_lines(
            self.picks.clusters, weights, chosen[chosen["round"] == number], clusters, defined, settings
        )
        if few:
            self.run.manifest.note(f"round {number}: fewer than 5 rows were scored in clusters {', '.join(few)}")
        said = {"feedback_rows": feedback.rows, "notes": self.run.manifest.notes[notes_before:]}
        add_round(self.run.lake, self.refinement, number, lines, said)

    def _said(self, selected: int) -> dict[str, Any]:
        """Return what the commit of a round says of itself: all that a later one needs to go on."""
        run = self.run
        known = {"pins": self.pins, "recipe_hash": run.recipe.digest(), "reward": identity_of(run.recipe)}
        return known | {"counts": {**self.picks.counts, "selected": selected}, "notes": list(run.manifest.notes)}
