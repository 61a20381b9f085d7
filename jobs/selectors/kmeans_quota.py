"""The k-means family of Diversify-and-Conquer (arXiv 2409.11378, section 3.1): a quota per cluster, and who fills it.

kmeans_random draws, kmq draws by quality, kmeans_closest takes the rows nearest to the centre. A cluster's share is
proportional to its size by the key (i - u_j) / w_j (ranking/quota.py): budgets are exact, where the published code
takes equal ones and returns fewer rows than asked. Deviations, ours: kmq draws without replacement unless told
otherwise; the temperature of the softmax is a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.errors import InputError, RecipeError, nearest
from ..ranking.quota import quota
from ..ranking.sort_keys import draw, hashed, number, uniform
from ..ranking.top import pull, top_by_quota
from ..ranking.with_replacement import draw_rows, totals, weighed
from .selector import Ask, Selector, picks

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column, DataFrame

QUOTAS, WEIGHTS = ("proportional", "equal"), ("linear", "softmax")


def cluster_of(rows: DataFrame, name: str) -> Column:
    """Return the cluster: the field `cluster` of a k-means label, any other label or source column as it is."""
    kind = rows.schema[name].dataType if name in rows.columns else None
    return F.col(f"`{name}`.cluster" if isinstance(kind, T.StructType) else name if "." in name else f"`{name}`")


@dataclass(frozen=True)
class KMeansRandom(Selector):
    """Rows of every cluster, drawn uniformly.

    Parameters
    ----------
    cluster : str
        Label of a k-means score, or any label, label.field or source column with few values.
    quota : {"proportional", "equal"}
        A cluster's share of the budget: its share of the rows, or the same for all until they are used up.

    Examples
    --------
    >>> KMeansRandom(cluster="cells").needs
    ('cells',)
    """

    kind: ClassVar[str] = "kmeans_random"

    cluster: str
    quota: str = "proportional"

    def __post_init__(self) -> None:
        if self.quota not in QUOTAS:
            raise RecipeError(f"{self.kind}: quota is {self.quota!r}; {nearest(str(self.quota), QUOTAS)}")

    @property
    def needs(self) -> tuple[str, ...]:
        """The clusters, and what fills their quotas."""
        return (self.cluster,)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return the picks; `gain` is null for draws."""
        cluster = cluster_of(rows, self.cluster)
        key = F.when(cluster.isNotNull(), self._key(rows, seed))
        chosen = top_by_quota(rows, key, cluster, self._plan, budget, seed)
        return picks(chosen["id"], self._gain(chosen))

    def _plan(self, groups: pd.DataFrame) -> pd.DataFrame:
        weight = groups["size"].astype(float) if self.quota == "proportional" else 1.0
        return groups.assign(weight=weight, capacity=groups["size"])

    def _key(self, rows: DataFrame, seed: int) -> Column:  # noqa: ARG002
        return draw(seed)

    def _gain(self, chosen: pd.DataFrame) -> pd.Series[float] | None:  # noqa: ARG002
        return None


@dataclass(frozen=True)
class KMeansClosest(KMeansRandom):
    """Rows of every cluster, nearest to its centre first; `gain` is the negated squared distance.

    `cluster` must be the label of a k-means score.
    """

    kind: ClassVar[str] = "kmeans_closest"

    def _key(self, rows: DataFrame, seed: int) -> Column:  # noqa: ARG002
        if not isinstance(rows.schema[self.cluster].dataType, T.StructType):
            raise InputError(f"kmeans_closest: {self.cluster!r} has no distance; name a label of kind kmeans")
        return number(rows, f"{self.cluster}.distance_sq")

    def _gain(self, chosen: pd.DataFrame) -> pd.Series[float]:
        return -chosen["key"]


