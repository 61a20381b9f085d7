"""The run: ingest, keys, score, select, one row in `runs`; or nothing, when nothing has changed."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..udfs.errors import InputError
from ..udfs.scorer import Estimator
from .hashes import write_keys
from .ingest import ingest, sources_digest
from .inputs.documents import Documents, hash_name
from .inputs.opening import check_sample, open_documents, open_target
from .lake.manifest import Manifest
from .lake.schemas import Table, controls, keys, models, rejected, runs
from .lake.session import compiled
from .lake.tables import Lake, retry_on_conflict
from .recipe import Recipe
from .score import label_tables, score
from .select import declared, select

if TYPE_CHECKING:
    from pyspark.sql import Row

log = logging.getLogger("lakesift")


def run(lake: Lake, recipe: Recipe, until: str = "select", refit: bool = False) -> Manifest:
    """Bring everything that a recipe derives up to date, and say what was done.

    Parameters
    ----------
    until : {"ingest", "score", "select"}
        The last step.
    refit : bool
        Fit the models that learn from documents again, whatever stands.

    Returns
    -------
    Manifest
        `noop` is True where the newest run stands: then nothing was scanned.
    """
    manifest = Manifest(recipe.name, recipe.digest())
    with lake.lock(f"run of {recipe.name}"):
        if until == "select" and not refit and standing(lake, recipe, manifest):
            return manifest
        check_sample(lake, recipe)
        ingest(lake, recipe, manifest)
        if until == "ingest":
            return manifest
        documents = open_documents(lake, recipe)
        for name, target in recipe.targets.items():
            if open_target(lake, documents, name)[1].version is None:
                manifest.notes.append(f"target {name}: {target.table} has no versions: not pinned")
        prepare(lake, recipe, documents)
        manifest.inputs["documents"] = {"table": documents.state.ref, "version": documents.state.version}
        if documents.state.version is None:
            manifest.notes.append(f"{recipe.documents.table} has no versions: not pinned, its digest is recorded")
        version, summary = write_keys(lake, documents, manifest)
        manifest.inputs["documents"] |= {
            k: summary[k] for k in ("digest", "rows", "null_ids", "duplicates", "conflicts")
        }
        documents = replace(documents, repeated=bool(summary["duplicates"]))
        at = (f"keys_{recipe.name}", version)
        with compiled(lake.spark, summary["documents"]):
            memos, published = score(lake, documents, at, manifest, refit)
            if until == "score":
                return manifest
            manifest.selection_version = select(memos, summary, published, manifest)
        _record(lake, recipe, manifest)
    return manifest


def tables_of(recipe: Recipe, documents: Documents | None) -> list[Table]:
    """Return every table the recipe needs beside its inputs; without documents the selection's columns are unknown."""
    labels, memos = label_tables(recipe)
    made = [keys(recipe.name, [hash_name(s) for s in recipe.input_sets()]), rejected(recipe.name), runs()]
    if any(isinstance(s, Estimator) for s in recipe.scores.values()):
        made.append(models())
    written = declared(recipe, documents) if documents else [controls(recipe.name, recipe.keep_versions)]
    return [*made, *memos, labels, *written]


def prepare(lake: Lake, recipe: Recipe, documents: Documents) -> None:
    """Create all tables in one first step, side by side: jobs that may not CREATE run `plan --ddl` beforehand."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lake.create, tables_of(recipe, documents)))


def stamps(lake: Lake, recipe: Recipe) -> dict[str, str | None]:
    """Return what identifies the data of every table that the recipe reads or writes, and of its source files."""
    tables = {recipe.documents.table, *(t.table for t in recipe.targets.values())}
    tables |= {f"memo_{s.kind}" for s in recipe.scores.values()}
    tables |= {f"{k}_{recipe.name}" for k in ("keys", "scores", "selection", "controls", "rejected")}

    def stamp(name: str) -> str | None:
        try:
            return lake.state(name).data_version
        except InputError:
            return None

    with ThreadPoolExecutor(4) as pool:
        names = sorted(tables)
        made = dict(zip(names, pool.map(stamp, names), strict=True))
    sources = {recipe.documents.table: recipe.documents.source} | {t.table: t.source for t in recipe.targets.values()}
    for name, source in sources.items():
        if source:
            made[f"files of {name}"] = sources_digest(lake.spark, source)
    return made


def last_run(lake: Lake, recipe: str) -> Row | None:
    """Return the newest row of `runs` for a recipe."""
    if lake.last_write("runs") is None:
        return None
    from pyspark.sql import functions as F

    mine = lake.read("runs").where(F.col("recipe") == recipe)
    newest = mine.agg(
        F.max_by(F.struct("run_id", "selection_version", "rows", "manifest"), "finished_at").alias("r")
    ).collect()
    return newest[0]["r"] if newest else None


def standing(lake: Lake, recipe: Recipe, manifest: Manifest) -> bool:
    """Tell whether the newest run stands: same recipe, and every table read or written holds the same data."""
    last = last_run(lake, recipe.name)
    if last is None:
        return False
    body: dict[str, Any] = json.loads(last["manifest"])
    if (
        body["recipe_hash"] != manifest.recipe_hash
        or None in (now := stamps(lake, recipe)).values()
        or body["stamps"] != now
    ):
        return False
    manifest.noop, manifest.run_id, manifest.rows = True, last["run_id"], last["rows"]
    manifest.selection_version, manifest.stamps = last["selection_version"], now
    manifest.counts, manifest.fingerprints = body["counts"], body["fingerprints"]
    for done in body["steps"]:
        with manifest.step(done["step"], done["table"]) as step:
            step.rows, step.undefined, step.ineligible = done["rows"], done["undefined"], done["ineligible"]
            step.rejected, step.computed = done["rejected"], 0
            # The manifest is written by the step `record` itself, before that has an outcome.
            step.outcome = f"unchanged, version {done['outcome'].rsplit(' ', 1)[-1] or lake.version(done['table'])}"
    return True


def _record(lake: Lake, recipe: Recipe, manifest: Manifest) -> None:
    """Append a row to `runs` unless its newest row says the same already."""
    from pyspark.sql import functions as F

    manifest.stamps = stamps(lake, recipe)

    def decide() -> None:
        last = last_run(lake, recipe.name)
        if (
            last is not None
            and json.loads(last["manifest"])["stamps"] == manifest.stamps
            and last["run_id"] == manifest.run_id
        ):
            return
        row = (
            manifest.run_id,
            recipe.name,
            int(manifest.selection_version or 0),
            int(manifest.rows),
            manifest.to_json(),
        )
        schema = "run_id string, recipe string, selection_version bigint, rows bigint, manifest string"
        frame = lake.spark.createDataFrame([row], schema).withColumn("finished_at", F.current_timestamp())
        lake.append(runs(), frame, {"run_id": manifest.run_id, "recipe": recipe.name})

    with manifest.step("record", "runs") as step:
        before = lake.version("runs")
        retry_on_conflict("runs", decide)
        after = lake.version("runs")
        step.unchanged(after) if after == before else step.wrote(int(after or 0))
