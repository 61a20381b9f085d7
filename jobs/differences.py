"""What came and went between two versions of a selection, and the score that moved each row.

A row moves because it appeared in or left the documents, because its score changed, because `where:` lets it in or
no longer does, or because others rank better: told apart from the two selections and the scores they were made from.
Left out: which part of an edited recipe moved a row; `lakesift history` names what was edited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..udfs.errors import InputError, RecipeError
from .documents import analyse, joined_columns, open_documents
from .lake.tables import NO_DATA, Commit, Lake
from .recipe import Recipe
from .text_table import text_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

#: Rows shown of each side.
SHOWN = 20


@dataclass(frozen=True)
class Side:
    """One version of a selection: its rows, and the version of `scores_<recipe>` that it was made from."""

    version: int
    rows: DataFrame
    scores: DataFrame | None


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
    for word, missing, order in (("went", "new_rank", "old_rank"), ("came", "old_rank", "new_rank")):
        found = both.where(f"{missing} IS NULL").orderBy(order).limit(SHOWN).collect()
        if found:
            lines += ["", f"{word} (first {len(found)} of {counted[word]:,}):", _told(lake, recipe, old, new, found)]
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
    made = next((c.note["scores"] for c in commits if c.version <= version and "scores" in c.note), None)
    scores = None if made is None else lake.read(f"scores_{recipe.name}", made)
    return Side(version, lake.read(f"selection_{recipe.name}", version), scores)


def _ranked_by(recipe: Recipe, sides: tuple[Side, Side]) -> str | None:
    """Return the score that the selector ranks by, if both versions have it."""
    for need in recipe.selector.needs:
        label = need.split(".")[0]
        if label in recipe.scores and all(s.scores is not None and label in s.scores.columns for s in sides):
            return need
    return None


def _told(lake: Lake, recipe: Recipe, old: Side, new: Side, found: list[Row]) -> str:
    """Return a text table of some rows: ranks, the score in both versions, and why each row moved."""
    ids = [r["id"] for r in found]
    by = _ranked_by(recipe, (old, new))
    then, now = (_values(lake, recipe, side, by, ids) for side in (old, new))
    rows = [
        (r["id"], r["old_rank"], r["new_rank"], then.get(r["id"], {}).get("value"), now.get(r["id"], {}).get("value"),
         _why(r, then.get(r["id"]), now.get(r["id"])) if old.scores is not None and new.scores is not None else "")
        for r in found
    ]  # fmt: skip
    score = by or "score"
    return text_table(("id", "old rank", "new rank", f"old {score}", f"new {score}", "why"), rows)


def _values(lake: Lake, recipe: Recipe, side: Side, by: str | None, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return, for those of the ids that had scores in a version, the score ranked by and whether `where:` holds."""
    from pyspark.sql import functions as F

    if side.scores is None:
        return {}
    rows = side.scores.where(F.col("id").isin(ids))
    where = recipe.where or "true"
    try:
        analyse(rows, where, "where")
    except RecipeError:  # it names source columns
        documents = open_documents(lake, recipe)
        source = documents.frame.select(*joined_columns(documents)).where(F.col("id").isin(ids)).drop("row_hash")
        rows = rows.join(source.dropDuplicates(["id"]), "id", "left")
    value = F.expr(by) if by else F.lit(None).cast("double")
    made = rows.select("id", value.alias("value"), F.coalesce(F.expr(where), F.lit(False)).alias("eligible"))
    return {r["id"]: r.asDict() for r in made.collect()}


def _why(row: Row, then: dict[str, Any] | None, now: dict[str, Any] | None) -> str:
    went = row["new_rank"] is None
    if then is None or now is None:
        return "not in the documents any more" if went else "new in the documents"
    if then["eligible"] != now["eligible"]:
        return "eligible no more" if went else "eligible now"
    if then["value"] != now["value"]:
        return "its score changed"
    return "others rank better" if went else "others made room"
