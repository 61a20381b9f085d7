"""Rows of a sample with values of scores that are computed once, or read from `memos`, and conditions over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import Row
from pyspark.sql import functions as F

from ....udfs.arrays import Flags, Floats, Positions
from ....udfs.arrow import arrow_type, placed
from ....udfs.encoding import value_sql
from ....udfs.errors import InputError
from ....udfs.quoting import parts_of, quoted_name, root_of
from ....udfs.scorer import Scorer, fingerprint
from ...inputs.documents import Documents, hash_name, joined_columns
from ...lake.schemas import MEMOS
from ...lake.tables import Lake
from ...recipe.recipe import mentions
from ..scored_rows import ScoredRows

#: Seconds that one score may take for the sample.
SECONDS = 30.0
#: Kinds of scores that are no number of a row by themselves.
NOT_NUMBERS = ("embedding", "kmeans")


def column_name(name: str) -> str:
    """Return the column of the rows that holds a number of the documents."""
    return f"number {name}"


class SampledRows(ScoredRows):
    """Rows with `id`, content hashes and numbers of the documents beside what scores read."""

    def __init__(self, lake: Lake, documents: Documents, rows: pa.Table) -> None:
        super().__init__(lake, documents, rows)
        self.recipe = documents.recipe

    def at(self, places: Positions) -> SampledRows:
        """Return the rows at some places with what is known of them."""
        taken = pa.array(places)
        some = SampledRows(self.lake, self.documents, self.rows.take(taken).combine_chunks())
        some.scorers, some.values = dict(self.scorers), {n: v.take(taken) for n, v in self.values.items()}
        some.unknown = self.unknown
        return some

    def satisfying(self, sql: str) -> Flags:
        """Return which rows satisfy a condition over scores that are known and source columns, (rows,) bool."""
        ids = self.rows.column("id").to_pylist()
        if not sql or not ids:
            return np.ones(len(ids), bool)
        for name, why in self.unknown.items():
            if mentions(sql, name):
                raise InputError(f"where: reads the score {name}, which the sample does not have: {why}")
        there = [n for n in self.values if mentions(sql, n)]
        kinds = ["id string", *(f"{quoted_name(n)} {self.recipe.scores[n].value}" for n in there)]
        table = pa.table({"id": ids, **{n: self.values[n] for n in there}})
        frame = self.lake.spark.createDataFrame(table.to_pylist(), ", ".join(kinds))
        if named := [c for c in self.documents.frame.columns if c in self.documents.named and mentions(sql, c)]:
            source = self.documents.frame.select(*joined_columns(self.documents, self.documents.keys[:1]))
            columns = (quoted_name(c) for c in source.columns if c == "id" or c in named)
            frame = source.select(*columns).join(F.broadcast(frame), "id", "inner")
        let_in = {row["id"] for row in frame.where(sql).select("id").collect()}
        return np.array([key in let_in for key in ids])

    def compute(self, names: Sequence[str]) -> None:
        """Compute scores, and those that they read; `unknown` says why one cannot be."""
        wanted = list(names)
        for name in wanted:  # grows while it is read
            wanted += [n for n in self.recipe.scores_read(name) if n not in wanted]
        self.each([n for n in wanted if n not in self.values], self._compute)

    def _compute(self, name: str) -> None:
        """Compute the values of a score, null where its own `where:` does not hold."""
        scorer = self.scorers.get(name) or self.fit(name)
        condition = self.recipe.score_where.get(name)
        places = np.flatnonzero(self.satisfying(condition)) if condition else np.arange(self.rows.num_rows)
        asked = self.at(places) if condition else self
        slow = scorer.seconds_per_row * len(places) > SECONDS and scorer.kind not in NOT_NUMBERS
        values = asked._remembered(name, scorer) if slow else asked.column(name)
        self.values[name] = placed(values, places, self.rows.num_rows) if condition else values

    def _remembered(self, name: str, scorer: Scorer) -> pa.Array:
        """Return values that an earlier run has computed; InputError where too many are not there to compute them."""
        ids = self.rows.column("id").to_pylist()
        hashes = self.rows.column(hash_name(self.recipe.source_inputs(name))).to_pylist()
        known: dict[tuple[str, str], object] = {}
        if self.lake.version(MEMOS) is not None:
            key = self._fingerprint(scorer)
            rows = self.lake.read(MEMOS).where(f"fingerprint = '{key}'")
            few = self.lake.spark.createDataFrame([(i,) for i in ids], "id string")
            rows = rows.join(F.broadcast(few), "id", "left_semi")
            value = F.expr(value_sql(scorer.value)).alias("value")
            for row in rows.select("id", "content_hash", value).collect():
                known[row[0], row[1]] = row[2].asDict() if isinstance(row[2], Row) else row[2]
        found = [known.get(pair) for pair in zip(ids, hashes, strict=True)]
        lacking = sum(pair not in known for pair in zip(ids, hashes, strict=True))
        if lacking * scorer.seconds_per_row > SECONDS:
            raise InputError(
                f"{lacking:,} of {len(ids):,} rows have no value yet, which would take about "
                f"{lacking * scorer.seconds_per_row:,.0f} seconds, more than {SECONDS:g}; lakesift score "
                f"{self.recipe.name} computes them, and advise reads what is there"
            )
        return self.column(name) if lacking else pa.array(found, arrow_type(scorer.value))

    def numbers(self, name: str) -> Floats:
        """Return a score, a field of one, or a column as float64, NaN where undefined."""
        if root_of(name) not in self.recipe.scores:
            values = self.rows.column(column_name(name)).combine_chunks()
        else:
            root, *fields = parts_of(name)
            values = self.values[root]
            for part in fields:
                values = values.field(part)
        numbers: Floats = values.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
        return np.where(np.isfinite(numbers), numbers, np.nan)

    def _fingerprint(self, scorer: Scorer) -> str:
        reads = {i: self._fingerprint(self.scorers[i]) for i in scorer.inputs if i in self.scorers}
        return fingerprint(scorer, reads)
