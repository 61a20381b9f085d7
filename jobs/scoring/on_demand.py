"""Computes scores on demand, for the ids a selector asks about, and stores them in `memos`.

One mechanism for ZIP-FIT racing and for losses at cluster centres: asking again, in this run or a later one, costs a
read. The few rows of a question are kept on the driver and written together when the selection is made; many are
written unit by unit, as any score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.encoding import MEMO, MEMO_NAMES, value_sql
from ...udfs.errors import LakeSiftError
from ...udfs.fitted import FittedScore
from ...udfs.quoting import parts_of
from ...udfs.scorer import Scorer, fingerprint
from ..inputs.documents import hash_name
from ..inputs.run import Run, id_frame
from ..lake.commits import Commit
from ..lake.manifest import Step
from ..lake.schemas import MEMOS, memos
from ..lake.tables import retry_on_conflict
from ..ranking.sort_keys import column_of
from .memos import memo_rows, values
from .passes import UNIT_TRIES, compute
from .rows import Source

#: Rows of a question up to which it is one job and its values stay on the driver until the selection is made.
KEPT_ROWS = 200_000


class OnDemand:
    """The values of one selection over `rows`, the eligible documents with every column that may be asked for.

    A context: on leaving it, what was computed is written, also when the selector refused its input.
    """

    def __init__(self, run: Run, fitted: Mapping[str, FittedScore], rows: DataFrame) -> None:
        self.run, self.fitted, self.rows = run, fitted, rows
        self._on_demand = run.recipe.on_demand_only()
        self._computed: list[tuple[FittedScore, pd.DataFrame, Step]] = []
        self._in_memos: dict[str, bool] = {}  # by fingerprint, when first asked
        #: Fingerprints of the selector's own scorers, which no recipe names: its commit does, so that they are kept.
        self.own: set[str] = set()

    def __enter__(self) -> OnDemand:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._computed and (kind is None or issubclass(kind, LakeSiftError)):
            self._write()

    def __call__(self, what: str | Scorer, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return (id, value) of the rows with these ids, of all eligible rows with None; in any order.

        Parameters
        ----------
        what : str or Scorer
            The name of a score, name.field, a source column, or a fitted scorer of the selector's own.
        ids : sequence of str, optional
            They are broadcast: at most as many as a selection may have.
        """
        wanted = self.rows.select("id") if ids is None else self._frame(ids)
        if not isinstance(what, str):
            own = FittedScore(what.kind, what, fingerprint(what), hash_name(what.inputs))
            self.own.add(own.fingerprint)
            return self._values(own, "", wanted, ids)
        name, *fields = parts_of(what)
        if name in self._on_demand:
            return self._values(self.fitted[name], ".".join(fields), wanted, ids)
        rows = self.rows.select("id", column_of(what).alias("value"))
        return (rows if ids is None else rows.join(F.broadcast(wanted), "id", "left_semi")).toPandas()

    def _values(self, score: FittedScore, field: str, wanted: DataFrame, ids: Sequence[str] | None) -> pd.DataFrame:
        """Return the values of a score, or of one field of it, after what is missing was computed."""
        many = self.run.hashes.summary.documents if ids is None else len(ids)
        with self.run.manifest.step(f"on demand: {score.name}", MEMOS) as step:
            if many <= KEPT_ROWS:
                rows = self._few(score, wanted, many, step)
            else:
                measured = compute(self.run, [score], self.fitted, within=wanted)[score.name]
                self._in_memos[score.fingerprint] = True
                step.rows = step.computed = measured.rows
                step.kernel = round(measured.seconds, 1)
                step.ends(self.run.lake.version(MEMOS), measured.rows > 0)
                rows = values(self.run, score, within=wanted).toPandas()
        if field:
            rows["value"] = [None if v is None else v[field] for v in rows["value"]]
        return rows[["id", "value"]]

    def _frame(self, ids: Sequence[str]) -> DataFrame:
        return id_frame(self.rows.sparkSession, ids)

    def _few(self, score: FittedScore, wanted: DataFrame, many: int, step: Step) -> pd.DataFrame:
        """Return the values of `many` rows, KEPT_ROWS at most; what neither `memos` nor this run has is computed."""
        kept = [rows for other, rows, _ in self._computed if other.fingerprint == score.fingerprint]
        if self._stored(score):
            kept.append(values(self.run, score, within=wanted).toPandas())
        if kept:
            known, ids = pd.concat([rows[["id", "value"]] for rows in kept]), wanted.toPandas()["id"]
            kept, absent = [known[known["id"].isin(ids)]], ids[~ids.isin(known["id"])]
            if absent.empty:
                step.computed = 0
                step.ends(self.run.lake.version(MEMOS))
                return kept[0]
            wanted, many = self._frame(absent.tolist()), len(absent)
        rows = self._compute(score, wanted, many)
        step.rows = step.computed = len(rows)
        step.kernel = round(float(rows["seconds"].sum()), 1)
        self._computed.append((score, rows, step))
        return pd.concat([*kept, rows])

    def _stored(self, score: FittedScore) -> bool:
        """Whether `memos` had any value of the score when it was first asked for: a look takes a third of a second."""
        if score.fingerprint not in self._in_memos:
            written = self.run.lake.last_write(MEMOS) is not None
            self._in_memos[score.fingerprint] = written and not memo_rows(self.run, [score]).isEmpty()
        return self._in_memos[score.fingerprint]

    def _compute(self, score: FittedScore, wanted: DataFrame, many: int) -> pd.DataFrame:
        """Compute the values of a few documents in one job: the columns of `memos`, and `value`."""
        parents = [self.fitted[i] for i in score.scorer.inputs if i in self.fitted]
        with Source(self.run, [score], self.fitted, wanted, parents).of_ids(many) as rows:
            return rows.select("*", F.expr(value_sql(score.scorer.value)).alias("value")).toPandas()

    def _write(self) -> None:
        """Write what was computed in one commit, but for what another run has written meanwhile."""
        run = self.run
        rows = pd.concat([r[list(MEMO_NAMES)] for _, r, _ in self._computed], ignore_index=True)
        frame = run.lake.spark.createDataFrame(rows, MEMO)
        scores = [score for score, _, _ in self._computed]
        commit = retry_on_conflict("scores on demand", lambda: self._append(frame, scores), tries=UNIT_TRIES)
        for _, _, step in self._computed:
            step.ends(commit.version if commit else run.lake.version(MEMOS), commit is not None)

    def _append(self, frame: DataFrame, scores: list[FittedScore]) -> Commit | None:
        key = ["id", "content_hash", "fingerprint"]
        new = frame.join(memo_rows(self.run, scores).select(*key), key, "left_anti")
        metadata = {"recipe": self.run.recipe.name, "fingerprints": sorted({s.fingerprint for s in scores})}
        return self.run.lake.append(memos(), new, metadata)
