"""The run: ingest, hash, fit, score, select, one row in `runs`; or nothing, when nothing has changed."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from ..udfs.errors import RecipeError
from ..udfs.spark import start_workers
from .hashes import hash_documents
from .ingest import ingest
from .inputs.hash_state import hashes_stand
from .inputs.memory import bounded, check_memory
from .inputs.opening import check_machine, check_sample, open_documents, open_start, open_targets
from .inputs.run import Run
from .inputs.tables import tables_of
from .lake.counts import known_rows
from .lake.manifest import Manifest, told
from .lake.progress import stages
from .lake.spark_errors import FILES_GONE, FilesGone, raising
from .lake.tables import Lake
from .lake.tuning import compiled, cores, every_file
from .recipe import Recipe
from .refine import begun, go_on, refine_rounds
from .runs import record, unchanged_since
from .score import score
from .select import select
from .tune import Tuned, check_learners, search_bounds

log = logging.getLogger("lakesift")


def run(lake: Lake, recipe: Recipe, until: str = "select", refit: bool = False) -> Manifest:
    """Bring everything that a recipe derives up to date, and say what was done.

    Parameters
    ----------
    until : {"ingest", "score", "select"}
        The last step.
    refit : bool
        Fit the models that learn from documents again, whatever exists.

    Returns
    -------
    Manifest
        `noop` is True where nothing has changed since the newest run: then nothing was scanned.
    """
    if until == "select" and recipe.refine:
        raise RecipeError(
            f"the recipe {recipe.name} has a refine: block, whose rows are chosen in rounds: lakesift refine "
            f"{recipe.name}; for one choice take the block out"
        )
    with lake.lock(f"run of {recipe.name}"), every_file(lake.spark), stages(*_stages(recipe, until)):
        if until == "select" and not refit and (unchanged := unchanged_since(lake, recipe)):
            return unchanged
        manifest = _begin(lake, recipe, scores=until != "ingest")
        if until == "ingest":
            return manifest
        opened = open_run(lake, recipe, manifest, selects=until == "select")
        with compiled(lake.spark, opened.hashes.summary.documents):
            scores = score(opened, refit)
            if until == "score":
                return manifest
            manifest.selection_version = select(opened, scores.fitted, scores.version)
        record(lake, recipe, manifest)
    return manifest


def tune(lake: Lake, recipe: Recipe) -> Tuned:
    """Bring the scores of a recipe up to date, and search the bounds of its interval selector as `tune:` says."""
    if recipe.tune is None:
        raise RecipeError(f"the recipe {recipe.name} has no tune: block; add tune: {{label: <SQL>}} to it")
    check_learners(recipe.tune)
    with lake.lock(f"tune of {recipe.name}"), every_file(lake.spark), stages(*_stages(recipe, "score")):
        opened = open_run(lake, recipe, _begin(lake, recipe, scores=True))
        with compiled(lake.spark, opened.hashes.summary.documents):
            scores = score(opened)
            return search_bounds(opened, recipe.tune, scores.fitted, scores.version)


def refine(lake: Lake, recipe: Recipe, wait: float | None = None) -> Manifest:
    """Do the rounds of a recipe's `refine:` block that can be done now; returns what was done.

    A refinement that was begun goes on with the versions that its first round read; a new one begins where there is
    none, where the recipe was edited, where the last one is finished and its inputs changed, or where files that it
    reads are gone.

    Parameters
    ----------
    wait : float, optional
        Seconds between two looks for rewards that are awaited; by default it returns instead of waiting.
    """
    recipe.refine_block()
    check_machine(recipe)
    while True:
        with lake.lock(f"refine of {recipe.name}"), every_file(lake.spark), stages(*_stages(recipe, "rounds")):
            manifest = _refine(lake, recipe)
            if wait is None or (newest := begun(lake, recipe)) is None or newest.finished:
                return manifest
        log.info("waiting for rewards; they are rows of %s", lake.ref("feedback"))
        time.sleep(wait)


def _refine(lake: Lake, recipe: Recipe) -> Manifest:
    last, gone = begun(lake, recipe), ""
    if last and last.finished:
        if last.reads_the_newest(lake, recipe) and (unchanged := unchanged_since(lake, recipe)):
            return unchanged
    elif last:
        try:
            manifest = Manifest(recipe.name, recipe.digest())
            with raising(FilesGone(), FILES_GONE):
                go_on(lake, recipe, manifest, last)
            record(lake, recipe, manifest)
            return manifest
        except FilesGone:
            gone = "files of the versions that it reads are gone"
    manifest = _begin(lake, recipe, scores=True)
    run = open_run(lake, recipe, manifest, selects=True)
    with compiled(lake.spark, run.hashes.summary.documents):
        scores = score(run)
        refine_rounds(run, scores.fitted, scores.version, gone=gone)
    record(lake, recipe, manifest)
    return manifest


def _stages(recipe: Recipe, last: str) -> list[str]:
    """Return the stages of a run until one of "ingest", "score", "select", "rounds", as progress counts them."""
    ingested = ["ingest"] if recipe.ingested() else []
    if last == "ingest":
        return ingested
    scored = [*ingested, "hashes", "scores"]
    return scored if last == "score" else [*scored, last, *(["controls"] if recipe.controls else []), "record"]


def _begin(lake: Lake, recipe: Recipe, scores: bool) -> Manifest:
    """Check what can be checked before any job, for `scores` also this machine, and ingest; returns the account."""
    manifest = Manifest(recipe.name, recipe.digest())
    check_sample(lake, recipe)
    if scores:
        check_machine(recipe)
        check_memory(recipe, None)
    ingest(lake, recipe, manifest)
    return manifest


def open_run(lake: Lake, recipe: Recipe, manifest: Manifest, selects: bool = False) -> Run:
    """Open and check documents and targets, make the recipe's tables, hash the documents; Python workers start.

    If it `selects`, rows that will not fit the driver are refused before any are read, where metadata counts them.
    """
    documents = open_documents(lake, recipe)
    targets, start = open_targets(lake, documents), open_start(lake, recipe)
    if selects and bounded(recipe):
        check_memory(recipe, known_rows(lake, recipe.documents.table, documents.state.version))
    inputs = {"documents": documents.state} | {f"target {name}": target.state for name, target in targets.items()}
    inputs |= {"start": start.state} if start else {}
    tables = {"documents": recipe.documents.table} | {f"target {n}": t.table for n, t in recipe.targets.items()}
    tables |= {"start": recipe.start.table} if recipe.start and recipe.start.version is None else {}
    for name, state in inputs.items():
        known = {"data_version": state.data_version} if state.data_version else {}
        manifest.inputs[name] = {"table": state.ref, "version": state.version, **known}
        if name in tables:
            manifest.read_at[tables[name]] = told(state)
        if state.version is None:
            manifest.note(f"{name}: {state.ref} has no versions: not pinned, its digest is recorded")
    with ThreadPoolExecutor(1) as background:
        if not hashes_stand(lake, documents):  # else there may be nothing to score
            background.submit(start_workers, lake.spark, cores(lake.spark))  # if it fails, the first pass says why
        # All tables in one first step, side by side: jobs that may not CREATE run `plan --ddl` beforehand.
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lake.create, tables_of(recipe, documents)))
        hashes = hash_documents(lake, documents, manifest)
    summary = asdict(hashes.summary)
    manifest.inputs["documents"] |= {k: v for k, v in summary.items() if k not in ("documents", "inputs")}
    return Run(lake, recipe, documents, hashes, manifest, targets, start)
