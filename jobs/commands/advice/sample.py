"""The rows that advice is given from: eligible documents with the smallest hashes of their ids, and their values.

Spark collects their texts once; scores are computed on the driver and for these rows alone, or read from `memos`.
Hashes make the sample the same for any partitioning. Left out: scores that take minutes, unless an earlier run has
their values; weights of any kind, every eligible row counts once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ....udfs.arrays import Floats, Matrix
from ....udfs.encoding import is_published
from ....udfs.errors import InputError, RecipeError, nearest
from ....udfs.quoting import quoted, quoted_name, root_of
from ....udfs.scores.embedding import Embedding
from ...inputs.columns import expression_types
from ...inputs.documents import BUCKETS, Documents, in_buckets
from ...lake.counts import known_rows
from ...lake.tables import Lake
from ...ranking.vectors import collect_arrow
from ...recipe.clauses import clauses
from ...recipe.recipe import mentions
from .sampled_rows import NOT_NUMBERS, SampledRows, column_name

#: Rows of the sample unless others are asked for, and the most.
ROWS, MOST_ROWS = 4_000, 20_000
#: Documents that are read at most for a row of the sample, and about the bytes of their texts.
DRAWN, DRAWN_BYTES = 5, 200_000_000
#: Bytes of a table's files are this many times fewer than those of its texts.
PACKED = 4


@dataclass(frozen=True)
class Sample:
    """Eligible rows in order of the hash of their id.

    Parameters
    ----------
    documents, eligible : int
        Rows of the pool, and about how many of them `where:` lets in.
    ids, texts : (n,)
        A text is None where it is no UTF-8, or null.
    vectors : (n, 256) float32
        Of wordllama, of length 1; NaN where a row has none.
    numbers : mapping of str to (n,) float64
        Scores and numeric columns by the names that the recipe calls them; NaN where undefined.
    unknown : mapping of str to str
        Why there are no values of a score.
    """

    documents: int
    eligible: int
    ids: list[str]
    texts: list[str | None]
    vectors: Matrix
    numbers: dict[str, Floats]
    unknown: dict[str, str] = field(default_factory=dict)


def draw_sample(lake: Lake, documents: Documents, rows: int, names: Sequence[str]) -> Sample:
    """Return a sample of the documents that `where:` lets in.

    Parameters
    ----------
    rows : int
        Rows that are wanted; fewer, if there are fewer, or if few of those drawn are let in.
    names : sequence of str
        What is wanted as numbers: scores, score.field, source columns.

    Raises
    ------
    InputError
        If there is no document, or none that is let in, or `where:` reads a score that the sample cannot have.
    RecipeError
        If a name is none of a score or numeric column.
    PlatformError
        If wordllama is missing here.
    """
    Embedding().check_machine()
    return _Draw(lake, documents, names).drawn(rows)


class _Draw:
    """One draw: what stands in `where:` and is asked of the table at once, and the scores of the rows drawn."""

    def __init__(self, lake: Lake, documents: Documents, names: Sequence[str]) -> None:
        self.lake, self.documents, self.recipe = lake, documents, documents.recipe
        own = ("id", "content_hash", *self.recipe.scores)
        parts = clauses(self.recipe.where) if self.recipe.where else []
        self.early = [p for p in parts if not any(mentions(p, name) for name in own)]
        self.late = [p for p in parts if p not in self.early]
        numeric = [n for n, s in self.recipe.scores.items() if s.kind not in NOT_NUMBERS and _is_number(s.value)]
        self.names = list(dict.fromkeys([*numeric, *names]))
        self.columns = [n for n in self.names if root_of(n) not in self.recipe.scores]

    def drawn(self, rows: int) -> Sample:
        count = self.count
        if not count:
            raise InputError(
                f"{self.recipe.documents.table} has no rows"
                + (f" for which {' AND '.join(self.early)} holds" if self.early else "")
                + ", so there is nothing to advise on; add documents, or widen where:"
            )
        most, share = self._most(rows), min(1.0, 1.5 * rows / count)
        while True:
            on = SampledRows(self.lake, self.documents, self._read(share, most))
            drawn = on.rows.num_rows
            on.compute([n for n in self.recipe.scores if any(mentions(p, n) for p in self.late)])
            kept = on.satisfying(" AND ".join(f"({p}\n)" for p in self.late))
            if kept.sum() >= rows or share >= 1 or drawn >= most:
                break
            share = min(1.0, 8 * share)
        if not kept.any():
            raise InputError(
                f"none of {drawn:,} documents that were drawn is let in by where: {self.recipe.where!r}, so there is "
                "nothing to advise on; widen it"
            )
        places = np.flatnonzero(kept)[:rows]
        return self._of(on.at(places), round(count * float(kept.mean())))

    def _of(self, on: SampledRows, eligible: int) -> Sample:
        """Return rows with all their values."""
        on.compute([n for n in self.recipe.scores if n in map(root_of, self.names)])
        texts: list[str | None] = on.column("text").to_pylist()
        there = [i for i, text in enumerate(texts) if text is not None]
        vectors = np.full((len(texts), Embedding().width), np.nan, np.float32)
        if there:
            vectors[there] = Embedding().kernel()([texts[i] for i in there])
        numbers = {n: on.numbers(n) for n in self.names if root_of(n) not in on.unknown}
        known, ids = self._rows() if self.early else self.count, on.rows.column("id").to_pylist()
        return Sample(known, eligible, ids, texts, vectors, numbers, on.unknown)

    # -- rows ------------------------------------------------------------------------------------------------------

    @cached_property
    def count(self) -> int:
        """Documents that satisfy what `where:` asks of source columns alone."""
        return self._let_in().count() if self.early else self._rows()

    def _rows(self) -> int:
        """Return the rows of the documents."""
        known = known_rows(self.lake, self.recipe.documents.table, self.documents.state.version)
        return self.documents.frame.count() if known is None else known

    def _let_in(self) -> DataFrame:
        condition = " AND ".join(f"({p}\n)" for p in self.early) or "true"
        return self.documents.frame.where(condition).where(f"{self.documents.id} IS NOT NULL")

    def _most(self, rows: int) -> int:
        """Return how many documents may be drawn."""
        size = self.lake.size(self.recipe.documents.table)
        by_size = DRAWN_BYTES * self.count // (PACKED * size) if size else DRAWN * rows
        return max(100, min(DRAWN * rows, by_size))

    def _read(self, share: float, most: int) -> pa.Table:
        """Return id, h, content hashes, inputs of scores and wanted columns of rows, the lowest buckets first."""
        documents, recipe = self.documents, self.recipe
        inputs = tuple(dict.fromkeys(["text", *(i for n in recipe.scores for i in recipe.source_inputs(n))]))
        numbers = [f"CAST({quoted(n)} AS DOUBLE) AS {quoted_name(column_name(n))}" for n in self._checked_columns()]
        hashes = [f"{sql} AS {name}" for name, sql in documents.hashes.items()]
        id_and_hash = f"{documents.id} AS id", f"xxhash64({documents.id}) AS h"
        within = in_buckets(documents.id, (0, math.ceil(share * BUCKETS)))
        rows = self._let_in().where(within).selectExpr(*id_and_hash, *hashes, *documents.inputs(inputs), *numbers)
        table = collect_arrow(
            rows.orderBy(F.expr(f"pmod(h, {BUCKETS})"), "h", "id", *documents.hashes).limit(most)
        ).combine_chunks()
        ids = table.column("id").to_pylist()
        first = {key: i for i, key in reversed(list(enumerate(ids)))}
        return table.take(pa.array(sorted(first.values()), pa.int64())).combine_chunks()

    def _checked_columns(self) -> list[str]:
        """Return the numbers that are read of the table; RecipeError for one that is no number."""
        frame = self.documents.frame
        for name in self.columns:
            if root_of(name).lower() not in {column.lower() for column in frame.columns}:
                raise RecipeError(
                    f"{name!r} is no score or column; {nearest(name, [*self.recipe.scores, *frame.columns])}"
                )
            kind = expression_types(frame, {name: quoted(name)})[name]
            if not isinstance(kind, T.NumericType | T.BooleanType):
                raise RecipeError(f"{name!r} is {kind.simpleString()[:40]}, not a number; name a column of numbers")
        return self.columns


def _is_number(ddl: str) -> bool:
    return is_published(ddl) and not ddl.startswith(("array<", "struct<")) and ddl not in ("string", "boolean")
