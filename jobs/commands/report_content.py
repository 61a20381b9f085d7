"""Gathers what the page of a report shows beside the report's numbers: some ten Spark jobs over bounded samples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.errors import InputError
from ...udfs.quoting import named_as, quoted, quoted_name, root_of
from ..inputs.conditions import satisfying
from ..inputs.run import Run
from ..lake.session import as_needed
from ..lake.tuning import collect_small, compiled, every_file
from ..recipe.clauses import clauses
from ..recipe.resolved import values
from ..selectors.needs import Number
from ..selectors.top_k import TopK
from .diff import diff
from .history import changes_of, commits_of, files_of
from .made_from import Made, controls_of
from .page.content import Changes, Content, Numbers
from .report_draws import Sets
from .report_examples import examples_of
from .report_health import checks
from .report_map import map_of
from .report_result import Report
from .report_samples import sample_of_sets
from .stored_recipe import stored_recipe

#: Rows of each set whose scores are drawn, and points of the curve of gains.
NUMBER_ROWS, GAIN_POINTS = 4_000, 300


def content_of(run: Run, of: Made, sets: Sets, scores: DataFrame, report: Report) -> Content:
    """Return what the page of a report shows beside it.

    Parameters
    ----------
    scores : DataFrame
        `scores_<recipe>`, as the version was made from it.

    Raises
    ------
    InputError
        If files of the version are gone.
    """
    documents, name = run.hashes.summary.documents, run.recipe.name
    what = f"what version {of.version} of selection_{name} was made from"
    with as_needed(run.lake.spark), files_of(what), compiled(run.lake.spark, documents), every_file(run.lake.spark):
        selection = run.lake.read(f"selection_{name}", of.version)
        chosen = collect_small(selection.select("id", "rank"), of.rows or 0)
        counts = {"pool": documents, **{s: report.rows[s] for s in report.sets if s in report.rows}}
        by, use = _shown_score(run, scores)
        numbers = _numbers(run, sets, _scored(run, scores, by, ""), by, use, counts, selection) if by else None
        eligible = _scored(run, scores, by, run.recipe.where).select("id", "score")
        at = next(c.timestamp for c in commits_of(run.lake, name) if c.version == of.version)
        manifest = _manifest(run, of)
        return Content(
            lake=run.lake.root,
            at=datetime.fromtimestamp(at / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S"),
            chosen_by=_chosen_by(run),
            excluded=_excluded(run, of),
            numbers=numbers,
            map=map_of(run, of, _ranked(run, of, chosen), counts),
            gains=_gains(selection, of.rows or 0),
            examples=examples_of(run, of, scores, chosen, eligible),
            checks=tuple(checks(run, of, scores, chosen, report, manifest)),
            reads=tuple(_reads(run, of)),
            changes=_changes(run, of),
            recipe=_recipe(run, of),
            manifest=manifest,
        )


def _chosen_by(run: Run) -> str:
    stages = []
    for stage in run.recipe.stages:
        given = values(stage.selector) | {"rows": stage.rows, "fraction": stage.fraction}
        told = ", ".join(f"{key}: {value}" for key, value in given.items() if value not in (None, "", [], {}))
        stages.append(f"{stage.selector.kind} ({told})" if told else str(stage.selector.kind))
    return ", then ".join(stages)


def _excluded(run: Run, of: Made) -> tuple[tuple[str, int], ...]:
    counts, where = of.said.get("counts", {}), of.said.get("where", run.recipe.where)
    if found := counts.get("excluded"):
        return tuple((str(sql), int(rows)) for sql, rows in found)
    one = " ".join(where.split()) if where and len(clauses(where)) == 1 else ""
    return ((one, counts.get("ineligible", 0)),) if one else ()


def _shown_score(run: Run, scores: DataFrame) -> tuple[str, str]:
    """Return the number whose distribution is shown, and what it is to the selector; "" without one.

    That is the number that the selector reads, else the first one among the scores.
    """
    selector = run.recipe.selector
    for need in selector.needs:
        if isinstance(need, Number) and _is_number(run, scores, need.name):
            return need.name, "Rows are ranked by it." if isinstance(selector, TopK) else "The selector reads it."
    return next(_numbers_among(run, scores), ""), "The selector does not read it."


def _is_number(run: Run, scores: DataFrame, name: str) -> bool:
    rows = scores if root_of(name) in scores.columns else run.documents.frame
    known = root_of(name) in rows.columns and root_of(name) not in set(run.recipe.scores) - set(scores.columns)
    return known and isinstance(rows.select(quoted(name)).schema[0].dataType, T.NumericType)


def _scored(run: Run, scores: DataFrame, by: str, where: str) -> DataFrame:
    """Return id, `score` and `length` of the documents for which `where` holds."""
    rows = satisfying(run, scores, where, {root_of(by)} if by else set())
    score = F.col(quoted(by)).cast("double") if by else F.lit(None).cast("double")
    return rows.select(
        "id", score.alias("score"), F.col(quoted_name(run.recipe.length_name())).cast("double").alias("length")
    )


def _numbers_among(run: Run, scores: DataFrame) -> Iterator[str]:
    """Yield the scores that are numbers, as recipes name them, the length last."""
    names = [f.name for f in scores.schema.fields[2:] if isinstance(f.dataType, T.NumericType)]
    yield from map(named_as, sorted(names, key=lambda name: name == run.recipe.length_name()))


def _numbers(
    run: Run, sets: Sets, scored: DataFrame, by: str, use: str, counts: Mapping[str, int], selection: DataFrame
) -> Numbers:
    """Return score and length of a sample of every set."""
    first = sets.members.where(F.col("set").isin([s for s in counts if s != "pool"]))
    sample = sample_of_sets(scored, first, counts, "numbers", NUMBER_ROWS).toPandas()
    sample = sample.dropna(subset=["score", "length"]).sort_values("id")
    selector = run.recipe.selector
    cut = None
    if isinstance(selector, TopK):
        least = selection.agg(F.min("gain")).collect()[0][0]
        cut = least if least is None or selector.order == "desc" else -least
    points = {
        str(s): tuple((float(x), float(y)) for x, y in zip(part["length"], part["score"], strict=True))
        for s, part in sample.groupby("set")
    }
    return Numbers(by, run.recipe.length_name(), use, None if cut is None else float(cut), points)


def _ranked(run: Run, of: Made, chosen: DataFrame) -> DataFrame:
    """Return set, id and rank of the selection and of the stored draw of each control."""
    rows = chosen.select(F.lit("selection").alias("set"), "id", "rank")
    controls = controls_of(run.lake, run.recipe, of)
    return rows if controls is None else rows.unionByName(controls.selectExpr("control AS set", "id", "rank"))


def _gains(selection: DataFrame, rows: int) -> tuple[tuple[float, float], ...]:
    step = max(1, rows // GAIN_POINTS)
    some = selection.where(f"gain IS NOT NULL AND (rank % {step} = 0 OR rank = 1)").select("rank", "gain").toPandas()
    points = tuple(
        (float(r), float(g)) for r, g in some.sort_values("rank").itertuples(index=False) if abs(g) < float("inf")
    )
    return points if len({g for _, g in points}) > 1 else ()


def _reads(run: Run, of: Made) -> Iterator[str]:
    table = f"selection_{run.recipe.name}"
    yield f"SELECT * FROM {run.lake.ref(table)} VERSION AS OF {of.version}"
    if path := run.lake.path(table):
        yield f"polars.read_delta({path!r}, version={of.version})"


def _changes(run: Run, of: Made) -> Changes | str:
    """Return what changed since the version of the run before, or why that is not told."""
    lake, recipe = run.lake, run.recipe
    commits = [c for c in commits_of(lake, recipe.name) if c.changes_data and c.version <= of.version]
    if len(commits) < 2:
        return "This is the first version: run again, and what came and went is here, by reason."
    after, before = commits[0], commits[1]
    try:
        found = diff(lake, recipe, [before.version, after.version])
    except InputError as error:
        return str(error)
    earlier = next((c for c in commits[1:] if "run_id" in c.metadata), None)
    said = tuple(changes_of(lake, recipe.name, earlier, after))
    return Changes(before.version, said, found.went_by_reason, found.came_by_reason, found.stayed, found.cut)


def _recipe(run: Run, of: Made) -> str:
    try:
        return str(stored_recipe(run.lake, run.recipe.name, of.version))
    except InputError:  # an earlier release made it
        return ""


def _manifest(run: Run, of: Made) -> Mapping[str, Any]:
    """Return the run's account of itself from `runs`, what its commit says where there is none."""
    said = {"inputs": of.said.get("inputs", {}), "fingerprints": of.said.get("fingerprints", {})}
    if run.lake.last_write("runs") is None:
        return said
    mine = (F.col("recipe") == run.recipe.name) & (F.col("run_id") == of.said["run_id"])
    newest = run.lake.read("runs").where(mine).agg(F.max_by("manifest", "sequence")).collect()[0][0]
    try:
        found = json.loads(newest or "{}")
    except ValueError:
        found = {}
    kept = ("made_by", "versions", "notes")
    return said | ({key: found[key] for key in kept if key in found} if isinstance(found, dict) else {})
