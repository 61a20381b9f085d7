"""The select job: eligible rows to a ranking, a budget cut, controls beside it, one commit of `selection_<recipe>`.

Ranking reads `scores_<recipe>` alone (and narrow source columns where `where:` or the selector names them); the chosen
ids, on the driver, are broadcast back to the documents, so no text of an unselected row ever moves.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..udfs.errors import InputError
from ..udfs.scorer import digest
from .choice import Choice, one_row_an_id
from .inputs.documents import Documents
from .lake.manifest import Manifest, Step
from .lake.schemas import FIXED, TOKENS_USED, Col, Table, controls, selection
from .lake.tables import Lake, retry_on_conflict
from .recipe import Recipe
from .score import label_columns
from .scoring.memos import Memos
from .scoring.on_demand import Asking
from .selectors.selector import Pool

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

log = logging.getLogger("lakesift")


def run_id(recipe: Recipe, summary: dict[str, Any], fingerprints: dict[str, str]) -> str:
    """Return the hash of recipe, input digests, fingerprints and seed; it may recur."""
    return digest([recipe.digest(), summary["digest"], summary["inputs"], fingerprints, recipe.seed])


def selection_table(recipe: Recipe, documents: Documents, labels: list[Col]) -> Table:
    """Return the declared selection: fixed columns, labels, kept source columns."""
    frame = documents.frame
    kept = [
        Col(
            name,
            frame.selectExpr(f"{sql} AS c").schema["c"].dataType.simpleString(),
            f"source column {sql}".replace("`", ""),
        )
        for name, sql in documents.keep.items()
    ]
    fixed = (*FIXED, TOKENS_USED) if recipe.budget.tokens else FIXED
    extras = [Col(*extra) for extra in recipe.selector.extra_columns]
    return selection(recipe.name, (*fixed, *extras, *labels, *kept), recipe.keep_versions)


def shown_labels(recipe: Recipe) -> list[str]:
    """Return the labels that a selection holds: asked ones too, null in rows that were not asked for; no arrays."""
    return [k for k, s in recipe.scores.items() if not s.value.startswith("array")]


def _labels(choice: Choice) -> DataFrame:
    """Return id and the labels of every document that has one: published, and beside them what was asked for."""
    recipe, asked = choice.recipe, choice.recipe.on_demand_only()
    shown = shown_labels(recipe)
    made = choice.scores().select("id", *(f"`{c}`" for c in shown if c not in asked))
    for label in (c for c in shown if c in asked):
        values = choice.memos.values(choice.memos.scored[label])
        made = made.join(values.withColumnRenamed("value", label), "id", "left")
    return made


def select(
    memos: Memos,
    summary: dict[str, Any],
    published: int,
    manifest: Manifest,
) -> int:
    """Make `selection_<recipe>` and `controls_<recipe>` current; returns the version of the selection."""
    lake, documents, recipe = memos.lake, memos.documents, memos.documents.recipe
    manifest.run_id = run_id(recipe, summary, manifest.fingerprints)
    table = selection_table(recipe, documents, label_columns([memos.scored[k] for k in shown_labels(recipe)]))
    side = controls(recipe.name, recipe.keep_versions)
    with manifest.step("select", table.name) as step:
        chosen = Choice(memos, summary, published, manifest)
        step.rows = summary["documents"]
        version = int(retry_on_conflict("select", lambda: _write_selection(lake, table, chosen, step)))
        manifest.counts |= lake_counts(lake, table.name)
        step.ineligible, step.undefined = manifest.counts.get("ineligible"), manifest.counts.get("unranked")
        step.computed = manifest.rows = int(manifest.counts["selected"])
        if chosen.picks is None and step.rows and manifest.rows == 0:
            log.warning("no row was selected")
    if recipe.controls:
        with manifest.step("controls", side.name) as step:
            step.computed = int(
                retry_on_conflict("controls", lambda: _write_controls(lake, side, table.name, version, chosen, step))
            )
    return version


def lake_counts(lake: Lake, name: str) -> dict[str, Any]:
    """Return the counts that a selection's newest commit carries."""
    newest = lake.last_write(name)
    return dict(newest.metadata.get("counts", {})) if newest else {}


