"""diff: rows that came and went between two versions of a selection, how many for which reason, and the cut.

Left out: which part of an edited recipe moved a row; `lakesift history` names what was edited.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.errors import InputError
from ...udfs.quoting import root_of
from ..lake.commits import Commit
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..ranking.top import rows_of as rows_among
from ..recipe import Recipe
from .history import commits_of, files_of, refuse_unknown
from .made_from import Made, made
from .reasons import known_of, ranked_by, reasons

#: Rows shown of each reason, and of the text of each.
EXAMPLES, TEXT_CHARS = 3, 60


@dataclass(frozen=True)
class Diff:
    """Counts of rows between two versions, in all and by reason; `went_rows` and `came_rows` are examples of each.

    `cut` is the least gain of both versions, None where rows were drawn. `stages` says of a chain what each stage kept.
    """

    table: str
    from_version: int
    to_version: int
    went: int
    came: int
    stayed: int
    moved: int
    cut: tuple[float | None, float | None]
    went_by_reason: dict[str, int]
    came_by_reason: dict[str, int]
    went_rows: Rows
    came_rows: Rows
    stages: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the diff as text."""
        lines = [
            f"{self.table}, version {self.from_version} to {self.to_version}: {self.went:,} rows went, "
            f"{self.came:,} came, {self.stayed:,} stayed, {self.moved:,} of these at another rank"
        ]
        sides = (("went", self.went_by_reason, self.went_rows), ("came", self.came_by_reason, self.came_rows))
        for word, by_reason, _ in sides:
            if by_reason:
                lines.append(f"{word}: {', '.join(f'{count:,} {reason}' for reason, count in by_reason.items())}")
        lines += self.stages
        if None not in self.cut:
            lines.append("cut: the least gain was {:.6g}, is {:.6g}".format(*self.cut))
        for word, _, rows in sides:
            if rows.rows:
                lines += ["", f"{word} (up to {EXAMPLES} rows a reason):", str(rows)]
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
        rows = [lake.read(name, version) for version in (first, second)]
        before, after = (r.select("id", F.col("rank").alias(c)) for r, c in zip(rows, ("old", "new"), strict=True))
        both = before.join(after, "id", "full_outer")
        counts = both.selectExpr(
            "count_if(new IS NULL) AS went", "count_if(old IS NULL) AS came",
            "count(old + new) AS stayed", "count_if(old <> new) AS moved",
        ).collect()[0].asDict()  # fmt: skip
        moved = both.where("old IS NULL OR new IS NULL").toPandas()
        pair = (made(commits, first), made(commits, second))
        went, came = _moves(lake, recipe, pair, rows, moved)
        cut = tuple(r.agg(F.expr("min(IF(isnan(gain), NULL, gain))")).collect()[0][0] for r in rows)
    return Diff(name, first, second, **counts, cut=(cut[0], cut[1]), **went, **came, stages=_stages(pair))


def _stages(pair: tuple[Made, Made]) -> tuple[str, ...]:
    """Return of each stage of a chain what it kept in both versions; nothing where a version is of no such chain."""
    old, new = (version.said.get("counts", {}).get("stages", ()) for version in pair)
    if [stage["kind"] for stage in old] != [stage["kind"] for stage in new]:
        return ()
    return tuple(
        f"stage {number}, {then['kind']}: kept {then['kept']:,} of {then['rows']:,} rows, keeps {now['kept']:,} of "
        f"{now['rows']:,}"
        for number, (then, now) in enumerate(zip(old, new, strict=True), 1)
    )


def _two(commits: list[Commit], versions: list[int], name: str) -> tuple[int, int]:
    if len(versions) > 2:
        raise InputError(f"{len(versions)} versions were given; give two, from and to, or none for the last two")
    data = [c.version for c in commits if c.changes_data]
    chosen = versions if len(versions) == 2 else [*versions, *data[:1]] if versions else data[1::-1]
    if len(chosen) < 2:
        raise InputError(f"{name} has {len(data)} versions with rows; two are needed: change something and run again")
    return chosen[0], chosen[1]


def _moves(
    lake: Lake, recipe: Recipe, pair: tuple[Made, Made], rows: list[DataFrame], moved: pd.DataFrame
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the counts by reason and the examples, of the rows that went and of those that came."""
    by = ranked_by(recipe, (pair[0].scores(lake, recipe.name), pair[1].scores(lake, recipe.name)))
    old, new = (known_of(lake, recipe, version, by, moved) for version in pair)
    label = root_of(by or "")
    fingerprints = [version.said.get("fingerprints", {}).get(label) for version in pair]
    rescored = f"its score changed: {label} has another model or target" if fingerprints[0] != fingerprints[1] else ""
    unknown = not (pair[0].said and pair[1].said)
    went, came = moved[moved["new"].isna()].copy(), moved[moved["old"].isna()].copy()
    if "round" in rows[1].columns and len(came):  # of a refinement
        numbers = rows_among(rows[1], came).select("id", "round").toPandas().set_index("id")["round"]
        came["round"] = came["id"].map(numbers)
    sides, before = [], " and ".join(stage.selector.kind for stage in recipe.stages[:-1])
    dropped, kept = (f"{before} left it out, or ", f"{before} left it in, or ") if before else ("", "")
    for part, here, word, otherwise in (
        (went, rows[0], "went", dropped + ("others rank better" if len(came) else "the selection is smaller")),
        (came, rows[1], "came", kept + ("others made room" if len(went) else "the selection is larger")),
    ):
        part["why"] = reasons(part, old, new, word == "went", otherwise, rescored, unknown)
        part["old score"], part["new score"] = (part["id"].map(k.rows["score"]) for k in (old, new))
        counts = sorted(part["why"].value_counts().items(), key=lambda item: (-item[1], item[0]))
        by_reason = {str(reason): int(count) for reason, count in counts}
        sides.append({f"{word}_by_reason": by_reason, f"{word}_rows": _examples(part, here, by or "score")})
    return sides[0], sides[1]


def _examples(part: pd.DataFrame, rows: DataFrame, score: str) -> Rows:
    """Return the first rows of each reason by rank, with the beginning of their text where the selection keeps it."""
    rank = part["old"].fillna(part["new"])
    shown = part.assign(rank=rank).sort_values("rank").groupby("why", sort=False).head(EXAMPLES)
    columns = ["id", "old rank", "new rank", f"old {score}", f"new {score}"]
    texts: dict[str, str] = {}
    if "text" in rows.columns and len(shown):
        begins = F.substring(F.col("text").cast("string"), 1, 2 * TEXT_CHARS).alias("text")
        found = rows_among(rows, shown).select("id", begins).toPandas()
        texts = {i: " ".join(t.split())[:TEXT_CHARS] for i, t in zip(found["id"], found["text"], strict=True) if t}
        columns.append("text")
    lines = []
    for row in shown[["id", "old", "new", "old score", "new score", "why"]].astype(object).itertuples(index=False):
        key, *ranks, then, now, why = (None if pd.isna(value) else value for value in row)
        ranks = [None if rank is None else int(rank) for rank in ranks]
        lines.append((key, *ranks, then, now, *([texts.get(str(key))] if "text" in columns else []), why))
    return rows_of([*columns, "why"], lines)
