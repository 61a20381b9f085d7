"""The documents of a recipe as a pinned frame: checked expressions, hashes, kept columns. No job starts here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...udfs.errors import InputError, RecipeError
from ...udfs.scorer import DOCUMENT_INPUTS, OnDocuments, digest
from ..lake.commits import Identity
from ..lake.schemas import RESERVED_TYPES
from ..lake.spark_errors import refusal
from ..lake.tables import Lake
from ..ranking.sort_keys import number
from ..recipe import Recipe
from ..recipe.recipe import mentions
from ..recipe.roots import hash_name, input_sets, source_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: A slice of documents is a range of these buckets of the id hash.
BUCKETS = 65_536
#: Characters that Delta refuses in names.
_REFUSED = re.compile(r"[ ,;{}()\n\t=]")


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
        """Return SQL for document inputs and source columns, aliased by their names."""
        documents = self.recipe.documents
        return [f"{text_of(getattr(documents, n))} AS {n}" if n in DOCUMENT_INPUTS else f"`{n}`" for n in names]

    def hashes(self) -> dict[str, str]:
        """Return, per distinct set of document inputs, the name and SQL of its content hash."""
        return {
            hash_name(s): _hash(
                [
                    f"CAST(({getattr(self.recipe.documents, n)}) AS STRING)" if n in DOCUMENT_INPUTS else f"`{n}`"
                    for n in s
                ]
            )
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


def analyse(frame: DataFrame, sql: str, where: str) -> None:
    """Check an expression against a frame without running anything; raises RecipeError."""
    from pyspark.sql import functions as F

    try:
        # As a filter: an aggregate, a window or explode() is not a value of one row, and is refused there.
        frame.where(F.expr(f"({sql}) IS NOT NULL")).schema  # noqa: B018 - analysis is the effect
    except Exception as error:
        reason = refusal(error)
        if reason is None:
            raise
        raise RecipeError(
            f"{where}: {sql!r} does not fit its table, whose columns are {', '.join(frame.columns)}: {reason}"
        ) from error


def analyse_condition(frame: DataFrame, sql: str, where: str) -> None:
    """Check a condition against a frame without running anything; raises RecipeError."""
    analyse(frame, sql, where)
    kind = frame.selectExpr(f"({sql}) AS c").schema["c"].dataType.simpleString()
    if kind != "boolean":
        raise RecipeError(f"{where}: {sql!r} is {kind}; a condition (boolean) is needed")


def text_of(sql: str) -> str:
    """Return SQL of a text; null where its bytes are not UTF-8, which no scorer could read."""
    text = f"CAST(({sql}) AS STRING)"
    return f"IF(CAST({text} AS BINARY) = encode({text}, 'UTF-8'), {text}, NULL)"


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
        if _REFUSED.search(name):
            raise RecipeError(
                f"the source column {name!r} has a character that Delta refuses (one of space ,;{{}}()= tab); {hint}"
            )
        made = frame.selectExpr(f"{sql} AS c").schema["c"].dataType
        for leaf, kind in _leaves(name, made):
            if _REFUSED.search(leaf):
                raise RecipeError(
                    f"the source column {name!r} has the field {leaf!r}, with a character that Delta refuses (one of "
                    f"space ,;{{}}()= tab); leave it out with keep: [...]"
                )
            if kind.startswith(RESERVED_TYPES):
                cast = "TIMESTAMP" if made.simpleString() == "timestamp_ntz" else "STRING"
                raise RecipeError(
                    f"the source column {name!r} is {made.simpleString()}, which tables of reader version 1 cannot "
                    f"hold; leave it out with keep: [...] or cast it, keep: {{{name}: 'CAST({sql} AS {cast})'}}"
                )


def _leaves(name: str, kind: Any) -> list[tuple[str, str]]:
    """Return dotted name and type of everything inside a type that holds no other type itself."""
    inner = [(f"{name}.{f.name}", f.dataType) for f in getattr(kind, "fields", ())]
    inner += [(name, getattr(kind, n)) for n in ("elementType", "keyType", "valueType") if hasattr(kind, n)]
    return [leaf for n, k in inner for leaf in _leaves(n, k)] if inner else [(name, kind.simpleString())]


def _named(recipe: Recipe, frame: DataFrame) -> tuple[str, ...]:
    """Return source columns that `where:`, selectors and the report name (a label of the same name wins)."""
    labels = {label.lower() for label in recipe.scores}
    words = {c.lower() for c in frame.columns if mentions(recipe.where, c)} | {s.lower() for s in recipe.shares}
    words |= {n.lower() for n in (*recipe.chooser_columns(), *source_columns(recipe))}
    return tuple(c for c in frame.columns if c.lower() in words - labels)


def open_input(lake: Lake, table: str, use: str) -> tuple[DataFrame, Identity]:
    """Return a table pinned at its version; one without versions (a view, Parquet) as it is, with no version."""
    try:
        identity = lake.identity(table)
    except InputError:
        return lake.read(table), Identity(lake.ref(table), None, None, None)
    if identity.version is None:
        raise InputError(
            f"{use}: there is no table {table} ({identity.ref}); create it, or give it a 'from:' to ingest it"
        )
    return lake.read(table, identity.version), identity


def open_documents(lake: Lake, recipe: Recipe) -> Documents:
    """Pin the documents table and check every expression over it, before any Spark job starts."""
    table = recipe.documents.table
    frame, identity = open_input(lake, table, "documents")
    lower = [c.lower() for c in frame.columns]
    for c in frame.columns:
        if lower.count(c.lower()) > 1:
            raise InputError(f"table {table} has two columns {c!r} that differ in case only; rename one")
    for key in ("id", *DOCUMENT_INPUTS):
        sql = getattr(recipe.documents, key)
        if sql:
            analyse(frame, sql, f"documents.{key}")
    for label, score in recipe.scores.items():
        for column in set(score.inputs) & set(source_columns(recipe)):
            analyse(frame, f"`{column}`", f"scores.{label}")
        if isinstance(score, OnDocuments) and score.fit_where:
            analyse_condition(frame, score.fit_where, f"scores.{label}: fit_where")
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
        analyse_condition(both, recipe.where, "where")
    for name, chooser in {
        "select": recipe.selector,
        **{f"controls: {k}": v for k, v in recipe.controls.items()},
    }.items():
        for need in chooser.needs:
            analyse(both, need if "." in need else f"`{need}`", name)
        if by := getattr(chooser, "by", None):
            number(both, by)
    count = recipe.budget.count
    if count and recipe.scores[count].value not in ("int", "bigint"):
        raise RecipeError(
            f"budget: count is {count!r}, which is {recipe.scores[count].value}; a label that counts tokens is needed, "
            "such as one of kind length_tokens"
        )
