"""Step 5, selecting: eligible rows to a ranking, a cut by the budget, controls beside it, one commit of each.

Ranking reads `scores_<recipe>` alone (and narrow source columns where `where:` or the selector names them); the chosen
ids, on the driver, are broadcast back to the documents, so no text of an unselected row ever moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ..udfs.digests import digest
from ..udfs.errors import LISTED, InputError
from ..udfs.fitted import FittedScore
from ..udfs.quoting import quoted_name
from .inputs.run import Run, columns_of
from .inputs.tables import published_names, score_columns, selection_table, shown_names
from .lake.commits import Commit
from .lake.schemas import Col, Table, controls
from .lake.tables import retry_on_conflict
from .recipe.resolved import resolved_keys
from .scoring.eligible import count_excluded, count_rankable, eligible_rows
from .scoring.memos import values
from .scoring.on_demand import OnDemand
from .scoring.warnings import warn_of_scores
from .selectors.budget import Supply, apply_budget, countable
from .selectors.selector import PICKS, Pool
from .selectors.stages import last_stage, placed


def run_id(run: Run) -> str:
    """Return the hash of recipe, input digests, fingerprints and seed; it may recur."""
    summary, recipe = run.hashes.summary, run.recipe
    state = run.start.state if run.start else None
    start = [state.ref, state.data_version or state.version] if state else []
    parts = [recipe.digest(), summary.digest, summary.inputs, run.manifest.fingerprints, recipe.seed]
    return digest([*parts, *start])


def select(run: Run, fitted: Mapping[str, FittedScore], scores_version: int) -> int:
    """Make `selection_<recipe>` and `controls_<recipe>` current; returns the version of the selection."""
    run.manifest.run_id = run_id(run)
    scores = run.lake.read(f"scores_{run.recipe.name}", scores_version)
    rows = cache(partial(eligible_rows, run, fitted, scores))
    columns = score_columns(fitted[name] for name in shown_names(run.recipe))
    return commit_selection(run, fitted, scores_version, columns, rows, lambda: choose(run, fitted, rows(), scores))


def commit_selection(
    run: Run,
    fitted: Mapping[str, FittedScore],
    scores_version: int,
    columns: list[Col],
    rows: Callable[[], DataFrame],
    choice: Callable[[], tuple[pd.DataFrame, dict[str, Any]]],
    step_name: str = "select",
    also: Mapping[str, Any] = MappingProxyType({}),
    superseded: Callable[[Commit], bool] = lambda _: False,
) -> int:
    """Make selection and controls those of the manifest's run id; returns the version of the selection.

    Parameters
    ----------
    columns : list of Col
        Of the scores that the selection shows.
    rows, choice : callable
        The eligible rows; the picks, and what the commit says of them. Called if one of the two tables has to be made.
    also : mapping
        What both commits say beside.
    superseded : callable
        Whether a commit of somebody else is as good.
    """
    lake, recipe, manifest = run.lake, run.recipe, run.manifest
    table, side = selection_table(recipe, run.documents, columns), controls(recipe.name, recipe.keep_versions)
    scores, chosen = lake.read(f"scores_{recipe.name}", scores_version), cache(choice)

    def selection_rows() -> tuple[DataFrame, dict[str, Any]]:
        picks, said = chosen()
        # Readers of a version of the selection read these.
        made_from = {"inputs": manifest.inputs, "fingerprints": manifest.fingerprints, "scores": scores_version}
        made_from |= {"hashes": run.hashes.version, "where": recipe.where, "recipe_hash": recipe.digest()}
        named = {"recipe": recipe.name, "seed": recipe.seed, "resolved": resolved_keys(recipe)}
        metadata = {**named, **also, **said, **made_from}
        return with_columns(run, fitted, scores, picks), metadata

    def control_rows() -> tuple[DataFrame, dict[str, Any]]:
        selected = chosen()[0] if written else lake.read(table.name, version).select(*PICKS).toPandas()
        picked, own = control_picks(run, fitted, rows(), selected)
        return picked, {**also, "on_demand": sorted(own)}

    def write(target: Table, make: Callable[[], tuple[DataFrame, dict[str, Any]]]) -> tuple[int, bool, Commit]:
        return retry_on_conflict(step_name, lambda: _commit_once(run, target, make, superseded))

    with manifest.step(step_name, table.name) as step:
        version, written, commit = write(table, selection_rows)
        step.ends(version, written)
        counts = commit.metadata["counts"]
        manifest.counts |= counts
        step.rows, step.computed = run.hashes.summary.documents, int(counts["selected"])
        step.ineligible, step.undefined = counts.get("ineligible"), counts.get("unranked")
        manifest.rows = step.computed
        manifest.add_stages(step)
    if recipe.controls:
        with manifest.step("controls", side.name) as step:
            side_version, side_written, commit = write(side, control_rows)
            step.ends(side_version, side_written)
            step.computed = commit.rows
    return version


def _commit_once(
    run: Run,
    table: Table,
    make: Callable[[], tuple[DataFrame, dict[str, Any]]],
    superseded: Callable[[Commit], bool],
) -> tuple[int, bool, Commit]:
    """Write a table unless it is of this run; returns its version, whether it was written here, and its last write."""
    present, mark = run.lake.state(table.name), {"run_id": run.manifest.run_id}
    if (last := present.last_write) and (last.says(mark) or superseded(last)):
        return int(present.version or 0), False, last
    frame, metadata = make()
    commit = run.lake.overwrite(table, frame, mark | metadata, int(present.version or 0))
    return commit.version, True, commit


def choose(
    run: Run, fitted: Mapping[str, FittedScore], rows: DataFrame, scores: DataFrame
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rank the eligible rows and cut the ranking by the budget; returns the picks, and what the commit says of them.

    That is `counts` of the rows that they are from, `notes`, and the fingerprints that were computed `on_demand` for
    this selector alone.

    Raises
    ------
    InputError
        If no row can be selected.
    """
    recipe, documents, before = run.recipe, run.hashes.summary.documents, list(run.manifest.notes)
    eligible, ranked, rankable = count_rankable(rows, recipe)
    start = _start(run, rows.where(rankable))
    counts: dict[str, Any] = {"documents": documents, "ineligible": documents - eligible, "unranked": eligible - ranked}
    counts |= {"chosen_before": len(start)} if run.start else {}
    excluded = count_excluded(run, scores)
    left = f"{counts['ineligible']:,} ineligible, {counts['unranked']:,} unranked"
    left += f", {len(start):,} chosen before" if start else ""
    if ranked <= len(start):
        raise _nothing(run, left)
    counted = countable(rows, recipe.budget)
    with OnDemand(run, fitted, counted) as on_demand:
        pool = replace(pool_of(run, fitted, counted, on_demand), start=start)
        last = last_stage(recipe.stages, pool, (eligible, ranked))
        left += last.left
        if not last.rankable:
            raise _nothing(run, left)
        with placed(last.place):
            supply = Supply(documents, last.rankable - len(start), left)
            picks = apply_budget(last.selector, last.pool, recipe.budget, supply)
    if picks.empty:
        raise _nothing(run, left)
    warn_of_scores(run, fitted, rows, scores, picks)
    counts |= {"selected": len(picks)} | ({"excluded": excluded} if excluded else {})
    if stages := last.counts(len(picks)):
        counts["stages"] = [asdict(stage) for stage in stages]
    notes = [note for note in run.manifest.notes if note not in before]
    return picks, {"counts": counts, "notes": notes, "on_demand": sorted(on_demand.own)}


