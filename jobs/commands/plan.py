"""plan: what a run would read, compute and write. Nothing runs: no table is made or written, no row is read.

Row counts come from Delta's metadata. What only a run can know (how many rows are pending after the documents have
changed, the fingerprint of a model that is not fitted yet) is said to be unknown.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...udfs.errors import InputError
from ...udfs.scorer import parameters
from ..inputs.documents import Documents
from ..inputs.opening import check_machine, check_sample, open_documents, open_start, open_target
from ..inputs.tables import tables_of
from ..lake.schemas import WRITER, rejected_lines
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..recipe import Recipe
from ..recipe.keys import to_yaml
from ..sources.samples import SAMPLES
from .predicted_steps import UNKNOWN, cpu_hours, origin_of, predict_steps

#: CPU hours of a score above which a plan warns.
MANY_HOURS = 10


@dataclass(frozen=True)
class Plan:
    """What a run would do; `nothing_new` is the run that still stands, or ""."""

    lake: str
    recipe: str
    recipe_hash: str
    resolved: dict[str, Any]
    reads: Rows
    steps: Rows
    writes: Rows
    warnings: tuple[str, ...]
    nothing_new: str
    ddl: str

    def __str__(self) -> str:
        """Return all of it as text, the resolved recipe as YAML, but for the DDL."""
        text = to_yaml(self.resolved)
        done = [f"run {self.nothing_new} is up to date: a run would do nothing"] if self.nothing_new else []
        parts = [
            f"# recipe {self.recipe} ({self.recipe_hash}), lake {self.lake}",
            *(text, "# reads", str(self.reads), "# steps", str(self.steps), *done),
            *("# writes", str(self.writes), *(f"warning: {w}" for w in self.warnings)),
            "(plan: nothing was run or written)",
        ]
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        tables = {name: getattr(self, name).to_dict() for name in ("reads", "steps", "writes")}
        return {f.name: getattr(self, f.name) for f in fields(self)} | tables


def plan(lake: Lake, recipe: Recipe) -> Plan:
    """Return the resolved recipe, the tables a run reads, its steps, the tables it writes with their DDL, and warnings.

    Raises
    ------
    InputError, RecipeError, PlatformError
        Whatever would stop the run before its first job: a missing table, an expression that does not fit, a model
        whose files are missing here.
    """
    check_machine(recipe)
    open_start(lake, recipe)
    documents = _documents(lake, recipe)
    if documents:
        for name, target in recipe.targets.items():
            if not target.source or lake.version(target.table) is not None:
                open_target(lake, documents, name)
    count = _documents_count(lake, recipe)
    steps, nothing_new = predict_steps(lake, recipe, documents, count)
    body, reads, writes = resolved(recipe, documents), _reads(lake, recipe), _writes(lake, recipe, documents)
    warned, ddl = tuple(warnings(lake, recipe, documents, count)), _ddl(lake, recipe, documents)
    return Plan(lake.root, recipe.name, recipe.digest(), body, reads, steps, writes, warned, nothing_new, ddl)


def _documents(lake: Lake, recipe: Recipe) -> Documents | None:
    """Return the documents as they are; None where ingest would make them first."""
    table = recipe.documents.table
    if recipe.documents.source and lake.version(table) is None:
        check_sample(lake, recipe)
        return None
    return open_documents(lake, recipe)


# -- the resolved recipe -----------------------------------------------------------------------------------------------


def resolved(recipe: Recipe, documents: Documents | None) -> dict[str, Any]:
    """Return the recipe as JSON values with every default written out."""
    scores = {k: {"kind": s.kind, **parameters(s)} for k, s in recipe.scores.items()}
    for name, sql in recipe.score_where.items():
        scores[name]["where"] = sql
    body = {
        "name": recipe.name,
        "documents": _block(recipe.documents),
        "targets": {k: _block(t) for k, t in recipe.targets.items()},
        "scores": scores,
        "where": recipe.where,
        "select": {"kind": recipe.selector.kind, **_values(recipe.selector)},
        "budget": {k: v for k, v in _values(recipe.budget).items() if v not in (None, "")},
        "controls": [{"kind": c.kind, **_values(c)} for c in recipe.controls.values()],
        "keep": (documents.keep if documents else recipe.keep) or "all source columns",
        "report": {"shares": list(recipe.shares)},
        "seed": recipe.seed,
        "keep_versions": recipe.keep_versions,
    }
    body |= {"start": _values(recipe.start)} if recipe.start else {}
    if recipe.refine:
        reward = recipe.refine.reward
        body["refine"] = {**_values(recipe.refine), "reward": {"kind": reward.kind, **_values(reward)}}
    return dict(json.loads(json.dumps(body, default=str)))


def _values(item: Any) -> dict[str, Any]:
    return {f.name: getattr(item, f.name) for f in fields(item)}


def _block(item: Any) -> dict[str, Any]:
    block = {k: v for k, v in _values(item).items() if k != "source" and v != ""}
    if item.source:
        source = asdict(item.source)
        dialect = source.pop("dialect")
        block["from"] = {k: v for k, v in source.items() if v} | (dialect if source["format"] == "csv" else {})
    return block


# -- reads and writes --------------------------------------------------------------------------------------------------


def _reads(lake: Lake, recipe: Recipe) -> Rows:
    uses: dict[str, Any] = {"documents": recipe.documents, **{f"target {n}": t for n, t in recipe.targets.items()}}
    rows = []
    for use, read in uses.items():
        version = _version(lake, read.table)
        came_from = origin_of(lake, read.source) if read.source else ""
        rows.append((use, lake.ref(read.table), version, _count(lake, read.table, version), came_from))
    if start := recipe.start:
        version = _version(lake, start.table) if start.version is None else str(start.version)
        rows.append(("start", lake.ref(start.table), version, _count(lake, start.table, version), ""))
    return rows_of(("use", "table", "version", "rows", "ingested from"), rows)


def _version(lake: Lake, table: str) -> str:
    try:
        version = lake.version(table)
    except InputError:
        return "none (not pinned)"
    return "does not exist yet" if version is None else str(version)


def _count(lake: Lake, table: str, version: str) -> int | str:
    """Return the rows of a Delta table where its metadata has them, without a scan."""
    if not version.isdigit():
        return UNKNOWN
    count = f"SELECT count(*) AS n FROM {lake.ref(table)} VERSION AS OF {version}"
    physical = lake.spark.sql(f"EXPLAIN {count}").collect()[0][0]
    return UNKNOWN if "Scan parquet" in physical else int(lake.spark.sql(count).collect()[0]["n"])


def _writes(lake: Lake, recipe: Recipe, documents: Documents | None) -> Rows:
    names = [*(t.name for t in tables_of(recipe, documents)), *recipe.ingested()]
    names += [] if documents else [f"selection_{recipe.name}"]
    versions = {n: lake.version(n) for n in dict.fromkeys(names)}
    rows = [(lake.ref(n), "made by the run" if v is None else f"version {v}") for n, v in versions.items()]
    return rows_of(("table", "now"), rows)


def _ddl(lake: Lake, recipe: Recipe, documents: Documents | None) -> str:
    """Return CREATE TABLE statements of all tables that the recipe needs: for where jobs may not CREATE."""
    tables = [*(rejected_lines(t) for t in recipe.ingested()), *tables_of(recipe, documents)]
    statements = [f"{t.ddl(lake.ref(t.name))};" for t in tables]
    for name in recipe.ingested():
        if lake.version(name) is None:
            statements.append(
                f"-- {lake.ref(name)}: its columns are those of its files and are not known before ingest; who creates "
                f"it beforehand adds TBLPROPERTIES ('{WRITER}' = 'lakesift')"
            )
    if documents is None:
        selection, table = lake.ref(f"selection_{recipe.name}"), recipe.documents.table
        statements.append(
            f"-- {selection}: keeps columns of {table}, which does not exist yet; plan again after ingest"
        )
    return "\n\n".join(statements)


def _documents_count(lake: Lake, recipe: Recipe) -> int | None:
    """Return how many documents there are, if that is known without a scan."""
    table, source = recipe.documents.table, recipe.documents.source
    count = _count(lake, table, _version(lake, table))
    if isinstance(count, int):
        return count
    return SAMPLES[source.sample].count if source and source.sample and lake.version(table) is None else None


def warnings(lake: Lake, recipe: Recipe, documents: Documents | None, count: int | None) -> list[str]:
    """Return what a careful reader of the plan should know."""
    lines = []
    scheme = re.match(r"(s3[an]?):/", lake.root)
    if scheme and not lake.spark.conf.get(f"spark.delta.logStore.{scheme[1]}.impl", None):
        lines.append(f"{lake.root} is an object store without a multi-writer log store: run one driver at a time")
    if documents and documents.state.version is None:
        lines.append(f"{recipe.documents.table} has no versions: it is not pinned, its digest is recorded")
    if recipe.budget.rows and count is not None and count < recipe.budget.rows:
        lines.append(f"the budget is {recipe.budget.rows:,} rows, the documents are {count:,}: all will be taken")
    on_demand = recipe.on_demand_only()
    for name in (n for n in recipe.scores if n not in on_demand):
        if (hours := cpu_hours(recipe, name, count)) > MANY_HOURS:
            lines.append(
                f"the score {name} takes about {hours:,.0f} CPU-hours for {count:,} documents; a where: of its own, or "
                "a selector that asks for it (sensitivity), computes it for fewer"
            )
    return lines
