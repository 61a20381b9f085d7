"""Sort keys, groups and bins as Spark columns: hashes, uniform and weighted draws, scores that may be ranked.

Randomness is a function of (seed, id) alone, the same bits on every engine; nothing here runs a job. So two draws of
one seed are nearly the same draw: selectors draw with `Pool.draw_seed`, which has a salt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.errors import InputError, nearest
from ...udfs.quoting import quoted

#: Groups that an error lists, the largest ones.
LISTED_GROUPS = 20


def column_of(name: str) -> Column:
    """Return the column or column.field of that name."""
    return F.col(quoted(name))


def numeric_column(rows: DataFrame, name: str) -> Column:
    """Return a column as double with NaN as null (only source columns can hold NaN), so that it is never selected.

    Raises
    ------
    InputError
        If the column is not numeric.
    """
    data_type = rows.select(column_of(name)).schema[0].dataType
    if not isinstance(data_type, T.NumericType):
        what = f"column {name!r} is {data_type.simpleString()}"
        raise InputError(f"{what}, and rows are ranked by numbers: cast it or name a numeric column")
    value = column_of(name).cast("double")
    return F.when(~F.isnan(value), value)


def cluster_of(rows: DataFrame, name: str) -> Column:
    """Return what rows are grouped by: the field `cluster` of a k-means score, any other column as it is."""
    data_type = rows.select(column_of(name)).schema[0].dataType
    return column_of(f"{name}.cluster" if isinstance(data_type, T.StructType) else name)


def hashed(seed: int) -> Column:
    """Return xxhash64(id, seed) as bigint: the source of all randomness."""
    return F.xxhash64("id", F.lit(seed).cast("bigint"))


def uniform(h: Column) -> Column:
    """Return ((h >>> 11) + 0.5) 2^-53: a double in (0, 1] from 64 hash bits."""
    return (F.shiftrightunsigned(h, 11).cast("double") + F.lit(0.5)) * F.lit(2.0**-53)


def draw(seed: int, weight: Column | None = None) -> Column:
    """Return the key -ln(u) / w: its b smallest are a weighted draw without replacement (Efraimidis and Spirakis 2006).

    Weight 0 gives infinity: such rows come after all others. Weights are >= 0; a null weight gives a null key.
    """
    wait = -F.log(uniform(hashed(seed)))
    if weight is None:
        return wait
    return F.when(weight > 0, wait / weight).when(weight == 0, F.lit(math.inf))


def bin_of(value: Column, ends: Sequence[float], first: int = 0) -> Column:
    """Return `first` + the number of ends (ascending) below the value, as a binary tree of comparisons."""
    if not ends:
        return F.lit(first)
    half = len(ends) // 2
    above = bin_of(value, ends[half + 1 :], first + half + 1)
    return F.when(value > ends[half], above).otherwise(bin_of(value, ends[:half], first))


def tag_of(group: Column) -> Column:
    """Return the `group_tag` of a column's values."""
    return F.when(group.isNull(), "").otherwise(F.concat(F.lit("="), group.cast("string")))


def by_tag(mapped: Mapping[Any, Any], groups: pd.DataFrame, what: str, noun: str) -> pd.Series[Any]:
    """Return what a mapping gives to each group (`group`: its tag, `size`), 0 to those that it does not name.

    Raises
    ------
    InputError
        If it names a value that no row has; `what` says where, `noun` what such a value is called.
    """
    given = {group_tag(value): item for value, item in mapped.items()}
    if absent := sorted(set(given) - set(groups["group"])):
        largest = [tag[1:] for tag in groups.nlargest(LISTED_GROUPS, "size")["group"]]
        raise InputError(
            f"{what} = {absent[0][1:] or None!r}; {nearest(absent[0][1:], largest)}; correct the quota or leave the "
            f"{noun} out"
        )
    return groups["group"].map(given).fillna(0)


def group_tag(value: object) -> str:
    """Return the tag of a group value: "" for null, "=" and the value as Spark casts it to string for all others.

    Examples
    --------
    >>> group_tag(None), group_tag("os"), group_tag(3), group_tag(True)
    ('', '=os', '=3', '=true')
    """
    return "" if value is None else f"={str(value).lower() if isinstance(value, bool) else value}"
