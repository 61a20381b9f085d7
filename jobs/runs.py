"""The table `runs`: the newest run of a recipe, whether it still stands, and the record of a finished one.

Runs of a recipe are numbered: clocks of machines differ, and a clock may have been wrong.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pyspark.sql import functions as F

from ..udfs.errors import InputError
from .inputs.tables import tables_of
from .lake.manifest import Manifest, Step, files_of, made_by, told
from .lake.schemas import MEMOS, runs
from .lake.tables import Lake, retry_on_conflict
from .lake.tuning import property_of
from .recipe import Recipe
from .recipe.resolved import resolved_keys
from .sources import sources_digest


def stands(lake: Lake, table: str, run_id: str) -> bool:
    """Tell whether the newest rows of a selection, or of its controls, are those of a run."""
    last = lake.last_write(table)
    return last is not None and last.metadata.get("run_id") == run_id


def last_run(lake: Lake, recipe: str) -> dict[str, Any] | None:
    """Return the manifest of a recipe's newest run, and its number as `sequence`; None if there is no run."""
    if lake.last_write("runs") is None:
        return None
    # Two runs at once, in a lake without a lock, may have taken one number.
    newest = F.max_by(F.struct("manifest", "sequence"), F.struct("sequence", "finished_at")).alias("newest")
    row = lake.read("runs").where(F.col("recipe") == recipe).agg(newest).collect()[0]["newest"]
    return {**_manifest(row["manifest"]), "sequence": row["sequence"]} if row else None


#: What a later run reads in a manifest.
_READ = ("recipe_hash", "run_id", "selection_version", "rows", "data_versions", "counts", "fingerprints", "steps")


def _manifest(text: str) -> dict[str, Any]:
    """Return a manifest, of one that somebody has damaged nothing that stands: the run is made again."""
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    whole = isinstance(said, dict) and all(key in said for key in _READ)
    return said if whole else {**dict.fromkeys(_READ), "fingerprints": {}, "steps": []}


def data_versions(lake: Lake, recipe: Recipe, fingerprints: dict[str, str]) -> dict[str, Any]:
    """Return what identifies the data of every table that the recipe reads or writes, and of its source files."""
    tables = {recipe.documents.table, *(t.table for t in recipe.targets.values())}
    tables |= {recipe.start.table} if recipe.start and recipe.start.version is None else set()
    shared = {MEMOS, "runs", "models", "rounds", "feedback", f"hidden_{recipe.name}"}
    tables |= {t.name for t in tables_of(recipe, None)} - shared | {f"selection_{recipe.name}"}

    def version(name: str) -> str | None:
        try:
            state = lake.state(name)
        except InputError:  # it has no versions
            return None
        return told(state)

    with ThreadPoolExecutor(4) as pool:
        names = sorted(tables)
        by_table: dict[str, Any] = dict(zip(names, pool.map(version, names), strict=True))
    by_table[MEMOS] = lake.data_versions(MEMOS, fingerprints.values())
    for name, (source, id_sql) in recipe.ingested().items():
        by_table[files_of(name)] = sources_digest(lake.spark, source, id_sql)
    return by_table


def unchanged_since(lake: Lake, recipe: Recipe) -> Manifest | None:
    """Return the newest run's account if a run would do nothing: same recipe, and every table holds the same data."""
    last = last_run(lake, recipe.name)
    if last is None or last["recipe_hash"] != recipe.digest():
        return None
    now = data_versions(lake, recipe, last["fingerprints"])
    known = [*now.values(), *now[MEMOS].values()]
    if None in known or last["data_versions"] != now:
        return None
    manifest = Manifest(recipe.name, last["recipe_hash"], last["run_id"], last["selection_version"], last["rows"], True)
    manifest.data_versions, manifest.counts, manifest.fingerprints = now, last["counts"], last["fingerprints"]
    manifest.resolved, manifest.made_by = last.get("resolved", {}), last.get("made_by", {})
    for line in last["steps"]:
        step = Step(**{key: value for key, value in line.items() if key != "outcome"})
        step.computed, step.kernel, step.seconds = 0, None, None
        step.ends(lake.version(step.table) if step.version is None else step.version)
        manifest.steps.append(step)
    return manifest


def record(lake: Lake, recipe: Recipe, manifest: Manifest) -> None:
    """Append a row to `runs` unless its newest row says the same already."""
    manifest.data_versions = {**data_versions(lake, recipe, manifest.fingerprints), **manifest.read_at}
    manifest.resolved, manifest.made_by = resolved_keys(recipe), made_by(partial(property_of, lake.spark))
    with manifest.step("record", "runs") as step:
        written = retry_on_conflict("runs", lambda: _append(lake, recipe, manifest))
        step.ends(written or lake.version("runs"), written is not None)


def _append(lake: Lake, recipe: Recipe, manifest: Manifest) -> int | None:
    last = last_run(lake, recipe.name)
    if last and last["run_id"] == manifest.run_id and last["data_versions"] == manifest.data_versions:
        return None
    sequence = 1 + (last["sequence"] if last else 0)
    row = (manifest.run_id, recipe.name, sequence, manifest.selection_version or 0, manifest.rows, manifest.to_json())
    schema = "run_id string, recipe string, sequence bigint, selection_version bigint, rows bigint, manifest string"
    frame = lake.spark.createDataFrame([row], schema).withColumn("finished_at", F.current_timestamp())
    commit = lake.append(runs(), frame, {"run_id": manifest.run_id, "recipe": recipe.name})
    return commit.version if commit else None
