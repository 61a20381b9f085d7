"""mig: rows whose labels add most information, on a graph of labels (MIG, arXiv 2504.13835).

    E(S) = sum over labels k of phi((A sum over rows i of S of quality_i x (1 for the labels of i, 0 for others))_k)

Greedy by the gradient of E (udfs/kernels/label_gains.py), exact. Up to 2 GB of rows are held on the driver; above it
the same greedy runs over passes on Spark (jobs/ranking/label_passes.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.arrays import Floats
from ...udfs.constraints import AtLeast, Range
from ...udfs.errors import BoundError, InputError
from ...udfs.kernels.information_gain import information_gain, knee
from ...udfs.kernels.label_gains import GradientGain, propagation
from ...udfs.quoting import quoted
from ...udfs.scores._label_model import LabelModel
from ..ranking.label_passes import greedy_by_passes
from ..ranking.label_rows import ROW_BYTES, collect_labels, label_bytes
from ..ranking.sort_keys import numeric_column
from ..ranking.vectors import VECTOR_BYTES
from .needs import Fitted, Need, Number, Turns
from .selector import Pool, Selector, picks, places_of

#: Distinct rows that a pass on Spark brings.
PASS_ROWS = 200_000
#: Shares of the picks at which the notes say the objective.
SHOWN = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Mig(Selector):
    """Greedy information gain; `gain` is that of the row when it was picked, and never rises.

    Rows without labels or with quality 0 have gain 0 and come last.

    Parameters
    ----------
    labels : str
        Score of kind labels or tags.
    quality : str, optional
        Score, score.field or source column, at least 0; a list is taken for one number a turn. 1 for all without it.
    turns : {"mean", "sum"}
        What a list of turns counts as.
    alpha : float, default 1.0
        How much information spreads to neighbours; 0 is no graph.
    phi : {"pow", "exp"}
        How information saturates: (x + 1e-6)^power, or 1 - exp(-x).
    power : float, default 0.8
    gain : {"gradient", "exact"}
        As the paper's code has it, or E(S + i) - E(S), another selector.
    normalise : bool, default False
        Divide the quality of a row by its number of labels.
    per : str, optional
        Score or column above 0, such as a length in tokens: rows are ranked by gain per unit of it.
    compare : bool, default False
        Note the share of picks that the graph changes.
    """

    kind: ClassVar[str] = "mig"
    reads = {"quality": Turns, "per": Number}
    starts = True
    extra_columns = (("information", "DOUBLE", "objective E of all rows picked up to this one; rises with the rank"),)

    labels: str
    quality: str | None = None
    turns: Literal["mean", "sum"] = "mean"
    alpha: Annotated[float, AtLeast(0)] = 1.0
    phi: Literal["pow", "exp"] = "pow"
    power: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 0.8
    gain: Literal["gradient", "exact"] = "gradient"
    normalise: bool = False
    per: str | None = None
    compare: bool = False

    @property
    def needs(self) -> tuple[Need, ...]:
        """The labels, and what it reads beside them."""
        return (Fitted(self.labels, ("labels", "tags")), *super().needs)

    def driver_bytes(self, rows: int, _width: int, /) -> int:
        """Return the bytes of the rows without their labels, of which nobody knows how many there are."""
        return min(rows * ROW_BYTES, VECTOR_BYTES)

    def most_rows(self, _width: int, /) -> int | None:
        """Return the rows that fit without their labels; only exact gains must fit."""
        return VECTOR_BYTES // ROW_BYTES if self.gain == "exact" else None

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; the seed decides ties.

        Raises
        ------
        InputError
            If a quality is negative or infinite, or a cost not above 0.
        BoundError
            If exact gains are asked for of more rows than the driver holds.
        """
        rows = pool.rows.select("id", F.col(quoted(self.labels)).alias("labels"), *self._columns(pool.rows))
        size = label_bytes(rows, "labels")
        if size <= VECTOR_BYTES:
            chosen = self._on_driver(rows, pool, size)
        elif self.gain == "exact":
            raise BoundError(
                f"mig: exact gains of these rows take {size:,} bytes on the driver, the bound is {VECTOR_BYTES:,}: "
                "select from fewer rows with where:, or use gain: gradient"
            )
        else:
            chosen = self._on_spark(rows, pool)
        self._note(chosen["information"].to_numpy(dtype=float), pool)
        return chosen

    def _columns(self, rows: DataFrame) -> list[Column]:
        """Return quality and cost as double columns."""
        quality = F.lit(1.0) if self.quality is None else _turns(rows, self.quality, self.turns)
        if self.normalise:
            quality = quality / F.greatest(F.size(quoted(self.labels)), F.lit(1))
        cost = F.lit(1.0) if self.per is None else numeric_column(rows, self.per)
        return [quality.alias("quality"), cost.alias("cost")]

    def _graph(self, pool: Pool, alpha: float) -> Any:
        model = cast(LabelModel, pool.fitted[self.labels])
        return propagation(model.size, model.a, model.b, model.weight.astype(np.float64), alpha)

    def _on_driver(self, rows: DataFrame, pool: Pool, size: int) -> pd.DataFrame:
        columns = {name: F.col(name) for name in ("quality", "cost")}
        held = collect_labels(rows, "labels", pool.seed, size, **columns)
        quality, cost = (held.rows[name].to_numpy(float) for name in columns)
        self._check(held.rows["id"], quality, cost)
        start = places_of(pool.start, held.rows["id"])

        def greedy(alpha: float) -> Any:
            graph = self._graph(pool, alpha)
            parts = held.labels, held.offsets, quality, graph, pool.budget, self.gain, self.phi, self.power
            return information_gain(*parts, cost, start)

        found = greedy(self.alpha)
        if self.compare:
            other = greedy(0.0)
            changed = 1 - len(np.intersect1d(found.order, other.order)) / max(len(found.order), 1)
            pool.note(f"the graph changes {100 * changed:.0f} % of the picks")
        chosen = picks(held.rows["id"].iloc[found.order], pd.Series(found.gains))
        return chosen.assign(information=found.information)

    def _on_spark(self, rows: DataFrame, pool: Pool) -> pd.DataFrame:
        complete = rows.dropna()
        most = "double('infinity')"
        bad = complete.where(f"NOT (quality >= 0 AND quality < {most} AND cost > 0 AND cost < {most})")
        for row in bad.limit(1).collect():
            self._check(pd.Series([row["id"]]), np.array([row["quality"]]), np.array([row["cost"]]))
        if self.compare:
            pool.note("compare: true is left out, because these rows are more than the driver holds")
        state = GradientGain(self._graph(pool, self.alpha), self.phi, self.power)
        chosen = greedy_by_passes(complete, state, pool.start, pool.budget, pool.seed, PASS_ROWS)
        frame = pd.DataFrame(chosen, columns=["id", "gain", "information"])
        return picks(frame["id"], frame["gain"]).assign(information=frame["information"])

    def _check(self, ids: pd.Series[str], quality: Floats, cost: Floats) -> None:
        for name, values, bad, need in (
            (self.quality, quality, ~((quality >= 0) & np.isfinite(quality)), "from 0"),
            (self.per, cost, ~((cost > 0) & np.isfinite(cost)), "above 0"),
        ):
            if bad.any():
                i = int(bad.argmax())
                raise InputError(
                    f"mig: {name!r} of id {ids.iloc[i]!r} is {values[i]}; a finite number {need} is needed: leave such "
                    "rows out with where:"
                )

    def _note(self, information: Floats, pool: Pool) -> None:
        """Say how the objective grows with the picks."""
        if not len(information):
            return
        counts = sorted({max(1, round(share * len(information))) for share in SHOWN})
        curve = ", ".join(f"{information[n - 1]:,.4g} at {n:,}" for n in counts)
        pool.note(f"information by picks: {curve}; the knee is at {knee(information):,}")


def _turns(rows: DataFrame, name: str, turns: str) -> Column:
    """Return a number a row: the column, or mean or sum of its list; null if an element is null or NaN."""
    kind = rows.select(F.col(quoted(name))).schema[0].dataType
    if not isinstance(kind, T.ArrayType):
        return numeric_column(rows, name)
    values = F.col(quoted(name)).cast("array<double>")
    total = F.aggregate(values, F.lit(0.0), lambda a, b: a + b)
    value = total / F.size(values) if turns == "mean" else total
    return F.when((F.size(values) > 0) & ~F.isnan(total), value)
