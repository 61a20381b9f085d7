"""diff: rows that came and went between two versions of a selection, and why.

A row moves because it appeared in or left the documents, because its score changed, because `where:` lets it in or
no longer does, because others rank better, or because more or fewer rows are selected: seen from the two selections
and the scores they were made from. Left out: which part of an edited recipe moved a row; `lakesift history` names what
was edited.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ...udfs.quoting import root_of
from ..inputs.documents import ROW_HASH, joined_columns
from ..inputs.opening import open_documents
from ..lake.commits import Commit
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..recipe import Recipe
from .history import commits_of, files_of, refuse_unknown

log = logging.getLogger("lakesift")

#: Rows shown of each side.
SHOWN = 20


@dataclass(frozen=True)
class SelectionVersion:
    """One version of a selection: its rows, and the scores and the version of the documents that it was made from."""

    version: int
    rows: DataFrame
    scores: DataFrame | None
    documents: int | None


@dataclass(frozen=True)
class Diff:
    """Counts of rows between two versions; `went_rows` and `came_rows` are the first of each, with their reasons."""

    table: str
    from_version: int
    to_version: int
    went: int
    came: int
    stayed: int
    moved: int
    went_rows: Rows
    came_rows: Rows

    def __str__(self) -> str:
        """Return the diff as text."""
        lines = [
            f"{self.table}, version {self.from_version} to {self.to_version}: {self.went:,} rows went, "
            f"{self.came:,} came, {self.stayed:,} stayed, {self.moved:,} of these at another rank"
        ]
        for word, count, rows in (("went", self.went, self.went_rows), ("came", self.came, self.came_rows)):
            if rows.rows:
                lines += ["", f"{word} (first {len(rows)} of {count:,}):", str(rows)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"went_rows": self.went_rows.to_dict(), "came_rows": self.came_rows.to_dict()}


def diff(lake: Lake, recipe: Recipe, versions: list[int]) -> Diff:
    """Return what came and went between two versions of `selection_<recipe>`.

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
    commits = commits_of(lake, recipe.name)
    refuse_unknown(commits, versions, recipe.name)
    first, second = _two(commits, versions, name)
    with files_of(f"version {first} or {second} of {name}"):
        old, new = (_opened(lake, recipe, commits, v) for v in (first, second))
        before, after = old.rows.selectExpr("id", "rank AS old_rank"), new.rows.selectExpr("id", "rank AS new_rank")
        both = before.join(after, "id", "full_outer")
        counts = both.selectExpr(
            "count_if(new_rank IS NULL) AS went", "count_if(old_rank IS NULL) AS came",
            "count(old_rank + new_rank) AS stayed", "count_if(old_rank <> new_rank) AS moved",
        ).collect()[0].asDict()  # fmt: skip
        sides = (
            ("new_rank", "old_rank", "others rank better" if counts["came"] else "the selection is smaller"),
            ("old_rank", "new_rank", "others made room" if counts["went"] else "the selection is larger"),
        )
        shown = []
        for missing, order, otherwise in sides:
            rows = both.where(f"{missing} IS NULL").orderBy(order).limit(SHOWN).collect()
            shown.append(_reasons_table(lake, recipe, old, new, rows, otherwise))
        return Diff(name, first, second, **counts, went_rows=shown[0], came_rows=shown[1])


def _two(commits: list[Commit], versions: list[int], name: str) -> tuple[int, int]:
    if len(versions) > 2:
        raise InputError(f"{len(versions)} versions were given; give two, from and to, or none for the last two")
    data = [c.version for c in commits if c.changes_data]
    chosen = versions if len(versions) == 2 else [*versions, *data[:1]] if versions else data[1::-1]
    if len(chosen) < 2:
        raise InputError(f"{name} has {len(data)} versions with rows; two are needed: change something and run again")
    return chosen[0], chosen[1]


def _opened(lake: Lake, recipe: Recipe, commits: list[Commit], version: int) -> SelectionVersion:
    metadata = next((c.metadata for c in commits if c.version <= version and "scores" in c.metadata), None)
    scores = lake.read(f"scores_{recipe.name}", metadata["scores"]) if metadata else None
    documents = metadata["inputs"]["documents"]["version"] if metadata else None
    return SelectionVersion(version, lake.read(f"selection_{recipe.name}", version), scores, documents)


def _ranked_by(recipe: Recipe, versions: tuple[SelectionVersion, SelectionVersion]) -> str | None:
    """Return the score that the selector ranks by, if both versions have it."""
    for need in recipe.selector.needs:
        name = root_of(need.name)
        if name in recipe.scores and all(v.scores is not None and name in v.scores.columns for v in versions):
            return need.name
    return None


def _reasons_table(
    lake: Lake, recipe: Recipe, old: SelectionVersion, new: SelectionVersion, rows: list[Row], otherwise: str
) -> Rows:
    """Return some rows: ranks, the score in both versions, and why each row moved."""
    ids = [r["id"] for r in rows]
    by = _ranked_by(recipe, (old, new))
    (then, before), (now, after) = (_known(lake, recipe, v, by, ids) for v in (old, new))
    rounds: dict[str, int] = {}
    if "round" in new.rows.columns:  # of a refinement
        rounds = {r["id"]: r["round"] for r in new.rows.where(F.col("id").isin(ids)).select("id", "round").collect()}
    lines = []
    for row in rows:
        key, went = row["id"], row["new_rank"] is None
        why = otherwise
        if old.scores is None or new.scores is None:
            why = "unknown: the version does not name its scores"
        elif key not in then or key not in now:
            why = "not in the documents any more" if went else "new in the documents"
        elif before is not None and after is not None and (key in before) != (key in after):
            why = "not eligible any more" if went else "eligible now"
        elif then[key] != now[key]:
            why = "its score changed"
        elif not went and key in rounds:
            why = f"round {rounds[key]} chose it"
        lines.append((key, row["old_rank"], row["new_rank"], then.get(key), now.get(key), why))
    score = by or "score"
    return rows_of(("id", "old rank", "new rank", f"old {score}", f"new {score}", "why"), lines)


def _known(
    lake: Lake, recipe: Recipe, version: SelectionVersion, by: str | None, ids: list[str]
) -> tuple[dict[str, Any], set[str] | None]:
    """Return the score ranked by of those of the ids that were documents, and for which of these `where:` held.

    The latter is None if the documents of then cannot be read.
    """
    if version.scores is None or not ids:
        return {}, None
    rows = version.scores.where(F.col("id").isin(ids))
    values = {r["id"]: r["v"] for r in rows.select("id", F.expr(by or "NULL").alias("v")).collect()}
    if not recipe.where:
        return values, set(values)
    try:
        documents = open_documents(lake, recipe)
        if documents.named:
            then = replace(documents, frame=lake.read(recipe.documents.table, version.documents))
            source = then.frame.select(*joined_columns(then)).where(F.col("id").isin(ids)).drop(ROW_HASH)
            rows = rows.join(source.dropDuplicates(["id"]), "id", "inner")
        return values, {r["id"] for r in rows.where(recipe.where).select("id").collect()}
    except Exception as error:  # their files are gone, or their columns were others
        log.debug("the documents of version %s cannot be asked: %s", version.version, error)
        return values, None
