"""Opens what a version of a selection was chosen from, for questions about it.

A lake keeps what a session opened last, with its order: tables at versions do not change, and the next question about
the same version only looks up. Each question asks the histories of the tables first whether it is about the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ...udfs.encoding import is_published
from ...udfs.errors import InputError
from ...udfs.fitted import FittedScore
from ...udfs.quoting import root_of
from ..inputs.run import Run
from ..lake.schemas import MEMOS
from ..lake.tables import Lake
from ..lake.tuning import collect_small
from ..recipe import Recipe, parse
from ..scoring.models import fitted_before
from ..selectors.needs import Fitted
from .chosen_again import ChosenAgain, read_of
from .history import files_of
from .made_from import Made, made_of, opened_again


def chosen_again(lake: Lake, recipe: Recipe, version: int | None = None) -> ChosenAgain:
    """Open what a version of a selection, by default the newest, was chosen from, with the recipe that made it.

    Raises
    ------
    InputError
        If there is no such version, or something that it was made from is gone.
    """
    of = made_of(lake, recipe, version)
    name, edited = f"selection_{recipe.name}", of.said.get("recipe_hash") != recipe.digest()
    then = parse(of.said["resolved"]) if edited and "resolved" in of.said else recipe
    scores = of.scores(lake, recipe.name)
    if scores is None:
        raise InputError(
            f"scores_{recipe.name} has no version {of.said['scores']} any more, from which version {of.version} of "
            f"{name} was chosen; do this first: lakesift run {recipe.name}"
        )
    run = opened_again(lake, then, of)
    if edited and then is not recipe:
        run.manifest.note(f"the recipe that made version {of.version} of {name} is used; it was edited since")
    this, (last, kept) = _told_by(run, of), lake.opened
    if this and this == last and isinstance(kept, ChosenAgain):
        return kept
    fitted = fitted_for(run, of)
    with files_of(read_of(of, recipe)):
        # Of few documents the scores are read once: every question about a row is then one without a scan.
        again = ChosenAgain(run, of, fitted, collect_small(scores, int(of.said["counts"]["documents"])))
    if this:
        lake.opened = this, again
    return again


def _told_by(run: Run, of: Made) -> str:
    """Return what tells this question's rows from those of others; "" where an input has no versions."""
    if any(given.get("version") is None for given in of.said["inputs"].values()):
        return ""
    targets = {name: target.state.version for name, target in run.targets.items()}
    read = [run.documents.state.version, targets, run.hashes.version, run.lake.version(MEMOS)]
    recipe = [run.recipe.name, run.recipe.digest()]
    return json.dumps([recipe, of.version, of.said, read, run.manifest.notes], sort_keys=True)


def fitted_for(run: Run, of: Made) -> Mapping[str, FittedScore]:
    """Return the scores that a selector works with, as they were fitted for a version, by name."""
    return fitted_before(run.lake, run.recipe, of.said["fingerprints"], only=_worked_with(run.recipe))


def _worked_with(recipe: Recipe) -> list[str]:
    """Return the scores whose vectors or fitted scorers are needed, in the recipe's order."""
    models = {root_of(need.name) for need in recipe.selector.needs if isinstance(need, Fitted)}
    vectors = {n for n, score in recipe.scores.items() if not is_published(score.value)} - recipe.on_demand_only()
    return [name for name in recipe.scores if name in models | vectors]
