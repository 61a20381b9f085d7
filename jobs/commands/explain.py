"""explain: what became of some documents in a version of a selection, why, and what would have to change.

The decision is that of decisions.py. Left out: a row's chances in a draw, and what a reward was worth (`feedback` has
it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...udfs.errors import BoundError, InputError
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..lake.tuning import every_file
from ..recipe import Recipe
from .absent_rows import absences, is_text
from .chosen_again import ChosenAgain, comparing
from .decisions import BELOW, INELIGIBLE, ORDERED_ROWS, decisions, ordered
from .explained import Facts, explained
from .history import files_of
from .last_opened import chosen_again
from .row_facts import clauses_of_rows, groups_of_rows, nearest_chosen, own_gains, scores_of_rows

#: Ids that one call explains; the view `decisions_<recipe>` has all.
MOST_IDS = 10_000


@dataclass(frozen=True)
class Explained:
    """One id: `decision`, `reason` in a phrase, a paragraph `text`, and what would have to `change`.

    `scores` are name, value and the share of the pool's defined values that are at most that.
    """

    id: str
    decision: str
    reason: str
    text: str
    change: str
    rank: int | None = None
    place: int | None = None
    gain: float | None = None
    cut: float | None = None
    group_by: str | None = None
    group: str | None = None
    group_rows: int | None = None
    group_chosen: int | None = None
    duplicate_of: str | None = None
    nearest: str | None = None
    similarity: float | None = None
    scores: tuple[tuple[str, float | None, float | None], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        scores = [{"score": n, "value": _json(v), "quantile": q} for n, v, q in self.scores]
        return {**self.__dict__, "gain": _json(self.gain), "cut": _json(self.cut), "scores": scores}


@dataclass(frozen=True)
class Explanation:
    """What became of ids in a version of a selection, in the order in which they were asked for."""

    recipe: str
    version: int
    selected: int
    rows: tuple[Explained, ...]
    notes: tuple[str, ...]

    @property
    def table(self) -> Rows:
        """One row an id, with its scores and their quantiles."""
        names = list(dict.fromkeys(name for row in self.rows for name, _, _ in row.scores))
        fixed = ["id", "decision", "rank", "place", "gain", "cut"]
        fixed += [c for c in ("group", "nearest", "similarity") if any(getattr(r, c) is not None for r in self.rows)]
        lines = []
        for row in self.rows:
            known = {name: (value, quantile) for name, value, quantile in row.scores}
            shown = [_score(*known.get(name, (None, None))) for name in names]
            lines.append([*(getattr(row, name) for name in fixed), *shown])
        return rows_of([*fixed, *names], lines)

    def __str__(self) -> str:
        """Return a paragraph an id, and the table."""
        head = f"selection_{self.recipe}, version {self.version}: {self.selected:,} rows"
        notes = [f"note: {note}" for note in self.notes]
        return "\n\n".join(["\n".join([head, *notes]), *(row.text for row in self.rows), str(self.table)])

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        rows = [row.to_dict() for row in self.rows]
        return {**self.__dict__, "rows": rows, "notes": list(self.notes)}


def _score(value: float | None, quantile: float | None) -> str | None:
    return None if value is None else f"{value:.4g}" if quantile is None else f"{value:.4g} (q{quantile:.2f})"


def _json(value: float | None) -> float | str | None:
    """Return a number that JSON has; an infinity as text."""
    return str(value) if value in (float("inf"), -float("inf")) else value


def explain(lake: Lake, recipe: Recipe, ids: Sequence[str], version: int | None = None) -> Explanation:
    """Return what became of some ids in a version of `selection_<recipe>`, by default the newest.

    Parameters
    ----------
    ids : sequence of str
        Of documents; one that is none is told as such.

    Raises
    ------
    InputError
        If there is no such version, or what it was chosen from cannot be read any more.
    BoundError
        If there are more than MOST_IDS ids.
    """
    asked = _asked(ids, recipe)
    again = chosen_again(lake, recipe, version)
    with files_of(again.what), every_file(lake.spark):
        _at_once(rows=lambda: again.rows, selection=lambda: again.selection)
        there = [i for i in asked if is_text(i)]
        found = {row["id"]: row for row in decisions(again, ids=there, unasked=True).collect()}
        facts = _facts(again, found)
        absent = absences(again, [i for i in asked if i not in found])
    rows = []
    for key in asked:
        if key in absent:
            decision, why, change = absent[key]
            text = f"{key!r} is {decision}: {why}. To choose it: {change}."
            rows.append(Explained(key, decision, why, text, change))
        else:
            rows.append(Explained(**explained(again, facts, found[key])))
    return Explanation(recipe.name, again.of.version, again.selected, tuple(rows), _notes(again, found))


def _asked(ids: Sequence[str], recipe: Recipe) -> list[str]:
    if not ids or any(i is None for i in ids):
        raise InputError("explain needs ids of documents, and none was given; name one or more")
    asked = list(dict.fromkeys(map(str, ids)))
    if len(asked) > MOST_IDS:
        raise BoundError(
            f"{len(asked):,} ids are more than the {MOST_IDS:,} that are explained at once; for all documents: "
            f"lakesift sql 'SELECT * FROM decisions_{recipe.name}'"
        )
    return asked


def _facts(again: ChosenAgain, found: dict[str, Any]) -> Facts:
    ids = list(found)
    ineligible = [i for i in ids if found[i]["decision"] == INELIGIBLE]
    below = [i for i in ids if found[i]["decision"] == BELOW]
    told = ordered(again, unasked=True)
    known = _at_once(
        cut=lambda: again.cut,
        scores=partial(scores_of_rows, again, ids),
        clauses=partial(clauses_of_rows, again, ineligible),
        groups=partial(groups_of_rows, again, ids),
        gains=partial(own_gains, again, below),
        nearest=partial(nearest_chosen, again, ids, bool(ineligible)),
        tokens=lambda: again.least_tokens if told else None,
    )
    known["vector"], known["nearest"] = known["nearest"]
    return Facts(depth=again.depth if told else 0, **known)


def _at_once(**asked: Callable[[], Any]) -> dict[str, Any]:
    """Return the answers to small queries: planned one after the other, they take longer than their rows do."""
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(asked, pool.map(lambda ask: ask(), asked.values()), strict=True))


def _notes(again: ChosenAgain, found: dict[str, Any]) -> tuple[str, ...]:
    """Return what differs from the run, and rows whose place in the table somebody has changed."""
    name = f"selection_{again.recipe.name}"
    notes = list(again.run.manifest.notes)
    changed = [i for i, row in found.items() if row["rank"] != row["selection_rank"]]
    if changed:
        notes.append(f"{name} was changed after its run: {len(changed):,} of these rows, such as {changed[0]!r}")
    if comparing(again.recipe) and not ordered(again, True):
        notes.append(
            f"of more than {ORDERED_ROWS:,} rows with vectors the order is not ranked again for a few ids; the view "
            f"decisions_{again.recipe.name} has it"
        )
    return tuple(dict.fromkeys(notes))