def _write_selection(lake: Lake, table: Table, choice: Choice, step: Step) -> int:
    from pyspark.sql import functions as F

    present = lake.state(table.name)
    if present.last_write and present.last_write.metadata.get("run_id") == choice.manifest.run_id:
        step.unchanged(present.version)
        return int(present.version or 0)
    picks = choice.choose()
    documents, spark = choice.documents, lake.spark
    if picks.empty:
        raise InputError(
            f"no row of {choice.summary['documents']:,} can be selected: {choice.counts['ineligible']:,} are "
            f"ineligible by where:, {choice.counts['unranked']:,} lack a score; loosen where: or look at "
            f"scores_{choice.recipe.name}"
        )
    chosen = spark.createDataFrame(picks)
    scores = _labels(choice).join(F.broadcast(chosen), "id", "inner")
    kept = [F.expr(sql).alias(name) for name, sql in documents.keep.items()]
    source = documents.frame.select(
        F.expr(documents.id).alias("id"), F.expr(documents.row_hash()).alias("row_hash"), *kept
    )
    source = source.join(F.broadcast(chosen.select("id")), "id", "left_semi")
    source = one_row_an_id(lake, documents, choice.keys, source).drop("row_hash")
    files = 1 + len(picks) // 500_000
    frame = source.join(F.broadcast(scores), "id", "inner").repartition(files, "id").sortWithinPartitions("rank")
    note = {
        "run_id": choice.manifest.run_id,
        "recipe": choice.recipe.name,
        "counts": choice.counts,
        **_evidence(choice),
    }
    version = lake.overwrite(table, frame, note, int(present.version or 0)).version
    step.wrote(version)
    return version


def _evidence(choice: Choice) -> dict[str, Any]:
    """Return what a reader of DESCRIBE HISTORY wants to know of a selection."""
    fingerprints = choice.manifest.fingerprints
    return {
        "inputs": choice.manifest.inputs,
        "fingerprints": fingerprints,
        "seed": choice.recipe.seed,
        "scores": choice.published,
    }


def control_seed(seed: int, name: str) -> int:
    """Return the seed of a control: another draw than the selector's own."""
    return int(digest([seed, name])[:15], 16)


def _write_controls(lake: Lake, table: Table, selected: str, version: int, choice: Choice, step: Step) -> int:
    present = lake.state(table.name)
    note = {"run_id": choice.manifest.run_id}
    if present.last_write and present.last_write.metadata.get("run_id") == choice.manifest.run_id:
        step.unchanged(present.version)
        return int(present.last_write.rows or 0)
    import pandas as pd

    picks = choice.picks
    if picks is None:
        picks = lake.read(selected, version).select("id", "rank", "gain", "weight", "copies").toPandas()
    rows, parts = choice.rows, []
    with Asking(choice.memos, rows, choice.manifest) as ask:
        for name, control in choice.recipe.controls.items():
            seed = control_seed(choice.recipe.seed, name)
            made = control.select(Pool(rows, len(picks), seed, ask.fitted, ask, ask.note, picks))
            parts.append(made[["id", "rank"]].assign(control=name))
    frame = lake.spark.createDataFrame(pd.concat(parts, ignore_index=True)).repartition(1)
    made_version = lake.overwrite(table, frame, note, int(present.version or 0)).version
    step.wrote(made_version)
    return sum(len(p) for p in parts)


def declared(recipe: Recipe, documents: Documents) -> list[Table]:
    """Return the tables that this job writes, for creation and `plan --ddl`."""
    labels = [Col(k, s.value, f"{s.comment} ({s.kind})") for k in shown_labels(recipe) for s in [recipe.scores[k]]]
    return [selection_table(recipe, documents, labels), controls(recipe.name, recipe.keep_versions)]
