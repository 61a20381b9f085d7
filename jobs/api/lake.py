"""The lake and the recipe: what every call of the API takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from pyspark.sql import DataFrame, SparkSession

from .jobs.commands.advice.advice import Advice, advise
from .jobs.commands.advice.sample import ROWS
from .jobs.commands.compare import compare, named
from .jobs.commands.comparison import Comparison
from .jobs.commands.decisions import decisions
from .jobs.commands.diff import Diff, diff
from .jobs.commands.estimate import Estimates, estimate_means
from .jobs.commands.explain import Explanation, explain
from .jobs.commands.export import Export, export
from .jobs.commands.export_model import ExportedModel, export_model
from .jobs.commands.history import history
from .jobs.commands.kept_reports import keep_report
from .jobs.commands.last_opened import chosen_again
from .jobs.commands.maintain import maintain
from .jobs.commands.other_budget import Choice, at
from .jobs.commands.refinement import Rounds, rounds_of
from .jobs.commands.report import report
from .jobs.commands.report_result import Report
from .jobs.commands.sql import QueryResult, register
from .jobs.commands.stored_recipe import StoredRecipe, may_hold, stored_recipe
from .jobs.lake import tables
from .jobs.lake.session import as_needed, session
from .jobs.lake.text_table import Rows
from .jobs.recipe import Recipe, load
from .udfs.errors import RecipeError

if TYPE_CHECKING:
    import pandas as pd

#: What stands for a recipe: a shipped name, a path, a URI that Spark reads, a mapping, or a recipe.
AnyRecipe = str | Mapping[str, Any] | Recipe
P = ParamSpec("P")
T = TypeVar("T")


def with_settings(method: Callable[Concatenate[Lake, P], T]) -> Callable[Concatenate[Lake, P], T]:
    """Let a method run with the properties that LakeSift needs; the session is as it was afterwards."""

    @wraps(method)
    def call(self: Lake, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with as_needed(self.spark):
            return method(self, *args, **kwargs)

    return call


class Lake:
    """Where recipes keep their tables.

    Parameters
    ----------
    root : str, default "lake"
        A folder, an object-store prefix, or a catalog schema such as "main.selection".
    spark : SparkSession, optional
        By default the session that exists (notebook, Databricks, Connect), else a new one on this machine. It is never
        stopped, and after a call its properties are as they were.
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

    def _recipe(self, source: AnyRecipe) -> Recipe:
        """Return a recipe; a name that is neither shipped nor a file may be that of a selection in this lake."""
        try:
            return as_recipe(source)
        except RecipeError:
            name = source if isinstance(source, str) and may_hold(self.tables.root, source) else ""
            if not name or not self.tables.history(f"selection_{name}", 1):
                raise
        return as_recipe(stored_recipe(self.tables, name).keys)

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """Return a table, at a version if one is given; a name with dots is a table outside of the lake."""
        return self.tables.read(table, version)

    def selection(self, recipe: AnyRecipe, version: int | None = None) -> DataFrame:
        """Return a version of a recipe's selection, by default the newest."""
        return self.read(f"selection_{self._recipe(recipe).name}", version)

    def register(self) -> list[str]:
        """Make tables known to SQL by their names and scorers as functions; returns the names."""
        return register(self.tables)

    @with_settings
    def sql(self, query: str, may_write: bool = False) -> QueryResult:
        """Run SQL over the tables by their names; at most 1 000 rows. For frames: `register()`, then `spark.sql`.

        A statement that changes tables is refused unless `may_write` is given; then it waits for runs.
        """
        from .jobs.commands.sql import query as run_query

        return run_query(self.tables, query, may_write)

    @with_settings
    def report(self, recipe: AnyRecipe, version: int | None = None) -> Report:
        """Compare a version of the selection, by default the newest, with the pool and controls that its run had."""
        return keep_report(self.tables, report(self.tables, self._recipe(recipe), version))

    @with_settings
    def estimate(
        self,
        recipe: AnyRecipe,
        measured: DataFrame | pd.DataFrame,
        columns: Sequence[str] = (),
        version: int | None = None,
    ) -> Estimates:
        """Return means over the pool, with errors, of what was measured on an evaluation subset (`strata: true`).

        `measured` is a frame with `id` and numbers or truth values, one row for each of the subset at least; `columns`
        says which of them, all by default.
        """
        return estimate_means(self.tables, self._recipe(recipe).name, measured, columns, version)

    @with_settings
    def rounds(self, recipe: AnyRecipe) -> Rounds:
        """Return the rounds of a recipe's newest refinement, and what it waits for."""
        return rounds_of(self.tables, self._recipe(recipe))

    @with_settings
    def recipe(self, name: str, version: int | None = None) -> StoredRecipe:
        """Return the recipe that made a version of a selection, by default the newest, as its commit keeps it."""
        return stored_recipe(self.tables, name, version)

    @with_settings
    def history(self, recipe: AnyRecipe) -> Rows:
        """Return the versions of a recipe's selection, newest first, and what changed in each."""
        return history(self.tables, self._recipe(recipe).name)

    @with_settings
    def diff(self, recipe: AnyRecipe, *versions: int) -> Diff:
        """Return the rows that came and went between two versions, by default the last two, and why."""
        return diff(self.tables, self._recipe(recipe), list(versions))

    @with_settings
    def compare(self, *selections: AnyRecipe | tuple[AnyRecipe, int | None]) -> Comparison:
        """Return selections side by side, and their overlap beside what chance would give; nothing is written.

        Each is a recipe, or a pair with a version of its selection, for which "kmq@3" is short.
        """
        pairs = [named(one) if isinstance(one, str) else one for one in selections]
        parts = [pair if isinstance(pair, tuple) else (pair, None) for pair in pairs]
        return compare(self.tables, [(self._recipe(source), version) for source, version in parts])

    @with_settings
    def explain(self, recipe: AnyRecipe, *ids: str, version: int | None = None) -> Explanation:
        """Return what became of documents in a version of the selection, by default the newest, why, and what would
        have to change."""
        return explain(self.tables, self._recipe(recipe), ids, version)

    @with_settings
    def at(
        self,
        recipe: AnyRecipe,
        budget: float | None = None,
        version: int | None = None,
        tokens: int | None = None,
    ) -> Choice:
        """Return what a run with another budget would choose: rows, as a float a fraction, or tokens; nothing is
        written."""
        return at(self.tables, self._recipe(recipe), budget, version, tokens)

    @with_settings
    def advise(self, recipe: AnyRecipe, rows: int = ROWS, loss: str = "") -> Advice:
        """Return what to use for a recipe's pool, and why, from a sample of its documents; nothing is written.

        `loss` names a score or numeric column whose mean is to be estimated. `lakesift.advise` ingests samples and
        files first where they are not in the lake yet.
        """
        return advise(self.tables, self._recipe(recipe), rows, loss)

    @with_settings
    def decisions(self, recipe: AnyRecipe, version: int | None = None, depth: int | None = None) -> DataFrame:
        """Return what became of every document, one row each; `place` is that in the selector's order.

        The order is ranked here, to a depth of twice the rows selected by default; the rest follows when it is read.
        """
        return decisions(chosen_again(self.tables, self._recipe(recipe), version), depth)

    @with_settings
    def export(self, recipe: AnyRecipe, to: str, out: str, version: int | None = None) -> Export:
        """Write a version of the selection to files: `to` is "jsonl" or "parquet"."""
        return export(self.tables, self._recipe(recipe).name, to, out, version)

    @with_settings
    def export_model(self, recipe: AnyRecipe, out: str) -> ExportedModel:
        """Write the model that the newest round of a refinement trained to a folder that transformers loads."""
        return export_model(self.tables, self._recipe(recipe), out)

    @with_settings
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
    return load(source, settings, partial(read_uri, conf), keys)


def read_uri(conf: str, uri: str) -> str:
    """Return a text that Spark reads."""
    rows = session(conf).read.text(uri, wholetext=True).collect()
    return "\n".join(r["value"] for r in rows)


#: `recipe`, where a parameter has that name.
as_recipe = recipe
