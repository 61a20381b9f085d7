"""An evaluation subset: rows drawn by strata, from which the mean over the pool of anything can be estimated.

Every cluster is a stratum; at least two rows of each are drawn, the rest by quota, without replacement and all rows of
a stratum alike: stratified random sampling (Cochran, Sampling Techniques, chapter 5). The number of rows of each
depends on sizes and the seed alone, so that the mean by weights is unbiased whatever is measured; its error needs two
rows of each (udfs/kernels/stratified_estimate.py). Where the budget has not two for each cluster, the smallest clusters
are one stratum together. Left out: shares by the spread of a known loss (`quota: {cluster: weight}` takes any).
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from pyspark.sql import functions as F

from ...udfs.errors import BoundError
from ..ranking.quota import allocation
from ..ranking.sort_keys import cluster_of, draw, tag_of
from ..ranking.top import GROUPS, collect_pandas, top_by_quota
from .selector import Pool, picks

STRATUM_COLUMNS = (
    ("stratum", "STRING", "cluster, or small clusters together, of whose rows this one is a draw; their weight is one"),
)
#: Rows of a stratum that an error needs.
LEAST = 2


def stratified_draw(pool: Pool, cluster: str, weights_of: Callable[[pd.DataFrame], pd.Series[float]]) -> pd.DataFrame:
    """Return picks with their `stratum`; `weight` is the rows of the stratum over those drawn of it.

    Parameters
    ----------
    cluster : str
        Score or column by whose values rows are divided; rows without one take no part.
    weights_of : callable
        Returns the share of each group (`group`: its tag, `size`); groups of share 0 take no part.

    Raises
    ------
    BoundError
        If there are more than GROUPS clusters.
    """
    value = cluster_of(pool.rows, cluster)
    rows = pool.rows.where(value.isNotNull()).select("id", tag_of(value).alias("cluster"))
    counts = rows.groupBy(F.col("cluster").alias("group")).agg(F.count("id").alias("size"))
    groups = collect_pandas(counts.limit(GROUPS + 1)).sort_values("group", ignore_index=True)
    if len(groups) > GROUPS:
        raise BoundError(f"{cluster!r} has more than {GROUPS:,} clusters; name a coarser score or column")
    groups = groups.assign(weight=weights_of(groups))
    groups = groups[groups["weight"] > 0]
    if groups.empty:
        return picks(pd.Series(dtype=object)).assign(stratum=pd.Series(dtype=object))
    groups = groups.assign(stratum=strata_of(groups, pool.budget))
    strata = groups.groupby("stratum")[["size", "weight"]].sum()
    names = pd.DataFrame({"cluster": groups["group"], "stratum": groups["stratum"]})
    table = F.broadcast(rows.sparkSession.createDataFrame(names, "cluster string, stratum string"))

    def plan(found: pd.DataFrame) -> pd.DataFrame:
        share = strata["weight"].reindex(found["group"].str[1:]).to_numpy()
        budget = min(pool.budget, int(found["size"].sum()))
        drawn = allocation(found["size"], share, found["offset"], budget, min(LEAST, budget))
        return found.assign(weight=share, capacity=drawn)

    members, key = rows.join(table, "cluster", "inner"), draw(pool.draw_seed)
    drawn = top_by_quota(members, key, F.col("stratum"), plan, pool.budget, pool.seed)
    stratum = drawn["group"].str[1:]
    number = stratum.map(stratum.value_counts())
    weight = strata["size"].reindex(stratum).to_numpy() / number.to_numpy()
    pool.note(said_of_strata(groups, number))
    return picks(drawn["id"]).assign(weight=weight, stratum=stratum)


def strata_of(groups: pd.DataFrame, budget: int) -> pd.Series[str]:
    """Return the stratum of each cluster: its own, or the one that the smallest clusters share under a small budget.

    Parameters
    ----------
    groups : pandas.DataFrame
        `group`: the tag of a cluster; `size`: its rows.

    Examples
    --------
    >>> groups = pd.DataFrame({"group": ["=a", "=b", "=c"], "size": [5, 1, 9]})
    >>> strata_of(groups, 5).tolist(), strata_of(groups, 4).tolist()
    (['a', 'b', 'c'], ['other', 'other', 'c'])
    """
    own = groups["group"].str[1:]
    if groups["size"].clip(upper=LEAST).sum() <= budget:
        return own
    kept = groups.sort_values(["size", "group"], ascending=[False, True])["group"].head(max(budget // LEAST - 1, 0))
    other = "other"
    while other in set(own):
        other += "_"
    return own.where(groups["group"].isin(kept), other)


def said_of_strata(groups: pd.DataFrame, number: pd.Series[int]) -> str:
    """Return what was drawn and what it is good for.

    Parameters
    ----------
    groups : pandas.DataFrame
        `group`, `size`, `stratum` of each cluster.
    number : (rows,) int
        Of each row drawn how many were drawn of its stratum.
    """
    strata, of = groups["stratum"].nunique(), groups["stratum"].value_counts()
    said = (
        f"{len(number):,} rows of {strata:,} strata, {number.min():,} to {number.max():,} of each: "
        f"sum(weight * value) / sum(weight) estimates the mean of a value over {int(groups['size'].sum()):,} rows"
    )
    if strata == len(groups):
        return said
    return f"{said}; the {of.max():,} smallest clusters are one stratum, because {LEAST} rows of each are too many"
