"""The selections that are compared, the sets that their figures are of, and from whose inputs a figure is read.

A selection's rows are looked up in what it was chosen from, or where that lacks a score in what the first selection
with that score was chosen from. Tables of one state of the documents agree, so that each score and column is read once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.quoting import root_of
from ..inputs.run import Run
from ..lake.tuning import collect_small
from ..recipe import Recipe
from .chosen_again import ChosenAgain
from .made_from import controls_of

#: A score or column: its name, and the fingerprint of the score, "" of a column.
Key = tuple[str, str]


@dataclass(frozen=True)
class Chosen:
    """A selection that is compared: `version` is that of its rows, `again` what it was chosen from."""

    version: int
    again: ChosenAgain

    @property
    def run(self) -> Run:
        """Recipe and inputs, as the version has them."""
        return self.again.run

    @property
    def recipe(self) -> Recipe:
        """The recipe that made the version."""
        return self.again.recipe

    @property
    def label(self) -> str:
        """Its name among the sets."""
        return f"{self.recipe.name}@{self.version}"

    @property
    def state(self) -> Hashable:
        """What identifies the rows of its documents."""
        given = self.again.of.said["inputs"]["documents"]
        return given.get("data_version") or (given.get("version"), given.get("digest"))

    @cached_property
    def random(self) -> DataFrame | None:
        """The ids of its random control as the run kept it; None without one."""
        name = next((n for n, control in self.recipe.controls.items() if control.kind == "random"), None)
        controls = None if name is None else controls_of(self.run.lake, self.recipe, self.again.of)
        if controls is None:
            return None
        return collect_small(controls.where(F.col("control").isin(name)).select("id"), self.again.selected)

    @property
    def control(self) -> str:
        """The name of the set of its random control, "" without one."""
        return "" if self.random is None else f"random of {self.label}"


@dataclass(frozen=True)
class Providers:
    """From which of the selections' inputs the value of a key is read for the rows of each selection.

    `of` has, by key, a number among the selections for each of them; `names` the name under which a key is shown.
    """

    of: dict[Key, list[int]]
    names: dict[Key, str]


def providers(opened: Sequence[Chosen], has: Sequence[Iterable[Key]]) -> Providers:
    """Return who provides each key that a selection has: the first with the same documents, else the first of all."""
    of: dict[Key, list[int]] = {}
    names: dict[Key, str] = {}
    every = list(dict.fromkeys(key for keys in has for key in keys))
    several = [name for name, _ in every]
    for key in every:
        those = [i for i, keys in enumerate(has) if key in keys]
        of[key] = [next((j for j in those if opened[j].state == one.state), those[0]) for one in opened]
        names[key] = key[0] if several.count(key[0]) == 1 else f"{key[0]} of {opened[those[0]].label}"
    return Providers(of, names)


def fingerprint_of(one: Chosen, name: str) -> str:
    """Return the fingerprint of a score, or of the score that a field is of."""
    return str(one.again.of.said["fingerprints"].get(root_of(name), ""))


def members_of(opened: Sequence[Chosen]) -> DataFrame:
    """Return set, id and copies of the selections and of their random controls."""
    parts = []
    for one in opened:
        parts.append(one.again.selection.select(F.lit(one.label).alias("set"), "id", F.col("copies").cast("bigint")))
        if one.random is not None:
            parts.append(one.random.selectExpr("id", "1L AS copies").withColumn("set", F.lit(one.control)))
    return reduce(DataFrame.unionByName, parts)


def sets_of(opened: Sequence[Chosen]) -> dict[str, int]:
    """Return the sets but pools, selections first, and the selection that each belongs to."""
    controls = {one.control: i for i, one in enumerate(opened) if one.control}
    return {one.label: i for i, one in enumerate(opened)} | controls


def pools_of(opened: Sequence[Chosen]) -> dict[str, int]:
    """Return the names of the pools, one for each state of the documents, and the first selection that has it."""
    first: dict[Hashable, int] = {}
    for i, one in enumerate(opened):
        first.setdefault(one.state, i)
    return {"pool": 0} if len(first) == 1 else {f"pool of {opened[i].label}": i for i in first.values()}


def served(opened: Sequence[Chosen], found: Providers, key: Key) -> dict[str, int]:
    """Return by set, in the order in which sets are shown, from whose inputs its value of a key is read.

    A pool is left out if nobody who has it has the key.
    """
    provider = found.of[key]
    pools = {name: provider[i] for name, i in pools_of(opened).items() if opened[provider[i]].state == opened[i].state}
    return pools | {name: provider[i] for name, i in sets_of(opened).items()}
