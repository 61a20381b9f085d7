"""What a report compares: pool, selection, and draws of each control; a figure of several draws as mean and interval.

A control that another seed chooses otherwise is one draw of many, and one draw says little. Those whose draw costs a
ranking and no more (`Selector.redraws`) are drawn again here, from the rows that the run chose from, with seeds that
follow from the recipe's; the stored draw is the first. Left out: storing them, they are the same each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.kernels.prediction_interval import mean_and_half
from ...udfs.quoting import root_of
from ...udfs.scorer import Scorer
from ..inputs.run import Run
from ..inputs.tables import published_names
from ..lake.tuning import collect_small
from ..ranking.top import DRIVER_ROWS
from ..scoring.eligible import eligible_columns
from ..selectors.selector import PICKS, Pool, Selector
from .made_from import Made, controls_of

#: Ids that all further draws may have together; beyond it there are fewer draws.
DRAWN_ROWS = 1_000_000


@dataclass(frozen=True)
class Sets:
    """`members` has (set, id) of the selection and of every draw; `draws` names, by control, its sets in it."""

    members: DataFrame
    draws: dict[str, list[str]]

    @property
    def shown(self) -> tuple[str, ...]:
        """The sets that a report shows, a control once."""
        return ("pool", "selection", *self.draws)

    def means(self, by_set: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return figures by shown set, means for controls, and by control half of the 95 % interval of another draw.

        Figures are numbers or None, or lists or mappings of figures alike; what a mapping lacks is 0.
        """
        means = {name: by_set[name] for name in ("pool", "selection") if name in by_set}
        halves = {}
        for control, names in self.draws.items():
            if figures := [by_set[name] for name in names if name in by_set]:
                means[control], halves[control] = _summary(figures)
        return means, halves


def _summary(figures: Sequence[Any]) -> tuple[Any, Any]:
    kinds = {type(figure) for figure in figures}
    if dict in kinds:
        keys = dict.fromkeys(key for figure in figures for key in figure)
        parts = {key: _summary([figure.get(key, 0.0) for figure in figures]) for key in keys}
        return {k: mean for k, (mean, _) in parts.items()}, {k: half for k, (_, half) in parts.items()}
    if list in kinds:
        pairs = [_summary(column) for column in zip(*figures, strict=True)]
        return [mean for mean, _ in pairs], [half for _, half in pairs]
    mean, half = mean_and_half([math.nan if figure is None else figure for figure in figures])
    return defined(mean), defined(half)


def defined(value: float) -> float | None:
    """Return a number; None for NaN, which JSON does not have."""
    return None if math.isnan(value) else float(value)


def sets_of(run: Run, of: Made, scores: DataFrame) -> Sets:
    """Return the selection, the controls of its run, and their further draws."""
    lake, recipe = run.lake, run.recipe
    chosen = lake.read(f"selection_{recipe.name}", of.version).selectExpr("'selection' AS set", "id")
    controls = controls_of(lake, recipe, of)
    if controls is None:
        if recipe.controls:
            run.manifest.note(
                f"the run {of.said['run_id']} was stopped before it made its controls: they are left out; lakesift run "
                f"{recipe.name} makes them"
            )
        return Sets(collect_small(chosen, of.rows or DRIVER_ROWS), {})
    named = controls.where(F.col("control").isin([*recipe.controls])).selectExpr("control AS set", "id")
    stored = chosen.unionByName(named)
    members = collect_small(stored, (1 + len(recipe.controls)) * (of.rows or DRIVER_ROWS))
    drawn = {row["set"] for row in members.where("set <> 'selection'").select("set").distinct().collect()}
    draws = {name: [name] for name in recipe.controls if name in drawn}
    if again := _draw_again(run, of, scores, [name for name in draws if _redraws(run, recipe.controls[name])]):
        for name, number in again:
            draws[name].append(_name(name, number))
        more = pd.concat([ids.to_frame("id").assign(set=_name(*key)) for key, ids in again.items()], ignore_index=True)
        members = members.unionByName(lake.spark.createDataFrame(more[["set", "id"]], "set string, id string"))
    return Sets(members, draws)


def _name(control: str, number: int) -> str:
    return f"{control}, draw {number}"


def _redraws(run: Run, control: Selector) -> bool:
    """Return whether a control can be drawn again from columns that are at hand."""
    computed = set(run.recipe.scores) - set(published_names(run.recipe))
    return control.redraws and not any(root_of(need.name) in computed for need in control.needs)


def _draw_again(run: Run, of: Made, scores: DataFrame, names: Sequence[str]) -> dict[tuple[str, int], pd.Series[str]]:
    """Return the ids of draws 2, 3, ... of controls, by name and number of the draw."""
    recipe = run.recipe
    if not names or recipe.draws < 2:
        return {}
    if reason := _why_not(run, of):
        run.manifest.note(f"one draw of each control is shown: {reason}")
        return {}
    selected = run.lake.read(f"selection_{recipe.name}", of.version).select(*PICKS).toPandas()
    draws = min(recipe.draws, 1 + DRAWN_ROWS // max(1, len(selected) * len(names)))
    if draws < recipe.draws:
        run.manifest.note(
            f"{draws} of {recipe.draws} draws of each control are made: further ones have {DRAWN_ROWS:,} rows at most"
        )
    rows = _rows(run, of, scores, {root_of(need.name) for name in names for need in recipe.controls[name].needs})
    found: dict[tuple[str, int], pd.Series[str]] = {}
    pool = Pool(rows, len(selected), 0, {}, nothing_on_demand, lambda _: None, selected)
    for name in names:
        numbers = range(2, draws + 1)
        drawn = recipe.controls[name].draws(pool, [recipe.seed_of(name, number) for number in numbers])
        found |= {(name, number): picked["id"] for number, picked in zip(numbers, drawn, strict=True)}
    return found


def _why_not(run: Run, of: Made) -> str:
    """Return why the rows that a run chose from cannot be drawn from again, "" if they can."""
    if of.said.get("recipe_hash") != run.recipe.digest():
        return "the recipe is another one now"
    if of.scores(run.lake, run.recipe.name) is None:
        return f"scores_{run.recipe.name} was made anew"
    if run.documents.state.version is None:
        return f"{run.recipe.documents.table} has no versions"
    return ""


def _rows(run: Run, of: Made, scores: DataFrame, columns: Iterable[str]) -> DataFrame:
    """Return the rows that the controls were drawn from."""
    rows = eligible_columns(run, scores, columns)
    if run.recipe.start:
        before = run.lake.read(run.recipe.start.table, of.said["inputs"]["start"]["version"])
        rows = rows.join(before.selectExpr("CAST(id AS STRING) AS id"), "id", "left_anti")
    return rows


def nothing_on_demand(what: str | Scorer, ids: Sequence[str] | None = None) -> NoReturn:
    """Refuse values on demand: rows are ranked again from columns that are at hand."""
    raise AssertionError(f"a selector whose choice is made again asks for {what} of {len(ids or ())} rows on demand")
