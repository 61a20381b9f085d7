"""plan: what a run would read, compute and write, and what that costs. No table is made or written, no row is read.

Row counts come from Delta's metadata. What only a run can know (how many rows are pending after the documents have
changed, the fingerprint of a model that is not fitted yet) is said to be unknown. With a probe a thousand rows are
read and scored, see probe.py; nothing is written all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...udfs.errors import InputError
from ..inputs.documents import Documents
from ..inputs.memory import check_memory, held_by_driver, not_fitting
from ..inputs.opening import check_machine, check_sample, open_documents, open_start, open_target
from ..inputs.tables import tables_of
from ..lake.counts import known_rows
from ..lake.ingest_tables import ingested_files, rejected_lines
from ..lake.schemas import WRITER
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..lake.tuning import cores, property_of
from ..recipe import Recipe
from ..recipe.keys import to_yaml
from ..recipe.resolved import resolved_keys
from ..sources.samples import SAMPLES
from .predicted_costs import Rate, cost_table, costs_of, rates_of_scores
from .predicted_sizes import memory_table, sizes_of
from .predicted_steps import UNKNOWN, origin_of, predict_steps
from .probe import Measures, probe
from .rates import measured_rates

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
    costs: Rows
    sizes: Rows
    memory: Rows
    warnings: tuple[str, ...]
    nothing_new: str
    ddl: str
    probed: int = 0

    def __str__(self) -> str:
        """Return all of it as text, the resolved recipe as YAML, but for the DDL."""
        text = to_yaml(self.resolved)
        done = [f"run {self.nothing_new} is up to date: a run would do nothing"] if self.nothing_new else []
        parts = [
            f"# recipe {self.recipe} ({self.recipe_hash}), lake {self.lake}",
            *(text, "# reads", str(self.reads), "# steps", str(self.steps), *done),
            *("# writes", str(self.writes), "# costs", str(self.costs), "# sizes", str(self.sizes)),
            *("# memory of the driver", str(self.memory), *(f"warning: {w}" for w in self.warnings)),
            f"(plan: {self.probed:,} rows were scored as a probe, nothing was written)"
            if self.probed
            else "(plan: nothing was run or written)",
        ]
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        tables = {f.name: value.to_dict() for f in fields(self) if isinstance(value := getattr(self, f.name), Rows)}
        return {f.name: getattr(self, f.name) for f in fields(self)} | tables


def plan(lake: Lake, recipe: Recipe, with_probe: bool = False) -> Plan:
    """Return the resolved recipe, the tables a run reads, its steps, what it writes and costs, and warnings.

    Parameters
    ----------
    with_probe : bool
        Measure what a row takes those scores that no earlier run has measured.

    Raises
    ------
    InputError, RecipeError, PlatformError, BoundError
        Whatever would stop the run before its first job: a missing table, an expression that does not fit, a model
        whose files are missing here, rows that do not fit the driver; or a probe without documents.
    """
    check_machine(recipe)
    open_start(lake, recipe)
    documents = _documents(lake, recipe)
    if documents:
        for name, target in recipe.targets.items():
            if not target.source or lake.version(target.table) is not None:
                open_target(lake, documents, name)
    count = _documents_count(lake, recipe)
    check_memory(recipe, count)
    rates, probed = _rates(lake, recipe, documents, count, with_probe)
    predicted = predict_steps(lake, recipe, documents, count, rates)
    keep = (documents.keep if documents else recipe.keep) or "all source columns"
    body, reads, writes = (
        {**resolved_keys(recipe), "keep": keep},
        _reads(lake, recipe),
        _writes(lake, recipe, documents),
    )
    warned, ddl = tuple(warnings(lake, recipe, documents, count, rates)), _ddl(lake, recipe, documents)
    costs, memory = predicted.costs, held_by_driver(recipe, count) if count else []
    told = cost_table(costs, cores(lake.spark)), sizes_of(lake, recipe, costs, count), memory_table(memory)
    named, nothing_new = (lake.root, recipe.name, recipe.digest(), body, reads), predicted.nothing_new
    return Plan(*named, predicted.steps, writes, *told, warned, nothing_new, ddl, probed)


def _rates(
    lake: Lake, recipe: Recipe, documents: Documents | None, count: int | None, with_probe: bool
) -> tuple[dict[str, Rate], int]:
    """Return the rate of each score, and the rows of a probe."""
    earlier = measured_rates(lake, recipe.name) if count else {}
    if not with_probe:
        return rates_of_scores(recipe, earlier, Measures()), 0
    if documents is None:
        raise InputError(f"the probe reads {recipe.documents.table}, which is not ingested; run lakesift ingest first")
    on_demand = recipe.on_demand_only()
    probed = probe(lake, documents, [n for n in recipe.scores if n not in earlier and n not in on_demand], count)
    return rates_of_scores(recipe, earlier, probed), probed.rows


def _documents(lake: Lake, recipe: Recipe) -> Documents | None:
    """Return the documents as they are; None where ingest would make them first."""
    table = recipe.documents.table
    if recipe.documents.source and lake.version(table) is None:
        check_sample(lake, recipe)
        return None
    return open_documents(lake, recipe)


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
    rows = known_rows(lake, table, int(version)) if version.isdigit() else None
    return UNKNOWN if rows is None else rows


def _writes(lake: Lake, recipe: Recipe, documents: Documents | None) -> Rows:
    names = [*(t.name for t in tables_of(recipe, documents)), *recipe.ingested()]
    names += [] if documents else [f"selection_{recipe.name}"]
    versions = {n: lake.version(n) for n in dict.fromkeys(names)}
    rows = [(lake.ref(n), "made by the run" if v is None else f"version {v}") for n, v in versions.items()]
    return rows_of(("table", "now"), rows)


def _ddl(lake: Lake, recipe: Recipe, documents: Documents | None) -> str:
    """Return CREATE TABLE statements of all tables that the recipe needs: for where jobs may not CREATE."""
    beside = (make(t) for t in recipe.ingested() for make in (rejected_lines, ingested_files))
    tables = [*beside, *tables_of(recipe, documents)]
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


def warnings(
    lake: Lake, recipe: Recipe, documents: Documents | None, count: int | None, rates: Mapping[str, Rate]
) -> list[str]:
    """Return what a careful reader of the plan should know."""
    lines = []
    scheme = re.match(r"(s3[an]?):/", lake.root)
    if scheme and not property_of(lake.spark, f"spark.delta.logStore.{scheme[1]}.impl"):
        lines.append(f"{lake.root} is an object store without a multi-writer log store: run one driver at a time")
    if documents and documents.state.version is None:
        lines.append(f"{recipe.documents.table} has no versions: it is not pinned, its digest is recorded")
    if recipe.budget.rows and count is not None and count < recipe.budget.rows:
        lines.append(f"the budget is {recipe.budget.rows:,} rows, the documents are {count:,}: all will be taken")
    for cost in costs_of(recipe, rates, dict.fromkeys(recipe.scores, count)):
        if cost.hours > MANY_HOURS:
            lines.append(
                f"the score {cost.score} takes about {cost.hours:,.0f} CPU-hours for {count:,} documents; a where: of "
                "its own, or a selector that asks for it (sensitivity), computes it for fewer"
            )
    for why in not_fitting(recipe, count) if count else []:
        lines.append(f"{why} before where: leaves rows out; a run stops there if too few are left out")
    return lines
