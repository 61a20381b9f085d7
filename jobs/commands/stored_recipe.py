"""recipe: the recipe that made a version of a selection, as its commit keeps it: the lake alone makes it again."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...udfs.errors import InputError
from ...udfs.uris import local_path
from ..lake.tables import Lake
from ..recipe.keys import to_yaml
from ..recipe.parse import KEYS
from .history import commits_of, refuse_unknown


@dataclass(frozen=True)
class StoredRecipe:
    """The keys of a recipe, defaults among them, with the version and the run that they made."""

    recipe: str
    version: int
    run_id: str
    keys: dict[str, Any]

    def __str__(self) -> str:
        """Return the recipe as YAML, to be run again."""
        head = f"{self.recipe} as it made version {self.version} of its selection, run {self.run_id}"
        return to_yaml({key: self.keys[key] for key in KEYS if key in self.keys}, head).rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def stored_recipe(lake: Lake, recipe: str, version: int | None = None) -> StoredRecipe:
    """Return the recipe of a version of `selection_<recipe>`, by default of the newest that a run made.

    A version that no run made (a DELETE, an OPTIMIZE) has the recipe of the run before it.

    Raises
    ------
    InputError
        If there is no such selection or version, or it was made by a release that did not keep recipes.
    """
    commits = commits_of(lake, recipe)
    if version is not None:
        refuse_unknown(commits, [version], recipe)
    for commit in commits:
        if (version is None or commit.version <= version) and "run_id" in commit.metadata:
            if "resolved" in commit.metadata:
                return StoredRecipe(recipe, commit.version, commit.metadata["run_id"], commit.metadata["resolved"])
            break
    which = "its newest version" if version is None else f"version {version}"
    raise InputError(
        f"selection_{recipe} does not keep the recipe of {which}, which an earlier release made; name the file"
    )


def may_hold(lake: str, recipe: str) -> bool:
    """Tell without Spark whether a lake may hold a selection of that name: of a folder it is seen, else it may."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", recipe):
        return False
    place = Path(local_path(lake)).expanduser()
    return (place / f"selection_{recipe}").is_dir() or not (place.is_dir() or re.fullmatch(r"[\w-]+", lake))
