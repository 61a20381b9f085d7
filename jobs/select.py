"""Step 5, selecting: eligible rows to a ranking, a cut by the budget, controls beside it, one commit of each.

Ranking reads `scores_<recipe>` alone (and narrow source columns where `where:` or the selector names them); the chosen
ids, on the driver, are broadcast back to the documents, so no text of an unselected row ever moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..udfs.digests import digest
from ..udfs.errors import InputError
from ..udfs.quoting import quoted, quoted_name
from ..udfs.scorer import FittedScore
from .inputs.conditions import satisfying
from .inputs.documents import ROW_HASH
from .inputs.run import Run, one_row_per_id
from .inputs.tables import published_names, score_columns, selection_table, shown_names
from .lake.schemas import Table, controls
from .lake.tables import retry_on_conflict
from .lake.tuning import collect_small
from .runs import stands
from .scoring.memos import BROADCAST_ROWS, values
from .scoring.on_demand import OnDemand
from .selectors.budget import apply_budget
from .selectors.selector import Pool

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Choice:
    """What a selector chose, with the counts of the rows that it chose from."""

    picks: pd.DataFrame
    counts: dict[str, int]


def run_id(run: Run) -> str:
    """Return the hash of recipe, input digests, fingerprints and seed; it may recur."""
    summary, recipe = run.hashes.summary, run.recipe
    return digest([recipe.digest(), summary.digest, summary.inputs, run.manifest.fingerprints, recipe.seed])


def select(run: Run, fitted: Mapping[str, FittedScore], scores_version: int) -> int:
    """Make `selection_<recipe>` and `controls_<recipe>` current; returns the version of the selection."""
    lake, recipe, manifest = run.lake, run.recipe, run.manifest
    manifest.run_id = run_id(run)
    table = selection_table(recipe, run.documents, score_columns(fitted[name] for name in shown_names(recipe)))
    side = controls(recipe.name, recipe.keep_versions)
    stand = {name: stands(lake, name, manifest.run_id) for name in (table.name, side.name)}
    stand[side.name] |= not recipe.controls
    scores = lake.read(f"scores_{recipe.name}", scores_version)
    picks = None
    with manifest.step("select", table.name) as step:
        rows = None if all(stand.values()) else eligible_rows(run, fitted, scores)
        if stand[table.name] or rows is None:
            version = lake.version(table.name) or 0
            step.ends(version)
        else:
            choice = choose(run, fitted, rows)
            picks = choice.picks
            metadata = {
                "run_id": manifest.run_id,
                "recipe": recipe.name,
                "counts": choice.counts,
                "inputs": manifest.inputs,
                "fingerprints": manifest.fingerprints,
                "seed": recipe.seed,
                "scores": scores_version,
            }
            attempt = partial(_write_selection, run, table, _with_scores(run, fitted, scores), picks, metadata)
            version, written = retry_on_conflict("select", attempt)
            step.ends(version, written)
        last = lake.last_write(table.name)
        counts = dict(last.metadata.get("counts", {})) if last else {}
        manifest.counts |= counts
        step.rows, step.computed = run.hashes.summary.documents, int(counts["selected"])
        step.ineligible, step.undefined = counts.get("ineligible"), counts.get("unranked")
        manifest.rows = step.computed
    if recipe.controls:
        with manifest.step("controls", side.name) as step:
            if stand[side.name] or rows is None:
                step.ends(lake.version(side.name))
            else:
                selected = _selected(run, table, version) if picks is None else picks
                frame = _controls(run, fitted, rows, selected)
                side_version, written = retry_on_conflict("controls", partial(_write_controls, run, side, frame))
                step.ends(side_version, written)
            last = lake.last_write(side.name)
            step.computed = last.rows if last else 0
    return version


def eligible_rows(run: Run, fitted: Mapping[str, FittedScore], scores: DataFrame) -> DataFrame:
    """Return the rows that `where:` lets in: id, and the scores and source columns that selectors and budget name."""
    from pyspark.sql import functions as F

    recipe, documents = run.recipe, run.hashes.summary.documents
    names = recipe.columns_used() | (recipe.columns_on_demand() - recipe.on_demand_only())
    names |= {recipe.budget.length} if recipe.budget.tokens else set()
    vectors = sorted(n for n in names if n in recipe.scores and recipe.scores[n].value.startswith("array"))
    narrow = sorted(names - set(vectors))
    eligible = satisfying(run, scores, recipe.where, narrow)
    rows = collect_small(eligible.select("id", *(quoted_name(n) for n in narrow)), documents)
    for name in vectors:  # every document has a row in `memos`: the few columns are broadcast, vectors stay put
        few = F.broadcast(rows) if documents <= BROADCAST_ROWS else rows
        rows = values(run, fitted[name]).withColumnRenamed("value", name).join(few, "id", "inner")
    return rows


def choose(run: Run, fitted: Mapping[str, FittedScore], rows: DataFrame) -> Choice:
    """Rank the eligible rows and cut the ranking by the budget.

    Raises
    ------
    InputError
        If no row can be selected.
    """
    recipe, documents = run.recipe, run.hashes.summary.documents
    needs = [quoted(need.name) for need in recipe.selector.needs]
    ranked = " AND ".join(f"{n} IS NOT NULL" for n in needs) or "true"
    row = rows.selectExpr("count(*) AS eligible", f"count_if({ranked}) AS ranked").collect()[0]
    counts = {
        "documents": documents,
        "ineligible": documents - row["eligible"],
        "unranked": row["eligible"] - row["ranked"],
    }
    with OnDemand(run, fitted, rows) as on_demand:
        pool = _pool(run, fitted, rows, on_demand)
        picks = apply_budget(recipe.selector, pool, recipe.budget, documents, row["ranked"])
    left = f"{counts['ineligible']:,} ineligible, {counts['unranked']:,} unranked"
    if picks.empty:
        raise InputError(
            f"no row of {documents:,} can be selected ({left}); widen where:, or look at scores_{recipe.name}"
        )
    counts["selected"], drawn = len(picks), int(picks["copies"].sum())
    if recipe.budget.rows and drawn < recipe.budget.rows:
        run.manifest.note(f"budget is {recipe.budget.rows:,} rows, {drawn:,} could be selected ({left})")
    return Choice(picks, counts)


def _pool(run: Run, fitted: Mapping[str, FittedScore], rows: DataFrame, on_demand: OnDemand) -> Pool:
    """Return what a selector gets; its budget is set by whoever cuts the ranking."""
    scorers = {name: score.scorer for name, score in fitted.items()}
    return Pool(rows, 0, run.recipe.seed, scorers, on_demand, run.manifest.note)


def _with_scores(run: Run, fitted: Mapping[str, FittedScore], scores: DataFrame) -> DataFrame:
    """Return id and the score columns of a selection: published ones, and beside them what was computed on demand."""
    published = published_names(run.recipe)
    frame = scores.select("id", *(quoted_name(n) for n in published))
    for name in shown_names(run.recipe):
        if name not in published:
            frame = frame.join(values(run, fitted[name]).withColumnRenamed("value", name), "id", "left")
    return frame


def _write_selection(
    run: Run, table: Table, scores: DataFrame, picks: pd.DataFrame, metadata: Mapping[str, Any]
) -> tuple[int, bool]:
    """Return the version of the selection, and whether it was written here."""
    from pyspark.sql import functions as F

    lake, documents = run.lake, run.documents
    present = lake.state(table.name)
    if stands(lake, table.name, run.manifest.run_id):
        return int(present.version or 0), False
    chosen = lake.spark.createDataFrame(picks)
    scored = scores.join(F.broadcast(chosen), "id", "inner")
    kept = [F.expr(sql).alias(name) for name, sql in documents.keep.items()]
    keys = F.expr(documents.id).alias("id"), F.expr(documents.row_hash).alias(ROW_HASH)
    source = documents.frame.select(*keys, *kept).join(F.broadcast(chosen.select("id")), "id", "left_semi")
    source = one_row_per_id(run, source)
    files = 1 + len(picks) // 500_000
    frame = source.join(F.broadcast(scored), "id", "inner").repartition(files, "id").sortWithinPartitions("rank")
    return lake.overwrite(table, frame, dict(metadata), int(present.version or 0)).version, True


def control_seed(seed: int, name: str) -> int:
    """Return the seed of a control: another draw than the selector's own."""
    return int(digest([seed, name])[:15], 16)


