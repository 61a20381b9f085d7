"""The documents of a recipe as a pinned frame: checked expressions, hashes, kept columns. No job starts here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...udfs.scorer import DOCUMENT_INPUTS, digest
from ..lake.commits import TableState
from ..recipe import Recipe

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: A slice of documents is a range of these buckets of the id hash.
BUCKETS = 65_536


@dataclass(frozen=True)
class Documents:
    """The documents of one run, pinned: `frame` is the source at its version, `keep` is output name -> SQL."""

    frame: DataFrame
    state: TableState
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
            for s in self.recipe.input_sets()
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


def hash_name(names: tuple[str, ...]) -> str:
    """Return the column of hashes that holds the content hash of these inputs.

    Examples
    --------
    >>> hash_name(("text",)), hash_name(("text", "my vector"))
    ('hash_text', 'hash_text_my_vector')
    """
    return "hash_" + "_".join(re.sub(r"\W", "_", n) for n in names)


def _hash(parts: list[str]) -> str:
    # xxhash64('a', NULL) = xxhash64(NULL, 'a'): null flags tell them apart.
    return f"xxhash64({', '.join(f'{p} IS NULL, {p}' for p in parts)})"


def text_of(sql: str) -> str:
    """Return SQL of a text; null where its bytes are not UTF-8, which no scorer could read."""
    text = f"CAST(({sql}) AS STRING)"
    return f"IF(CAST({text} AS BINARY) = encode({text}, 'UTF-8'), {text}, NULL)"


def joined_columns(documents: Documents) -> list[Column]:
    """Return the source columns that stand beside scores in `where:` and selectors: labels and the id win over them."""
    from pyspark.sql import functions as F

    taken = {"id", "content_hash", *(label.lower() for label in documents.recipe.scores)}
    columns = [F.expr(documents.id).alias("id"), F.expr(documents.row_hash()).alias("row_hash")]
    return columns + [F.col(f"`{c}`") for c in documents.frame.columns if c.lower() not in taken | {"row_hash"}]
