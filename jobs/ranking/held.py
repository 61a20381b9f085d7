"""A table of vectors that fits is held on the driver while a model is fitted: its folds run there, not in Spark.

A fold gives the same bits however its rows are split, so what is learnt does not depend on where it runs. Reading
200 MB once takes what one pass of Spark over them takes, and a fit makes ten.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import TYPE_CHECKING, Any

from ...udfs.arrow import fold_batches
from ...udfs.scorer import Fold
from .vectors import collect_arrow

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Bytes of vectors and hashes up to which a table is held.
HELD_BYTES = 512_000_000


class Held:
    """The columns of a table of vectors, as Arrow on the driver."""

    def __init__(self, frame: DataFrame) -> None:
        self.table = collect_arrow(frame).combine_chunks()

    def fold(self, fold: Fold[Any], columns: tuple[str, ...]) -> Any:
        """Return the state of a fold over these columns, one part of the rows for every core."""
        threads = os.cpu_count() or 1
        rows = -(-self.table.num_rows // threads)
        parts = self.table.select(list(columns)).to_batches(max_chunksize=max(rows, 1))
        with ThreadPoolExecutor(threads) as pool:
            states = list(pool.map(lambda part: fold_batches(fold, [part]), parts))
        return reduce(fold.merge, (s for s in states if s is not None), fold.zero())


def fits(rows: int, width: int) -> bool:
    """Tell whether so many vectors of 4-byte numbers, with their hashes, are held."""
    return rows * (4 * width + 8) <= HELD_BYTES
