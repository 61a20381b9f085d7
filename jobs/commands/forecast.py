"""What a run would do at each step, told from stamps, notes and fingerprints: no table is scanned or written.

What only a run can know is said to be unknown: how many rows are pending after the documents changed, and the
fingerprint of a model that is not fitted yet.
"""

from __future__ import annotations

import json

from ...udfs.scorer import Estimator, OnDocuments, fingerprint
from ..inputs.documents import Documents
from ..lake.manifest import Manifest
from ..lake.tables import Lake
from ..lake.text_table import text_table
from ..recipe import Recipe, Source, order
from ..run import last_run, stamps, standing
from ..score import keys_stamp
from ..scoring.memos import memo_table
from ..sources import files, sources_digest

UNKNOWN = "unknown until run"
UNCHANGED = "unchanged"


def steps(lake: Lake, recipe: Recipe, documents: Documents | None) -> str:
    """Return, as a text table, what a run would do at each step.

    A run decides step by step from the present state of its tables; this asks the same questions without the scans.
    """
    seen = Manifest(recipe.name, recipe.digest())
    if standing(lake, recipe, seen):
        rows = [(s.step, s.table, s.outcome) for s in seen.steps]
        return text_table(("step", "table", "would be"), rows) + f"\nrun {seen.run_id} stands: a run would do nothing"
    rows, asked = [], recipe.on_demand_only()
    tables = {table: _ingest(lake, table, *source) for table, source in ingested(recipe).items()}
    rows += [("ingest", table, would) for table, would in tables.items()]
    fresh = tables.get(recipe.documents.table, UNCHANGED) == UNCHANGED
    keys = bool(documents and fresh and _keys_stand(lake, documents))
    rows.append(("keys", f"keys_{recipe.name}", UNCHANGED if keys else "computed: one pass over the documents"))
    same, fingerprints = keys, _fingerprints(lake, recipe)
    for label in order(recipe):
        if label in asked:
            rows.append(
                (f"score {label}", memo_table(recipe.scores[label]).name, "computed for rows that select asks for")
            )
            continue
        would = _score(lake, recipe, label, fingerprints.get(label), documents, keys)
        same = same and would == UNCHANGED
        rows.append((f"score {label}", memo_table(recipe.scores[label]).name, would))
    rows.append(("publish", f"scores_{recipe.name}", UNCHANGED if same else UNKNOWN if keys else "written"))
    last = last_run(lake, recipe.name)
    known = same and last is not None and json.loads(last["manifest"])["recipe_hash"] == recipe.digest()
    newest = lake.last_write(f"selection_{recipe.name}")
    stands = bool(known and newest and last and newest.metadata.get("run_id") == last["run_id"])
    would = UNCHANGED if stands else "written" if newest is None or same else "written, if its inputs changed"
    return text_table(("step", "table", "would be"), [*rows, ("select", f"selection_{recipe.name}", would)])


def ingested(recipe: Recipe) -> dict[str, tuple[Source, str | None]]:
    """Return the tables that ingest makes: their source, and the id that a row of documents must have."""
    made: dict[str, tuple[Source, str | None]] = {}
    if recipe.documents.source:
        made[recipe.documents.table] = recipe.documents.source, recipe.documents.id
    for target in recipe.targets.values():
        if target.source:
            made.setdefault(target.table, (target.source, None))
    return made


def _ingest(lake: Lake, table: str, source: Source, id_sql: str | None) -> str:
    newest = lake.last_write(table)
    if newest is not None and newest.metadata.get("source") == sources_digest(lake.spark, source, id_sql):
        return UNCHANGED
    return f"ingested from {origin(lake, source)}"


def _keys_stand(lake: Lake, documents: Documents) -> bool:
    newest = lake.last_write(f"keys_{documents.recipe.name}")
    note = {"documents": documents.state.data_version, "expressions": documents.expressions()}
    return newest is not None and {k: newest.metadata.get(k) for k in note} == note


def _fingerprints(lake: Lake, recipe: Recipe) -> dict[str, str]:
    """Return the fingerprints that are known without fitting: plain scorers', and models' whose target stands."""
    last = last_run(lake, recipe.name)
    body = json.loads(last["manifest"]) if last else {}
    tables = [t.table for t in recipe.targets.values()]
    now = stamps(lake, recipe) if body.get("recipe_hash") == recipe.digest() else {}
    stand = bool(now) and all(now[t] == body["stamps"].get(t) for t in tables)
    made: dict[str, str] = {}
    for label in order(recipe):
        score = recipe.scores[label]
        if isinstance(score, Estimator):
            again = isinstance(score, OnDocuments) and score.refit == "always"
            made |= {label: body["fingerprints"][label]} if stand and not again else {}
        elif all(i in made for i in score.inputs if i in recipe.scores):
            made[label] = fingerprint(score, made)
    return made


def _score(lake: Lake, recipe: Recipe, label: str, made: str | None, documents: Documents | None, keys: bool) -> str:
    score = recipe.scores[label]
    if made is None:
        what = ", ".join(score.fits_on) if isinstance(score, Estimator) else ", ".join(score.inputs)
        return f"{UNKNOWN}: fitted on {what} first"
    if lake.last_write(memo_table(score).name) is None:
        return "computed for all documents"
    published = lake.last_write(f"scores_{recipe.name}")
    if not keys or documents is None or published is None:
        return f"computed for new and changed documents, how many is {UNKNOWN}"
    note = published.metadata
    current = note.get("keys") == keys_stamp(lake, (f"keys_{recipe.name}", 0))
    same = current and note.get("labels", {}).get(label, made) == made  # arrays are not published
    stamp = f"{lake.state(memo_table(score).name).data_version}/{made}"
    return UNCHANGED if same and note.get("memos", {}).get(label, "").startswith(f"{stamp}/") else UNKNOWN


def origin(lake: Lake, source: Source) -> str:
    """Return "sample x" or "12 jsonl files"."""
    return f"sample {source.sample}" if source.sample else f"{len(files(lake.spark, source)):,} {source.format} files"
