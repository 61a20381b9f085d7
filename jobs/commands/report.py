"""The report: a selection beside its controls and its pool: shares, lengths, scores, and held-out bits per byte.

Evidence, not proof: one draw of each control. Held-out bits per byte (methods: ZIP-FIT): a byte 5-gram model is fitted
on each set at equal bytes and read on the held-out half of the target; lower means closer to the target. Sets larger
than the stated samples are sampled by id hash, never by order.
"""

from __future__ import annotations

import json
import math
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...udfs.errors import InputError
from ...udfs.kernels.ngram_model import held_out_bits_per_byte
from ...udfs.kernels.statistics import quantiles, spearman
from ..choice import collect_small
from ..inputs.documents import Documents
from ..inputs.opening import open_documents, open_target, target_texts
from ..lake.commits import Commit
from ..lake.session import compiled
from ..lake.tables import Lake
from ..lake.text_table import text_table
from ..ranking.top import DRIVER_ROWS
from ..recipe import Recipe

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Rows of one set whose scores are described, and texts that a model is fitted on; chosen by id hash.
SCORE_ROWS, TEXT_ROWS = 50_000, 5_000
#: Bytes that a model is fitted on at most; characters of one text that are read.
FIT_BYTES, TEXT_CHARS = 2_000_000, 20_000
#: Distinct values of a shares column that are shown.
VALUES = 12
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def report(lake: Lake, recipe: Recipe) -> str:
    """Return the report as text, and write it as `report_<recipe>.json` beside the tables of a folder lake.

    Raises
    ------
    InputError
        If the recipe has not been run in this lake.
    """
    selection = lake.state(f"selection_{recipe.name}")
    newest = selection.last_write
    if newest is None:
        raise InputError(
            f"there is no selection of {recipe.name} in {lake.root}; do this first: lakesift run {recipe.name}"
        )
    with compiled(lake.spark, newest.metadata.get("counts", {}).get("documents", 0)):
        body = _body(lake, recipe, newest) | {"selection_version": selection.version}
    folder = Path(lake.root) if lake.local else Path()
    path = folder / f"report_{recipe.name}.json"
    path.write_text(json.dumps(body, indent=2, allow_nan=False, default=_plain) + "\n", encoding="utf-8")
    return _text(recipe, body) + f"\n\nwritten to {path}"


