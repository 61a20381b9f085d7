"""The documents of a recipe as frames: checked expressions, kept columns, and one key pass a run.

The key pass reads every document once and writes `keys_<recipe>`: one row per distinct id with a content hash per
distinct set of score inputs and the hash of everything else the recipe uses. All later decisions read keys, not text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..udfs.errors import InputError, RecipeError
from ..udfs.scorer import DOCUMENT_INPUTS, digest
from .lake.manifest import Manifest
from .lake.schemas import RESERVED_TYPES, Table, keys, rejected
from .lake.tables import Identity, Lake, deciding
from .recipe import Recipe

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: A slice of documents is a range of these buckets of the id hash.
BUCKETS = 65_536


@dataclass(frozen=True)
class Documents:
    """The documents of one run, pinned: `frame` is the source at its version, `keep` is output name -> SQL."""

    frame: DataFrame
    identity: Identity
    recipe: Recipe
    keep: dict[str, str]
    named: tuple[str, ...]
    repeated: bool = False  # whether some id stands in more than one row; known after the key pass

    @property
    def id(self) -> str:
        """SQL of the id, as a string."""
        return f"CAST(({self.recipe.documents.id}) AS STRING)"

    def inputs(self, names: tuple[str, ...]) -> list[str]:
        """Return SQL for document inputs, aliased by their names."""
        return [f"CAST(({getattr(self.recipe.documents, n)}) AS STRING) AS {n}" for n in names]

    def hashes(self) -> dict[str, str]:
        """Return, per distinct set of document inputs, the name and SQL of its content hash."""
        return {
            hash_name(s): _hash([f"CAST(({getattr(self.recipe.documents, n)}) AS STRING)" for n in s])
            for s in input_sets(self.recipe)
        }

    def row_hash(self) -> str:
        """Return SQL of the hash of id, text and every source column that the recipe names or keeps."""
        types = {f.name: f.dataType.simpleString() for f in self.frame.schema}
        extra = [*self.keep.values(), *(f"`{c}`" for c in self.named)]
        # xxhash64 refuses maps; their JSON stands for them.
        safe = [
            f"to_json(struct({e}))" if "map<" in str(types.get(e.strip("`"), "map<")) else e
            for e in dict.fromkeys(extra)
        ]
        texts = [f"({t})" for n in DOCUMENT_INPUTS if (t := getattr(self.recipe.documents, n))]
        return _hash([self.id, *texts, *safe])

    def expressions(self) -> str:
        """Return what the key pass depends on beside the data itself."""
        return digest([self.id, self.hashes(), self.row_hash()])


def _hash(parts: list[str]) -> str:
    # xxhash64('a', NULL) = xxhash64(NULL, 'a'): null flags tell them apart.
    return f"xxhash64({', '.join(f'{p} IS NULL, {p}' for p in parts)})"


def roots(recipe: Recipe, label: str) -> tuple[str, ...]:
    """Return the document inputs at the root of a score, in fixed order."""
    found: set[str] = set()
    for name in recipe.scores[label].inputs:
        found |= {name} if name in DOCUMENT_INPUTS else set(roots(recipe, name))
    return tuple(n for n in DOCUMENT_INPUTS if n in found)


def input_sets(recipe: Recipe) -> list[tuple[str, ...]]:
    """Return the distinct sets of document inputs, text alone first."""
    return list(dict.fromkeys([("text",), *(roots(recipe, label) for label in recipe.scores)]))


def hash_name(names: tuple[str, ...]) -> str:
    """Return the column of keys that holds the hash of these inputs."""
    return "hash_" + "_".join(names)


def analyse(frame: DataFrame, sql: str, where: str) -> None:
    """Check an expression against a frame without running anything; raises RecipeError."""
    from pyspark.sql import functions as F

    try:
        frame.select(F.expr(sql)).schema  # noqa: B018 - analysis is the effect
    except Exception as error:
        if not type(error).__name__.endswith(("AnalysisException", "ParseException")):
            raise
        reason = " ".join(re.sub(r"SQLSTATE.*|;\s*'Project.*", "", str(error), flags=re.S).split())
        raise RecipeError(
            f"{where}: {sql!r} does not fit its table, whose columns are {', '.join(frame.columns)}: {reason}"
        ) from error


def _kept(recipe: Recipe, frame: DataFrame) -> dict[str, str]:
    """Return output name -> SQL of the columns that go into the selection; all source columns by default."""
    if recipe.keep is not None:
        return dict(recipe.keep)
    own_id = recipe.documents.id.strip("` ").lower()
    return {c: f"`{c}`" for c in frame.columns if not (c.lower() == "id" == own_id)}


def _check_kept(recipe: Recipe, frame: DataFrame, keep: dict[str, str]) -> None:
    taken = {
        "id": "the column id",
        **dict.fromkeys(("rank", "gain", "weight", "copies", "tokens_used"), "a fixed column of the selection"),
    }
    taken |= {label.lower(): f"the score {label!r}" for label in recipe.scores}
    for name, sql in keep.items():
        analyse(frame, sql, f"keep: {name}")
        other = "source_" + re.sub("[^a-z0-9]+", "_", name.lower())
        hint = f"leave it out with keep: [...] or rename it, keep: {{{other}: '{sql}'}}"
        if name.lower() in taken:
            raise RecipeError(f"the source column {name!r} collides with {taken[name.lower()]}; {hint}")
        taken[name.lower()] = "another kept column"
        if re.search(r"[ ,;{}()\n\t=]", name):
            raise RecipeError(
                f"the source column {name!r} has a character that Delta refuses (one of space ,;{{}}()= tab); {hint}"
            )
        made = frame.selectExpr(f"{sql} AS c").schema["c"].dataType.simpleString()
        for word in RESERVED_TYPES:
            if re.search(rf"\b{word}\b", made):
                cast = "TIMESTAMP" if "timestamp" in word else "STRING"
                raise RecipeError(
                    f"the source column {name!r} is {made}, which tables of reader version 1 cannot hold; leave it out "
                    f"with keep: [...] or cast it, keep: {{{name}: 'CAST({sql} AS {cast})'}}"
                )


def _named(recipe: Recipe, frame: DataFrame) -> tuple[str, ...]:
    """Return source columns that `where:`, selectors and the report name (a label of the same name wins)."""
    words = {w.lower() for w in re.findall(r"\w+", recipe.where)}
    for chooser in (recipe.selector, *recipe.controls.values()):
        words |= {n.split(".")[0].lower() for n in chooser.needs}
    words |= {s.lower() for s in recipe.shares}
    labels = {label.lower() for label in recipe.scores}
    return tuple(c for c in frame.columns if c.lower() in words - labels)


def open_documents(lake: Lake, recipe: Recipe) -> Documents:
    """Pin the documents table and check every expression over it, before any Spark job starts."""
    table = recipe.documents.table
    try:
        identity = lake.identity(table)
    except InputError:
        identity = Identity(lake.ref(table), None, None, None)
        frame = lake.read(table)
    else:
        if identity.version is None:
            raise InputError(
                f"there is no table {table} ({identity.ref}); create it, or give documents a 'from:' to ingest it"
            )
        frame = lake.read(table, identity.version)
    lower = [c.lower() for c in frame.columns]
    for c in frame.columns:
        if lower.count(c.lower()) > 1:
            raise InputError(f"table {table} has two columns {c!r} that differ in case only; rename one")
    for key in ("id", *DOCUMENT_INPUTS):
        sql = getattr(recipe.documents, key)
        if sql:
            analyse(frame, sql, f"documents.{key}")
    keep = _kept(recipe, frame)
    _check_kept(recipe, frame, keep)
    for name in recipe.shares:
        if name.lower() not in lower:
            raise RecipeError(f"report: shares names {name!r}; columns are {', '.join(frame.columns)}")
    documents = Documents(frame, identity, recipe, keep, _named(recipe, frame))
    check_where(documents)
    return documents


def joined_columns(documents: Documents) -> list[Column]:
    """Return the source columns that stand beside scores in `where:` and selectors: labels and the id win over them."""
    from pyspark.sql import functions as F

    taken = {"id", "content_hash", *(label.lower() for label in documents.recipe.scores)}
    columns = [F.expr(documents.id).alias("id"), F.expr(documents.row_hash()).alias("row_hash")]
    return columns + [F.col(f"`{c}`") for c in documents.frame.columns if c.lower() not in taken | {"row_hash"}]


def check_where(documents: Documents) -> None:
    """Check `where:` and what selectors need against labels and source columns; raises RecipeError."""
    recipe = documents.recipe
    labels = ", ".join(f"CAST(NULL AS {s.value}) AS `{k}`" for k, s in recipe.scores.items())
    spark = documents.frame.sparkSession
    empty = documents.frame.limit(0).select(*joined_columns(documents)).drop("row_hash")
    both = empty.crossJoin(spark.sql(f"SELECT {labels} LIMIT 0"))
    if recipe.where:
        analyse(both, recipe.where, "where")
        kind = both.selectExpr(f"({recipe.where}) AS c").schema["c"].dataType.simpleString()
        if kind != "boolean":
            raise RecipeError(f"where: {recipe.where!r} is {kind}; a condition (boolean) is needed")
    for name, chooser in {
        "select": recipe.selector,
        **{f"controls: {k}": v for k, v in recipe.controls.items()},
    }.items():
        for need in chooser.needs:
            analyse(both, need if "." in need else f"`{need}`", name)


def write_keys(lake: Lake, documents: Documents, manifest: Manifest) -> tuple[int, dict[str, Any]]:
    """Make `keys_<recipe>` current; returns its version and the summary of the pool.

    The summary: rows, documents (distinct ids), null_ids, duplicates, conflicts, digest, names of the hash columns.
    """
    table = keys(documents.recipe.name, [hash_name(s) for s in input_sets(documents.recipe)])
    with manifest.step("keys", table.name) as step:
        version = deciding("keys", lambda: _write_keys(lake, table, documents, step))
        summary = summarise(lake, table, version, documents)
        step.rows = summary["rows"]
        step.rejected = summary["null_ids"] + (summary["duplicates"] if summary["conflicts"] else 0)
        _refuse_conflicts(lake, table, version, documents, summary)
        _write_rejected(lake, table, version, documents, summary)
    return version, summary


def _write_keys(lake: Lake, table: Table, documents: Documents, step: Any) -> int:
    newest = lake.identity(table.name)
    stamp = documents.identity.stamp or _scan_stamp(documents)
    note = {"documents": stamp, "expressions": documents.expressions()}
    if newest.newest and {k: newest.newest.note.get(k) for k in note} == note:
        step.unchanged(newest.version)
        return int(newest.version or 0)
    from pyspark.sql import functions as F

    hashes = documents.hashes()
    base = documents.frame.select(
        F.expr(documents.id).alias("id"),
        F.expr(documents.row_hash()).alias("row_hash"),
        *(F.expr(sql).alias(name) for name, sql in hashes.items()),
    ).where("id IS NOT NULL")
    frame = base.groupBy("id").agg(
        F.count("*").alias("rows"),
        (F.min("row_hash") != F.max("row_hash")).alias("differs"),
        F.min("row_hash").alias("row_hash"),
        *(F.min_by(name, "row_hash").alias(name) for name in hashes),
    )
    version = lake.overwrite(table, frame, note, int(newest.version or 0)).version
    step.wrote(version)
    return version


def _scan_stamp(documents: Documents) -> str:
    """Return the digest of an input that has no versions: one more scan, and the note "not pinned"."""
    made = documents.frame.selectExpr("count(*) AS n", f"bit_xor({documents.row_hash()}) AS x").collect()[0]
    return f"not pinned:{made['n']}:{made['x']}"


def summarise(lake: Lake, table: Table, version: int, documents: Documents) -> dict[str, Any]:
    """Aggregate the keys: counts and the two digests of the pool."""
    hashes = list(documents.hashes())
    made = (
        lake.read(table.name, version)
        .selectExpr(
            "count(*) AS documents",
            "coalesce(sum(rows), 0) AS counted",
            "coalesce(sum(CASE WHEN differs THEN 1 ELSE 0 END), 0) AS conflicts",
            "coalesce(bit_xor(row_hash), 0) AS row_digest",
            *(f"coalesce(bit_xor(xxhash64(id, {h})), 0) AS digest_{h}" for h in hashes),
        )
        .collect()[0]
        .asDict()
    )
    rows = documents.frame.count()
    return {
        "rows": rows,
        "documents": made["documents"],
        "null_ids": rows - made["counted"],
        "duplicates": made["counted"] - made["documents"],
        "conflicts": made["conflicts"],
        "digest": f"{made['documents']}:{made['row_digest']}",
        "inputs": {h: f"{made['documents']}:{made['digest_' + h]}" for h in hashes},
    }


def _refuse_conflicts(lake: Lake, table: Table, version: int, documents: Documents, summary: dict[str, Any]) -> None:
    if summary["documents"] == 0:
        raise InputError(
            f"table {documents.recipe.documents.table} has no row with an id; nothing can be selected from it"
        )
    if summary["conflicts"] and documents.recipe.documents.duplicates == "error":
        rows = lake.read(table.name, version).where("differs").select("id").limit(20).collect()
        ids = ", ".join(repr(r["id"]) for r in rows)
        raise InputError(
            f"{summary['conflicts']} ids of {documents.recipe.documents.table} occur more than once with different "
            f"content ({ids}); make ids unique, or set documents.duplicates: first_by_hash"
        )


def _write_rejected(lake: Lake, keys_table: Table, version: int, documents: Documents, summary: dict[str, Any]) -> None:
    """Write the rows that were left out, with reasons; nothing is written while there are none."""
    table = rejected(documents.recipe.name)
    left_out = summary["null_ids"] + summary["duplicates"]
    newest = lake.identity(table.name)
    if not left_out and (newest.newest is None or newest.newest.note.get("rows") == 0):
        return
    note = {"keys": f"{version}:{summary['digest']}", "rows": left_out}
    if newest.newest and {k: newest.newest.note.get(k) for k in note} == note:
        return
    nulls = documents.frame.where(f"{documents.id} IS NULL").selectExpr(
        "CAST(NULL AS STRING) AS id", "'id is null' AS reason"
    )
    again = (
        lake.read(keys_table.name, version)
        .where("rows > 1")
        .selectExpr(
            "id",
            "CASE WHEN differs THEN "
            "concat(rows - 1, ' more rows with this id; the one with the smallest hash was taken') "
            "ELSE concat(rows - 1, ' more rows with this id and the same content') END AS reason",
        )
    )
    lake.overwrite(table, nulls.unionByName(again), note, int(newest.version or 0))
