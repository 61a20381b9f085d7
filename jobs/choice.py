"""What is chosen: eligible rows, the selector's ranking, and the cut by rows, a fraction or tokens."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..udfs.errors import BoundError
from .inputs.documents import Documents, joined_columns
from .lake.manifest import Manifest
from .lake.tables import Lake
from .ranking.sort_keys import quoted
from .ranking.top import DRIVER_ROWS
from .recipe import Budget
from .recipe.recipe import mentions
from .scoring.memos import UNIT_LIMIT, Memos
from .scoring.on_demand import Asking
from .selectors.selector import Pool, Selector

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame


AT_HAND = 50_000  # documents of a pool whose eligible rows (id and named columns) are read into the driver once
NOT_IN_ARROW = ("interval", "void", "variant", "map", "array", "binary")  # or not worth it: read again where needed


class Choice:
    """What is chosen in this run; computed at most once, and only if something must be written."""

    def __init__(
        self,
        memos: Memos,
        summary: dict[str, Any],
        published: int,
        manifest: Manifest,
    ) -> None:
        self.memos, self.lake, self.documents = memos, memos.lake, memos.documents
        self.keys, self.recipe = memos.keys, memos.documents.recipe
        self.summary, self.published, self.manifest = summary, published, manifest
        self.picks: pd.DataFrame | None = None
        self.counts: dict[str, int] = {}

    def scores(self) -> DataFrame:
        """Return the published scores, pinned."""
        return self.lake.read(f"scores_{self.recipe.name}", self.published)

    @cached_property
    def rows(self) -> DataFrame:
        """Eligible rows: id, and the labels and source columns that the selector, controls and budget name."""
        from pyspark.sql import functions as F

        recipe, scores = self.recipe, self.scores()
        needs = recipe.columns_used() | (recipe.columns_on_demand() - recipe.on_demand_only())
        needs |= {recipe.budget.length} if recipe.budget.tokens else set()
        vectors = sorted(n for n in needs if n in recipe.scores and recipe.scores[n].value.startswith("array"))
        needs -= set(vectors)
        wanted = {n.lower() for n in needs}
        source_columns = {c for c in self.documents.named if c.lower() in wanted or mentions(recipe.where, c)}
        if source_columns:
            named = {"id", "row_hash", *source_columns}
            source = one_row_an_id(
                self.lake, self.documents, self.keys, self.documents.frame.select(*joined_columns(self.documents))
            )
            scores = scores.join(
                source.select(*(f"`{c}`" for c in source.columns if c in named)).drop("row_hash"), "id", "inner"
            )
        eligible = scores.where(recipe.where) if recipe.where else scores
        rows = collect_small(eligible.select("id", *(f"`{n}`" for n in sorted(needs))), self.summary["documents"])
        for name in vectors:  # every document has a row in the memo: the few columns are broadcast, vectors stay put
            few = F.broadcast(rows) if self.summary["documents"] <= UNIT_LIMIT else rows
            rows = self.memos.values(self.memos.scored[name]).withColumnRenamed("value", name).join(few, "id", "inner")
        return rows

    def choose(self) -> pd.DataFrame:
        """Rank and cut; returns picks with `tokens_used` under a token budget."""
        if self.picks is not None:
            return self.picks
        recipe, rows = self.recipe, self.rows
        needs = [quoted(need.name) for need in recipe.selector.needs]
        ranked = " AND ".join(f"{n} IS NOT NULL" for n in needs) or "true"
        made = rows.selectExpr("count(*) AS eligible", f"count_if({ranked}) AS ranked").collect()[0]
        self.counts = {
            "documents": self.summary["documents"],
            "ineligible": self.summary["documents"] - made["eligible"],
            "unranked": made["eligible"] - made["ranked"],
        }
        documents = self.summary["documents"]
        with Asking(self.memos, rows, self.manifest) as ask:
            pool = Pool(rows, 0, recipe.seed, ask.fitted, ask, ask.note)
            self.picks = cut(recipe.selector, pool, recipe.budget, documents, made["ranked"])
        self.counts["selected"], drawn = len(self.picks), int(self.picks["copies"].sum())
        if recipe.budget.rows and drawn < recipe.budget.rows:
            note = (
                f"budget is {recipe.budget.rows:,} rows, {drawn:,} could be selected "
                f"({self.counts['ineligible']:,} ineligible, {self.counts['unranked']:,} without the score)"
            )
            self.manifest.notes.append(note)
        return self.picks


def collect_small(rows: DataFrame, most: int) -> DataFrame:
    """Return the same rows; if they are few (at most `most` <= AT_HAND), read here, in one job.

    What follows is planned over a local table: filters and projections run no job, aggregates a small one. Columns
    that Arrow does not carry (intervals), and Spark 3.5, whose frames do not turn into Arrow tables, are read again.
    """
    if most > AT_HAND or not hasattr(rows, "toArrow") or any(t in rows.schema.simpleString() for t in NOT_IN_ARROW):
        return rows
    return rows.sparkSession.createDataFrame(rows.toArrow(), rows.schema)


def cut(selector: Selector, pool: Pool, budget: Budget, documents: int, ranked: int) -> pd.DataFrame:
    """Return the picks under a budget: rows, a fraction of the documents (rounded), or tokens.

    Under a token budget the ranking's longest prefix that fits is taken, nothing is skipped; `truncate_last` keeps one
    more row, cut to what is left. A ranking of twice the rows is asked for until the prefix ends inside it.
    """
    wanted = budget.rows if budget.rows else max(1, int(documents * (budget.fraction or 0) + 0.5))
    if not budget.tokens:
        if wanted > DRIVER_ROWS:
            raise BoundError(
                f"the budget is {wanted:,} rows; the driver holds at most {DRIVER_ROWS:,}: select fewer, or in parts"
            )
        return selector.select(replace(pool, budget=wanted))
    from pyspark.sql import functions as F

    counted = pool.rows.where(F.col(budget.length).isNotNull())
    mean = counted.agg(F.avg(budget.length)).collect()[0][0] or 1.0
    size = int(1.2 * budget.tokens / max(float(mean), 1.0)) + 100
    while True:
        size = min(size, DRIVER_ROWS)
        picks = selector.select(replace(pool, rows=counted, budget=size))
        tokens = picks[["id"]].merge(_tokens(counted, picks, budget.length), on="id", how="left")["tokens"].to_numpy()
        total = tokens.cumsum()
        fits = int((total <= budget.tokens).sum())
        if fits < len(picks) or len(picks) < size or size >= ranked:
            break
        if size == DRIVER_ROWS:
            raise BoundError(
                f"{budget.tokens:,} tokens are more than the {DRIVER_ROWS:,} rows the driver holds; lower the budget"
            )
        size *= 2
    keep = picks.iloc[:fits].assign(tokens_used=tokens[:fits])
    left = budget.tokens - (int(total[fits - 1]) if fits else 0)
    if budget.truncate_last and fits < len(picks) and left > 0:
        last = picks.iloc[fits : fits + 1].assign(tokens_used=left)
        import pandas as pd

        keep = pd.concat([keep, last], ignore_index=True)
    return keep


def _tokens(rows: DataFrame, picks: pd.DataFrame, count: str) -> pd.DataFrame:
    from pyspark.sql import functions as F

    ids = rows.sparkSession.createDataFrame(picks[["id"]])
    return (
        rows.join(F.broadcast(ids), "id", "left_semi")
        .select("id", F.col(count).cast("bigint").alias("tokens"))
        .toPandas()
    )


def one_row_an_id(lake: Lake, documents: Documents, keys: tuple[str, int], source: DataFrame) -> DataFrame:
    """Return `source` (with id and row_hash) with one row per id: the one that the key pass took."""
    source = source.where("id IS NOT NULL")
    if not documents.repeated:
        return source
    taken = lake.read(*keys).select("id", "row_hash")
    return source.join(taken, ["id", "row_hash"], "left_semi").dropDuplicates(["id"])
