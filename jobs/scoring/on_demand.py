"""What a selector that asks is given: fitted scorers, and their values for the rows it names, computed when missing.

One mechanism for ZIP-FIT racing and for losses at cluster centres: what is computed lands in the same memos, so that
asking again, in this run or a later one, costs a read. The few rows of an ask are kept here and written together when
the selection is made, one commit a table; many are written unit by unit, as any score.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import pandas as pd

from ...udfs.errors import LakeSiftError
from ...udfs.scorer import Scorer, fingerprint
from ..inputs.documents import hash_name
from ..lake.commits import Commit
from ..lake.manifest import Manifest, Step
from ..lake.schemas import Table
from ..lake.tables import retry_on_conflict
from ..ranking.sort_keys import column_of
from ..ranking.top import collect_pandas as pull
from .memos import UNIT_TRIES, Memos, Scored, memo_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Rows of an ask up to which it is one job and its values are kept on the driver until the selection is made.
ASK_ROWS = 200_000


class Asking:
    """The `ask` of one selection over `rows`, the eligible documents with all columns that may be asked for.

    A context: on leaving it what was computed is written, also when the selector refused its input.
    """

    def __init__(self, memos: Memos, rows: DataFrame, manifest: Manifest) -> None:
        self.memos, self.rows, self.manifest = memos, rows, manifest
        self._made: dict[str, list[tuple[Scored, pd.DataFrame, Step]]] = {}  # by table

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None or issubclass(kind, LakeSiftError):
            for made in self._made.values():
                self._keep(made)

    @property
    def fitted(self) -> dict[str, Scorer]:
        """The fitted scorers by name."""
        return {name: item.scorer for name, item in self.memos.scored.items()}

    def note(self, sentence: str) -> None:
        """Say something about the selection, in the run's manifest and at its end."""
        if sentence not in self.manifest.notes:
            self.manifest.notes.append(sentence)

    def __call__(self, what: str | Scorer, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return (id, value) of the rows with these ids, of all eligible rows with None; in any order.

        Parameters
        ----------
        what : str or Scorer
            The label of a score, a source column, or a fitted scorer of the selector's own.
        ids : sequence of str, optional
            They are broadcast: at most as many as a selection may have.
        """
        from pyspark.sql import functions as F

        wanted = self.rows.select("id") if ids is None else self._frame(ids)
        root, _, field = what.partition(".") if isinstance(what, str) else ("", "", "")
        if isinstance(what, str) and root not in self.memos.documents.recipe.on_demand_only():
            rows = self.rows.select("id", column_of(what).alias("value"))
            return pull(rows if ids is None else rows.join(F.broadcast(wanted), "id", "left_semi"))
        if field:
            whole = self(root, ids)
            return whole.assign(value=whole["value"].map(lambda v: v and v[field]))
        item = self.memos.scored[root] if isinstance(what, str) else self._own(what)
        with self.manifest.step(f"ask {item.label}", item.table.name) as step:
            if (self.memos.documents_count if ids is None else len(ids)) <= ASK_ROWS:
                return self._few(item, wanted, step)
            self.memos.compute(item, None, step, within=wanted)
            step.rows = step.computed
        return pull(self.memos.values(item, within=wanted))

    def _frame(self, ids: Sequence[str]) -> DataFrame:
        return self.rows.sparkSession.createDataFrame(pd.DataFrame({"id": list(ids)}), "id string")

    def _own(self, scorer: Scorer) -> Scored:
        table = memo_table(scorer)
        self.memos.lake.create(table)
        return Scored(f"{scorer.kind} (asked)", scorer, fingerprint(scorer), table, hash_name(scorer.inputs))

    def _few(self, item: Scored, wanted: DataFrame, step: Step) -> pd.DataFrame:
        """Return the values of at most ASK_ROWS rows; what neither memo nor this run has is computed and held."""
        memos, made = self.memos, self._made.get(item.table.name, [])
        held = [rows for other, rows, _ in made if other.fingerprint == item.fingerprint]
        if memos.lake.last_write(item.table.name) is not None and not memos.live(item).isEmpty():
            held.append(pull(memos.values(item, within=wanted)))
        known = pd.concat([rows[["id", "value"]] for rows in held]) if held else None
        if known is not None:
            ids = pull(wanted)["id"]
            known, missing = known[known["id"].isin(ids)], ids[~ids.isin(known["id"])]
            wanted = self._frame(missing.tolist())
            if missing.empty:
                step.computed = 0
                step.unchanged(memos.lake.version(item.table.name))
                return known
        found = pull(memos.scores_of(item, wanted))
        step.rows = step.computed = len(found)
        self._made.setdefault(item.table.name, []).append((item, found, step))
        return found[["id", "value"]] if known is None else pd.concat([known, found[["id", "value"]]])

    def _keep(self, made: list[tuple[Scored, pd.DataFrame, Step]]) -> None:
        """Write what was computed for one memo table, but for what another run has written meanwhile."""
        rows = pd.concat([found.assign(fingerprint=item.fingerprint) for item, found, _ in made], ignore_index=True)
        lake, table = self.memos.lake, made[0][0].table
        types = f"id string, content_hash bigint, value {table.columns[-1].type}, fingerprint string"
        frame = lake.spark.createDataFrame(rows, types)
        commit = retry_on_conflict(f"ask {table.name}", lambda: self._append(table, frame), tries=UNIT_TRIES)
        for _, _, step in made:
            if commit is None:
                step.unchanged(lake.version(table.name))
            else:
                step.wrote(commit.version)

    def _append(self, table: Table, frame: DataFrame) -> Commit | None:
        key = ["id", "content_hash", "fingerprint"]
        new = frame.join(self.memos.lake.read(table.name).select(*key), key, "left_anti")
        return self.memos.lake.append(table, new, {"recipe": self.memos.documents.recipe.name})
