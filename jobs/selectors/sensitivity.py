"""sensitivity: draws rows so that a weighted sum over them estimates the loss of all rows (arXiv 2402.17327).

The loss is computed at the k cluster centres, which are rows (kmeans with `centres: points`); for all other rows an
upper estimate is enough: q(e) = l(c(e)) + L_c dist(e, c)^z, p = q / sum q, s draws with replacement, weight 1 / (s p) a
draw. L comes from losses at a few probes a cluster (ours), or is given. The (eps, delta) bound holds for an L that is a
true bound of |l - l(c)| / dist^z; none is stated for an L from probes.

The loss of the drawn rows is computed as well, and the run tells the sum with its error, what uniform draws of as many
losses would have given, and what was paid (udfs/kernels/loss_estimate.py). `estimate: stratified` draws by the sizes of
clusters alone; it was better on all losses that were measured (docs/results.md, which the defaults follow). Who wants a
mean, and no loss paid while rows are selected, takes an evaluation subset: `kmeans_random` with `strata: true`.
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
from ...udfs.kernels.loss_estimate import from_draws, from_strata
from ...udfs.kernels.sensitivity import draws_needed, explained, lipschitz_from_probes
from ..ranking.sort_keys import draw
from ..ranking.top import collect_pandas, rows_of, top_by_quota
from ._sensitivity_draws import Floats, clusters_of, losses_of, said_of_estimate, said_of_shares, weighted_draw
from .needs import Cluster, Need, Number
from .selector import Pool, Selector, picks

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
        Score or score.field (computed at centres, probes and drawn rows only, unless the recipe uses it elsewhere), or
        source column; >= 0.
    estimate : {"sensitivity", "stratified"}
        stratified: rows of every cluster in proportion to its size, without replacement, each of weight rows / draws;
        it needs no loss beforehand, and reads `cluster`, `loss` and `pay` alone.
    pay : bool, default True
        Compute the loss of the drawn rows too, and tell the estimate with its error; else the selection is without.
    z : {1, 2}, default 1
        Distance or squared distance.
    probes : int, default 5
        Members of every cluster, drawn by hash, whose loss is computed to estimate L; 0 for none.
    lipschitz : "cluster", "global" or a number, default "cluster"
        L: per cluster or one for all, from the probes; or given: 0 (losses at centres alone), or up to infinity
        (distance alone).
    mixing : float, default 0.3
        b of p = (1 - b) q / sum q + b / n; above 0 no weight exceeds n / (s b). At 0 rows at a centre without loss are
        never drawn, and single weights may decide the estimate.
    eps, delta : float, optional
        Both or none. Draw only as many as guarantee |estimate - sum l| <= eps (sum l + 2 sum_c L_c Phi_c) with
        probability 1 - delta for a true L, if the budget allows.

    Raises
    ------
    RecipeError
        If L is to come from no probes, one of eps and delta is missing, or both are given with strata.

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
    estimate: Literal["sensitivity", "stratified"] = "sensitivity"
    pay: bool = True
    z: Literal[1, 2] = 1
    probes: Annotated[int, AtLeast(0)] = 5
    lipschitz: Literal["cluster", "global"] | Annotated[float, AtLeast(0, infinite=True)] = "cluster"
    mixing: Annotated[float, Between(0, 1)] = 0.3
    eps: Annotated[float, Above(0)] | None = None
    delta: Annotated[float, Range(0, 1, open_low=True, open_high=True)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.eps is None) != (self.delta is None):
            raise RecipeError(f"sensitivity: eps is {self.eps!r} and delta {self.delta!r}; give both or none")
        if self.eps is not None and self.estimate == "stratified":
            raise RecipeError(
                f"sensitivity: eps is {self.eps!r}, and strata have no such bound; leave eps and delta out"
            )
        if not self.probes and isinstance(self.lipschitz, str) and self.estimate == "sensitivity":
            raise RecipeError(f"sensitivity: lipschitz is {self.lipschitz!r} without probes; give probes, or a number")

    @property
    def on_demand(self) -> tuple[Need, ...]:
        """The loss."""
        return (Number(self.loss),)

    def wants(self, budget: int) -> int:
        """Return the draws that eps and delta need, if these are fewer."""
        if self.eps is None or self.delta is None or self.mixing == 1:
            return budget
        return min(budget, draws_needed(self.eps, self.delta, self.mixing))

    def select(self, pool: Pool) -> pd.DataFrame:
        """Return the drawn rows in order of their first draw; with strata, in order of their turns.

        Raises
        ------
        InputError
            If a loss at a centre, a probe or a drawn row is undefined or negative.
        """
        if self.estimate == "stratified":
            return self._stratified(pool)
        members, centres = clusters_of(pool.rows, self.cluster, self.z)
        if centres.empty:
            return picks(pd.Series(dtype=object))
        centres["loss"] = self._losses(centres, pool)
        bound, probes = self._bounds(members, centres, pool)
        if math.isinf(bound.max()):  # distance alone
            centres["loss"], bound = 0.0, np.ones(len(centres))
        if said := said_of_shares(centres, bound):
            pool.note(said)
        drawn = weighted_draw(members, centres, bound, self._size(pool), pool.draw_seed, self.mixing)
        if self.pay and len(drawn):
            paid = len({*centres["id"], *probes["id"], *drawn["id"]})
            loss = self._losses(self._with_cells(members, drawn), pool)
            made = from_draws(loss, drawn["weight"], drawn["copies"], int(centres["rows"].sum()), paid)
            cost = f"{len(centres):,} centres, {len(probes):,} probes and {len(drawn):,} drawn rows"
            pool.note(said_of_estimate(self.loss, made, cost))
        return drawn

    def _stratified(self, pool: Pool) -> pd.DataFrame:
        """Return rows of every cluster in proportion to its size."""
        members, centres = clusters_of(pool.rows, self.cluster, self.z)
        rows = int(centres["rows"].sum())
        drawn = top_by_quota(
            members,
            draw(pool.draw_seed),
            F.col("cell"),
            lambda groups: groups.assign(weight=groups["size"].astype(float), capacity=groups["size"]),
            pool.budget,
            pool.seed,
        )
        chosen = picks(drawn["id"]).assign(weight=rows / max(len(drawn), 1))
        if self.pay and len(chosen):
            of_cells = self._with_cells(members, chosen)
            made = from_strata(self._losses(of_cells, pool), np.unique(of_cells["cell"], return_inverse=True)[1], rows)
            pool.note(said_of_estimate(self.loss, made, f"{len(chosen):,} drawn rows of {len(centres):,} clusters"))
        return chosen

    def _with_cells(self, members: DataFrame, drawn: pd.DataFrame) -> pd.DataFrame:
        """Return the ids of picks, in their order, and their clusters."""
        cells = collect_pandas(rows_of(members, drawn).select("id", "cell"))
        return drawn[["id"]].merge(cells, on="id", how="left")

    def _size(self, pool: Pool) -> int:
        """Return the number of draws: the budget, or the fewer that eps and delta need."""
        if self.eps is None or self.delta is None:
            return pool.budget
        needed = draws_needed(self.eps, self.delta, self.mixing) if self.mixing < 1 else pool.budget
        if needed > pool.budget:
            pool.note(f"eps {self.eps} and delta {self.delta} take {needed:,} draws; the budget allows {pool.budget:,}")
        elif isinstance(self.lipschitz, str):
            pool.note(
                f"eps {self.eps} and delta {self.delta} take {needed:,} draws for a true L, so as many are drawn; L is "
                "from probes, for which no bound holds"
            )
        else:
            pool.note(f"{needed:,} draws give eps {self.eps} with probability {1 - self.delta:g} if L is a true bound")
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

    def _bounds(self, members: DataFrame, centres: pd.DataFrame, pool: Pool) -> tuple[Floats, pd.DataFrame]:
        """Return L of every cluster, given or from the losses at probes, and the probes."""
        cost = f"read the loss of {len(centres):,} centres"
        if not self.probes:
            pool.note(cost)
            return np.full(len(centres), float(self.lipschitz)), centres[:0]
        probes = self._probes(members, centres, pool.draw_seed)
        loss, at_centre = self._losses(probes, pool), centres["loss"].to_numpy()
        position = np.searchsorted(centres["cell"], probes["cell"])
        r2 = float(explained(at_centre, loss, position, centres["rows"]))
        share = "" if math.isnan(r2) else f"; the clusters explain {max(r2, 0.0):.0%} of the loss's variance"
        pool.note(f"{cost} and {len(probes):,} probes{share}")
        if r2 < EXPLAINED:
            pool.note(
                f"the clusters explain less than {EXPLAINED:.0%} of {self.loss!r}: uniform draws may do better; "
                "estimate: stratified, or kmeans_random with strata: true, hardly does worse than they"
            )
        bound: Any = self.lipschitz
        if isinstance(bound, str):
            bound = lipschitz_from_probes(at_centre, loss, position, probes["square"].to_numpy(), self.z, bound)
        return np.full(len(centres), bound, dtype=float), probes

    def _probes(self, members: DataFrame, centres: pd.DataFrame, seed: int) -> pd.DataFrame:
        """Return the members at which L is estimated, in order of id: `probes` of every cluster, drawn by hash."""
        others = rows_of(members, centres, "left_anti")

        def plan(groups: pd.DataFrame) -> pd.DataFrame:
            return groups.assign(weight=1.0, capacity=groups["size"].clip(upper=self.probes))

        drawn = top_by_quota(others, draw(seed), F.col("cell"), plan, self.probes * len(centres), seed)
        probes = collect_pandas(rows_of(members, drawn))
        return probes.sort_values("id", ignore_index=True)
