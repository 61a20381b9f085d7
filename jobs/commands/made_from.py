"""What a version of a selection was made from, as its commit says it: documents, targets, scores, hashes, controls.

Readers of a selection read these versions. What lies beside it in the lake may be of another time: documents are edited
between runs, and a run may have been stopped between selection and controls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pyspark.sql import DataFrame

from ...udfs.errors import InputError
from ..inputs.opening import open_documents, open_targets
from ..inputs.run import Hashes, Run, Summary
from ..lake.commits import Commit
from ..lake.manifest import Manifest
from ..lake.tables import Lake
from ..recipe import Recipe
from ..runs import last_run
from .history import refuse_unknown


@dataclass(frozen=True)
class Made:
    """A version of a selection; `said` is what the run that made it left in its commit, {} if that is unknown."""

    version: int
    said: Mapping[str, Any]
    newest: bool
    rows: int | None

    def scores(self, lake: Lake, recipe: str) -> DataFrame | None:
        """Return the scores that it was made from; None if these do not exist any more, or are unknown."""
        name = f"scores_{recipe}"
        return lake.read(name, self.said["scores"]) if self.said and exists(lake, name, self.said["scores"]) else None

    def documents(self, lake: Lake, recipe: Recipe) -> int | None:
        """Return the version at which the documents are read; None where they have none, or it is unknown."""
        return version_to_read(lake, recipe.documents.table, self.said["inputs"]["documents"]) if self.said else None


def made(commits: list[Commit], version: int) -> Made:
    """Return a version of a selection by its commits, newest first."""
    upto = [c for c in commits if c.version <= version]
    said: Mapping[str, Any] = next((c.metadata for c in upto if "scores" in c.metadata), {})
    newest = next((c.version for c in commits if c.changes_data), version)
    return Made(version, said, version >= newest, next((c.rows for c in upto if c.changes_data), None))


def made_of(lake: Lake, recipe: Recipe, version: int | None = None) -> Made:
    """Return the newest version of a recipe's selection, or one that is given.

    Raises
    ------
    InputError
        If there is none, or it does not say what it was made from.
    """
    name, verb = f"selection_{recipe.name}", "refine" if recipe.refine else "run"
    commits = lake.history(name)
    if not any(c.changes_data for c in commits):
        raise InputError(
            f"there is no selection of {recipe.name} in {lake.root}; do this first: lakesift {verb} {recipe.name}"
        )
    if version is not None:
        refuse_unknown(commits, [version], recipe.name)
    found = made(commits, commits[0].version if version is None else version)
    if not found.said:
        raise InputError(
            f"version {found.version} of {name} does not say what it was made from; do this first: lakesift {verb} "
            f"{recipe.name}"
        )
    last = last_run(lake, recipe.name) if found.newest else None
    if last and last["run_id"] == found.said["run_id"]:  # a later run found the same rows in later versions
        later = {"inputs": last["inputs"], "hashes": lake.version(f"hashes_{recipe.name}") or 0}
        found = replace(found, said={**found.said, **later})
    return found


def opened_again(lake: Lake, recipe: Recipe, of: Made) -> Run:
    """Return documents and targets as a version of a selection was made from them; its notes say what is newer now.

    Raises
    ------
    InputError
        If the recipe reads another table now.
    """
    inputs, manifest = of.said["inputs"], Manifest(recipe.name, recipe.digest())
    versions: dict[str, int | None] = {}
    tables = {"documents": recipe.documents.table} | {f"target {n}": t.table for n, t in recipe.targets.items()}
    for use, table in tables.items():
        given = inputs.get(use, {})
        if not is_table(given.get("table", ""), lake.ref(table), table):
            raise InputError(
                f"the recipe {recipe.name} reads {table} as {use}, and version {of.version} of its selection was made "
                f"from {given.get('table', 'none')}; give the recipe of then, or run it again"
            )
        if _made_anew(lake, table, given):
            raise InputError(
                f"{table} was dropped and made anew after version {of.version} of the selection was made from it; do "
                f"this first: lakesift run {recipe.name}"
            )
        versions[use] = version_to_read(lake, table, given)
        if versions[use] is None:
            manifest.note(f"{use}: {table} has no versions: it is read as it is now")
        elif (now := lake.version(table)) != versions[use]:
            manifest.note(f"{use}: version {versions[use]} of {table} is read, as by the run; the newest is {now}")
    if of.said.get("recipe_hash") != recipe.digest():
        manifest.note(f"the recipe was edited after version {of.version} of its selection was made")
    documents = open_documents(lake, recipe, versions["documents"])
    counts = {field.name: inputs["documents"].get(field.name, 0) for field in fields(Summary)}
    summary = Summary(**{**counts, "documents": of.said["counts"]["documents"], "inputs": {}})
    targets = open_targets(lake, documents, {n: versions[f"target {n}"] for n in recipe.targets})
    name, version = f"hashes_{recipe.name}", of.said["hashes"]
    if not exists(lake, name, version):  # the table was dropped and is made anew, of the same documents
        version = lake.version(name) or 0
    return Run(lake, recipe, documents, Hashes(name, version, summary), manifest, targets)


def version_to_read(lake: Lake, table: str, given: Mapping[str, Any]) -> int | None:
    """Return the version at which a table has the rows that a run read, by what its commit says of them.

    The newest, if no row has changed since: files of the version itself may be gone, after OPTIMIZE and VACUUM. None of
    an input without versions.
    """
    version, known = given["version"], given.get("data_version")
    if version is None or not known:
        return None if version is None else int(version)
    state = lake.state(table)
    return state.version if state.data_version == known else int(version)


def scores_of(run: Run, of: Made) -> DataFrame:
    """Return the scores that a version was made from; the newest, with a note, where that table was made anew."""
    scores, name = of.scores(run.lake, run.recipe.name), f"scores_{run.recipe.name}"
    if scores is not None:
        return scores
    run.manifest.note(f"{name} has no version {of.said['scores']} any more: the newest is read")
    return run.lake.read(name)


def exists(lake: Lake, name: str, version: int) -> bool:
    """Tell whether the log of a table has a version."""
    return any(commit.version == version for commit in lake.history(name))


def _made_anew(lake: Lake, table: str, given: Mapping[str, Any]) -> bool:
    """Tell whether a table that was read is another one now: its whole log has not the commit that it was known by."""
    known = given.get("data_version")
    if not known or ":" in known:  # not known by a commit: see lake/state.py
        return False
    commits = lake.history(table)
    whole = bool(commits) and commits[-1].version == 0
    return whole and all(commit.data_version != known for commit in commits)


def is_table(given: str, ref: str, name: str) -> bool:
    """Tell whether a reference in a commit is to a table that has another one now, because its lake was moved.

    Examples
    --------
    >>> is_table("delta.`/old/docs`", "delta.`/new/docs`", "docs"), is_table("a.b.docs", "a.c.docs", "a.c.docs")
    (True, False)
    """
    return given == ref or ("." not in name and re.split(r"[/.`]+", given.strip("`"))[-1] == name)


def controls_of(lake: Lake, recipe: Recipe, of: Made) -> DataFrame | None:
    """Return the controls of the run that made a version; None if it has none, or was stopped before it made them."""
    name, run_id = f"controls_{recipe.name}", of.said["run_id"]
    at = next((c.version for c in lake.history(name) if c.metadata.get("run_id") == run_id), None)
    return None if at is None or not recipe.controls else lake.read(name, at)
