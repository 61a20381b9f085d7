"""Why rows came into a selection, or went from it, between two of its versions: a reason for each that moved.

A row moves because it appeared in or left the documents, because `where:` lets it in or no longer does, because its
text was edited, because the score that it is ranked by has another model or target, because others rank better, or
because more or fewer rows are selected. Seen from what the two versions were made from.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.quoting import quoted, root_of
from ..inputs.documents import joined_columns
from ..inputs.opening import open_documents
from ..lake.tables import Lake
from ..ranking.top import rows_of
from ..recipe import Recipe
from ..recipe.clauses import clauses
from ..recipe.recipe import mentions
from ..scoring.eligible import first_excluding, short_clause
from ..selectors.needs import Number
from .made_from import Made

log = logging.getLogger("lakesift")

UNKNOWN = "unknown: the version does not say what it was made from"
EDITED = "its text was edited"


@dataclass(frozen=True)
class Moves:
    """What is known of the rows that came or went, by id, in one version.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of those ids that were documents: `content`, the hash of it, and `score`, the value ranked by.
    eligible : set of str or None
        Those for which `where:` held; None if that cannot be told any more.
    excluded : mapping
        By id of the others the first clause that did not hold, where `where:` has several.
    """

    rows: pd.DataFrame
    eligible: set[str] | None
    excluded: Mapping[str, str] = field(default_factory=dict)


def ranked_by(recipe: Recipe, versions: tuple[DataFrame | None, DataFrame | None]) -> str | None:
    """Return the score that the selector ranks by, if the scores of both versions have it."""
    for need in sorted(recipe.selector.needs, key=lambda need: not isinstance(need, Number)):
        name = root_of(need.name)
        if name in recipe.scores and all(v is not None and name in v.columns for v in versions):
            return need.name
    return None


def known_of(lake: Lake, recipe: Recipe, version: Made, by: str | None, moved: pd.DataFrame) -> Moves:
    """Return what the scores and documents of a version say of rows that moved (`id`)."""
    scores = version.scores(lake, recipe.name)
    if scores is None or moved.empty:
        return Moves(pd.DataFrame({"content": [], "score": []}, index=pd.Index([], name="id")), None)
    rows = rows_of(scores, moved)
    score = F.expr(quoted(by) if by else "CAST(NULL AS DOUBLE)").alias("score")
    table = rows.select("id", F.col("content_hash").alias("content"), score).toPandas()
    return Moves(table.set_index("id"), *_eligible(lake, recipe, version, rows, moved))


def _eligible(
    lake: Lake, recipe: Recipe, version: Made, rows: DataFrame, moved: pd.DataFrame
) -> tuple[set[str] | None, dict[str, str]]:
    """Return `eligible` and `excluded` of Moves, by the `where:` of a version."""
    where = version.said.get("where", recipe.where)
    if not where:
        return set(rows.select("id").toPandas()["id"]), {}
    parts = clauses(where)
    try:
        at = version.documents(lake, recipe)
        documents = open_documents(lake, recipe, at)
        if any(mentions(where, name) for name in documents.frame.columns):
            if at is None:
                return None, {}
            source = rows_of(documents.frame.select(*joined_columns(documents, documents.keys[:1])), moved)
            rows = rows.join(source.dropDuplicates(["id"]), "id", "inner")
        found = rows.select("id", first_excluding(parts).alias("clause")).toPandas()
        out = found[found["clause"] >= 0]
        named = {i: short_clause(parts[c]) for i, c in zip(out["id"], out["clause"], strict=True)}
        return set(found["id"]) - set(named), named if len(parts) > 1 else {}
    except Exception as error:  # their files are gone, or their columns were others
        log.debug("the documents of version %s cannot be asked: %s", version.version, error)
        return None, {}


def reasons(
    moved: pd.DataFrame, old: Moves, new: Moves, went: bool, otherwise: str, rescored: str, unknown: bool
) -> pd.Series[str]:
    """Return why each row moved.

    Parameters
    ----------
    moved : pandas.DataFrame
        `id`, and `round`, that of a refinement which chose it, if there is one.
    went : bool
        Whether the rows went; else they came.
    otherwise : str
        The reason where nothing about the row itself changed.
    rescored : str
        The reason where the score ranked by has another fingerprint; "" if it has the same.
    unknown : bool
        Whether a version does not say what it was made from.

    Examples
    --------
    >>> then = pd.DataFrame({"content": ["x", "y"], "score": [1.0, 2.0]}, index=["a", "b"])
    >>> both = Moves(then, {"a", "b"}), Moves(then.assign(content=["x", "z"]), {"b"})
    >>> reasons(pd.DataFrame({"id": ["a", "b", "c"]}), *both, True, "others rank better", "", False).tolist()
    ['not eligible any more', 'its text was edited', 'not in the documents any more']
    """
    ids = pd.Index(moved["id"])
    there = ids.isin(old.rows.index) & ids.isin(new.rows.index)
    then, now = old.rows.reindex(ids), new.rows.reindex(ids)
    edited = (then["content"] != now["content"]).to_numpy()
    other = ((then["score"] != now["score"]) & ~(then["score"].isna() & now["score"].isna())).to_numpy()
    sides = [np.zeros(len(ids), bool)] * 2
    if old.eligible is not None and new.eligible is not None:
        sides = [np.fromiter((i in e for i in ids), bool, len(ids)) for e in (old.eligible, new.eligible)]
    crossed = sides[0] != sides[1]
    no_more = "not eligible any more" if went else "eligible now"
    cases: list[tuple[np.ndarray, str]] = [
        (np.full(len(ids), unknown), UNKNOWN),
        (~there, "not in the documents any more" if went else "new in the documents"),
        (crossed & edited, f"edited, and {no_more}"),
        (crossed, no_more),
        (edited, EDITED),
        (other, rescored or EDITED),
    ]
    words = np.select([case for case, _ in cases], [word for _, word in cases], otherwise)
    found = pd.Series(words, index=moved.index, dtype=object)
    clause = moved["id"].map(new.excluded)
    told = crossed & clause.notna().to_numpy() & (found != UNKNOWN).to_numpy() & there
    found[told] = found[told] + ": " + clause[told]
    if "round" in moved.columns:
        plain = (found == otherwise) & moved["round"].notna()
        found[plain] = [f"round {int(number)} chose it" for number in moved["round"][plain]]
    return found