def _body(lake: Lake, recipe: Recipe, newest: Commit) -> dict[str, Any]:
    documents = open_documents(lake, recipe)
    members = _members(lake, recipe, newest.rows or DRIVER_ROWS)
    sets = ["pool", "selection", *recipe.controls]
    described = _scores(lake, recipe, members)
    judged = [name for name, t in recipe.targets.items() if t.held_out]
    texts = _texts(documents, members, sets, described["rows"]) if judged else {}
    return {
        "recipe": recipe.name,
        "run_id": newest.metadata.get("run_id"),
        "counts": newest.metadata.get("counts", {}),
        "sets": sets,
        "shares": {c: _shares(documents, members, c) for c in recipe.shares},
        **described,
        "held_out_bits_per_byte": {name: _evidence(lake, documents, name, texts) for name in judged},
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def _number(value: float) -> float | None:
    """JSON has no NaN: undefined is null."""
    return None if value is None or math.isnan(value) else float(value)


def _members(lake: Lake, recipe: Recipe, rows: int) -> DataFrame:
    """Return (set, id) of the selection and its controls: small beside the pool."""
    chosen = lake.read(f"selection_{recipe.name}").selectExpr("'selection' AS set", "id")
    if recipe.controls:
        chosen = chosen.unionByName(lake.read(f"controls_{recipe.name}").selectExpr("control AS set", "id"))
    return collect_small(chosen, (1 + len(recipe.controls)) * rows)


def _shares(documents: Documents, members: DataFrame, column: str) -> dict[str, dict[str, float]]:
    """Return set -> value -> share of rows."""
    from pyspark.sql import functions as F

    value = F.coalesce(F.col(f"`{column}`").cast("string"), F.lit("(null)")).alias("value")
    rows = documents.frame.select(F.expr(documents.id).alias("id"), value).where("id IS NOT NULL")
    pool = rows.groupBy(F.lit("pool").alias("set"), "value").count()
    picked = rows.join(F.broadcast(members), "id", "inner").groupBy("set", "value").count()
    made: dict[str, dict[str, float]] = {}
    for row in pool.unionByName(picked).orderBy(F.desc("count"), "value").limit(100_000).collect():
        made.setdefault(row["set"], {})[row["value"]] = row["count"]
    return {s: {v: n / sum(counts.values()) for v, n in counts.items()} for s, counts in made.items()}


def _sampled(salt: str, most: int, count: int) -> str:
    """Return SQL that about `most` of `count` ids pass: a threshold on a hash, not an order over all rows."""
    return f"pmod(xxhash64(id, '{salt}'), 1000000) < {math.ceil(1e6 * min(1.0, most / max(1, count)))}"


def _scores(lake: Lake, recipe: Recipe, members: DataFrame) -> dict[str, Any]:
    """Return quantiles of every numeric score in every set, and each one's rank correlation with length in the pool."""
    from pyspark.sql import functions as F

    table = lake.read(f"scores_{recipe.name}")
    numeric = ("double", "float", "bigint", "int")
    labels = [f.name for f in table.schema.fields[2:] if f.dataType.simpleString() in numeric]
    columns = [F.col(f"`{c}`").cast("double").alias(c) for c in labels]
    sizes = {r["set"]: r["count"] for r in members.groupBy("set").count().collect()}
    total = table.count()
    scores = collect_small(table.select("id", *columns), total)
    pool = scores.where(_sampled("report", SCORE_ROWS, total)).drop("id").toPandas()
    some = [members.where(F.col("set") == s).where(_sampled("report", SCORE_ROWS, n)) for s, n in sizes.items()]
    inside = scores.join(F.broadcast(reduce(lambda a, b: a.unionByName(b), some)), "id", "inner")
    picked = inside.drop("id").toPandas()
    frames = {"pool": pool, **{s: picked[picked["set"] == s] for s in sizes}}
    length = recipe.length_name()
    return {
        "rows": {"pool": total, **sizes},
        "quantiles": {
            label: {s: [_number(v) for v in quantiles(f[label].to_numpy(), QUANTILES)] for s, f in frames.items()}
            for label in labels
        },
        "correlation_with_length": {c: _number(spearman(pool[c], pool[length])) for c in labels if c != length},
        "length": length,
        "pool_sample": len(pool),
    }


def _texts(documents: Documents, members: DataFrame, sets: list[str], rows: dict[str, int]) -> dict[str, list[str]]:
    """Return about TEXT_ROWS texts of each set at most, in order of their id hash: two passes for all sets."""
    from pyspark.sql import functions as F

    text = F.substring(F.expr(f"CAST(({documents.recipe.documents.text}) AS STRING)"), 1, TEXT_CHARS).alias("text")
    source = documents.frame.select(F.expr(documents.id).alias("id"), text).where("id IS NOT NULL AND text IS NOT NULL")
    most = TEXT_ROWS * 6 // 5
    some = [members.where(F.col("set") == s).where(_sampled("text", most, rows.get(s, 0))) for s in sets[1:]]
    picked = source.join(F.broadcast(reduce(lambda a, b: a.unionByName(b), some)), "id", "inner")
    pool = source.where(_sampled("text", most, rows["pool"])).withColumn("set", F.lit("pool"))
    made: dict[str, list[str]] = {s: [] for s in sets}
    for frame in (pool, picked):
        table = frame.select("set", F.xxhash64("id", F.lit("text")).alias("h"), "id", "text").toPandas()
        table = table.drop_duplicates(["set", "id"]).sort_values(["h", "id"])
        for name in table["set"].unique():
            made[str(name)] = [str(t) for t in table["text"][table["set"] == name].head(TEXT_ROWS)]
    return made


def _evidence(lake: Lake, documents: Documents, target: str, texts: dict[str, list[str]]) -> dict[str, Any]:
    """Return held-out bits per byte of a byte 5-gram model fitted on each set at equal bytes."""
    frame, _ = open_target(lake, documents, target)
    held_out = [
        r["text"] for r in target_texts(frame, documents, target, held_out=True).limit(TEXT_ROWS).collect() if r["text"]
    ]
    if not held_out:
        raise InputError(
            f"targets.{target}.held_out leaves no row of {documents.recipe.targets[target].table}; loosen it"
        )
    size = min(FIT_BYTES, *(sum(len(t.encode("utf-8", "replace")) for t in part) for part in texts.values()))
    return {
        "bytes": size,
        "held_out_rows": len(held_out),
        "bits": {s: _number(held_out_bits_per_byte(part, held_out, size)) for s, part in texts.items()} if size else {},
    }


def _text(recipe: Recipe, body: dict[str, Any]) -> str:
    counts = body["counts"]
    sets: list[str] = body["sets"]
    parts = [
        f"report of {recipe.name}, selection version {body['selection_version']}, run {body['run_id']}",
        f"{counts.get('documents', 0):,} documents, {counts.get('ineligible', 0):,} ineligible, "
        f"{counts.get('unranked', 0):,} without the score, {counts.get('selected', 0):,} selected; "
        "one draw of each control",
    ]
    for column, made in body["shares"].items():
        top = sorted({v for s in made.values() for v in s}, key=lambda v: (-made.get("selection", {}).get(v, 0), v))
        rows = [(v, *(f"{made.get(s, {}).get(v, 0):.3f}" for s in sets)) for v in top[:VALUES]]
        parts += ["", f"share of rows by {column}" + (f" (first {VALUES} of {len(top)})" if len(top) > VALUES else "")]
        parts.append(text_table((column, *sets), rows))
    for label, made in body["quantiles"].items():
        rows = [(s, body["rows"].get(s), *made.get(s, ())) for s in sets]
        parts += ["", f"{label}: quantiles", text_table(("set", "rows", *(f"{q:g}" for q in QUANTILES)), rows)]
    parts += ["", f"rank correlation (Spearman) with {body['length']} in the pool, {body['pool_sample']:,} rows"]
    parts.append(text_table(("score", "correlation"), [(k, v) for k, v in body["correlation_with_length"].items()]))
    for target, made in body["held_out_bits_per_byte"].items():
        parts += [
            "",
            f"held-out bits per byte on {made['held_out_rows']:,} held-out rows of {target}, byte 5-gram model fitted "
            f"on {made['bytes']:,} bytes of each set (lower = closer)",
            text_table(("set", "bits per byte"), [(s, made["bits"].get(s)) for s in sets]),
        ]
    return "\n".join(parts)
