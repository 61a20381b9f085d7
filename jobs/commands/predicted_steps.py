"""What a run would do at each step: the same decisions as the run's own, without its scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...udfs.scorer import DocumentEstimator, Estimator, fingerprint
from ..inputs.documents import Documents
from ..inputs.hash_state import by_change, hashes_stand
from ..lake.changes import Unknown, change
from ..lake.schemas import MEMOS
from ..lake.state import EMPTY
from ..lake.tables import Lake
from ..lake.text_table import Rows, rows_of
from ..lake.tuning import cores
from ..recipe import Recipe, Source, order
from ..runs import data_versions, last_run, stands, unchanged_since
from ..scoring.pinned import begun as begun_before
from ..scoring.published import current_scores, documents_origin, origin, scores_stand
from ..sources import files, sources_digest
from .predicted_costs import Cost, Rate, costs_of, said_of
from .refinement import rounds_of

UNKNOWN = "unknown until run"
UNCHANGED = "unchanged"
ON_DEMAND = "computed for rows that select asks for"
ALL = "computed for all documents"
CHANGED = f"computed for new and changed documents, how many is {UNKNOWN}"


@dataclass(frozen=True)
class Predicted:
    """What a run would do: (step, table, would be), the run that is up to date or "", and what scores cost."""

    steps: Rows
    nothing_new: str = ""
    costs: tuple[Cost, ...] = ()


def predict_steps(
    lake: Lake, recipe: Recipe, documents: Documents | None, count: int | None, rates: Mapping[str, Rate]
) -> Predicted:
    """Return what each step would do.

    Parameters
    ----------
    count : int or None
        The number of documents, if it is known.
    rates : mapping
        Of every score.
    """
    columns = ("step", "table", "would be")
    begun = begun_before(lake, recipe) if recipe.refine else None
    if begun and not begun.finished:
        return Predicted(rows_of(columns, [("refine", f"selection_{recipe.name}", rounds_of(lake, recipe).state)]))
    if unchanged := unchanged_since(lake, recipe):
        return Predicted(rows_of(columns, [(s.step, s.table, s.outcome) for s in unchanged.steps]), unchanged.run_id)
    tables = {table: _ingest(lake, table, *source) for table, source in recipe.ingested().items()}
    rows = [("ingest", table, would) for table, would in tables.items()]
    fresh = tables.get(recipe.documents.table, UNCHANGED) == UNCHANGED
    hashed = bool(documents and fresh and hashes_stand(lake, documents))
    rows.append(("hashes", f"hashes_{recipe.name}", UNCHANGED if hashed else _hashes(lake, recipe, documents, fresh)))
    last = last_run(lake, recipe.name) or {}
    known = _fingerprints(lake, recipe, last)
    scores = {name: _score(lake, recipe, name, known, hashed) for name in order(recipe)}
    new = {name for name in scores if name not in known and name not in last.get("fingerprints", {})}
    computed = {n: 0 if w == UNCHANGED else count if w == ALL or n in new else None for n, w in scores.items()}
    costs = costs_of(recipe, rates, computed)
    for name, would in scores.items():
        cost = next((c for c in costs if c.score == name), None)
        numbers = said_of(cost, cores(lake.spark)) if cost and would != UNCHANGED else ""
        more = _more(count, last) if would == CHANGED else ""
        rows.append((f"score {name}", MEMOS, would + numbers + more))
    complete = hashed and set(known) == set(recipe.scores)
    published = complete and scores_stand(lake, recipe, origin(lake, recipe, _last_rows(lake, recipe), known))
    missing = any(w not in (UNCHANGED, ON_DEMAND) for w in scores.values())
    rows.append(("publish", f"scores_{recipe.name}", UNCHANGED if published else "written" if missing else UNKNOWN))
    selection, same = f"selection_{recipe.name}", last.get("recipe_hash") == recipe.digest()
    would = "written" if published or lake.last_write(selection) is None else "written, if its inputs changed"
    if published and same and stands(lake, selection, last["run_id"]):
        would = UNCHANGED
    if recipe.refine:
        rounds = f"{recipe.refine.rounds} rounds by rewards of kind {recipe.refine.reward.kind}"
        rows.append(("refine", selection, rounds if would != UNCHANGED else would))
    else:
        rows.append(("select", selection, would))
    return Predicted(rows_of(columns, rows, whole=True), "", tuple(costs))


def origin_of(lake: Lake, source: Source) -> str:
    """Return "sample x" or "12 jsonl files"."""
    return f"sample {source.sample}" if source.sample else f"{len(files(lake.spark, source)):,} {source.format} files"


def _ingest(lake: Lake, table: str, source: Source, id_sql: str | None) -> str:
    last = lake.last_write(table)
    same = last is not None and last.says({"source": sources_digest(lake.spark, source, id_sql)})
    return UNCHANGED if same else f"ingested from {origin_of(lake, source)}"


def _hashes(lake: Lake, recipe: Recipe, documents: Documents | None, fresh: bool) -> str:
    """Return what would be read of the documents, in rows and bytes, and whether that can go by change."""
    if documents is None or not fresh:
        return f"{UNKNOWN}: files are ingested first"
    try:
        since = by_change(documents, lake.state(f"hashes_{recipe.name}"))
        found = change(lake, recipe.documents.table, *since, int(documents.state.version or 0))
    except Unknown as reason:
        size = lake.size(recipe.documents.table)
        return f"all documents read{'' if size is None else f', {size / 1e6:,.1f} MB'}: {reason}"
    rows = f"{found.rows:,} rows" if found.rows is not None else "changed rows"
    return f"carried on: {rows}{'' if found.size is None else f', {found.size / 1e6:,.1f} MB'} read, by {found.how}"


def _last_rows(lake: Lake, recipe: Recipe) -> str:
    """Return the digest of the documents when they were hashed last: theirs while the hashes stand."""
    last = lake.last_write(f"scores_{recipe.name}")
    return str(last.metadata.get("rows", "")) if last else ""


def _fingerprints(lake: Lake, recipe: Recipe, last: dict[str, Any]) -> dict[str, str]:
    """Return the fingerprints that are known without fitting: of plain scorers, and of models with the same targets."""
    tables = [t.table for t in recipe.targets.values()]
    now = data_versions(lake, recipe, {}) if last.get("recipe_hash") == recipe.digest() else {}
    same = bool(now) and all(now[t] == last["data_versions"].get(t) for t in tables)
    known: dict[str, str] = {}
    for name in order(recipe):
        score = recipe.scores[name]
        if isinstance(score, Estimator):
            again = isinstance(score, DocumentEstimator) and score.refit == "always"
            known |= {name: last["fingerprints"][name]} if same and not again else {}
        elif all(i in known for i in score.inputs if i in recipe.scores):
            known[name] = fingerprint(score, known)
    return known


def _more(count: int | None, last: Mapping[str, Any]) -> str:
    """Return how many more documents there are than at the last run, if both are known."""
    before = last.get("counts", {}).get("documents")
    return "" if count is None or before is None else f"; {count - before:+,} documents since the last run"


def _score(lake: Lake, recipe: Recipe, name: str, known: dict[str, str], hashed: bool) -> str:
    score = recipe.scores[name]
    if name in recipe.on_demand_only():
        return ON_DEMAND
    if name not in known:
        inputs = ", ".join(score.fits_on if isinstance(score, Estimator) else score.inputs)
        return f"{UNKNOWN}: fitted on {inputs} first"
    computed = lake.data_versions(MEMOS, [known[name]])[known[name]]
    if computed is None or computed.startswith(EMPTY):
        return ALL
    if not hashed:
        return CHANGED
    documents = documents_origin(lake, recipe, _last_rows(lake, recipe))
    return UNCHANGED if current_scores(lake, recipe, documents, {name: known[name]}) else UNKNOWN