@dataclass(frozen=True)
class KMQ(KMeansRandom):
    """Rows of every cluster, drawn with probability proportional to quality.

    Parameters
    ----------
    cluster, quota
        As in kmeans_random.
    quality : str
        Label, label.field or numeric source column; null and NaN are never selected.
    weights : {"linear", "softmax"}
        linear: quality itself, >= 0. softmax: exp(quality / temperature), any sign.
    temperature : float, default 1.0
        Of the softmax.
    replacement : bool, default False
        Draw with replacement, as the paper's text has it: `copies` add up to the budget, and there are fewer rows.

    Raises
    ------
    RecipeError
        If a parameter is none of these.

    Examples
    --------
    >>> KMQ(cluster="cells", quality="reward").needs
    ('cells', 'reward')
    """

    kind: ClassVar[str] = "kmq"

    quality: str = ""
    weights: str = "linear"
    temperature: float = 1.0
    replacement: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.quality:
            raise RecipeError("kmq names no quality; add quality: <label or column>, or use kmeans_random")
        if self.weights not in WEIGHTS:
            raise RecipeError(f"kmq: weights is {self.weights!r}; {nearest(str(self.weights), WEIGHTS)}")
        if not self.temperature > 0:
            raise RecipeError(f"kmq: temperature is {self.temperature!r}; a number above 0 is needed")

    @property
    def nested(self) -> bool:
        """Copies follow the number of draws with replacement."""
        return not self.replacement

    @property
    def needs(self) -> tuple[str, ...]:
        """The clusters and the quality."""
        return (self.cluster, self.quality)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,
        ask: Ask | None = None,
    ) -> pd.DataFrame:
        """Return the picks; `gain` is null. With replacement ids of a smaller budget are not a prefix.

        Raises
        ------
        InputError
            If a linear quality is negative, or 0 in every row.
        """
        quality = number(rows, self.quality)
        least, most = pull(rows.agg(F.min(quality).alias("least"), F.max(quality).alias("most"))).iloc[0]
        if self.weights == "linear" and (least < 0 or most == 0):
            fact = f"has the value {least}" if least < 0 else "is 0 in every row"
            raise InputError(
                f"quality {self.quality!r} {fact}; kmq needs values >= 0, some above: use weights: softmax"
            )
        if not self.replacement:
            return super().select(rows, budget, seed, selected, ask)
        cluster = cluster_of(rows, self.cluster)
        # Of the largest quality, so that nothing overflows; a constant factor changes no probability.
        weight = quality if self.weights == "linear" else F.exp((quality - F.lit(float(most))) / self.temperature)
        sums = weighed(rows, F.when(cluster.isNotNull(), weight), seed, cluster)
        found = totals(sums)
        groups = found.groupby("group", as_index=False).agg({"total": "sum", "rows": "sum"})
        share = groups["rows"].astype(float) if self.quota == "proportional" else groups["total"] * 0 + 1.0
        offset = _offsets(rows, groups["group"], seed)
        count = quota(np.full(len(groups), budget), share.where(groups["total"] > 0, 0.0), offset, budget)
        chosen = draw_rows(sums, found, dict(zip(groups["group"], count.tolist(), strict=True)), seed)
        return picks(chosen["id"]).assign(copies=chosen["copies"].to_numpy())

    def _key(self, rows: DataFrame, seed: int) -> Column:
        quality = number(rows, self.quality)
        if self.weights == "linear":
            return draw(seed, quality)
        # log of -ln(u) / exp(quality / temperature): the same order without overflow.
        return F.log(-F.log(uniform(hashed(seed)))) - quality / F.lit(float(self.temperature))


def _offsets(rows: DataFrame, groups: pd.Series[str], seed: int) -> np.ndarray:
    tags = rows.sparkSession.createDataFrame([(f"={g}",) for g in groups], "tag string")
    u = uniform(F.xxhash64("tag", F.lit(seed).cast("bigint"))).alias("u")
    found = pull(tags.select("tag", u)).set_index("tag")["u"]
    return np.array([found[f"={g}"] for g in groups])
