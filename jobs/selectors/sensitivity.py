"""sensitivity: draws rows so that a weighted sum over them estimates the loss of all rows (arXiv 2402.17327).

The loss is computed at the k cluster centres only, which are rows (kmeans with `centres: points`); for all other rows
an upper estimate is enough: q(e) = l(c(e)) + L_c dist(e, c)^z, p = q / sum q, s draws with replacement, weight
1 / (s p) a draw. L comes from losses at a few probes a cluster (ours), or is given. The (eps, delta) bound holds for an
L that truly bounds |l - l(c)| / dist^z; an L from probes voids it, and the run says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ...udfs.constraints import Above, AtLeast, Between, Range
from ...udfs.errors import InputError, RecipeError
from ...udfs.kernels.sensitivity import draws_needed, explained, lipschitz_from_probes
from ..ranking.sort_keys import column_of, draw, hashed
from ..ranking.top import GROUPS, collect_pandas, rows_of, top_by_quota
from ..ranking.with_replacement import block_totals, draw_rows, with_running_weight
from .needs import CLUSTER, DISTANCE, Cluster, Need, Number
from .selector import Pool, Selector, Values, picks

Floats = np.ndarray[Any, np.dtype[np.float64]]

#: Below this share of the loss's variance explained by the clusters, sampling by them may be worse than uniform.
EXPLAINED = 0.3


@dataclass(frozen=True)
class Sensitivity(Selector):
    """Draws with replacement; `weight` is 1 / (s p), `copies` add up to the number of draws s; `gain` is null.

    The sum of copies x weight x loss over the selection estimates the sum of the loss over all eligible rows. Smaller
    budgets draw the first of the same draws, but weights and copies differ, so they are no prefix.

    Parameters
    ----------
    cluster : str
        Score of kind kmeans, fitted with `centres: points`.
    loss : str
        Score or score.field (computed at centres and probes only, unless the recipe uses it elsewhere), or source
        column; >= 0.
    z : {1, 2}, default 2
        Distance or squared distance.
    probes : int, default 5
        Members of every cluster, drawn by hash, whose loss is computed to estimate L; 0 for none.
    lipschitz : "cluster", "global" or a number, default "cluster"
        L: per cluster or one for all, from the probes; or given: 0 (losses at centres alone), or up to infinity
        (distance alone).
    mixing : float, default 0.1
        b of p = (1 - b) q / sum q + b / n; above 0 no weight exceeds n / (s b). At 0 rows at a centre without loss are
        never drawn, and single weights may decide the estimate.
    eps, delta : float, optional
        Both or none. Draw only as many as guarantee |estimate - sum l| <= eps (sum l + 2 sum_c L_c Phi_c) with
        probability 1 - delta, if the budget allows.

    Raises
    ------
    RecipeError
        If L is to come from no probes, or one of eps and delta is missing.

    Examples
    --------
    >>> Sensitivity(cluster="cells", loss="nll").on_demand
    (Number(name='nll'),)
    """

    kind: ClassVar[str] = "sensitivity"
    reads = {"cluster": Cluster}
    #: Weights and copies follow the number of draws.
    prefix_stable = False

    cluster: str
    loss: str
    z: Literal[1, 2] = 2
    probes: Annotated[int, AtLeast(0)] = 5
    lipschitz: Literal["cluster", "global"] | Annotated[float, AtLeast(0, infinite=True)] = "cluster"
    mixing: Annotated[float, Between(0, 1)] = 0.1
    eps: Annotated[float, Above(0)] | None = None
    delta: Annotated[float, Range(0, 1, open_low=True, open_high=True)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.eps is None) != (self.delta is None):
            raise RecipeError(f"sensitivity: eps is {self.eps!r} and delta {self.delta!r}; give both or none")
        if not self.probes and isinstance(self.lipschitz, str):
            raise RecipeError(f"sensitivity: lipschitz is {self.lipschitz!r} without probes; give probes, or a number")

    @property
    def on_demand(self) -> tuple[Need, ...]:
        """The loss."""
        return (Number(self.loss),)

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the drawn rows in order of their first draw.

        Raises
        ------
        InputError
            If a loss at a centre or a probe is undefined or negative.
        """
        members, centres = clusters_of(pool.rows, self.cluster, self.z)
        if centres.empty:
            return picks(pd.Series(dtype=object))
        centres["loss"] = self._losses(centres, pool)
        bound = self._bounds(members, centres, pool)
        if math.isinf(bound.max()):  # distance alone
            centres["loss"], bound = 0.0, np.ones(len(centres))
        return weighted_draw(members, centres, bound, self._size(pool), pool.seed, self.mixing)

    def _size(self, pool: Pool) -> int:
        """Return the number of draws: the budget, or the fewer that eps and delta need."""
        if self.eps is None or self.delta is None:
            return pool.budget
        needed = draws_needed(self.eps, self.delta, self.mixing) if self.mixing < 1 else pool.budget
        void = " (an L from probes voids the bound)" if isinstance(self.lipschitz, str) else ""
        if needed > pool.budget:
            pool.note(f"eps {self.eps} and delta {self.delta} take {needed:,} draws; the budget allows {pool.budget:,}")
        else:
            pool.note(f"{needed:,} draws give eps {self.eps} with probability {1 - self.delta:g}{void}")
        return min(needed, pool.budget)

    def _losses(self, rows: pd.DataFrame, pool: Pool) -> Floats:
        """Compute the losses of rows (id, cell)."""
        loss = losses_of(rows, self.loss, pool.values)
        bad = np.flatnonzero(~(np.isfinite(loss) & (loss >= 0)))
        if bad.size:
            row = rows.iloc[bad[0]]
            raise InputError(
                f"the loss {self.loss!r} of id {row['id']!r} in cluster {row['cell']} is {loss[bad[0]]}; "
                "a number from 0 is needed: leave such rows out with where:"
            )
        return loss

    def _bounds(self, members: DataFrame, centres: pd.DataFrame, pool: Pool) -> Floats:
        """Return L of every cluster: given, or from the losses at probes."""
        cost = f"read the loss of {len(centres):,} centres"
        if not self.probes:
            pool.note(cost)
            return np.full(len(centres), float(self.lipschitz))
        probes = self._probes(members, centres, pool.seed)
        loss, at_centre = self._losses(probes, pool), centres["loss"].to_numpy()
        position = np.searchsorted(centres["cell"], probes["cell"])
        r2 = float(explained(at_centre, loss, position, centres["rows"]))
        share = "" if math.isnan(r2) else f"; the clusters explain {max(r2, 0.0):.0%} of the loss's variance"
        pool.note(f"{cost} and {len(probes):,} probes{share}")
        if r2 < EXPLAINED:
            pool.note(f"the clusters explain less than {EXPLAINED:.0%} of {self.loss!r}: uniform draws may do better")
        bound: Any = self.lipschitz
        if isinstance(bound, str):
            bound = lipschitz_from_probes(at_centre, loss, position, probes["square"].to_numpy(), self.z, bound)
        return np.full(len(centres), bound, dtype=float)

    def _probes(self, members: DataFrame, centres: pd.DataFrame, seed: int) -> pd.DataFrame:
        """Return the members at which L is estimated, in order of id: `probes` of every cluster, drawn by hash."""
        others = rows_of(members, centres, "left_anti")

        def plan(groups: pd.DataFrame) -> pd.DataFrame:
            return groups.assign(weight=1.0, capacity=groups["size"].clip(upper=self.probes))

        drawn = top_by_quota(others, draw(seed), F.col("cell"), plan, self.probes * len(centres), seed)
        probes = collect_pandas(rows_of(members, drawn))
        return probes.sort_values("id", ignore_index=True)