def _nothing(run: Run, left: str) -> InputError:
    return InputError(
        f"no row of {run.hashes.summary.documents:,} can be selected ({left}); widen where:, or look at "
        f"scores_{run.recipe.name}"
    )


def _start(run: Run, rankable: DataFrame) -> list[str]:
    """Return the ids of the selection to go on from that can be ranked here, and note those that cannot."""
    if run.start is None:
        return []
    here = rankable.select("id", F.lit(True).alias("here"))
    found = run.start.frame.join(here, "id", "left").toPandas()
    absent = sorted(found["id"][found["here"].isna()])
    if absent:
        named = ", ".join(map(repr, absent[:LISTED]))
        run.manifest.note(
            f"start: {len(absent):,} of {len(found):,} rows of {run.start.state.ref} version {run.start.state.version} "
            f"cannot be ranked here, such as {named}: they do not count as chosen"
        )
    return sorted(found["id"][found["here"].notna()])


def pool_of(run: Run, fitted: Mapping[str, FittedScore], rows: DataFrame, on_demand: OnDemand) -> Pool:
    """Return what a selector gets; its budget is set by whoever cuts the ranking."""
    scorers = {name: score.scorer for name, score in fitted.items()}
    return Pool(rows, 0, run.recipe.seed, scorers, on_demand, run.manifest.note, salt=run.recipe.selector_salt)


def with_columns(run: Run, fitted: Mapping[str, FittedScore], scores: DataFrame, picks: pd.DataFrame) -> DataFrame:
    """Return the picks with kept columns and scores: published ones, and beside them what was computed on demand."""
    documents, published = run.documents, published_names(run.recipe)
    scored = scores.select("id", *(quoted_name(n) for n in published))
    for name in shown_names(run.recipe):
        if name not in published:
            scored = scored.join(values(run, fitted[name]).withColumnRenamed("value", name), "id", "left")
    chosen = run.lake.spark.createDataFrame(picks)
    scored = scored.join(F.broadcast(chosen), "id", "inner")
    kept = [F.expr(sql).alias(name) for name, sql in documents.keep.items()]
    # Where an id may stand twice its rows are compared: those of the chosen ids only.
    within = chosen.select("id") if run.hashes.summary.duplicates else None
    joined = columns_of(run, *kept, within=within).join(F.broadcast(scored), "id", "inner")
    return joined.repartition(1 + len(picks) // 500_000, "id").sortWithinPartitions("rank")


def control_picks(
    run: Run, fitted: Mapping[str, FittedScore], rows: DataFrame, selected: pd.DataFrame
) -> tuple[DataFrame, set[str]]:
    """Return (control, id, rank) of what each control would have chosen, and the fingerprints of their own scorers."""
    parts, own = [], set[str]()
    if run.start:  # what was chosen before is no rival of what is chosen now
        rows = rows.join(run.start.frame, "id", "left_anti")
    for name, control in run.recipe.controls.items():
        with OnDemand(run, fitted, rows) as on_demand:
            pool = pool_of(run, fitted, rows, on_demand)
            seed = run.recipe.seed_of(name)  # another draw than the selector's own
            place = f"controls: {name}"
            pool = replace(pool, budget=len(selected), seed=seed, selected=selected, salt="", place=place)
            picks = control.select(pool)
        if (drawn := int(picks["copies"].sum())) < len(selected):
            run.manifest.note(f"control {name}: {drawn:,} rows could be drawn, the selection has {len(selected):,}")
        own |= on_demand.own
        parts.append(picks[["id", "rank"]].assign(control=name))
    rows_of_all = pd.concat(parts, ignore_index=True).astype({"id": object, "rank": "int64"})
    frame = run.lake.spark.createDataFrame(rows_of_all, "id string, rank bigint, control string")
    return frame.repartition(1), own
