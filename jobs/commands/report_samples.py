"""Samples of the sets that a report compares: by a threshold on a hash of the id, not by an order over all rows."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def sample_of_sets(rows: DataFrame, members: DataFrame, counts: Mapping[str, int], salt: str, most: int) -> DataFrame:
    """Return about `most` rows of each set, with the name of the set as `set`.

    Parameters
    ----------
    rows : DataFrame
        `id` of every document, and columns.
    members : DataFrame
        `set` and `id` of the sets but the pool, which all rows are.
    counts : mapping
        Rows of every set, "pool" among them; other sets are left out.
    salt : str
        Another one gives another sample.
    """
    millionth = F.pmod(F.xxhash64("id", F.lit(salt)), F.lit(1_000_000))
    limits = {s: math.ceil(1e6 * min(1.0, most / max(1, n))) for s, n in counts.items()}
    limit = F.coalesce(*(F.when(F.col("set") == s, n) for s, n in limits.items()))
    some = members.where(millionth < limit)
    pool = rows.where(millionth < limits["pool"]).withColumn("set", F.lit("pool"))
    return pool.unionByName(rows.join(F.broadcast(some), "id", "inner"))
