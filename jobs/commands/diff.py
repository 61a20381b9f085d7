"""What came and went between two versions of a selection, and the score that moved each row.

A row moves because it appeared in or left the documents, because its score changed, because `where:` lets it in or
no longer does, because others rank better, or because more or fewer rows are selected: told apart from the two
selections and the scores they were made from.
Left out: which part of an edited recipe moved a row; `lakesift history` names what was edited.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...udfs.errors import InputError
from ..inputs.documents import joined_columns
from ..inputs.opening import open_documents
from ..lake.commits import NO_DATA, Commit
from ..lake.tables import Lake
from ..lake.text_table import text_table
from ..recipe import Recipe

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

log = logging.getLogger("lakesift")

#: Rows shown of each side.
SHOWN = 20
_ABSENT = object()


@dataclass(frozen=True)
class Side:
    """One version of a selection: its rows, and the scores and the version of the documents that it was made from."""

    version: int
    rows: DataFrame
    scores: DataFrame | None
    documents: int | None


def diff(lake: Lake, recipe: Recipe, versions: list[int]) -> str:
    """Return what came and went between two versions of `selection_<recipe>`, as text.

    Parameters
    ----------
    versions : list of int
        From and to; one: from it to the newest; none: the last two that changed data.

    Raises
    ------
    InputError
        If there are no such versions, or fewer than two.
    """
    name = f"selection_{recipe.name}"
    commits = lake.history(name)
    first, second = _two(commits, versions, name)
    old, new = (_side(lake, recipe, commits, v) for v in (first, second))
    before, after = old.rows.selectExpr("id", "rank AS old_rank"), new.rows.selectExpr("id", "rank AS new_rank")
    both = before.join(after, "id", "full_outer")
    counted = both.selectExpr(
        "count_if(new_rank IS NULL) AS went", "count_if(old_rank IS NULL) AS came",
        "count(old_rank + new_rank) AS stayed", "count_if(old_rank <> new_rank) AS moved",
    ).collect()[0]  # fmt: skip
    lines = [
        f"{name}, version {first} to {second}: {counted['went']:,} rows went, {counted['came']:,} came, "
        f"{counted['stayed']:,} stayed, {counted['moved']:,} of these at another rank"
    ]
    otherwise = {
        "went": "others rank better" if counted["came"] else "the selection is smaller",
        "came": "others made room" if counted["went"] else "the selection is larger",
    }
    for word, missing, order in (("went", "new_rank", "old_rank"), ("came", "old_rank", "new_rank")):
        found = both.where(f"{missing} IS NULL").orderBy(order).limit(SHOWN).collect()
        if found:
            told = _told(lake, recipe, old, new, found, otherwise[word])
            lines += ["", f"{word} (first {len(found)} of {counted[word]:,}):", told]
    return "\n".join(lines)


def _two(commits: list[Commit], versions: list[int], name: str) -> tuple[int, int]:
    there = [c.version for c in commits]
    unknown = [v for v in versions if v not in there]
    if unknown:
        span = f"it has {there[-1]} to {there[0]}" if there else "there is no such table: lakesift run makes it"
        raise InputError(f"{name} has no version {unknown[0]}; {span}")
    if len(versions) > 2:
        raise InputError(f"{len(versions)} versions were given; give two, from and to, or none for the last two")
    data = [c.version for c in commits if c.operation not in NO_DATA]
    chosen = versions if len(versions) == 2 else [*versions, *data[:1]] if versions else data[1::-1]
    if len(chosen) < 2:
        raise InputError(f"{name} has {len(data)} versions with rows; two are needed: change something and run again")
    return chosen[0], chosen[1]


def _side(lake: Lake, recipe: Recipe, commits: list[Commit], version: int) -> Side:
    note = next((c.metadata for c in commits if c.version <= version and "scores" in c.metadata), None)
    rows = lake.read(f"selection_{recipe.name}", version)
    if note is None:
        return Side(version, rows, None, None)
    scores = lake.read(f"scores_{recipe.name}", note["scores"])
    return Side(version, rows, scores, note["inputs"]["documents"]["version"])


def _ranked_by(recipe: Recipe, sides: tuple[Side, Side]) -> str | None:
    """Return the score that the selector ranks by, if both versions have it."""
    for need in recipe.selector.needs:
        label = need.name.split(".")[0]
        if label in recipe.scores and all(s.scores is not None and label in s.scores.columns for s in sides):
            return need.name
    return None


def _told(lake: Lake, recipe: Recipe, old: Side, new: Side, found: list[Row], otherwise: str) -> str:
    """Return a text table of some rows: ranks, the score in both versions, and why each row moved."""
    ids = [r["id"] for r in found]
    by = _ranked_by(recipe, (old, new))
    then, now = (_values(side, by, ids) for side in (old, new))
    before, after = (_eligible(lake, recipe, side, ids) for side in (old, new))
    rows = []
    for row in found:
        key = row["id"]
        why = "unknown: the version does not name its scores"
        if old.scores is not None and new.scores is not None:
            change = None if before is None or after is None else (key in before, key in after)
            why = _why(row["new_rank"] is None, then.get(key, _ABSENT), now.get(key, _ABSENT), change) or otherwise
        rows.append((key, row["old_rank"], row["new_rank"], then.get(key), now.get(key), why))
    score = by or "score"
    return text_table(("id", "old rank", "new rank", f"old {score}", f"new {score}", "why"), rows)


def _values(side: Side, by: str | None, ids: list[str]) -> dict[str, Any]:
    """Return the score ranked by of those of the ids that were documents in a version."""
    from pyspark.sql import functions as F

    if side.scores is None:
        return {}
    value = F.expr(by) if by else F.lit(None)
    return {r["id"]: r["v"] for r in side.scores.where(F.col("id").isin(ids)).select("id", value.alias("v")).collect()}


def _eligible(lake: Lake, recipe: Recipe, side: Side, ids: list[str]) -> set[str] | None:
    """Return those of the ids for which the recipe's `where:` held; None if the documents of then cannot be read."""
    from pyspark.sql import functions as F

    if side.scores is None or not recipe.where:
        return set(ids)
    rows = side.scores.where(F.col("id").isin(ids))
    try:
        documents = open_documents(lake, recipe)
        if documents.named:
            then = replace(documents, frame=lake.read(recipe.documents.table, side.documents))
            source = then.frame.select(*joined_columns(then)).where(F.col("id").isin(ids)).drop("row_hash")
            rows = rows.join(source.dropDuplicates(["id"]), "id", "inner")
        return {r["id"] for r in rows.where(recipe.where).select("id").collect()}
    except Exception as error:  # their files are gone, or their columns were others
        log.debug("the documents of version %s cannot be asked: %s", side.version, error)
        return None


def _why(went: bool, then: Any, now: Any, eligible: tuple[bool, bool] | None) -> str | None:
    """Return what happened to the row itself, None if nothing did."""
    if then is _ABSENT or now is _ABSENT:
        return "not in the documents any more" if went else "new in the documents"
    if eligible and eligible[0] != eligible[1]:
        return "not eligible any more" if went else "eligible now"
    if then != now:
        return "its score changed"
    return None