def clusters_of(rows: DataFrame, cluster: str, z: int) -> tuple[DataFrame, pd.DataFrame]:
    """Return the rows that have a cluster (id, cell, squared distance, dist^z), and one row per cluster, in order.

    The latter holds cell, id of the member nearest to the centre, and number of rows.
    """
    cell, square = column_of(f"{cluster}.{CLUSTER}"), column_of(f"{cluster}.{DISTANCE}")
    power = square if z == 2 else F.sqrt(square)
    shaped = rows.select("id", cell.alias("cell"), square.alias("square"), power.alias("power"))
    members = shaped.where("cell IS NOT NULL")
    nearest = F.min_by("id", F.struct("square", hashed(0), "id")).alias("id")
    centres = collect_pandas(members.groupBy("cell").agg(nearest, F.count("id").alias("rows")).limit(GROUPS))
    return members, centres.sort_values("cell", ignore_index=True)


def losses_of(rows: pd.DataFrame, name: str, values: Values) -> Floats:
    """Compute a score of some rows; NaN where it is undefined."""
    losses = rows["id"].map(values(name, rows["id"].tolist()).set_index("id")["value"])
    return losses.to_numpy(dtype=float, na_value=np.nan)


def weighted_draw(
    members: DataFrame, centres: pd.DataFrame, lipschitz: Floats, size: int, seed: int, mixing: float
) -> pd.DataFrame:
    """Return `size` draws by q = loss of the centre + L dist^z: picks in order of the first draw, weight 1 / (s p).

    Parameters
    ----------
    members : (id, cell, power)
    centres : (cell, loss)
    lipschitz : (k,) float64
    """
    table = pd.DataFrame({"cell": centres["cell"].astype("int32"), "base": centres["loss"], "slope": lipschitz})
    lines = members.sparkSession.createDataFrame(table, "cell int, base double, slope double")
    rows = members.join(F.broadcast(lines), "cell", "inner").withColumn("q", F.expr("base + slope * power"))
    sums = with_running_weight(rows, F.col("q"), seed)
    totals = block_totals(sums)
    count, total = int(totals["rows"].sum()), float(totals["total"].cumsum().iloc[-1]) if len(totals) else 0.0
    if not count:
        return picks(pd.Series([], dtype=object))
    if total == 0 or mixing > 0:  # no loss and no distance anywhere: uniform
        share = F.lit(0.0) if total == 0 else F.col("q") * F.lit((1 - mixing) / total)
        sums = with_running_weight(rows, share + F.lit((1.0 if total == 0 else mixing) / count), seed)
        totals = block_totals(sums)
        total = float(totals["total"].cumsum().iloc[-1])
    drawn = draw_rows(sums, totals, {"": size}, seed)
    weight = total / (size * drawn["weight"].to_numpy())
    return picks(drawn["id"]).assign(weight=weight, copies=drawn["copies"].to_numpy())
