"""plan --probe: how long a row takes each score, measured on a sample of the documents, by Spark's workers as in a run.

Rows are drawn by the hash of their id. What learns from targets is fitted on them, as in a run; what learns from
documents is fitted on the sample alone, for the time that a row takes follows from its parameters. Nothing is written.
Left out: scores that are computed on demand, conditions of scores, and the time that fits take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.fitted import FittedScore
from ...udfs.spark import apply
from ..inputs.documents import BUCKETS, Documents, in_buckets
from ..lake.tables import Lake
from ..lake.tuning import collect_small, cores, settings
from ..ranking.vectors import collect_arrow
from ..recipe import order
from ..scoring.passes import passes
from .scored_rows import ScoredRows

#: Rows of the sample, what their texts take at most, about, and the CPU-seconds that one score gets at most, about.
PROBE_ROWS, PROBE_BYTES, PROBE_SECONDS = 1_000, 16_000_000, 5.0
#: Fewest rows for a slow score, and how often a sample is scored: the least time counts.
FEWEST, TIMES = 20, 2
#: Rows of a batch that a worker gets: a sample is two batches a task, the same rows twice.
BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"
#: Bytes of a table's files are this many times fewer than those of its texts.
PACKED = 4


@dataclass(frozen=True)
class Measures:
    """What a probe of `rows` rows says: CPU-seconds a row by score, and why it says nothing of others."""

    rows: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)


def probe(lake: Lake, documents: Documents, names: Sequence[str], count: int | None) -> Measures:
    """Return the measured rates of the scores `names`; `count` is the number of documents, if that is known."""
    return _Probe(lake, documents, names, count).measures() if names else Measures()


class _Probe:
    """One sample, and how long its rows take."""

    def __init__(self, lake: Lake, documents: Documents, names: Sequence[str], count: int | None) -> None:
        self.lake, self.documents, self.recipe, self.count = lake, documents, documents.recipe, count
        self.names = [n for n in order(self.recipe) if n in self._with_parents(names)]
        self.wanted = set(names)

    def measures(self) -> Measures:
        """Fit what can be fitted, and time it."""
        self.on.each(self.names, self.on.fit)
        seconds: dict[str, float] = {}
        timed = [self._score(n) for n in self.names if n not in self.on.unknown]
        for group in passes(timed):
            if self.wanted & {s.name for s in group}:
                seconds |= self._time(group)
        kept = {n: s for n, s in seconds.items() if n in self.wanted}
        return Measures(self.local.num_rows, kept, {n: w for n, w in self.on.unknown.items() if n in self.wanted})

    # -- the sample ------------------------------------------------------------------------------------------------

    @cached_property
    def drawn(self) -> DataFrame:
        """The rows: id, h, and what the scores read of the documents."""
        wanted = PROBE_ROWS
        if self.count and (size := self.lake.size(self.recipe.documents.table)):
            wanted = max(FEWEST, min(wanted, PROBE_BYTES * self.count // (PACKED * size)))
        inputs = tuple(dict.fromkeys(i for n in self.names for i in self.recipe.source_inputs(n)))
        share = min(1.0, 1.5 * wanted / self.count) if self.count else 1.0
        within = in_buckets(self.documents.id, (0, math.ceil(share * BUCKETS)))
        rows = self.documents.frame.where(within).selectExpr(
            f"{self.documents.id} AS id", f"xxhash64({self.documents.id}) AS h", *self.documents.inputs(inputs)
        )
        return collect_small(rows.where("id IS NOT NULL").orderBy("h").limit(wanted), wanted)

    @cached_property
    def local(self) -> pa.Table:
        """The same on the driver."""
        return collect_arrow(self.drawn).combine_chunks()

    @cached_property
    def on(self) -> ScoredRows:
        """The same with what was fitted on them."""
        return ScoredRows(self.lake, self.documents, self.local)

    def _with_parents(self, names: Sequence[str]) -> set[str]:
        found = list(names)
        for name in found:  # grows while it is read
            found += [i for i in self.recipe.scores[name].inputs if i in self.recipe.scores and i not in found]
        return set(found)

    # -- time ------------------------------------------------------------------------------------------------------

    def _score(self, name: str) -> FittedScore:
        return FittedScore(name, self.on.scorers[name], name, "content_hash")

    def _time(self, group: Sequence[FittedScore]) -> dict[str, float]:
        """Return the seconds a row of the scores of a pass; what they read is computed beside them."""
        names = self._with_parents([s.name for s in group])
        scores = [self._score(n) for n in self.names if n in names]
        slowest = max(s.scorer.seconds_per_row for s in scores)
        rows = max(FEWEST, min(self.local.num_rows, int(PROBE_SECONDS / slowest)))
        mask = F.lit((1 << len(scores)) - 1).alias("missing")
        frame = self.drawn.orderBy("h").limit(rows).select("*", mask, F.lit("").alias("content_hash"))
        spark, tasks = self.lake.spark, cores(self.lake.spark)
        turns = F.explode(F.array(F.lit(0), F.lit(1))).alias("turn")
        twice = frame.repartition(tasks).select("*", turns).sortWithinPartitions("turn")
        computed = apply(twice, scores).select("fingerprint", "seconds", F.spark_partition_id().alias("part"))
        seconds: dict[str, float] = {}
        with settings(spark, {BATCH: str(math.ceil(rows / tasks))}):
            for table in (computed.toPandas() for _ in range(TIMES)):
                for name, own in table.groupby("fingerprint"):
                    mean = warm_seconds(own["part"].to_numpy(), own["seconds"].to_numpy())
                    seconds[str(name)] = min(mean, seconds.get(str(name), mean))
        return {s.name: seconds[s.name] for s in group if s.name in seconds}


def warm_seconds(part: npt.NDArray[Any], seconds: npt.NDArray[Any]) -> float:
    """Return the mean seconds a row, without the first batch of each task, in which a worker loads what it needs.

    Parameters
    ----------
    part, seconds : (rows,)
        The task of a row, and in the first row of a batch the seconds that it took, else 0; in order.

    Examples
    --------
    >>> warm_seconds(np.array([0, 0, 0, 1, 1, 1]), np.array([9.0, 0.0, 2.0, 7.0, 4.0, 0.0]))
    2.0
    """
    kept = []
    for task in np.unique(part):
        own = seconds[part == task]
        later = np.flatnonzero(own)[1:2]
        kept += [own[int(later[0]) :]] if len(later) else []
    return float(np.concatenate(kept).mean()) if kept else float(seconds.mean())
