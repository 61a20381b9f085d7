"""What all rounds of a refinement read: the versions that its first one read, by the commits of its rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from ...udfs.digests import digest
from ...udfs.fitted import FittedScore
from ..inputs.opening import open_documents, open_input, open_targets
from ..inputs.run import Hashes, Run, Summary
from ..lake.manifest import Manifest
from ..lake.spark_errors import FilesGone
from ..lake.tables import Lake
from ..recipe import Recipe
from .models import fitted_before
from .rounds import Refinement, all_finished, finished_rounds


@dataclass(frozen=True)
class Begun:
    """A refinement of which a round was committed: what that commit says, and whether its last round has weights."""

    said: Mapping[str, Any]
    finished: bool

    @property
    def pins(self) -> Mapping[str, Any]:
        """The versions that it reads."""
        return cast(Mapping[str, Any], self.said["pins"])

    def reads_the_newest(self, lake: Lake, recipe: Recipe) -> bool:
        """Tell whether documents and targets are still those that it reads."""
        tables = [recipe.documents.table, *(target.table for target in recipe.targets.values())]
        states = {table: open_input(lake, table, "refine")[1].data_version for table in tables}
        return None not in states.values() and states == self.pins["states"]


def begun(lake: Lake, recipe: Recipe) -> Begun | None:
    """Return the refinement of this very recipe that its selection is of; None if it is of anything else."""
    last = lake.last_write(f"selection_{recipe.name}")
    if last is None or not last.says({"recipe_hash": recipe.digest(), "reward": identity_of(recipe)}):
        return None
    known = finished_rounds(lake, Refinement(recipe.name, last.metadata["refinement"]))
    return Begun(last.metadata, all_finished(known, last.metadata["rounds"]))


def reopened(lake: Lake, recipe: Recipe, manifest: Manifest, refinement: Begun) -> tuple[Run, dict[str, FittedScore]]:
    """Return the run of a refinement as its first round had it, and its fitted scores.

    Raises
    ------
    FilesGone
        If a table that it reads does not exist any more, or was made anew.
    """
    pins = refinement.pins
    for table, state in {**pins["states"], **pins["made"]}.items():
        _check_there(lake, table, state)
    documents = open_documents(lake, recipe, pins["documents"])
    newest = lake.version(recipe.documents.table) if pins["documents"] is not None else None
    if newest != pins["documents"]:
        manifest.note(
            f"documents: version {pins['documents']} of {recipe.documents.table} is read, as in round 1; the newest is "
            f"{newest}"
        )
    manifest.inputs |= refinement.said["inputs"]
    manifest.fingerprints |= refinement.said["fingerprints"]
    hashes = Hashes(f"hashes_{recipe.name}", pins["hashes"], Summary(**pins["summary"]))
    run = Run(lake, recipe, documents, hashes, manifest, open_targets(lake, documents, pins["targets"]))
    return run, fitted_before(lake, recipe, manifest.fingerprints)


def _check_there(lake: Lake, table: str, state: str | None) -> None:
    """Raise FilesGone if the log of a table no longer has the commit that its rows were identified by.

    A table that was made anew has the same versions, with other rows.
    """
    known_by_commit = state is not None and ":" not in state  # see lake/state.py
    if known_by_commit and all(commit.data_version != state for commit in lake.history(table)):
        raise FilesGone


def pins_of(run: Run, scores_version: int) -> dict[str, Any]:
    """Return what a run reads, as the commits of all its rounds say it."""
    states = {run.recipe.documents.table: run.documents.state.data_version}
    states |= {run.recipe.targets[name].table: t.state.data_version for name, t in run.targets.items()}
    return {
        "documents": run.documents.state.version, "hashes": run.hashes.version, "scores": scores_version,
        "summary": asdict(run.hashes.summary), "targets": {name: t.state.version for name, t in run.targets.items()},
        "states": states,
        "made": {t: run.lake.state(t).data_version for t in (run.hashes.table, f"scores_{run.recipe.name}")},
    }  # fmt: skip


def identity_of(recipe: Recipe) -> str:
    """Return the hash of what changes with the values of the reward: files and device."""
    reward = recipe.refine_block().reward
    return digest([reward.kind, reward.identity()])