def _selected(run: Run, table: Table, version: int) -> pd.DataFrame:
    return run.lake.read(table.name, version).select("id", "rank", "gain", "weight", "copies").toPandas()


def _controls(run: Run, fitted: Mapping[str, FittedScore], rows: DataFrame, selected: pd.DataFrame) -> pd.DataFrame:
    """Return (control, id, rank) of what each control would have chosen."""
    import pandas as pd

    parts = []
    for name, control in run.recipe.controls.items():
        with OnDemand(run, fitted, rows) as on_demand:
            pool = _pool(run, fitted, rows, on_demand)
            seed = control_seed(run.recipe.seed, name)
            picks = control.select(replace(pool, budget=len(selected), seed=seed, selected=selected))
        parts.append(picks[["id", "rank"]].assign(control=name))
    return pd.concat(parts, ignore_index=True)


def _write_controls(run: Run, table: Table, rows: pd.DataFrame) -> tuple[int, bool]:
    """Return the version of the controls, and whether it was written here."""
    present = run.lake.state(table.name)
    if stands(run.lake, table.name, run.manifest.run_id):
        return int(present.version or 0), False
    frame = run.lake.spark.createDataFrame(rows).repartition(1)
    return run.lake.overwrite(table, frame, {"run_id": run.manifest.run_id}, int(present.version or 0)).version, True
