"""ClusterQuota: what the k-means family has in common: a share of the budget for every cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.constraints import AtLeast
from ...udfs.errors import RecipeError
from ..ranking.sort_keys import by_tag, cluster_of, draw, hashed
from ..ranking.top import collect_pandas, rows_of, top_by_quota
from .needs import Group
from .selector import Pool, Selector, picks


@dataclass(frozen=True)
class ClusterQuota(Selector):
    """A share of the budget for every cluster; here its rows are drawn uniformly.

    Parameters
    ----------
    cluster : str
        Score of kind kmeans, or any score, score.field or source column with few values.
    quota : {"proportional", "equal"} or mapping
        A cluster's share of the budget: its share of the rows, or the same for all until they are used up; or as a
        mapping {cluster: weight}, weights from 0, in proportion to its weight; clusters that it does not name get none.

    Raises
    ------
    RecipeError
        If a mapping has no weight above 0.
    """

    reads = {"cluster": Group}
    #: Whether `gain` is the negated sort key; null where rows are drawn.
    ranked: ClassVar[bool] = False

    cluster: str
    quota: Literal["proportional", "equal"] | Mapping[Any, Annotated[float, AtLeast(0)]] = "proportional"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.quota, Mapping) and not any(self.quota.values()):
            raise RecipeError(f"{self.kind}: quota has no weight above 0; give some cluster a weight")

    @property
    def redraws(self) -> bool:
        """Where rows are drawn."""
        return not self.ranked

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; `gain` is null for draws.

        Raises
        ------
        InputError
            If a mapped cluster has no eligible row.
        """
        cluster = cluster_of(pool.rows, self.cluster)
        key = F.when(cluster.isNotNull(), self.key(pool))
        best = top_by_quota(pool.rows, key, cluster, self.plan, pool.budget, pool.seed)
        return picks(best["id"], -best["key"] if self.ranked else None)

    def plan(self, groups: pd.DataFrame) -> pd.DataFrame:
        """Return the groups with the weight and capacity of each."""
        weight = self.weights_of(groups)
        return groups.assign(weight=weight, capacity=groups["size"].where(weight > 0, 0))

    def weights_of(self, groups: pd.DataFrame) -> pd.Series[float]:
        """Return the weight of each group (`group`: its tag, `size`)."""
        if isinstance(self.quota, Mapping):
            return by_tag(self.quota, groups, f"{self.kind}: no eligible row has {self.cluster}", "cluster").astype(
                float
            )
        return groups["size"].astype(float) if self.quota == "proportional" else groups["size"] * 0 + 1.0

    def key(self, pool: Pool) -> Column:
        """Return what rows of a cluster are in order of, smallest first; null for rows that are never selected."""
        return draw(pool.draw_seed)

    def members(self, rows: DataFrame, picked: pd.DataFrame, seed: int) -> pd.DataFrame:
        """Return the cluster, as text, of picked rows, and the hash of (seed, id): `id`, `cluster`, `key`."""
        cluster = cluster_of(rows, self.cluster).cast("string").alias("cluster")
        return collect_pandas(rows_of(rows, picked).select("id", cluster, hashed(seed).alias("key")))

    def sizes(self, pool: Pool) -> dict[str, int]:
        """Return by cluster, as text, how many rows can be selected; numbers are in their order."""
        cluster = cluster_of(pool.rows, self.cluster)
        rows = pool.rows.where(cluster.isNotNull() & self.key(pool).isNotNull())
        counts = collect_pandas(rows.groupBy(cluster.cast("string").alias("cluster")).count())
        return dict(sorted(zip(counts["cluster"].tolist(), counts["count"].tolist(), strict=True), key=_in_order))


def _in_order(item: tuple[str, int]) -> tuple[float, str]:
    name = item[0]
    return (int(name) if name.isdecimal() else np.inf), name
