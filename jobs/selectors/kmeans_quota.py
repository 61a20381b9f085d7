"""The k-means family of Diversify-and-Conquer (arXiv 2409.11378, section 3.1): a quota per cluster, and who fills it.

kmeans_random draws, kmq draws by quality, kmeans_closest takes the rows nearest to the centre. A cluster's share is
proportional to its size by the key (i - u_j) / w_j (ranking/quota.py): budgets are exact, where the published code
takes equal ones and returns fewer rows than asked. Deviations, ours: kmq draws without replacement by default; the
temperature of the softmax is a parameter; kmeans_random can draw an evaluation subset (_strata.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ...udfs.constraints import Above, Needed
from ...udfs.errors import BoundError, InputError
from ..ranking.quota import quota
from ..ranking.sort_keys import cluster_of, draw, hashed, numeric_column, tag_of, uniform
from ..ranking.top import GROUPS, collect_pandas, top_by_quota
from ..ranking.with_replacement import block_totals, draw_rows, with_running_weight
from ._cluster_quota import ClusterQuota
from ._strata import STRATUM_COLUMNS, stratified_draw
from .needs import DISTANCE, Cluster, Group, Number
from .selector import Pool, picks


@dataclass(frozen=True)
class KMeansRandom(ClusterQuota):
    """Rows of every cluster, drawn uniformly.

    Parameters
    ----------
    cluster, quota
        As said of the family: a score of kind kmeans or another column with few values; each cluster's share.
    strata : bool, default False
        Draw an evaluation subset: at least two rows of every cluster (of the smallest ones together, where the budget
        is too small for that), each with its `stratum` and its `weight`, the rows of the stratum over those drawn of
        it. From these two follow an unbiased mean over the pool, and its error, of anything that is measured on the
        subset (`lakesift.estimate`). A smaller budget is no prefix: weights follow the number of rows.

    Examples
    --------
    >>> KMeansRandom(cluster="cells").needs
    (Group(name='cells'),)
    """

    kind: ClassVar[str] = "kmeans_random"

    strata: bool = False

    @property
    def prefix_stable(self) -> bool:
        """Weights of strata follow the number of rows."""
        return not self.strata

    @property
    def extra_columns(self) -> tuple[tuple[str, str, str], ...]:
        """The stratum."""
        return STRATUM_COLUMNS if self.strata else ()

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; `gain` is null."""
        return stratified_draw(pool, self.cluster, self.weights_of) if self.strata else super().select(pool)


@dataclass(frozen=True)
class KMeansClosest(ClusterQuota):
    """Rows of every cluster, nearest to its centre first; `gain` is the negated squared distance.

    `cluster` must be a score of kind kmeans.
    """

    kind: ClassVar[str] = "kmeans_closest"
    reads = {"cluster": Cluster}
    ranked: ClassVar[bool] = True

    def own_gain(self, rows: DataFrame, /) -> Column | None:
        return -numeric_column(rows, f"{self.cluster}.{DISTANCE}")

    def key(self, pool: Pool) -> Column:
        return numeric_column(pool.rows, f"{self.cluster}.{DISTANCE}")


