"""The score job: fits what must be fitted, computes what is missing in the memos, publishes `scores_<recipe>`.

A score is a pure function of (content, fingerprint), so only (id, content_hash) pairs that the memo of a fingerprint
lacks are computed (scoring/memos.py). Labels that a selector only asks for are left to it; arrays stay in their memos.
"""

from __future__ import annotations

import json
from typing import Any

from ..udfs.scorer import OnDocuments, fingerprint
from .fit import Fitting
from .inputs.documents import Documents, hash_name
from .lake.manifest import Manifest, Step
from .lake.schemas import Col, Table, scores
from .lake.tables import Lake, retry_on_conflict
from .recipe import Recipe, order
from .scoring.memos import Memos, Scored, memo_stamp, memo_table


def score(
    lake: Lake, documents: Documents, keys: tuple[str, int], manifest: Manifest, refit: bool = False
) -> tuple[Memos, int]:
    """Make every score of the recipe current; returns them and the version of `scores_<recipe>`."""
    recipe, memos = documents.recipe, Memos(lake, documents, keys)
    fitting = Fitting(memos, manifest, refit)
    made = fitting.from_targets()
    fingerprints: dict[str, str] = {}
    asked = recipe.on_demand_only()
    published = lake.last_write(f"scores_{recipe.name}")
    before = published.metadata.get("memos", {}) if published else {}
    for label in order(recipe):
        scorer = made.get(label) or fitting.from_documents(label, fingerprints)
        fingerprints[label] = fingerprint(scorer, fingerprints)
        key = hash_name(recipe.source_inputs(label))
        item = memos.scored[label] = Scored(label, scorer, fingerprints[label], memo_table(scorer), key)
        if label in asked:
            continue
        with manifest.step(f"score {label}", item.table.name) as step:
            memos.compute(item, before.get(label), step)
        if isinstance(recipe.scores[label], OnDocuments):
            fitting.newer(label)
    manifest.fingerprints = fingerprints
    return memos, publish(memos, manifest)


def published_labels(recipe: Recipe) -> list[str]:
    """Return the labels that `scores_<recipe>` holds: arrays stay in the memo, asked ones have few values."""
    asked = recipe.on_demand_only()
    return [k for k, s in recipe.scores.items() if k not in asked and not s.value.startswith("array")]


def label_columns(items: list[Scored]) -> list[Col]:
    """Return the declared columns of labels, with comments that say kind and fingerprint."""
    return [Col(i.label, i.scorer.value, f"{i.scorer.comment} ({i.scorer.kind}, {i.fingerprint})") for i in items]


def publish(memos: Memos, manifest: Manifest) -> int:
    """Make `scores_<recipe>` hold exactly one row per document with one column per label; returns its version."""
    lake, recipe = memos.lake, memos.documents.recipe
    items = [memos.scored[label] for label in published_labels(recipe)]
    table = scores(recipe.name, label_columns(items), recipe.keep_versions)
    with manifest.step("publish", table.name) as step:
        version = int(retry_on_conflict("publish", lambda: _publish(memos, table, items, step)))
        undefined = {i.label: f"count(*) - count(`{i.label}`) AS `{i.label}`" for i in items}
        counts = (
            lake.read(table.name, version).selectExpr("count(*) AS rows_in", *undefined.values()).collect()[0].asDict()
        )
        step.rows = counts.pop("rows_in")
    for label in memos.scored.keys() - {i.label for i in items} - recipe.on_demand_only():
        counts[label] = memos.values(memos.scored[label]).where("value IS NULL").count()
    for other in manifest.steps:
        if other.step.startswith("score "):
            other.rows, other.undefined = step.rows, counts[other.step[6:]]
    manifest.counts["undefined"] = counts
    return version


def _publish(memos: Memos, table: Table, items: list[Scored], step: Step) -> int:
    lake, keys = memos.lake, memos.keys
    present = lake.state(table.name)
    note: dict[str, Any] = {
        "keys": keys_stamp(lake, keys),
        "labels": {i.label: i.fingerprint for i in items},
    }
    if present.last_write and {k: present.last_write.metadata.get(k) for k in note} == note:
        step.unchanged(present.version)
        return int(present.version or 0)
    frame = lake.read(*keys)
    columns = ["id", f"{items[0].key} AS content_hash"]
    for number, item in enumerate(items):
        part = memos.live(item).selectExpr("id", f"content_hash AS {item.key}", f"value AS value_{number}")
        frame = frame.join(part, ["id", item.key], "left")
        columns.append(f"value_{number} AS `{item.label}`")
    computed = [i for k, i in memos.scored.items() if k not in memos.documents.recipe.on_demand_only()]
    note["memos"] = {i.label: f"{memo_stamp(lake.state(i.table.name), i)}/{keys[1]}" for i in computed}
    version = lake.overwrite(table, frame.selectExpr(*columns), note, int(present.version or 0)).version
    step.wrote(version)
    return version


def keys_stamp(lake: Lake, keys: tuple[str, int]) -> str:
    """Return what identifies the keys that scores were published for."""
    newest = lake.last_write(keys[0])
    return json.dumps([newest.metadata.get("documents"), newest.metadata.get("expressions")] if newest else [])


def label_tables(recipe: Recipe) -> tuple[Table, list[Table]]:
    """Return `scores_<recipe>` and the memos, before anything is fitted: for creation and `plan --ddl`."""
    memos = {s.kind: memo_table(s) for s in recipe.scores.values()}
    shown = {k: recipe.scores[k] for k in published_labels(recipe)}
    labels = [Col(k, s.value, f"{s.comment} ({s.kind})") for k, s in shown.items()]
    return scores(recipe.name, labels, recipe.keep_versions), list(memos.values())
