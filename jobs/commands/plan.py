"""The plan: what a run would read, compute and write. Nothing runs: no table is made or written, no row is read.

Row counts come from Delta's metadata. What only a run can know (how many rows are pending after the documents have
changed, what a model will be that is not fitted yet) is said to be unknown.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from typing import Any

import yaml

from ...udfs.errors import InputError
from ...udfs.scorer import parameters
from ..inputs.documents import Documents
from ..inputs.opening import open_documents, open_target
from ..lake.schemas import WRITER, Table, rejected_lines
from ..lake.tables import Lake
from ..lake.text_table import text_table
from ..recipe import Recipe
from ..run import tables_of
from .forecast import UNKNOWN, ingested, origin, steps


def plan(lake: Lake, recipe: Recipe, ddl: bool = False) -> str:
    """Return, as text, the resolved recipe, the tables a run reads, its steps, the tables it writes, and warnings.

    Parameters
    ----------
    ddl : bool
        Return CREATE TABLE statements of all tables that the recipe needs instead: for where jobs may not CREATE.

    Raises
    ------
    InputError, RecipeError
        Whatever would stop the run before its first job: a missing table, an expression that does not fit.
    """
    documents = _documents(lake, recipe)
    if ddl:
        return _ddl(lake, recipe, documents)
    opened = [n for n, t in recipe.targets.items() if not t.source or lake.version(t.table) is not None]
    if documents:
        for name in opened:
            open_target(lake, documents, name)
    parts = [
        f"# recipe {recipe.name} ({recipe.digest()}), lake {lake.root}",
        resolved(recipe, documents),
        "# reads",
        _reads(lake, recipe),
        "# steps",
        steps(lake, recipe, documents),
        "# writes",
        _writes(lake, recipe, documents),
        *(f"warning: {w}" for w in warnings(lake, recipe, documents)),
        "(plan: nothing was run or written)",
    ]
    return "\n".join(parts)


def _documents(lake: Lake, recipe: Recipe) -> Documents | None:
    """Return the documents as they are; None where ingest would make them first."""
    table = recipe.documents.table
    if recipe.documents.source and lake.version(table) is None:
        return None
    return open_documents(lake, recipe)


# -- the resolved recipe -----------------------------------------------------------------------------------------------


def resolved(recipe: Recipe, documents: Documents | None) -> str:
    """Return the recipe as YAML with every default written out; labels that were added are marked."""
    body: dict[str, Any] = {
        "name": recipe.name,
        "documents": _block(recipe.documents),
        "targets": {k: _block(t) for k, t in recipe.targets.items()},
        "scores": {k: {"kind": s.kind, **parameters(s)} for k, s in recipe.scores.items()},
        "where": recipe.where,
        "select": {"kind": recipe.selector.kind, **_values(recipe.selector)},
        "budget": {k: v for k, v in _values(recipe.budget).items() if v not in (None, "")},
        "controls": [{"kind": c.kind, **_values(c)} for c in recipe.controls.values()],
        "keep": (documents.keep if documents else recipe.keep) or "all source columns",
        "report": {"shares": list(recipe.shares)},
        "seed": recipe.seed,
        "keep_versions": recipe.keep_versions,
    }
    text = yaml.safe_dump(json.loads(json.dumps(body, default=str)), sort_keys=False, allow_unicode=True, width=110)
    for label in recipe.hidden:
        text += f"# {label} was added to measure length; it is not a column of the selection\n"
    return text


def _values(item: Any) -> dict[str, Any]:
    return {f.name: getattr(item, f.name) for f in fields(item)}


def _block(item: Any) -> dict[str, Any]:
    made = {k: v for k, v in _values(item).items() if k != "source" and v != ""}
    if item.source:
        made["from"] = {k: v for k, v in asdict(item.source).items() if v}
    return made


# -- reads and writes --------------------------------------------------------------------------------------------------


def _reads(lake: Lake, recipe: Recipe) -> str:
    uses = [("documents", recipe.documents.table, recipe.documents.source)]
    uses += [(f"target {n}", t.table, t.source) for n, t in recipe.targets.items()]
    rows = []
    for use, table, source in uses:
        version = _version(lake, table)
        made_of = "" if source is None else origin(lake, source)
        rows.append((use, lake.ref(table), version, _rows(lake, table, version), made_of))
    return text_table(("use", "table", "version", "rows", "ingested from"), rows)


def _version(lake: Lake, table: str) -> str:
    try:
        version = lake.version(table)
    except InputError:
        return "none (not pinned)"
    return "not there yet" if version is None else str(version)


def _rows(lake: Lake, table: str, version: str) -> int | str:
    """Return the rows of a Delta table where its metadata tells, without a scan."""
    if not version.isdigit():
        return UNKNOWN
    count = f"SELECT count(*) AS n FROM {lake.ref(table)} VERSION AS OF {version}"
    physical = lake.spark.sql(f"EXPLAIN {count}").collect()[0][0]
    return UNKNOWN if "Scan parquet" in physical else int(lake.spark.sql(count).collect()[0]["n"])


def _writes(lake: Lake, recipe: Recipe, documents: Documents | None) -> str:
    names = [t.name for t in tables_of(recipe, documents)]
    names += ingested(recipe)
    names += [] if documents else [f"selection_{recipe.name}"]
    made = {n: lake.version(n) for n in dict.fromkeys(names)}
    rows = [(lake.ref(n), "made by the run" if v is None else f"version {v}") for n, v in made.items()]
    return text_table(("table", "now"), rows)


def _ddl(lake: Lake, recipe: Recipe, documents: Documents | None) -> str:
    tables: list[Table] = [*(rejected_lines(t) for t in ingested(recipe)), *tables_of(recipe, documents)]
    made = [f"{t.ddl(lake.ref(t.name))};" for t in tables]
    for name in ingested(recipe):
        if lake.version(name) is None:
            made.append(
                f"-- {lake.ref(name)}: its columns are those of its files and are not known before ingest; who creates "
                f"it beforehand adds TBLPROPERTIES ('{WRITER}' = 'lakesift')"
            )
    if documents is None:
        selection = lake.ref(f"selection_{recipe.name}")
        table = recipe.documents.table
        made.append(f"-- {selection}: keeps columns of {table}, which is not there yet; plan again after ingest")
    return "\n\n".join(made)


def warnings(lake: Lake, recipe: Recipe, documents: Documents | None) -> list[str]:
    """Return what a careful reader of the plan should know."""
    made = []
    scheme = re.match(r"(s3[an]?):/", lake.root)
    if scheme and not lake.spark.conf.get(f"spark.delta.logStore.{scheme[1]}.impl", None):
        made.append(f"{lake.root} is an object store without a multi-writer log store: run one driver at a time")
    if documents and documents.state.version is None:
        made.append(f"{recipe.documents.table} has no versions: it is not pinned, its digest is recorded")
    if documents and recipe.budget.rows and str(documents.state.version).isdigit():
        rows = _rows(lake, recipe.documents.table, str(documents.state.version))
        if isinstance(rows, int) and rows < recipe.budget.rows:
            made.append(f"the budget is {recipe.budget.rows:,} rows, the documents are {rows:,}: all will be taken")
    return made
