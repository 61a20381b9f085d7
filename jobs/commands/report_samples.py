"""Samples of the sets that a report compares: by a threshold on a hash of the id, not by an order over all rows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from pyspark.sql import DataFrame, Window
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


def first_texts(rows: DataFrame, salt: str, most: int) -> pd.DataFrame:
    """Return h, id, set and text of the first texts of each set, by h, a hash of the id, until there are `most` bytes.

    Parameters
    ----------
    rows : DataFrame
        `set`, `id`, and `text`.
    """
    before = Window.partitionBy("set").orderBy("h", "id").rowsBetween(Window.unboundedPreceding, -1)
    size = F.coalesce(F.sum(F.octet_length("text")).over(before), F.lit(0))
    counted = rows.withColumn("h", F.xxhash64("id", F.lit(salt))).withColumn("before", size)
    return counted.where(F.col("before") < most).select("set", "h", "id", "text").toPandas().sort_values(["h", "id"])