@dataclass(frozen=True)
class KMQ(ClusterQuota):
    """Rows of every cluster, drawn with probability proportional to quality.

    Of a linear quality rows of 0 come after all others, and a cluster's share is that of its rows above 0.

    Parameters
    ----------
    cluster, quota
        As in kmeans_random.
    quality : str
        Score, score.field or numeric source column; null and NaN are never selected.
    weights : {"linear", "softmax"}
        linear: quality itself, >= 0. softmax: exp(quality / temperature), any sign.
    temperature : float, default 1.0
        Of the softmax.
    replacement : bool, default False
        Draw with replacement, as the paper's text has it: `copies` add up to the budget, and there are fewer rows.

    Examples
    --------
    >>> KMQ(cluster="cells", quality="reward").needs
    (Group(name='cells'), Number(name='reward'))
    """

    kind: ClassVar[str] = "kmq"
    reads = {"cluster": Group, "quality": Number}

    quality: Annotated[str, Needed("a score or numeric column")] = ""
    weights: Literal["linear", "softmax"] = "linear"
    temperature: Annotated[float, Above(0)] = 1.0
    replacement: bool = False

    @property
    def prefix_stable(self) -> bool:
        """Copies follow the number of draws with replacement."""
        return not self.replacement

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the picks; `gain` is null. With replacement ids of a smaller budget are not a prefix.

        Raises
        ------
        InputError
            If a linear quality is negative, or 0 in every row.
        """
        quality = numeric_column(pool.rows, self.quality)
        least, most = collect_pandas(pool.rows.agg(F.min(quality), F.max(quality))).iloc[0]
        if pd.isna(most):
            return picks(pd.Series(dtype=object))
        if self.weights == "linear" and (least < 0 or most == 0):
            fact = f"has the value {least}" if least < 0 else "is 0 in every row"
            raise InputError(
                f"quality {self.quality!r} {fact}; kmq needs values >= 0, some above: use weights: softmax"
            )
        if self.replacement:
            return self._with_replacement(pool, quality)
        return (
            self._above_zero_first(pool, quality) if self.weights == "linear" and least == 0 else super().select(pool)
        )

    def _above_zero_first(self, pool: Pool, quality: Column) -> pd.DataFrame:
        """Return rows of quality above 0 by a quota of such rows; where they do not suffice, others by theirs."""
        cluster, seed = cluster_of(pool.rows, self.cluster), pool.seed
        above = pool.rows.where(cluster.isNotNull() & (quality > 0)).groupBy(tag_of(cluster).alias("group")).count()
        counts = collect_pandas(above.limit(GROUPS + 1)).set_index("group")["count"]

        def plan(groups: pd.DataFrame, zeros: bool) -> pd.DataFrame:
            rows = groups["group"].map(counts).fillna(0).astype("int64")
            return self.plan(groups.assign(size=groups["size"] - rows if zeros else rows)).assign(size=groups["size"])

        def first(key: Column, budget: int, zeros: bool) -> pd.Series[str]:
            known = F.when(cluster.isNotNull(), key)
            return top_by_quota(pool.rows, known, cluster, lambda g: plan(g, zeros), budget, seed)["id"]

        ids = first(self.key(pool), pool.budget, zeros=False)
        if len(ids) < pool.budget:
            by_lot = F.when(quality == 0, draw(pool.draw_seed)).when(quality > 0, F.lit(np.inf))
            ids = pd.concat([ids, first(by_lot, pool.budget - len(ids), zeros=True)], ignore_index=True)
        return picks(ids)

    def _with_replacement(self, pool: Pool, quality: Column) -> pd.DataFrame:
        cluster = cluster_of(pool.rows, self.cluster).cast("string")
        rows = pool.rows.select("id", cluster.alias("cell"), quality.alias("quality"))
        rows, weight = rows.where("cell IS NOT NULL AND quality IS NOT NULL"), F.col("quality")
        if self.weights == "softmax":
            # Relative to the largest quality of the cluster, so that exp does not overflow, and not underflow in all of
            # its rows; a constant factor in a cluster changes no probability.
            largest = collect_pandas(rows.groupBy("cell").agg(F.max("quality").alias("largest")).limit(GROUPS + 1))
            if len(largest) > GROUPS:
                raise BoundError(f"{self.cluster!r} has more than {GROUPS:,} clusters; name a coarser score or column")
            of_cells = rows.sparkSession.createDataFrame(largest, "cell string, largest double")
            rows = rows.join(F.broadcast(of_cells), "cell", "inner")
            weight = F.exp((F.col("quality") - F.col("largest")) / F.lit(float(self.temperature)))
        sums = with_running_weight(rows, weight, pool.draw_seed, F.col("cell"))
        totals = block_totals(sums)
        groups = totals.groupby("group", as_index=False).agg({"total": "sum", "rows": "sum"})
        share = self.weights_of(pd.DataFrame({"group": "=" + groups["group"], "size": groups["rows"]}))
        offset = _offsets(pool.rows, groups["group"], pool.seed)
        draws = quota(np.full(len(groups), pool.budget), share.where(groups["total"] > 0, 0.0), offset, pool.budget)
        drawn = draw_rows(sums, totals, dict(zip(groups["group"], draws.tolist(), strict=True)), pool.draw_seed)
        return picks(drawn["id"]).assign(copies=drawn["copies"].to_numpy())

    def key(self, pool: Pool) -> Column:
        quality = numeric_column(pool.rows, self.quality)
        if self.weights == "linear":
            return draw(pool.draw_seed, quality)
        # log of -ln(u) / exp(quality / temperature): the same order without overflow.
        return F.log(-F.log(uniform(hashed(pool.draw_seed)))) - quality / F.lit(float(self.temperature))


def _offsets(rows: DataFrame, groups: pd.Series[str], seed: int) -> np.ndarray:
    """Return u_j of every group, hashed in Spark as `top_by_quota` does."""
    tags = rows.sparkSession.createDataFrame([(f"={g}",) for g in groups], "tag string")
    u = uniform(F.xxhash64("tag", F.lit(seed).cast("bigint"))).alias("u")
    offsets = collect_pandas(tags.select("tag", u)).set_index("tag")["u"]
    return np.array([offsets[f"={g}"] for g in groups])
