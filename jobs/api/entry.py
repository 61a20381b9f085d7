"""run, plan, advise, refine, tune, score, estimate: what notebooks and programs call, and what is printed of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import Column

from .jobs.commands.advice.advice import Advice
from .jobs.commands.advice.advice import advise as advise_on
from .jobs.commands.advice.blocks import with_block
from .jobs.commands.advice.sample import ROWS
from .jobs.commands.plan import Plan
from .jobs.lake.session import as_needed
from .jobs.lake.whole_files import whole_file
from .jobs.lake.workers import check_workers
from .jobs.recipe import Recipe, keys_of, parse
from .jobs.recipe.keys import to_yaml, tuned_keys
from .jobs.recipe.resolved import resolved_keys
from .jobs.recipe.strict import build
from .jobs.tune import Tuned
from .lake import AnyRecipe, Lake, read_uri, recipe
from .results import Refined, Result
from .udfs.discovery import scorers
from .udfs.errors import RecipeError
from .udfs.kernels.stratified_estimate import estimate
from .udfs.scorer import Scorer
from .udfs.spark import column

__all__ = ["Lake", "advise", "estimate", "plan", "recipe", "refine", "run", "score", "tune"]

#: Seconds between two looks for rewards.
WAIT_SECONDS = 15.0


def run(lake: Lake | str, source: AnyRecipe, until: str = "select", refit: bool = False) -> Result:
    """Bring everything that a recipe derives up to date: ingest, hash, fit, score, select.

    Parameters
    ----------
    lake : Lake or str
    source : str, mapping or Recipe
    until : {"ingest", "score", "select"}
        The last step.
    refit : bool
        Fit the models that learn from documents again.

    Returns
    -------
    Result
        `selection`, `scores` and `controls` are frames at the versions just written; `noop` is True where nothing had
        changed, and then nothing was read.
    """
    from .jobs.run import run as run_steps

    if until not in ("ingest", "score", "select"):
        raise RecipeError(f"until is {until!r}; allowed: ingest, score, select")
    parsed, opened = recipe(source), _lake(lake)
    with _computing(opened):
        return Result(opened, parsed, run_steps(opened.tables, parsed, until, refit), until)


def plan(lake: Lake | str, source: AnyRecipe, probe: bool = False) -> Plan:
    """Return what a run would read, compute and write, and what that costs; nothing is written.

    Parameters
    ----------
    lake : Lake or str
    source : str, mapping or Recipe
    probe : bool
        Score up to 1 000 documents, to know what a row takes; without it no row is read.
    """
    from .jobs.commands.plan import plan as plan_run

    parsed, opened = recipe(source), _lake(lake)
    with _computing(opened) if probe else as_needed(opened.spark):
        return plan_run(opened.tables, parsed, probe)


def advise(
    lake: Lake | str,
    source: AnyRecipe,
    rows: int = ROWS,
    loss: str = "",
    *,
    measure: bool = False,
    settings: tuple[str, ...] = (),
    out: str = "",
) -> Advice:
    """Return what to use for a recipe's pool, and why, from a sample of its documents.

    Tables that the recipe ingests are ingested where they are not there yet.

    Parameters
    ----------
    lake : Lake or str
    source : str, mapping or Recipe
    rows : int, default 4 000
        Eligible rows of the sample, at most 20 000.
    loss : str
        Score or numeric column whose mean is to be estimated.
    measure : bool
        Compare methods on held-out rows of the targets, keep the trials, and write the recipe of the choice.
    settings : tuple of "key.sub=value"
        Overrides, parsed as YAML.
    out : str
        File of that recipe; by default <name>_advised.yaml beside the recipe, else in the present folder.

    Returns
    -------
    Advice
        `facts`, the `rule` that was followed, the `block` of the recipe, what to `expect`, and what was `measured`.
    """
    raw = resolved_keys(source) if isinstance(source, Recipe) else keys_of(source, settings, partial(read_uri, "local"))
    parsed, opened = parse(raw), _lake(lake)
    if not measure:
        _ingested(opened, parsed)
        return opened.advise(parsed, rows, loss)
    path = _beside(source, f"{parsed.name}_advised.yaml", out)
    with whole_file(path, "--out") as put:
        _ingested(opened, parsed)
        with as_needed(opened.spark):
            given = advise_on(opened.tables, parsed, rows, loss, measuring=True)
        assert given.measured is not None
        found = replace(given.measured, path=str(path))
        comment = f"{parsed.name} with the choice of lakesift advise --measure, {found.run}.\n{found.verdict}"
        put(to_yaml(with_block(raw, found.block, f"{parsed.name}_advised"), comment))
    return replace(given, measured=found)


def tune(lake: Lake | str, source: str | Mapping[str, Any], settings: tuple[str, ...] = (), out: str = "") -> Tuned:
    """Search the bounds of a recipe's interval selector as its `tune:` block says, and write the recipe with these.

    Parameters
    ----------
    lake : Lake or str
    source : str or mapping
        A shipped name, a path, a URI that Spark reads, or the recipe's keys.
    settings : tuple of "key.sub=value"
        Overrides, parsed as YAML.
    out : str
        File of the tuned recipe; by default <name>_tuned.yaml beside the recipe, else in the present folder.

    Returns
    -------
    Tuned
        `table` has a line for the winner of every method and share, `bounds` are those that were written.
    """
    from .jobs.run import tune as tune_run

    raw = keys_of(source, settings, partial(read_uri, "local"))
    parsed, opened = parse(raw), _lake(lake)
    path = _beside(source, f"{parsed.name}_tuned.yaml", out)
    with whole_file(path, "--out") as put, _computing(opened):
        found = tune_run(opened.tables, parsed)
        comment = f"{parsed.name} with the bounds of lakesift tune, search {found.run}.\n{found.verdict}"
        put(to_yaml(tuned_keys(raw, parsed, found.bounds), comment))
    return replace(found, path=str(path))


def refine(lake: Lake | str, source: AnyRecipe, wait: bool = False) -> Refined:
    """Choose rows in rounds, as a recipe's `refine:` block says; goes on where it was stopped.

    Parameters
    ----------
    lake : Lake or str
    source : str, mapping or Recipe
    wait : bool
        Look every 15 seconds for rewards that are awaited, until all rounds are done, instead of returning.

    Returns
    -------
    Refined
        `selection` is the frame of the rows chosen so far; `rounds` says what comes next.
    """
    from .jobs.run import refine as refine_run

    parsed, opened = recipe(source), _lake(lake)
    with _computing(opened):
        manifest = refine_run(opened.tables, parsed, WAIT_SECONDS if wait else None)
    return Refined(Result(opened, parsed, manifest, "refine"), opened.rounds(parsed))


def score(kind: str, **parameters: Any) -> Callable[..., Column]:
    """Return a score that needs no fitting as a function of columns.

    `df.withColumn("ratio", lakesift.score("compression_ratio")("text"))`

    Raises
    ------
    RecipeError
        If there is no such score, a parameter is wrong, or it must be fitted, which a run does.
    """
    scorer: Any = build({"kind": kind, **parameters}, "score", scorers(), "score")
    if not isinstance(scorer, Scorer):
        raise RecipeError(f"{kind} is fitted on tables first; put it under scores: of a recipe and run that")
    return column(scorer)


def _beside(source: AnyRecipe, name: str, out: str) -> Path:
    """Return the file of a recipe that is written: `out`, or of a name beside the recipe that it comes from."""
    folder = Path(source).parent if isinstance(source, str) and Path(source).is_file() else Path()
    return Path(out) if out else folder / name


def _ingested(lake: Lake, parsed: Recipe) -> None:
    """Ingest what a recipe reads, where a table of it is not there yet."""
    with as_needed(lake.spark):
        absent = any(lake.tables.version(table) is None for table in parsed.ingested())
    if absent:
        run(lake, parsed, "ingest")


def _lake(lake: Lake | str) -> Lake:
    return Lake(lake) if isinstance(lake, str) else lake


@contextmanager
def _computing(lake: Lake) -> Iterator[None]:
    """Run a block that needs workers: they can import what scores need, and the session is as it was afterwards."""
    with as_needed(lake.spark):
        check_workers(lake.spark)
        yield
