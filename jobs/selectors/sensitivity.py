"""sensitivity: draws rows so that a weighted sum over them estimates the loss of all rows (arXiv 2402.17327).

The loss is known at the k cluster centres only, which are rows (kmeans with `centres: points`); of all others an
upper estimate is enough: q(e) = l(c(e)) + L_c dist(e, c)^z, p = q / sum q, s draws with replacement, weight 1 / (s p)
a draw. L comes from losses that were paid for, at a few probes a cluster (ours), or is given. The (eps, delta) bound
holds for an L that truly bounds |l - l(c)| / dist^z; one from probes voids it, and the run says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ...udfs.errors import InputError, RecipeError
from ...udfs.kernels.sensitivity import draws_needed, explained, lipschitz_from_probes
from ..ranking.sort_keys import draw, hashed
from ..ranking.top import GROUPS, pull, top_by_quota
from ..ranking.with_replacement import draw_rows, totals, weighed
from .selector import Ask, Selector, picks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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
        Label of a k-means score, fitted with `centres: points`.
    loss : str
        Label of a score (then it is asked for at centres and probes only), label.field, or source column; >= 0.
    z : {1, 2}, default 2
        Distance or squared distance.
    probes : int, default 5
        Members of every cluster, drawn by hash, whose loss is paid for to estimate L; 0 for none.
    lipschitz : "cluster", "global" or a number, default "cluster"
        L: per cluster or one for all, from the probes; or given: 0 (losses at centres alone), or up to infinity
        (distance alone).
    mixing : float, default 0.1
        b of p = (1 - b) q / sum q + b / n; above 0 no weight exceeds n / (s b). At 0 rows at a centre without loss are
        never drawn, and single weights may decide the estimate.
    eps, delta : float, optional
        Draw only as many as guarantee |estimate - sum l| <= eps (sum l + 2 sum_c L_c Phi_c) with probability
        1 - delta, if the budget allows.

    Raises
    ------
    RecipeError
        If a parameter is none of these.

    Examples
    --------
    >>> Sensitivity(cluster="cells", loss="nll").asks
    ('nll',)
    """

    kind: ClassVar[str] = "sensitivity"

    cluster: str
    loss: str
    z: int = 2
    probes: int = 5
    lipschitz: str | float = "cluster"
    mixing: float = 0.1
    eps: float | None = None
    delta: float | None = None

    def __post_init__(self) -> None:
        given = isinstance(self.lipschitz, int | float) and not isinstance(self.lipschitz, bool)
        named = self.lipschitz in ("cluster", "global")
        for name, fine, allowed in (
            ("z", self.z in (1, 2), "1 or 2"),
            ("probes", self.probes >= 0, "a whole number from 0"),
            ("mixing", 0 <= self.mixing <= 1, "a number from 0 to 1"),
            ("lipschitz", (given and float(self.lipschitz) >= 0) or named, "cluster, global or a number from 0"),
            ("eps", self.eps is None or self.eps > 0, "a number above 0"),
        ):
            if not fine:
                raise RecipeError(f"sensitivity: {name} is {getattr(self, name)!r}; {allowed} is needed")
        if (self.eps is None) != (self.delta is None) or not 0 < (self.delta or 0.5) < 1:
            raise RecipeError(f"sensitivity: delta is {self.delta!r}; it goes with eps, between 0 and 1")
        if not self.probes and named:
            raise RecipeError(f"sensitivity: lipschitz is {self.lipschitz!r} without probes; give probes, or a number")

    @property
    def needs(self) -> tuple[str, ...]:
        """The clusters."""
        return (self.cluster,)

    @property
    def nested(self) -> bool:
        """Weights and copies follow the number of draws."""
        return False

    @property
    def asks(self) -> tuple[str, ...]:
        """The loss."""
        return (self.loss,)

    def select(
        self,
        rows: DataFrame,
        budget: int,
        seed: int,
        selected: pd.DataFrame | None = None,  # noqa: ARG002
        ask: Ask | None = None,
    ) -> pd.DataFrame:
        """Return the drawn rows in order of their first draw.

        Raises
        ------
        InputError
            If the label has no distances, or a loss that is paid for is undefined or negative.
        """
        assert ask is not None
        members = members_of(rows, self.cluster, self.z)
        centres = centres_of(members)
        centres["loss"] = self._losses(centres, ask)
        bound = self._bounds(members, centres, seed, ask)
        if math.isinf(bound.max()):  # distance alone
            centres["loss"], bound = 0.0, np.ones(len(centres))
        return drawn(members, centres, bound, self._size(budget, ask), seed, self.mixing)

    def _size(self, budget: int, ask: Ask) -> int:
        if self.eps is None or self.delta is None:
            return budget
        wanted = draws_needed(self.eps, self.delta, self.mixing) if self.mixing < 1 else budget
        void = " (an L from probes voids the bound)" if isinstance(self.lipschitz, str) else ""
        if wanted > budget:
            ask.note(f"eps {self.eps} and delta {self.delta} take {wanted:,} draws; the budget allows {budget:,}")
        else:
            ask.note(f"{wanted:,} draws give eps {self.eps} with probability {1 - self.delta:g}{void}")
        return min(wanted, budget)

    def _losses(self, rows: pd.DataFrame, ask: Ask) -> Floats:
        """Return the losses of rows (id, cell), paid for here."""
        loss = paid(rows, self.loss, ask)
        bad = np.flatnonzero(~(np.isfinite(loss) & (loss >= 0)))
        if bad.size:
            row = rows.iloc[bad[0]]
            raise InputError(
                f"the loss {self.loss!r} of id {row['id']!r} in cluster {row['cell']} is {loss[bad[0]]}; "
                "a number from 0 is needed: leave such rows out with where:"
            )
        return loss

    def _bounds(self, members: DataFrame, centres: pd.DataFrame, seed: int, ask: Ask) -> Floats:
        """Return L of every cluster: given, or from the losses at probes."""
        known = f"paid for the loss of {len(centres):,} centres"
        if not self.probes:
            ask.note(known)
            return np.full(len(centres), float(self.lipschitz))
        taken = members.sparkSession.createDataFrame(centres[["id"]])
        others = members.join(F.broadcast(taken), "id", "left_anti")
        most = self.probes

        def plan(groups: pd.DataFrame) -> pd.DataFrame:
            return groups.assign(weight=1.0, capacity=groups["size"].clip(upper=most))

        chosen = top_by_quota(others, draw(seed), F.col("cell"), plan, most * len(centres), seed)
        taken = members.sparkSession.createDataFrame(chosen[["id"]], "id string")
        probes = pull(members.join(F.broadcast(taken), "id", "left_semi")).sort_values("id", ignore_index=True)
        loss, own = self._losses(probes, ask), centres["loss"].to_numpy()
        place = np.searchsorted(centres["cell"], probes["cell"])
        r2 = float(explained(own, loss, place, centres["rows"]))
        told = "" if math.isnan(r2) else f"; the clusters explain {max(r2, 0.0):.0%} of the loss's variance"
        ask.note(f"{known} and {len(probes):,} probes{told}")
        if r2 < EXPLAINED:
            ask.note(f"the clusters explain less than {EXPLAINED:.0%} of {self.loss!r}: uniform draws may do better")
        if not isinstance(self.lipschitz, str):
            return np.full(len(centres), float(self.lipschitz))
        made = lipschitz_from_probes(own, loss, place, probes["square"].to_numpy(), self.z, self.lipschitz)
        return np.broadcast_to(np.asarray(made, dtype=float), (len(centres),)).copy()


