"""compare: selections of one table of documents side by side, their overlap beside what chance would give.

Each selection is a version of a recipe's, read with what it was chosen from, as `explain` does. Two random draws are
the measure of an overlap: of the rows that both could have chosen, as many as each has chosen of them. Nothing is
written. Left out: held-out bits (the report of each has them), and selections from different tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import BoundError, InputError
from ...udfs.kernels.overlap import chance_overlap
from ..lake.tables import Lake
from ..lake.tuning import compiled, every_file
from ..recipe import Recipe
from .compared_examples import examples_of
from .compared_figures import figures_of
from .compared_sets import Chosen
from .comparison import Compared, Comparison, Pair
from .history import files_of
from .last_opened import chosen_again

#: Selections that are compared at once.
MOST = 8


def named(text: str) -> tuple[str, int | None]:
    """Return recipe and version of a selection that is named NAME or NAME@VERSION.

    Examples
    --------
    >>> named("kmq"), named("kmq@3"), named("folder@home/mine.yaml@0")
    (('kmq', None), ('kmq', 3), ('folder@home/mine.yaml', 0))
    """
    name, at, version = text.rpartition("@")
    if not at or "/" in version or Path(text).is_file():
        return text, None
    if not (name and version.isascii() and version.isdigit()):
        raise InputError(
            f"the selection {text!r} names the version {version!r}; give a recipe, or one with a version, a "
            f"whole number, such as {name or 'kmq'}@3: lakesift history {name or 'RECIPE'} lists them"
        )
    return name, int(version)


def compare(lake: Lake, selections: Sequence[tuple[Recipe, int | None]]) -> Comparison:
    """Compare versions of selections, by default the newest, that were chosen from one table of documents.

    Parameters
    ----------
    selections : sequence of (Recipe, int or None)
        2 to MOST.

    Raises
    ------
    InputError
        If there are fewer than two, one twice, one without rows, one from another table or with other ids, or one of a
        version that does not exist or cannot be read any more.
    BoundError
        If there are more than MOST.
    """
    refuse_number(selections)
    opened = [_opened(lake, recipe, version) for recipe, version in selections]
    _refuse_mixed(opened)
    labels = [one.label for one in opened]
    most = max(one.run.hashes.summary.documents for one in opened)
    of = files_of(f"{' or '.join(labels)}, or of what it was chosen from,")
    with of, every_file(lake.spark), compiled(lake.spark, most):
        counts = _counts(opened)
        compared = [_compared(one, i, counts) for i, one in enumerate(opened)]
        if empty := [one.label for one in compared if not one.rows]:
            raise InputError(f"{empty[0]} has no row, so that there is nothing to compare; name another version")
        figures, examples = figures_of(opened), examples_of(opened)
    return Comparison(
        documents=opened[0].run.recipe.documents.table,
        selections=tuple(compared),
        pairs=tuple(pair_of(counts, labels, i, j) for i, j in combinations(range(len(opened)), 2)),
        examples=examples,
        notes=tuple(_notes(opened)),
        **figures,
    )


def refuse_number(selections: Sequence[object]) -> None:
    """Raise InputError for fewer than two selections, BoundError for too many."""
    if len(selections) < 2:
        raise InputError(
            f"compare takes two selections or more, and {len(selections)} is named; name recipes or versions, such as "
            "lakesift compare kmq zipfit_code, or kmq@1 kmq@3"
        )
    if len(selections) > MOST:
        raise BoundError(f"{len(selections)} selections are more than the {MOST} that are compared at once; name fewer")


def _opened(lake: Lake, recipe: Recipe, version: int | None) -> Chosen:
    again = chosen_again(lake, recipe, version)
    commits = lake.history(f"selection_{recipe.name}")
    # OPTIMIZE and its like make versions of the same rows.
    rows_at = next((c.version for c in commits if c.version <= again.of.version and c.changes_data), again.of.version)
    return Chosen(rows_at, again)


def _refuse_mixed(opened: Sequence[Chosen]) -> None:
    """Raise InputError for a selection that is there twice, or has other documents or other ids than the first."""
    first = opened[0]
    for place, one in enumerate(opened):
        if one.label in [other.label for other in opened[:place]]:
            raise InputError(
                f"{one.label} is compared with itself: a name without a version is the newest; name two versions, or "
                "other recipes"
            )
        lake, table, rival = one.run.lake, one.recipe.documents.table, first.recipe.documents.table
        if lake.ref(table) != lake.ref(rival):
            raise InputError(
                f"{first.label} was chosen from {rival} and {one.label} from {table}: rows are told apart by their ids "
                "in one table; compare selections of the same documents"
            )
        if one.recipe.documents.id != first.recipe.documents.id:
            raise InputError(
                f"the ids of {first.label} are {first.recipe.documents.id!r} and those of {one.label} "
                f"{one.recipe.documents.id!r}: the same row has different ones; compare selections with the same ids"
            )


def _counts(opened: Sequence[Chosen]) -> dict[tuple[int, int], int]:
    """Return how many rows could be chosen by which selections, and were: bit i of each number is of opened[i]."""
    parts = []
    for i, one in enumerate(opened):
        could = one.again.rankable_rows.select("id")
        could = could if one.again.start is None else could.join(one.again.start, "id", "left_anti")
        parts.append(could.selectExpr("id", f"{1 << i} AS could", "0 AS chosen"))
        parts.append(one.again.selection.selectExpr("id", "0 AS could", f"{1 << i} AS chosen"))
    every = reduce(DataFrame.unionByName, parts)
    by_id = every.groupBy("id").agg(F.expr("bit_or(could) AS could"), F.expr("bit_or(chosen) AS chosen"))
    return {(row["could"], row["chosen"]): row["count"] for row in by_id.groupBy("could", "chosen").count().collect()}


def _compared(one: Chosen, place: int, counts: Mapping[tuple[int, int], int]) -> Compared:
    bit = 1 << place
    return Compared(
        label=one.label,
        recipe=one.recipe.name,
        version=one.version,
        run_id=str(one.again.of.said["run_id"]),
        chosen_by=", then ".join(stage.selector.kind for stage in one.recipe.stages),
        documents_version=one.again.of.said["inputs"]["documents"].get("version"),
        could=sum(rows for (could, _), rows in counts.items() if could & bit),
        rows=sum(rows for (_, chosen), rows in counts.items() if chosen & bit),
        only_here=sum(rows for (_, chosen), rows in counts.items() if chosen == bit),
        control=one.control,
    )


def pair_of(counts: Mapping[tuple[int, int], int], labels: Sequence[str], i: int, j: int) -> Pair:
    """Return the overlap of two selections by the counts of rows that could be chosen, and were, as bits.

    Examples
    --------
    >>> pair = pair_of({(3, 0): 6, (3, 1): 1, (3, 2): 1, (3, 3): 2, (1, 1): 5}, ["a@1", "b@1"], 0, 1)
    >>> pair.both, pair.only_first, pair.choosable, round(pair.expected, 2), pair.verdict
    (2, 6, 10, 0.9, 'as by chance')
    """
    a, b, every = 1 << i, 1 << j, list(counts.items())

    def rows(chosen_by: int, could_by: int = 0) -> int:
        masks = ((could & could_by == could_by and chosen & chosen_by == chosen_by, n) for (could, chosen), n in every)
        return sum(n for fits, n in masks if fits)

    first, second, both, choosable = rows(a), rows(b), rows(a | b), rows(0, a | b)
    mean, low, high = chance_overlap(choosable, rows(a, a | b), rows(b, a | b))
    return Pair(
        first=labels[i], second=labels[j], both=both, only_first=first - both, only_second=second - both,
        choosable=choosable, expected=mean, low=low, high=high, jaccard=both / max(1, first + second - both),
        expected_jaccard=mean / max(1.0, first + second - mean),
    )  # fmt: skip


def _notes(opened: Sequence[Chosen]) -> list[str]:
    notes: dict[str, Any] = {}
    first = opened[0]
    for one in opened:
        notes |= dict.fromkeys(f"{one.label}: {note}" for note in one.run.manifest.notes)
        if one.state != first.state:
            at = [x.again.of.said["inputs"]["documents"].get("version") for x in (first, one)]
            notes[
                f"{first.label} was chosen from version {at[0]} of {first.recipe.documents.table} and {one.label} from "
                f"version {at[1]}: a row may have another text there, or be in one of them alone"
            ] = None
        if not one.control:
            notes[f"{one.label} has no random control: name it under controls: and run again"] = None
    return list(notes)
