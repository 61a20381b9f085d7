"""Lake, recipe, run, plan, score: what notebooks and programs call, and what the command line prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession

from .jobs.commands.diff import Diff, diff
from .jobs.commands.export import Export, export
from .jobs.commands.export_model import ExportedModel, export_model
from .jobs.commands.history import history
from .jobs.commands.maintain import maintain
from .jobs.commands.plan import Plan
from .jobs.commands.refinement import Rounds, rounds_of
from .jobs.commands.report import report
from .jobs.commands.report_result import Report
from .jobs.commands.sql import QueryResult, register
from .jobs.lake import tables
from .jobs.lake.session import session
from .jobs.lake.text_table import Rows
from .jobs.recipe import Recipe, keys_of, load, parse
from .jobs.recipe.keys import to_yaml, tuned_keys
from .jobs.recipe.strict import build
from .jobs.tune import Tuned
from .results import Refined, Result
from .udfs.discovery import scorers
from .udfs.errors import RecipeError
from .udfs.scorer import Scorer
from .udfs.spark import column

#: What stands for a recipe: a shipped name, a path, a URI that Spark reads, a mapping, or a recipe.
AnyRecipe = str | Mapping[str, Any] | Recipe


#: Seconds between two looks for rewards.
WAIT_SECONDS = 15.0


class Lake:
    """Where recipes keep their tables.

    Parameters
    ----------
    root : str, default "lake"
        A folder, an object-store prefix, or a catalog schema such as "main.selection".
    spark : SparkSession, optional
        By default the session that exists (notebook, Databricks, Connect), else a new one on this machine. It is never
        stopped.
    conf : str, default "local"
        Spark configuration of a new session: local, cluster, or the path of a file in the form of spark-defaults.conf.
    """

    def __init__(self, root: str = "lake", spark: SparkSession | None = None, conf: str = "local") -> None:
        self.tables = tables.Lake(spark or session(conf), root)

    @property
    def spark(self) -> SparkSession:
        """The session."""
        return self.tables.spark

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"Lake({self.tables.root!r})"

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """Return a table, at a version if one is given; a name with dots is a table outside of the lake."""
        return self.tables.read(table, version)

    def selection(self, recipe: AnyRecipe, version: int | None = None) -> DataFrame:
        """Return a version of a recipe's selection, by default the newest."""
        return self.read(f"selection_{as_recipe(recipe).name}", version)

    def register(self) -> list[str]:
        """Make tables known to SQL by their names and scorers as functions; returns the names."""
        return register(self.tables)

    def sql(self, query: str) -> QueryResult:
        """Run SQL over the tables by their names; at most 1 000 rows. For frames: `register()`, then `spark.sql`."""
        from .jobs.commands.sql import query as run_query

        return run_query(self.tables, query)

    def report(self, recipe: AnyRecipe) -> Report:
        """Compare the newest selection with its pool and its controls."""
        return report(self.tables, as_recipe(recipe))

    def rounds(self, recipe: AnyRecipe) -> Rounds:
        """Return the rounds of a recipe's newest refinement, and what it waits for."""
        return rounds_of(self.tables, as_recipe(recipe))

    def history(self, recipe: AnyRecipe) -> Rows:
        """Return the versions of a recipe's selection, newest first, and what changed in each."""
        return history(self.tables, as_recipe(recipe).name)

    def diff(self, recipe: AnyRecipe, *versions: int) -> Diff:
        """Return the rows that came and went between two versions, by default the last two, and why."""
        return diff(self.tables, as_recipe(recipe), list(versions))

    def export(self, recipe: AnyRecipe, to: str, out: str, version: int | None = None) -> Export:
        """Write a version of the selection to files: `to` is "jsonl" or "parquet"."""
        return export(self.tables, as_recipe(recipe).name, to, out, version)

    def export_model(self, recipe: AnyRecipe, out: str) -> ExportedModel:
        """Write the model that the newest round of a refinement trained to a folder that transformers loads."""
        return export_model(self.tables, as_recipe(recipe), out)

    def maintain(self, dry_run: bool = False) -> Rows:
        """Compact, drop unused memos, and remove files that no kept version needs."""
        return maintain(self.tables, dry_run)


def recipe(source: AnyRecipe, settings: tuple[str, ...] = (), *, conf: str = "local", **keys: Any) -> Recipe:
    """Return a checked recipe.

    Parameters
    ----------
    source : str, mapping or Recipe
        A shipped name, a path, a URI that Spark reads, or the recipe's keys.
    settings : tuple of "key.sub=value"
        Overrides, parsed as YAML.
    conf : str
        Spark configuration of the session that reads a URI, if none exists.
    **keys
        Top-level keys that replace those of the recipe: `budget={"rows": 500}`.

    Raises
    ------
    RecipeError
        In one sentence: the fact, the offending value, what is allowed.
    """
    if isinstance(source, Recipe):
        if settings or keys:
            raise RecipeError("a parsed recipe takes no overrides; give its name, path or mapping instead")
        return source
    return load(source, settings, partial(_read_uri, conf), keys)


def _read_uri(conf: str, uri: str) -> str:
    rows = session(conf).read.text(uri, wholetext=True).collect()
    return "\n".join(r["value"] for r in rows)


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
    return Result(opened, parsed, run_steps(opened.tables, parsed, until, refit), until)


def plan(lake: Lake | str, source: AnyRecipe) -> Plan:
    """Return what a run would read, compute and write; nothing runs."""
    from .jobs.commands.plan import plan as plan_run

    parsed = recipe(source)
    return plan_run(_lake(lake).tables, parsed)


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

    raw = keys_of(source, settings, partial(_read_uri, "local"))
    parsed = parse(raw)
    found = tune_run(_lake(lake).tables, parsed)
    beside = Path(source).parent if isinstance(source, str) and Path(source).is_file() else Path()
    path = Path(out) if out else beside / f"{parsed.name}_tuned.yaml"
    comment = f"{parsed.name} with the bounds of lakesift tune, search {found.run}.\n{found.verdict}"
    path.write_text(to_yaml(tuned_keys(raw, parsed, found.bounds), comment), encoding="utf-8")
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


def _lake(lake: Lake | str) -> Lake:
    return Lake(lake) if isinstance(lake, str) else lake


#: `recipe`, where a parameter has that name.
as_recipe = recipe
