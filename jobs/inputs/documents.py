"""The documents of a recipe as a pinned frame: their id, inputs and hashes as SQL. No job starts here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.digests import digest
from ...udfs.fitted import input_name
from ...udfs.quoting import quoted_name
from ...udfs.scorer import DOCUMENT_INPUTS
from ..lake.commits import TableState
from ..recipe import Recipe
from .hashing import encode_all, hash_sql

#: The row hash beside source columns, which may be called row_hash, or with a blank where a table or view has such.
ROW_HASH = "row hash of lakesift"
#: A slice of documents is a range of these buckets of the id hash.
BUCKETS = 65_536
#: Its first bucket and its end; None for all documents.
Buckets = tuple[int, int] | None


@dataclass(frozen=True)
class Documents:
    """The documents of one run, pinned: `frame` is the table at its version, `keep` is output name -> SQL.

    `named` are the source columns that `where:`, selectors and the report name.
    """

    frame: DataFrame
    state: TableState
    recipe: Recipe
    keep: dict[str, str]
    named: tuple[str, ...]

    @property
    def given_id(self) -> str:
        """SQL of the id, as a string, as it is given."""
        return f"CAST(({self.recipe.documents.id}) AS STRING)"

    @cached_property
    def id(self) -> str:
        """SQL of the id, as a string; null where its bytes are not UTF-8, which no reader could tell apart."""
        given = self.recipe.documents.id
        text = self.frame.selectExpr(f"{given} AS id").schema[0].dataType.simpleString() == "string"
        return text_of(given) if text else self.given_id

    @property
    def keys(self) -> list[str]:
        """SQL of the id and of ROW_HASH, aliased: what `one_row_per_id` needs beside other columns."""
        return [f"{self.id} AS id", f"{self.row_hash} AS `{ROW_HASH}`"]

    def inputs(self, names: tuple[str, ...]) -> list[str]:
        """Return SQL for document inputs and source columns, aliased as inputs of scores."""
        return [f"{self._read(n)} AS {quoted_name(input_name(n))}" for n in names]

    def _read(self, name: str) -> str:
        """Return SQL of a document input or source column as scorers read it: what is not UTF-8 is null."""
        if name in DOCUMENT_INPUTS:
            return text_of(getattr(self.recipe.documents, name))
        column, data_type = quoted_name(name), self._types.get(name.lower())
        if data_type == "array<string>":
            return f"transform({column}, name -> {text_of('name')})"
        return text_of(column) if data_type == "string" else column

    @cached_property
    def _types(self) -> dict[str, str]:
        """Types of the source columns, by names in lower case."""
        return {f.name.lower(): f.dataType.simpleString() for f in self.frame.schema}

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Per distinct set of document inputs, the name and SQL of its content hash."""
        return {
            hash_name(names): hash_sql(encode_all(self.frame, [self._plain(n) for n in names]))
            for names in self.recipe.input_sets()
        }

    @cached_property
    def row_hash(self) -> str:
        """SQL of the hash of id, texts and every source column that the recipe names or keeps.

        Inputs of scores stand in it by their own hashes, so that a text is hashed once.
        """
        hashed = {n for names in self.recipe.input_sets() for n in names}
        others = [self._plain(n) for n in DOCUMENT_INPUTS if n not in hashed and getattr(self.recipe.documents, n)]
        others += [*self.keep.values(), *(quoted_name(c) for c in self.named)]
        texts = {quoted_name(f.name) for f in self.frame.schema if f.dataType.simpleString() == "string"}
        known = {quoted_name(getattr(self.recipe.documents, n)) for n in hashed & set(DOCUMENT_INPUTS)} & texts
        known |= {quoted_name(n) for n in hashed - set(DOCUMENT_INPUTS)}
        extra = [sql for sql in dict.fromkeys(others) if sql not in known]
        return hash_sql([*encode_all(self.frame, [self.id]), *self.hashes.values(), *encode_all(self.frame, extra)])

    def expressions(self) -> str:
        """Return what hashes depend on beside the data itself: SQL and the types of the columns."""
        types = [(f.name, f.dataType.simpleString()) for f in self.frame.schema]
        return digest([self.id, self.hashes, self.row_hash, types])

    def _plain(self, name: str) -> str:
        """Return SQL of a document input before it is checked to be UTF-8, or of a source column."""
        documents = self.recipe.documents
        return f"CAST(({getattr(documents, name)}) AS STRING)" if name in DOCUMENT_INPUTS else quoted_name(name)


def hash_name(names: tuple[str, ...]) -> str:
    """Return the column of hashes that holds the content hash of these inputs; another one for any other inputs.

    Examples
    --------
    >>> hash_name(("text",)), hash_name(("text", "my vector"))
    ('hash_text', 'hash_text_my_vector_0eef9b70')
    """
    words = ["hash", *(re.sub(r"\W", "_", n) for n in names)]
    if not set(names) <= set(DOCUMENT_INPUTS):  # a source column may be called anything
        words.append(digest(list(names))[:8])
    return "_".join(words)


def bucket_of(id_sql: str) -> str:
    """Return SQL of the bucket, 0 to BUCKETS - 1, of an id."""
    return f"pmod(xxhash64({id_sql}), {BUCKETS})"


def in_buckets(id_sql: str, buckets: Buckets) -> str:
    """Return SQL of whether an id lies in a slice, from its low bucket up to its end; true of all without a slice."""
    if buckets is None:
        return "true"
    return f"{bucket_of(id_sql)} BETWEEN {buckets[0]} AND {buckets[1] - 1}"


def text_of(sql: str) -> str:
    """Return SQL of a text; null where its bytes are not UTF-8, which no scorer could read."""
    text = f"CAST(({sql}) AS STRING)"
    return f"IF(CAST({text} AS BINARY) = encode({text}, 'UTF-8'), {text}, NULL)"


def joined_columns(documents: Documents, keys: Sequence[str]) -> list[Column]:
    """Return the source columns that stand beside scores in `where:` and selectors; names of scores and the id win.

    First the keys: SQL of the id, and of ROW_HASH where ids may be repeated.
    """
    taken = {"id", "content_hash", *(name.lower() for name in documents.recipe.scores)}
    named = (quoted_name(c) for c in documents.frame.columns if c.lower() not in taken)
    return [F.expr(sql) for sql in (*keys, *named)]