def members_of(rows: DataFrame, cluster: str, z: int) -> DataFrame:
    """Return id, cell, squared distance and dist^z of the rows that have a cluster; InputError without distances."""
    if not isinstance(rows.schema[cluster].dataType, T.StructType):
        raise InputError(f"the label {cluster!r} has no distances to centres; name a label of kind kmeans")
    cell, square = F.col(f"`{cluster}`.cluster"), F.col(f"`{cluster}`.distance_sq")
    power = square if z == 2 else F.sqrt(square)
    shaped = rows.select("id", cell.alias("cell"), square.alias("square"), power.alias("power"))
    return shaped.where("cell IS NOT NULL")


def centres_of(members: DataFrame) -> pd.DataFrame:
    """Return one row per cluster, in order: cell, id of the member nearest to the centre, number of rows."""
    nearest = F.min_by("id", F.struct("square", hashed(0), "id")).alias("id")
    found = pull(members.groupBy("cell").agg(nearest, F.count("id").alias("rows")).limit(GROUPS))
    return found.sort_values("cell", ignore_index=True)


def paid(rows: pd.DataFrame, what: str, ask: Ask) -> Floats:
    """Return the values of rows, asked for; NaN where there is none."""
    found = rows["id"].map(ask(what, rows["id"].tolist()).set_index("id")["value"])
    return found.to_numpy(dtype=float, na_value=np.nan)


def drawn(
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
    known = members.sparkSession.createDataFrame(table, "cell int, base double, slope double")
    rows = members.join(F.broadcast(known), "cell", "inner").withColumn("q", F.expr("base + slope * power"))
    sums = weighed(rows, F.col("q"), seed)
    found = totals(sums)
    count, total = int(found["rows"].sum()), float(found["total"].cumsum().iloc[-1]) if len(found) else 0.0
    if not count:
        return picks(pd.Series([], dtype=object))
    if total == 0 or mixing > 0:  # no loss and no distance anywhere: uniform
        share = F.lit(0.0) if total == 0 else F.col("q") * F.lit((1 - mixing) / total)
        sums = weighed(rows, share + F.lit((1.0 if total == 0 else mixing) / count), seed)
        found = totals(sums)
        total = float(found["total"].cumsum().iloc[-1])
    chosen = draw_rows(sums, found, {"": size}, seed)
    weight = total / (size * chosen["weight"].to_numpy())
    return picks(chosen["id"]).assign(weight=weight, copies=chosen["copies"].to_numpy())
