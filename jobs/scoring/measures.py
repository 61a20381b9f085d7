"""Counts rows and kernel seconds of each score while a unit is written, without another query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.fitted import FittedScore
from ..lake.observed import measuring


@dataclass(frozen=True)
class Measured:
    """Rows that were computed for one score, and the seconds that its kernel took, added up over the workers."""

    rows: int = 0
    seconds: float = 0.0

    def __add__(self, other: Measured) -> Measured:
        """Return the sum of two units."""
        return Measured(self.rows + other.rows, self.seconds + other.seconds)


def observed(frame: DataFrame, scores: Sequence[FittedScore]) -> tuple[DataFrame, Callable[[], dict[str, Measured]]]:
    """Return the frame without `seconds`, and a function that gives the measures after it was written, {} if unknown.

    Parameters
    ----------
    frame : DataFrame
        As udfs.spark.apply returns it.
    """
    measures = []
    for i, score in enumerate(scores):
        mine = F.col("fingerprint") == F.lit(score.fingerprint)
        measures.append(F.count(F.when(mine, 1)).alias(f"rows_{i}"))
        measures.append(F.sum(F.when(mine, F.col("seconds"))).alias(f"seconds_{i}"))
    written, delivered = measuring(frame, *measures)

    def measured() -> dict[str, Measured]:
        counts = delivered()
        if not counts:
            return {}
        rows = {s.name: (counts[f"rows_{i}"], counts[f"seconds_{i}"]) for i, s in enumerate(scores)}
        return {name: Measured(int(count), float(seconds or 0)) for name, (count, seconds) in rows.items()}

    return written.drop("seconds"), measured
