"""What a selector that asks is given: fitted scorers, and their values for the rows it names, computed when missing.

One mechanism for ZIP-FIT racing and for losses at cluster centres: what is computed lands in the same memos, so that
asking again, in this run or a later one, costs a read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..udfs.scorer import Scorer, fingerprint
from .lake.manifest import Manifest
from .memos import Memos, Scored, memo_table
from .roots import hash_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Asking:
    """The `ask` of one selection over `rows`, the eligible documents with all columns that may be asked for."""

    def __init__(self, memos: Memos, rows: DataFrame, manifest: Manifest) -> None:
        self.memos, self.rows, self.manifest = memos, rows, manifest

    def fitted(self, label: str) -> Scorer:
        """Return the fitted scorer of a label."""
        return self.memos.scored[label].scorer

    def note(self, sentence: str) -> None:
        """Say something about the selection, in the run's manifest and at its end."""
        if sentence not in self.manifest.notes:
            self.manifest.notes.append(sentence)

    def __call__(self, what: str | Scorer, ids: Sequence[str] | None = None) -> DataFrame:
        """Return (id, value) of the rows with these ids, of all eligible rows with None.

        Parameters
        ----------
        what : str or Scorer
            The label of a score, a source column, or a fitted scorer of the selector's own.
        ids : sequence of str, optional
            They are broadcast: at most as many as a selection may have.
        """
        from pyspark.sql import functions as F

        spark = self.rows.sparkSession
        wanted = self.rows.select("id") if ids is None else spark.createDataFrame([(i,) for i in ids], "id string")
        asked = self.memos.documents.recipe.asked()
        if isinstance(what, str) and what not in asked:
            value = F.col(what if "." in what else f"`{what}`").alias("value")
            rows = self.rows.select("id", value)
            return rows if ids is None else rows.join(F.broadcast(wanted), "id", "left_semi")
        if isinstance(what, str):
            item = self.memos.scored[what]
        else:
            name, table = f"{what.kind} (asked)", memo_table(what)
            item = Scored(name, what, fingerprint(what), table, hash_name(what.inputs))
            self.memos.lake.create(table)
        with self.manifest.step(f"ask {item.label}", item.table.name) as step:
            self.memos.compute(item, None, step, within=wanted)
            step.rows = step.computed
        return self.memos.values(item, within=wanted)
